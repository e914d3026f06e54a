"""`webhooks plan` and `apply`, with and without a saved plan; see sessions/plan.txt."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cloud, Done, File, MakeCloud, Shell, expect
from tests.emulated import faults
from tests.emulated.faults import Rule, Script
from tests.folders import commit, git, write
from tests.goldens import rows


def digest(done: Done) -> str:
    """Return the digest that a plan prints."""
    printed = re.search(r"--expect-digest (sha256:[0-9a-f]{64})$", done.out, re.MULTILINE)
    assert printed is not None, done.out
    return printed[1]


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


def test_after_an_apply_by_digest_broke_off_the_rest_has_a_new_digest(
    shell: Shell, server: Cloud
) -> None:
    """The advice is to plan again, with the complete command; the old digest would be stale."""
    reviewed = digest(shell("plan", "--no-prune", **server.environ))
    server.emulator.faults = Script([Rule(fault=faults.status(400), method="POST", name="Pager")])
    arguments = ("apply", "--no-prune", "--yes", "--expect-digest")
    done = shell(*arguments, reviewed, **server.environ)
    expect(done, 7, "follow the help of Pager, then plan again", "\n    webhooks plan --no-prune\n")
    assert shell(*arguments, reviewed, **server.environ).code == 6
    rest = digest(shell("plan", "--no-prune", **server.environ))
    assert shell(*arguments, rest, **server.environ).code == 0


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


TEAM = """\
webhooks:
- name: SIEM
  type: generic
  event_types: [value_created]
  configuration: {url: https://siem.example.com/ct, token: {file: secrets/siem}}
"""


def test_a_saved_plan_sends_the_files_of_the_folder_where_it_was_saved(
    shell: Shell, server: Cloud, tmp_path: Path
) -> None:
    """In another folder of the repository, its paths would be other files."""
    first, second, unpacked = (tmp_path / name for name in ("first", "second", "unpacked"))
    texts = {"teams/a/webhooks.yaml": TEAM, "teams/a/secrets/siem": "of the team"}
    for clone in (first, second, unpacked):
        write(clone, {**texts, "secrets/siem": "of another team"})
        if clone is not unpacked:
            git(clone, "init", "-q")
            commit(clone)
    options = ("--out", "../../plan.json")
    team = Path("teams", "a")
    assert shell("plan", *options, directory=first / team, **server.environ).code == 0
    assert str(tmp_path) not in (first / "plan.json").read_text("utf-8")
    apply = ("apply", "--yes")
    for clone in (first, second, unpacked):
        write(clone, {"plan.json": (first / "plan.json").read_text("utf-8")})
        step = "change to this folder" if clone is unpacked else "run `cd teams/a`"
        done = shell(*apply, "plan.json", directory=clone, **server.environ)
        expect(done, 6, "the plan was saved in the folder 'teams/a'", f"{step}, and apply")
        done = shell(*apply, "../../plan.json", directory=clone / team, **server.environ)
        expect(done, 0)
    live = server.emulator.webhook("SIEM")
    assert live["configuration"]["token"] == "of the team"


@pytest.mark.parametrize(
    ("line", "environ"), rows(Path(__file__).with_name("terminal_digests.yaml"))
)
def test_on_a_terminal_the_digest_is_shown_for_a_later_apply_and_for_hidden_urls(
    shell: Shell, server: Cloud, line: str, environ: dict[str, str]
) -> None:
    """It is shown once and dimmed; the summary is bold."""
    environ = {**server.environ, **environ}
    done = shell(*line.split(), keys="no\n", terminal=True, TERM="xterm", **environ)
    dimmed = re.findall(r"\x1b\[2m[^\x1b]*sha256:[0-9a-f]{64}\x1b\[0m", done.out + done.err)
    assert len(dimmed) == (done.out + done.err).count("sha256:") == 1
    assert "\x1b[1mPlan: 2 to create" in done.out + done.err
