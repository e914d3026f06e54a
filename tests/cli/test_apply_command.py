"""`webhooks apply`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import File, MakeCloud, Shell

OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("keys", "code"), [("yes\n", 0), ("y\n", 8), ("no\n", 8), ("\n", 8), ("", 8)]
)
def test_confirmation(shell: Shell, file: File, cloud: MakeCloud, keys: str, code: int) -> None:
    """On a terminal the plan is shown, and only a complete `yes` confirms it."""
    file()
    server = cloud()
    done = shell("apply", terminal=True, keys=keys, **server.environ)
    assert done.code == code
    assert "to create" in done.err
    assert "\n\nApply these 2 changes? Type `yes` to confirm: " in done.err
    assert ("\r\x1b[K0/2 creating " in done.err) is (code == 0)
    assert server.names() == ([] if code else ["Deploys", "Pager"])


def test_without_a_terminal_apply_needs_yes(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Without --yes the plan is shown and nothing is written."""
    file()
    server = cloud()
    done = shell("apply", **server.environ)
    assert (done.code, server.writes()) == (8, [])
    assert "to create" in done.err
    assert "--yes" in done.err


def test_no_changes_need_no_confirmation(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A misspelled selection is an error, though."""
    file()
    done = shell("apply", "--only", "deploys", **cloud().environ)
    assert done.code == 0
    assert (
        "warning[only-matches-nothing]: --only 'deploys' matches no declared or live webhook"
        in done.out
    )
    assert "No changes." in done.out


def digest(text: str) -> str:
    return next(word for word in text.split() if word.startswith("sha256:"))


def test_expected_digest(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Only the plan with the expected digest is applied; without changes any digest is accepted."""
    file()
    server = cloud()
    reviewed = digest(shell("plan", **server.environ).out)
    asked = ("apply", "--yes", "--expect-digest")
    for text, code in (("", 64), ("sha256:", 64), (OTHER.replace("0", "G"), 64), (OTHER, 6)):
        assert shell(*asked, text, **server.environ).code == code
    assert server.writes() == []
    done = shell(*asked, reviewed, **server.environ)
    assert (done.code, done.err.count("creating Deploys\n")) == (0, 1)
    assert shell(*asked, OTHER, **server.environ).code == 0
    assert server.writes() == ["POST", "POST"]


def test_plan_file(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """It is applied once and without its files; it prompts, and needs its secrets and
    organization.
    """
    declared = file()
    server = cloud()
    saved = digest(shell("plan", "--out", "plan.json", **server.environ).out)
    declared.unlink()
    for arguments, more, code in (
        ((), {}, 8),
        (("--yes",), {"TOKEN": ""}, 3),
        (("--expect-digest", OTHER), {}, 6),
        (("--yes", "--organization", "Other"), {}, 4),
        (("--yes", "--local"), {}, 6),  # planned for another server
        (("-f", "x.yaml"), {}, 64),
        (("--only", "x"), {}, 64),
        (("--no-prune",), {}, 64),
        (("--resend-secret", "*"), {}, 64),
    ):
        done = shell("apply", "plan.json", *arguments, **{**server.environ, **more})
        assert done.code == code, arguments
        assert code != 64 or arguments[0] in done.err
    assert server.writes() == []
    for _ in range(2):
        done = shell("apply", "plan.json", "--yes", "--expect-digest", saved, **server.environ)
        assert (done.code, server.writes()) == (0, ["POST", "POST"])


def test_plan_file_guards(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A saved plan passes the same guards, and the same options allow it."""
    file()
    server = cloud()
    assert shell("apply", "--yes", **server.environ).code == 0
    file("webhooks: []\n")
    assert shell("plan", "--out", "plan.json", **server.environ).code == 5
    for more, code in (((), 5), (("--allow-deletes", "3"), 5), (("--allow-deletes", "2"), 0)):
        assert shell("apply", "plan.json", "--yes", *more, **server.environ).code == code
    assert server.names() == []


def test_field_errors_have_their_position(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A server's error about a field is shown with the line that declares the field."""
    file()
    server = cloud(name_max=5)
    done = shell("apply", "--yes", **server.environ)
    assert (done.code, server.names()) == (7, ["Pager"])
    assert "webhooks.yaml:2" in done.out


def test_report_file(shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path) -> None:
    """The JSON report is also written to a file, for a failure too."""
    file()
    server = cloud()
    saved = tmp_path / "report.json"
    assert shell("apply", "--yes", "--report", "report.json", **server.environ).code == 0
    assert json.loads(saved.read_text())["counts"]["created"] == 2
    file(value_updated="oops")
    assert shell("apply", "--yes", "--report", "report.json", **server.environ).code == 3
    assert json.loads(saved.read_text())["error"]["exit_code"] == 3


class Vanishing:
    """Deletes a directory as soon as something is written to CloudTruth."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, method: str, path: str, body: bytes) -> None:
        if method == "POST":
            shutil.rmtree(self._directory, ignore_errors=True)


def test_unwritable_report(shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path) -> None:
    """It is refused before the apply if possible; otherwise the result is shown with exit 7."""
    file()
    (tmp_path / "reports").mkdir()
    server = cloud(faults=Vanishing(tmp_path / "reports"))
    for name in ("missing/report.json", ".", "webhooks.yaml/report.json"):
        done = shell("apply", "--yes", "--report", name, **server.environ)
        assert (done.code, done.out, server.writes()) == (1, "", [])
        assert "error[output]: cannot write " in done.err
    asked = ("apply", "--yes", "--format", "json", "--report", "reports/report.json")
    done = shell(*asked, **server.environ)
    assert (done.code, json.loads(done.out)["counts"]["created"]) == (7, 2)
    assert "report.json: no such file or directory\n  = help:" in done.err


def test_a_live_webhook_of_an_unknown_type(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """It is not changed. A declaration of it is a failure: exit 7 after a write, else 1."""
    file()
    server = cloud(types=["slack", "generic", "teams"])
    row = {"name": "Deploys", "type": "teams", "event_types": ["value_updated"]}
    organization = server.emulator.organization
    server.emulator.store.insert({**row, "organization": organization, "configuration": {}})
    for code in (7, 1):
        done = shell("apply", "--yes", **server.environ)
        assert done.code == code
        assert f"Exit {code}: 1 declaration is not applied, see above." in done.out
    file(Deploys="Releases")
    done = shell("apply", "--yes", **server.environ)
    assert (done.code, "Kept: 1 (of a type this version" in done.err) == (0, True)


def test_only_secrets_that_are_sent_are_required(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """Each missing one is named, exit 3, nothing is written; unused secrets may be missing."""
    file()
    server = cloud()
    without = {**server.environ, "TOKEN": "", "PASSWORD": ""}
    done = shell("apply", "--yes", **without)
    assert (done.code, server.writes()) == (3, [])
    assert "variable TOKEN is empty" in done.err
    assert "variable PASSWORD is empty" in done.err
    assert shell("apply", "--yes", **server.environ).code == 0
    file(**{"#deploys": "#elsewhere"})
    done = shell("apply", "--yes", **without)
    assert (done.code, "PASSWORD" in done.err) == (3, False)
    assert "variable TOKEN is empty" in done.err
    assert "set them, then run the same command again" in done.err
    file(**{"[value_updated]": "[value_created]"})
    assert shell("apply", "--yes", **without).code == 0
    assert server.writes()[2:] == ["PATCH"]


def test_maintenance(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """It stops an apply; a plan is still possible."""
    file()
    server = cloud(maintenance=True)
    assert shell("plan", **server.environ).code == 0
    assert shell("apply", "--yes", **server.environ).code == 4
