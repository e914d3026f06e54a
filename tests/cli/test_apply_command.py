"""`webhooks plan` and `apply`, with and without a saved plan; see sessions/plan.txt."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cloud, File, MakeCloud, Shell, digest, expect
from tests.emulated import faults
from tests.emulated.faults import Rule, Script

OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("keys", "code"), [("yes\n", 0), ("y\n", 8), ("no\n", 8), ("\n", 8), ("", 8)]
)
def test_confirmation(shell: Shell, server: Cloud, keys: str, code: int) -> None:
    """On a terminal the plan is shown, and only a complete `yes` confirms it."""
    done = shell("apply", terminal=True, keys=keys, **server.environ)
    question = "\n\nApply 2 changes? Type `yes` to confirm: "
    expect(done, code, "2 to create", question)
    assert ("\r\x1b[K0/2 creating " in done.err) is (code == 0)
    assert server.names() == ([] if code else ["Deploys", "Pager"])


def test_expected_digest(shell: Shell, server: Cloud) -> None:
    """Only the plan with the expected digest is applied; without changes any digest is accepted."""
    reviewed = digest(shell("plan", **server.environ))
    command = ("apply", "--yes", "--expect-digest")
    for text, code in (("", 64), ("sha256:", 64), (OTHER.replace("0", "G"), 64), (OTHER, 6)):
        assert shell(*command, text, **server.environ).code == code
    assert server.writes() == []
    done = shell(*command, reviewed, **server.environ)
    assert (done.code, done.err.count("creating Deploys\n")) == (0, 1)
    idle = shell(*command, OTHER, **server.environ)
    expect(idle, 0, "already applied, or these files lack the change.")
    assert server.writes() == ["POST", "POST"]


def test_after_an_apply_by_digest_broke_off_the_rest_has_a_new_digest(
    shell: Shell, server: Cloud
) -> None:
    """The advice is to plan again, with the complete command; the old digest would be stale."""
    reviewed = digest(shell("plan", "--no-prune", **server.environ))
    server.emulator.faults = Script([Rule(fault=faults.status(400), method="POST", name="Pager")])
    arguments = ("apply", "--no-prune", "--yes", "--expect-digest")
    done = shell(*arguments, reviewed, **server.environ)
    expect(done, 7, "incomplete: plan again", "\n    webhooks plan --no-prune\n")
    assert shell(*arguments, reviewed, **server.environ).code == 6
    rest = digest(shell("plan", "--no-prune", **server.environ))
    assert shell(*arguments, rest, **server.environ).code == 0


def test_plan_file(shell: Shell, server: Cloud, tmp_path: Path) -> None:
    """A saved plan is applied once and without its files; it needs its secrets and organization."""
    saved = digest(shell("plan", "webhooks.yaml", "--out", "plan.json", **server.environ))
    (tmp_path / "webhooks.yaml").unlink()
    assert shell("apply", "plan.json", "--yes", **{**server.environ, "TOKEN": ""}).code == 3
    for line, code in (
        ("", 8),
        (f"--expect-digest {OTHER}", 6),
        ("--yes --organization Other", 4),
        ("--yes --local", 6),  # planned for another server
        *((line, 64) for line in ("-f x.yaml", "--only x", "--no-prune", "--resend-secret *")),
    ):
        done = shell("apply", "plan.json", *line.split(), **server.environ)
        expect(done, code, line.split()[0] if code == 64 else "")
        if line == "-f x.yaml":
            expect(done, 64, "contains its files and options: `webhooks apply plan.json`")
    assert server.writes() == []
    for _ in range(2):
        done = shell("apply", "plan.json", "--yes", "--expect-digest", saved, **server.environ)
        assert (done.code, server.writes()) == (0, ["POST", "POST"])


@pytest.mark.parametrize(("read_back", "resent"), [("plain", 0), ("mask", 2)])
def test_a_saved_rotation_is_resent_if_it_is_hidden(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path, read_back: str, resent: int
) -> None:
    """A note warns about a plan that sends a secret each time, only if the server hides it."""
    file()
    server = cloud(read_back=read_back)
    assert shell("apply", "--yes", **server.environ).code == 0
    old = file().rename(tmp_path / "old.yaml")
    file(**{"{env: TOKEN}": "{env: TOKEN, version: 2}"})
    assert shell("plan", "--base", old.name, "-o", "plan.json", **server.environ).code == 0
    for _ in range(2):
        done = shell("apply", "plan.json", "--yes", **server.environ)
        noted = "note[resent-each-time]: every apply of this review resends its secrets" in done.err
        assert (done.code, noted) == (0, bool(resent))
    assert server.writes().count("PATCH") == resent


class Vanishing:
    """Replaces a directory by a file at the first write to CloudTruth."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, method: str, path: str, body: bytes) -> None:
        if method == "POST" and self._directory.is_dir():
            self._directory.rmdir()
            self._directory.touch()


def test_unwritable_report(shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path) -> None:
    """A report that cannot be written is an error before the apply, or exit 7 after it."""
    file()
    (tmp_path / "reports").mkdir()
    server = cloud(faults=Vanishing(tmp_path / "reports"))
    for name in ("missing/report.json", ".", "webhooks.yaml/report.json"):
        done = shell("apply", "--yes", "--report", name, **server.environ)
        assert (done.code, done.out, server.writes()) == (1, "", [])
        assert "error[output]: cannot write " in done.err
    command = ("apply", "--yes", "--format", "json", "--report", "reports/report.json")
    done = shell(*command, **server.environ)
    assert (done.code, json.loads(done.out)["organizations"][0]["counts"]["created"]) == (7, 2)
    assert "error[output]: cannot write " in done.err


def test_a_plan_shows_the_host_of_a_literal_url(shell: Shell, file: File) -> None:
    """Another host is another digest, another key is not; neither shows the key."""
    digests = []
    for url in ("a.example/?k=c4n4ry1", "a.example/?k=c4n4ry2", "u:c4n4ry1@b.example/"):
        file(f"""webhooks: [{{name: A, type: generic, event_types: ["*"],
            configuration: {{url: "https://{url}"}}}}]""")
        done = shell("plan", "--local")
        host = url.partition("@")[2] or url
        expect(done, 0, f"+ A  generic https://{host[:9]}/***  *", without=("c4n4ry",))
        digests.append(digest(done))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("line", "environ", "shown"),
    [
        ("plan", {}, 1),  # it sets a URL from the file, of which only the host is shown
        ("plan -v", {}, 1),
        ("plan --out plan.json", {}, 1),
        ("plan", {"CI": "true"}, 1),
        ("apply", {}, 1),
    ],
)
def test_on_a_terminal_the_digest_is_shown_for_a_later_apply_and_for_hidden_urls(
    shell: Shell, server: Cloud, line: str, environ: dict[str, str], shown: int
) -> None:
    """It is shown once and dimmed; the summary is bold."""
    environ = {**server.environ, **environ}
    done = shell(*line.split(), keys="no\n", terminal=True, TERM="xterm", **environ)
    dimmed = re.findall(r"\x1b\[2m[^\x1b]*sha256:[0-9a-f]{64}\x1b\[0m", done.out + done.err)
    assert len(dimmed) == (done.out + done.err).count("sha256:") == shown
    assert "\x1b[1mPlan: 2 to create" in done.out + done.err
