"""`webhooks apply`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Cloud, Shell
from tests.emulated import faults

File = Callable[..., Path]
MakeCloud = Callable[..., Cloud]


def test_twice(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """The first run creates, the second finds nothing to do and makes only the reads."""
    file()
    there = cloud()
    first = shell("apply", "--yes", **there.environ)
    assert first.code == 0
    assert "2 created" in first.out
    assert "Plan: 2 to create" in first.err
    assert "creating Deploys\n" in first.err
    assert "creating Pager\n" in first.err
    assert there.writes() == ["POST", "POST"]
    reads = there.reads()
    second = shell("apply", **there.environ)
    assert (second.code, second.err) == (0, "")
    assert "No changes. 2 webhooks match." in second.out
    assert there.writes() == ["POST", "POST"]
    assert there.reads() - reads == 2  # the organization, one page


@pytest.mark.parametrize(
    ("keys", "code"), [("yes\n", 0), ("y\n", 8), ("no\n", 8), ("\n", 8), ("", 8)]
)
def test_question(shell: Shell, file: File, cloud: MakeCloud, keys: str, code: int) -> None:
    """On a terminal the plan is shown and only a whole yes is one."""
    file()
    there = cloud()
    done = shell("apply", terminal=True, keys=keys, **there.environ)
    assert done.code == code
    assert "Apply these 2 changes? Type `yes` to confirm: " in done.err
    assert "to create" in done.err
    assert ("\r\x1b[K0/2 creating " in done.err) is (code == 0)
    assert there.names() == ([] if code else ["Deploys", "Pager"])


def test_nobody_to_ask(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Without a terminal and without --yes the plan is shown and nothing is written."""
    file()
    there = cloud()
    done = shell("apply", **there.environ)
    assert done.code == 8
    assert "to create" in done.err
    assert "--yes" in done.err
    assert there.writes() == []


def test_remarks_without_changes(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A misspelt selection must not look like "nothing to do"."""
    file()
    done = shell("apply", "--yes", "--only", "deploys", **cloud().environ)
    assert done.code == 0
    assert "warning[only-matches-nothing]: --only 'deploys' names no webhook" in done.out
    assert "No changes." in done.out


def digest(text: str) -> str:
    return next(word for word in text.split() if word.startswith("sha256:"))


def test_expected_digest(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Only the plan with the expected digest is applied; a converged one is fine."""
    file()
    there = cloud()
    reviewed = digest(shell("plan", **there.environ).out)
    other = "sha256:" + "0" * 64
    stale = shell("apply", "--yes", "--expect-digest", other, **there.environ)
    assert stale.code == 6
    assert there.writes() == []
    assert shell("apply", "--yes", "--expect-digest", reviewed, **there.environ).code == 0
    assert shell("apply", "--yes", "--expect-digest", other, **there.environ).code == 0
    assert there.writes() == ["POST", "POST"]


@pytest.mark.parametrize("text", ["", "sha256:", "9c1e", "sha256:" + "G" * 64])
def test_malformed_digest(shell: Shell, file: File, text: str) -> None:
    """An empty or malformed digest never means to apply without the check."""
    file()
    assert shell("apply", "--local", "--yes", "--expect-digest", text, **SECRETS).code == 64


def test_plan_file(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A saved plan is applied without its files, once; a second time nothing is written."""
    declared = file()
    there = cloud()
    assert shell("plan", "--out", "plan.json", **there.environ).code == 0
    declared.unlink()
    assert shell("apply", "plan.json", "--yes", **there.environ).code == 0
    assert there.names() == ["Deploys", "Pager"]
    assert shell("apply", "plan.json", "--yes", **there.environ).code == 0
    assert there.writes() == ["POST", "POST"]


def test_plan_file_of_elsewhere(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A plan made for one server is not applied to another."""
    file()
    there = cloud()
    assert shell("plan", "--local", "--out", "plan.json").code == 0
    done = shell("apply", "plan.json", "--yes", **there.environ)
    assert done.code == 6
    assert there.writes() == []


def test_plan_file_guards(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A saved plan passes the same guards, and they are lifted the same way."""
    file()
    there = cloud()
    assert shell("apply", "--yes", **there.environ).code == 0
    file("webhooks: []\n")
    assert shell("plan", "--out", "plan.json", **there.environ).code == 5
    assert shell("apply", "plan.json", "--yes", **there.environ).code == 5
    assert shell("apply", "plan.json", "--yes", "--allow-deletes", "3", **there.environ).code == 5
    assert shell("apply", "plan.json", "--yes", "--allow-deletes", "2", **there.environ).code == 0
    assert there.names() == []


def test_plan_file_needs_consent_and_secrets(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A saved plan asks, needs its secrets, and can be held to a digest."""
    file()
    there = cloud()
    saved = digest(shell("plan", "--out", "plan.json", **there.environ).out)
    assert shell("apply", "plan.json", **there.environ).code == 8
    assert shell("apply", "plan.json", "--yes", **{**there.environ, "TOKEN": ""}).code == 3
    other = "sha256:" + "0" * 64
    assert shell("apply", "plan.json", "--expect-digest", other, **there.environ).code == 6
    asked = ("apply", "plan.json", "--yes", "--expect-digest", saved)
    assert shell(*asked, "--organization", "Other", **there.environ).code == 4
    assert there.writes() == []
    assert shell(*asked, **there.environ).code == 0


@pytest.mark.parametrize(
    "more", [("-f", "x.yaml"), ("--only", "x"), ("--no-prune",), ("--resend-secrets",)]
)
def test_plan_file_as_it_is(shell: Shell, more: tuple[str, ...]) -> None:
    """What belongs to planning does not go with a plan."""
    done = shell("apply", "plan.json", "--local", *more)
    assert done.code == 64
    assert more[0] in done.err


def test_field_errors_get_their_place(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """What the server says of a field is shown with the line that declares it."""
    file()
    there = cloud(name_max=5)
    done = shell("apply", "--yes", **there.environ)
    assert done.code == 7  # Pager was created
    assert "webhooks.yaml:2" in done.out
    assert there.names() == ["Pager"]


def test_report_file(shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path) -> None:
    """The report goes to a file as JSON as well, also when it is one of a failure."""
    file()
    there = cloud()
    saved = tmp_path / "report.json"
    assert shell("apply", "--yes", "--report", "report.json", **there.environ).code == 0
    assert json.loads(saved.read_text())["counts"]["created"] == 2
    file(value_updated="oops")
    assert shell("apply", "--yes", "--report", "report.json", **there.environ).code == 3
    assert json.loads(saved.read_text())["error"]["exit_code"] == 3


class Vanishing:
    """Takes a directory away as soon as something is written to CloudTruth."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, method: str, path: str, body: bytes) -> None:
        if method == "POST":
            shutil.rmtree(self._directory, ignore_errors=True)


def test_report_that_cannot_be_written(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path
) -> None:
    """A report that cannot be written is told apart from the result, which stays whole."""
    file()
    reports = tmp_path / "reports"
    reports.mkdir()
    there = cloud(faults=Vanishing(reports))
    asked = ("apply", "--yes", "--format", "json", "--report", "reports/report.json")
    done = shell(*asked, **there.environ)
    assert done.code == 7
    assert "report.json: no such file or directory\n  = help:" in done.err
    assert json.loads(done.out)["counts"]["created"] == 2


def test_a_hopeless_report_stops_the_run_before_it_writes(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """Where a report surely cannot go shows beforehand, and then nothing is done."""
    file()
    there = cloud()
    for name in ("missing/report.json", ".", "webhooks.yaml/report.json"):
        done = shell("apply", "--yes", "--report", name, **there.environ)
        assert (done.code, done.out) == (1, "")
        assert "error[output]: cannot write " in done.err
    assert there.writes() == []


def test_doubtful_tokens(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A token of the wrong kind is warned of, and an error where warnings are."""
    file()
    environ = {**cloud().environ, "TOKEN": "xoxp-" + "0123456789-abcdef"}
    done = shell("apply", "--yes", **environ)
    assert done.code == 0
    assert "is a user token" in done.err
    assert shell("apply", "--yes", "--strict", **environ).code == 3


def test_resends(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A secret that the server hides is sent again where that is asked for."""
    file()
    there = cloud(read_back="mask")
    assert shell("apply", "--yes", **there.environ).code == 0
    assert shell("apply", "--yes", **there.environ).code == 0
    assert there.writes() == ["POST", "POST"]
    asked = ("apply", "--yes", "--resend-secret")
    assert shell(*asked, "env:TOKEN", **there.environ).code == 0
    assert there.writes()[2:] == ["PATCH"]
    assert shell("apply", "--yes", "--resend-secrets", **there.environ).code == 0
    assert there.writes()[3:] == ["PATCH", "PATCH"]
    assert shell(*asked, "env:NOTHING", **there.environ).code == 3


def test_a_server_error_at_each_attempt_is_told(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Text and JSON have the status, the attempts, and what the webhook is now."""
    file()
    rule = faults.Rule(fault=faults.status(500), method="PATCH", times=None)
    there = cloud(faults=faults.Script([rule]))
    assert shell("apply", "--yes", **there.environ).code == 0
    file(**{"username: CloudTruth": "username: Bot"})
    text = shell("apply", "--yes", **there.environ)
    assert text.code == 7
    said = "HTTP 500 (3 attempts); it is unchanged so far"
    assert said in " ".join(text.out.split())
    done = shell("apply", "--yes", "--format", "json", **there.environ)
    (outcome,) = json.loads(done.out)["outcomes"]
    assert (outcome["outcome"], outcome["message"]) == ("unconfirmed", said)


@pytest.mark.parametrize("format", ["text", "json", "markdown"])
def test_a_declaration_that_cannot_be_applied_is_named_and_no_success(
    shell: Shell, file: File, cloud: MakeCloud, format: str
) -> None:
    """A live webhook of an unknown type stays as it is: exit 7 after a write, else 1."""
    file()
    there = cloud(types=["slack", "generic", "teams"])
    there.emulator.store.insert(
        {
            "organization": there.emulator.organization,
            "name": "Deploys",
            "type": "teams",
            "event_types": ["value_updated"],
            "configuration": {"card": "x"},
        }
    )
    for code, counted in ((7, "1 created"), (1, "No changes. 1 webhook matches. 1 kept.")):
        done = shell("apply", "--yes", "--format", format, **there.environ)
        assert done.code == code
        if format == "json":
            report = json.loads(done.out)
            (kept,) = report["kept"]
            assert report["exit_code"] == code
            assert (kept["name"], kept["reason"], kept["detail"], kept["unapplied"]) == (
                "Deploys",
                "unknown-type",
                "teams",
                True,
            )
        else:
            said = " ".join(done.out.split())
            assert counted in said
            why = "declaration not applied: of a type this version does not know: teams"
            assert why in said
            assert f"Exit {code}: 1 declaration is not applied, see above." in said
    assert there.writes() == ["POST"]


def test_an_undeclared_webhook_of_an_unknown_type_is_no_failure(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """It is kept and named, and all that is declared is applied."""
    file()
    there = cloud(types=["slack", "generic", "teams"])
    there.emulator.store.insert(
        {
            "organization": there.emulator.organization,
            "name": "Chat",
            "type": "teams",
            "event_types": ["value_updated"],
            "configuration": {"card": "x"},
        }
    )
    done = shell("apply", "--yes", **there.environ)
    assert done.code == 0
    assert "! Chat" in done.out


def test_only_secrets_that_are_sent_are_required(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """Every one that is missing is named at once, exit 3, nothing written; others do not matter."""
    file()
    there = cloud()
    without = {**there.environ, "TOKEN": "", "PASSWORD": ""}
    done = shell("apply", "--yes", **without)
    assert done.code == 3
    assert "variable TOKEN is empty" in done.err
    assert "variable PASSWORD is empty" in done.err
    assert there.writes() == []
    assert shell("apply", "--yes", **there.environ).code == 0
    file(**{"#deploys": "#elsewhere"})
    done = shell("apply", "--yes", **without)
    assert done.code == 3
    assert "variable TOKEN is empty" in done.err
    assert "PASSWORD" not in done.err
    assert "set them, then run the same command again" in done.err
    file(**{"[value_updated]": "[value_created]"})
    assert shell("apply", "--yes", **without).code == 0
    assert there.writes()[2:] == ["PATCH"]
