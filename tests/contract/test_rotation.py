"""A rotated secret is sent however the server shows secrets, and values read are never sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cli.conftest import Cloud, Done, File, MakeCloud, Shell
from tests.emulated.variant import MASK, ReadBack

FILE = """\
webhooks:
  - name: Deploys
    type: slack
    event_types: ["*_deleted"]
    configuration: {token: {env: TOKEN}, channel: "#deploys", username: CloudTruth}
  - name: Pager
    type: generic
    event_types: [value_updated]
    configuration: {url: {env: ADDRESS}, username: me, password: {env: PASSWORD}}
  - name: Second
    type: generic
    event_types: [value_updated]
    configuration: {url: "https://second.example.com/x", username: me, password: {env: OTHER}}
"""
SHOWN = (ReadBack.PLAIN, ReadBack.BY_ROLE)
"""The forms in which a difference is visible, by the role of the key."""
WHOLE = (
    ReadBack.CONFIGURATION_MISSING,
    ReadBack.CONFIGURATION_NULL,
    ReadBack.CONFIGURATION_EMPTY,
)
SECOND_TOKEN = "xoxb-" + "9123456789-abcdef"


def values(turn: int) -> dict[str, str]:
    """Return the values of all references after this many rotations."""
    return {
        "TOKEN": "xoxb-" + f"{turn}123456789-abcdef",
        "PASSWORD": f"correct horse battery {turn}",
        "ADDRESS": f"https://pager.example.com/{turn}/way-in",
        "OTHER": "never rotated",
    }


@dataclass
class Stage:
    """One organization, one file, and secrets that change between commands."""

    shell: Shell
    file: File
    cloud: Cloud
    turn: int = 0

    def run(self, *arguments: str, without: bool = False) -> Done:
        secrets = {} if without else {**values(self.turn), "SECOND_TOKEN": SECOND_TOKEN}
        server = {name: self.cloud.environ[name] for name in self.cloud.environ if "_" in name}
        return self.shell(*arguments, **server, **secrets)

    def plan(self, *arguments: str, **more: Any) -> dict[str, Any]:
        done = self.run("plan", "--format", "json", *arguments, **more)
        assert done.code == 0, done.err
        document: dict[str, Any] = json.loads(done.out)
        return document

    def apply(self, *arguments: str) -> None:
        done = self.run("apply", "--yes", *arguments)
        assert done.code == 0, done.out + done.err

    def stored(self) -> dict[str, str]:
        rows = {
            each["name"]: each["configuration"] for each in self.cloud.emulator.store.webhooks()
        }
        return {
            "TOKEN": rows["Deploys"]["token"],
            "PASSWORD": rows["Pager"]["password"],
            "ADDRESS": rows["Pager"]["url"],
            "OTHER": rows["Second"]["password"],
        }

    def sent(self) -> Iterator[dict[str, Any]]:
        """Yield the configuration of each request."""
        for entry in self.cloud.emulator.store.log():
            body = json.loads(entry.body or "{}")
            if "configuration" in body:
                yield body["configuration"]


def changed(document: dict[str, Any]) -> list[str]:
    """Return the names of webhooks that a plan changes."""
    return [each["name"] for each in document["operations"]]


Begin = Callable[..., Stage]


@pytest.fixture
def begin(shell: Shell, file: File, cloud: MakeCloud) -> Begin:
    """Write the file and start a server with the variant's choices given by name."""

    def begin(text: str = FILE, **choices: Any) -> Stage:
        file(text)
        return Stage(shell=shell, file=file, cloud=cloud(**choices))

    return begin


@pytest.mark.parametrize("hidden", [("token", "password"), ("token", "password", "url")], ids=len)
@pytest.mark.parametrize("form", list(ReadBack))
def test_rotation(begin: Begin, form: ReadBack, hidden: tuple[str, ...]) -> None:
    """A rotation is detected where visible, reported as unknown elsewhere, sent on request."""
    stage = begin(read_back=str(form), secret_fields=hidden)
    seen = form in SHOWN
    address_seen = seen or (form not in WHOLE and "url" not in hidden)
    stage.apply()
    assert stage.stored() == values(0)

    # Nothing is left to do, with or without the secrets, and unknown values are reported.
    for without in (False, True):
        plan = stage.plan(without=without)
        assert changed(plan) == []
        assert bool(plan["unreadable"]) is not seen
    before = len(stage.cloud.writes())
    stage.apply()
    assert len(stage.cloud.writes()) == before

    # Rotated: detected where it is visible, and "no change" is never reported elsewhere.
    stage.turn = 1
    plan = stage.plan()
    expected = ["Deploys", "Pager"] if seen else ["Pager"] if address_seen else []
    assert changed(plan) == expected
    if not seen:
        text = stage.run("plan").out
        assert "Cannot be read back: " in text
    else:
        assert "*** (before) -> *** (after)" in stage.run("plan").out
    stage.apply()
    new, old = values(1), values(0)
    # A configuration is sent completely, so the password is sent with the URL.
    assert stage.stored() == {
        "TOKEN": new["TOKEN"] if seen else old["TOKEN"],
        "PASSWORD": new["PASSWORD"] if seen or address_seen else old["PASSWORD"],
        "ADDRESS": new["ADDRESS"] if address_seen else old["ADDRESS"],
        "OTHER": "never rotated",
    }
    assert changed(stage.plan()) == []

    # A raised version is sent once where the server hides it.
    stage.file(FILE, "old.yaml")
    stage.file(
        FILE.replace("{env: TOKEN}", "{env: TOKEN, version: 2}")
        .replace("{env: PASSWORD}", "{env: PASSWORD, version: 2}")
        .replace("{env: ADDRESS}", "{env: ADDRESS, version: 2}")
    )
    stage.turn = 2
    plan = stage.plan("--base", "old.yaml")
    assert changed(plan) == ["Deploys", "Pager"]
    assert plan["digest"] == stage.plan("--base", "old.yaml", without=True)["digest"]
    assert all(each["digests"] for each in plan["operations"])
    stage.apply("--base", "old.yaml")
    assert stage.stored() == values(2)
    assert changed(stage.plan()) == []

    # So is a secret with a changed reference.
    stage.file(FILE.replace("{env: TOKEN}", "{env: TOKEN, version: 2}"), "old.yaml")
    stage.file(FILE.replace("{env: TOKEN}", "{env: SECOND_TOKEN}"))
    assert "Deploys" in changed(stage.plan("--base", "old.yaml"))

    # Or those given on the command line: a reference, a webhook, all.
    stage.file(FILE)
    for turn, request, names in (
        (3, ["--resend-secret", "env:TOKEN"], ["Deploys"]),
        (4, ["--resend-secret", "Deploys", "--resend-secret", "env:PASSWORD"],
         ["Deploys", "Pager"]),
        (5, ["--resend-secret", "*"], ["Deploys", "Pager", "Second"]),
    ):  # fmt: skip
        stage.turn = turn
        # A value known to be equal need not be sent.
        wanted = {each for each in names if not (seen and each == "Second")}
        assert wanted <= set(changed(stage.plan(*request)))
        stage.apply(*request)
        assert stage.stored()["TOKEN"] == values(turn)["TOKEN"]
        if "Pager" in names:
            assert stage.stored() == values(turn)
        assert changed(stage.plan()) == []

    # Values that were only read are never sent.
    declared = {value for turn in range(6) for value in values(turn).values()}
    declared |= {"CloudTruth", "me", "#deploys", "https://second.example.com/x"}
    for configuration in stage.sent():
        assert set(configuration.values()) <= declared
    for entry in stage.cloud.emulator.store.log():
        assert MASK not in entry.body
        assert "gAAAA" not in entry.body


def test_masked_value_is_not_sent_with_another_field(begin: Begin) -> None:
    """An undeclared live key is shown as lost; its masked value is not sent back."""
    stage = begin(read_back="partial", secret_fields=["token", "password", "extra"])
    stage.apply()
    store = stage.cloud.emulator.store
    row = next(each for each in store.webhooks() if each["name"] == "Deploys")
    more = {**row["configuration"], "extra": "something long and hidden"}
    store.update(row["id"], {**row, "configuration": more})
    stage.file(FILE.replace("username: CloudTruth", "username: Bot"))
    assert "- extra" in stage.run("plan").out
    stage.apply()
    assert all("extra" not in configuration for configuration in stage.sent())


def test_a_single_password_cannot_be_seen(begin: Begin) -> None:
    """A value without a known shape counts as readable only if another one is known to be shown."""
    stage = begin(FILE.replace("{env: OTHER}", "{env: PASSWORD}"))
    stage.apply()
    assert stage.plan()["unreadable"] == []
    stage.turn = 1
    plan = stage.plan()
    assert changed(plan) == ["Deploys", "Pager"]
    paths = [each["path"] for change in plan["operations"] for each in change["fields"]]
    assert ["configuration", "token"] in paths
    assert ["configuration", "password"] not in paths
    assert "password" in json.dumps(plan["unreadable"])
