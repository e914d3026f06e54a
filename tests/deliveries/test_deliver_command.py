"""`webhooks check` against an emulated CloudTruth and a fake Slack, and proofs with --deliver."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from jsonschema import Draft7Validator

from reconciler.source.schema import schema_text
from tests.cli import conftest
from tests.cli.conftest import SECRETS, Cloud, Done, File, MakeCloud, Shell
from tests.deliveries.fake_slack import GOOD, SEEING, FakeSlack, channel
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import Fault, drop
from tests.folders import python, running, write
from tests.goldens import cases
from tests.served import PauseAtWrite, served


def document(text: str) -> Any:
    """Parse the JSON of checks and validate it against its schema."""
    found = json.loads(text)
    Draft7Validator(json.loads(schema_text("checks.schema.json"))).validate(found)
    return found


DELIVER = ("check", "--deliver", "Scratch")
TEXTS = cases(Path(__file__).with_name("files.txt"))
FILE = TEXTS["three generic webhooks"][0]
WRITES = ["POST", "PATCH", "POST", "PATCH", "DELETE", "DELETE"]
Start = Callable[..., Cloud]


@pytest.fixture
def start(cloud: MakeCloud, shell: Shell, file: File) -> Start:
    """Serve an emulator with the choices given by name, where the files are applied."""

    def start(text: str = FILE, **choices: Any) -> Cloud:
        file(text)
        made = cloud(**choices)
        assert shell("apply", "--yes", **made.environ).code == 0
        made.emulator.log.clear()
        return made

    return start


def expect(done: Done, code: int, *texts: str, without: tuple[str, ...] = ()) -> None:
    """Check a result, whose lines may be wrapped and aligned in any way."""
    out, err = (" ".join(text.split()) for text in (done.out, done.err))
    conftest.expect(Done(code=done.code, out=out, err=err), code, *texts, without=without)


def parameters(site: Cloud) -> list[str]:
    return [row["name"] for row in site.emulator.store.parameters()]


def test_the_requests_of_a_proof(shell: Shell, start: Start) -> None:
    """A proof needs six writes, at most six reads before them, and then lists every two seconds."""
    site = start()
    assert shell(*DELIVER, "--yes", **site.environ).code == 0
    methods = [entry.method for entry in site.emulator.log]
    first, last = methods.index("POST"), len(methods) - methods[::-1].index("DELETE")
    assert first <= 6
    assert methods[first:last] == WRITES
    assert {entry.path for entry in site.emulator.log[last:]} == {"/api/v1/webhooks/"}


def test_json_is_valid_and_has_no_url(shell: Shell, start: Start) -> None:
    """The document has the webhooks of each check, also after a failure."""
    site = start(failing=("mail.example.com",))
    done = shell(*DELIVER, "--yes", "--format", "json", **site.environ)
    found = document(done.out)
    assert (done.code, found["exit_code"]) == (1, 1)
    failed = [each for each in found["sections"][0]["checks"] if each["status"] == "fail"]
    assert [hook["name"] for each in failed for hook in each["webhooks"]] == ["Mail"]
    assert "example.com" not in done.out
    assert document(shell("doctor", "--format", "json", **site.environ).out)["exit_code"] == 0
    denied = shell("check", "--format", "json", **site.environ | {"CLOUDTRUTH_API_KEY": "another"})
    unread = document(denied.out)
    assert (denied.code, unread["exit_code"], unread["notes"]) == (4, 4, [])


def test_leftovers_are_named(shell: Shell, start: Start) -> None:
    """Parameters of earlier runs are named with their commands: deleting them causes messages."""
    site = start()
    name = "webhooks-check-20200101T000000Z-abcd"
    project = uuid5(NAMESPACE_URL, f"{site.emulator.organization}/projects/Scratch")
    site.emulator.store.save_parameter(str(project), {"id": "p", "name": name, "values": {}})
    command = f"cloudtruth --project Scratch param delete -y {name}"
    expect(shell(*DELIVER, "--yes", **site.environ), 0, "left by earlier runs", command)
    assert parameters(site) == [name]


class Signals:
    """Sends SIGINT during a write, which is processed, and optionally answered."""

    def __init__(self, at: int, fault: Fault | None) -> None:
        self._left, self._fault = at, fault

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        self._left -= method != "GET"
        if method == "GET" or self._left != -1:
            return None
        os.kill(os.getpid(), signal.SIGINT)
        return self._fault


@pytest.mark.parametrize("fault", [None, drop(commit=True)])
@pytest.mark.parametrize("at", range(6))
def test_ctrl_c_deletes_the_parameter(
    shell: Shell, start: Start, at: int, fault: Fault | None
) -> None:
    """A signal during any write, answered or not, ends the run after the parameter is deleted."""
    site = start()
    site.emulator.faults = Signals(at, fault)
    done = shell(*DELIVER, "--yes", **site.environ)
    expect(done, 130, "stopped by a signal; parameter webhooks-check-")
    if fault is None:
        assert site.writes() == [*WRITES[:5][: at + 1], "DELETE"]
    assert parameters(site) == []


@pytest.mark.slow
def test_a_killed_run_has_named_its_parameter(tmp_path: Path) -> None:
    """After `kill -9` at any write, the output has the command that deletes the parameter."""
    hold = PauseAtWrite()
    emulator = Emulator(listener=hold)
    write(tmp_path, {"webhooks.yaml": FILE})
    program = (sys.executable, "-m", "reconciler")
    with served(emulator) as url:
        environ = {"CLOUDTRUTH_API_KEY": LOCAL_KEY, "CLOUDTRUTH_SERVER_URL": url}
        assert python(tmp_path, *program[1:], "apply", "--yes", **environ).returncode == 0
        for at in range(1, 7):
            hold.after(at)
            with running(tmp_path, *program, *DELIVER, "--yes", **environ) as process:
                hold.wait(process)
                process.kill()
                output, _ = process.communicate()
            hold.release()
            left = [row["name"] for row in emulator.store.parameters()]
            assert len(left) == (at < 6)
            for row in emulator.store.parameters():
                named = f"`cloudtruth --project Scratch param delete -y {row['name']}`"
                assert named in output
                emulator.store.delete_parameter(row["id"])


BROKEN = {"timestamp": "2026-01-01T00:00:00Z", "code": "channel_not_found", "text": "not there"}
SLACK = TEXTS["a slack webhook"][0]


Change = Callable[[Cloud, FakeSlack], object]
FAULTS: list[tuple[Change, str, Change]] = [
    (lambda site, slack: slack.errors.update({"auth.test": "token_revoked"}),
     "✗ slack the token was revoked fix: copy the app's Bot User OAuth Token",
     lambda site, slack: slack.errors.clear()),
    (lambda site, slack: slack.tokens.update({GOOD: ("channels:read", "groups:read")}),
     "✗ scopes chat:write is missing: nothing can be posted",
     lambda site, slack: slack.tokens.update({GOOD: SEEING})),
    (lambda site, slack: slack.channels[0].update(is_archived=True),
     "✗ channel #old-deploys: the channel is archived fix: unarchive it",
     lambda site, slack: slack.channels[0].update(is_archived=False)),
    (lambda site, slack: slack.channels[0].update(name="new-deploys"),
     "✗ channel #old-deploys: no such channel in team Acme, or a private one",
     lambda site, slack: slack.channels[0].update(name="old-deploys")),
    (lambda site, slack: slack.channels[0].update(is_private=True),
     "✗ channel #old-deploys: no such channel in team Acme, or a private one",
     lambda site, slack: slack.channels[0].update(is_member=True)),
    (lambda site, slack: slack.tokens.update({GOOD: (SEEING[0], *SEEING[2:])}),
     "✗ channel #old-deploys: the bot is not in it, and chat:write.public is missing",
     lambda site, slack: slack.channels[0].update(is_member=True)),
    (lambda site, slack: site.emulator.store.delete(site.emulator.webhook("Deploys")["id"]),
     "✗ not live CloudTruth has no such webhook fix: run `webhooks plan` and `webhooks apply`",
     lambda site, slack: None),
    (lambda site, slack: site.emulator.change("Deploys", event_types=["project_created"]),
     "error[usage]: none of the webhooks listens to events of parameters or values",
     lambda site, slack: None),
    (lambda site, slack: fail_deliveries(site, "#old-deploys"),
     "✗ failed channel_not_found delivery of parameter_deleted failed: Slack finds no such channel",
     lambda site, slack: fail_deliveries(site)),
]  # fmt: skip


def fail_deliveries(site: Cloud, *destinations: str) -> None:
    site.emulator.behavior = replace(site.emulator.behavior, failing=destinations)


@pytest.mark.parametrize(("break_it", "line", "repair"), FAULTS)
def test_each_fault_is_named_and_its_cure_makes_the_check_green(
    shell: Shell, start: Start, break_it: Change, line: str, repair: Change
) -> None:
    """A fault has its line with the fix; after the fix and an apply, the test succeeds."""
    pager = "  - {name: Pager, type: generic, configuration: {url: 'https://p.example.com'}}\n"
    site = start(SLACK + (pager if "not live" in line else ""))
    slack = FakeSlack(tokens={GOOD: SEEING}, channels=[channel("C1", "old-deploys")])
    with served(slack) as url:
        environ = {**site.environ, "TOKEN": GOOD, "WEBHOOKS_SLACK_URL": url}
        break_it(site, slack)
        done = shell(*DELIVER, "--yes", **environ)
        expect(done, 64 if "usage" in line else 1, line)
        repair(site, slack)
        assert shell("apply", "--yes", **environ).code == 0
        done = shell(*DELIVER, "--yes", **environ)
        expect(done, 0, "✓ delivered", "✓ channel", without=("✗", "!"))


def test_one_run_checks_several_organizations(
    shell: Shell, cloud: MakeCloud, tmp_path: Path
) -> None:
    """A token of two organizations is looked up once; a problem of one does not stop the others."""
    site = cloud()
    store = site.emulator.store
    store.add_user(site.emulator.organization, key="acme-key", role="ADMIN")
    store.add_user(store.add_organization("Globex").id, key="globex-key", role="ADMIN")
    for name in ("Acme", "Globex"):
        head = f"organization: {name}\napi_key: {{env: {name.upper()}_KEY}}\n"
        write(tmp_path, {f"orgs/{name}.yaml": head + SLACK})
    slack = FakeSlack()
    keys = {"ACME_KEY": "acme-key", "GLOBEX_KEY": "globex-key", "TOKEN": GOOD}
    with served(slack) as url:
        environ = {**site.environ, **keys, "WEBHOOKS_SLACK_URL": url}
        both = "Deploys (Acme, orgs/Acme.yaml:5), Deploys (Globex, orgs/Globex.yaml:5)"
        expect(shell("check", "orgs", **environ), 0, both)
        assert slack.methods() == ["auth.test"]
        done = shell("check", "orgs", **{**environ, "GLOBEX_KEY": "wrong-key"})
        expect(done, 4, "Globex (orgs/Globex.yaml)", "✓ slack team Acme, bot cloudtruth")
        done = shell("check", "orgs", **{**environ, "GLOBEX_KEY": ""})
        expect(done, 0, "? state not read: there is no API key for orgs/Globex.yaml")
        done = shell("check", "orgs", **{**environ, "GLOBEX_KEY": "in two parts"})
        expect(done, 4, "the API key contains spaces")


def test_json_matches_its_schema_without_tokens(shell: Shell, file: File) -> None:
    """The document is valid even when a check fails."""
    file()
    with served(FakeSlack()) as url:
        for token, code in ((GOOD, 0), ("xoxb-" + "canary-bad-0002", 1)):
            done = shell(
                "check", "--format", "json", "--debug",
                TOKEN=token, PASSWORD="x" * 9, WEBHOOKS_SLACK_URL=url,
            )  # fmt: skip
            found = document(done.out)
            assert (done.code, found["exit_code"], found["command"]) == (code, code, "check")
            assert token not in done.out + done.err
            assert "GET /auth.test 200" in done.err
            assert url in done.err


def test_send(shell: Shell, file: File) -> None:
    """`--send` posts a message, and `--only` selects the webhooks."""
    file()
    slack = FakeSlack()
    with served(slack) as url:
        environ = {**SECRETS, "TOKEN": GOOD, "WEBHOOKS_SLACK_URL": url}
        assert shell("check", "--send", "--only", "P*", **environ).code == 0
        assert slack.posted == []
        assert shell("check", "--send", "--only", "Dep*", **environ).code == 0
    assert len(slack.posted) == 1
