"""A rotated secret is sent in every read-back form, and values that were read are never sent."""

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
class Scenario:
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
        for entry in self.cloud.emulator.log:
            body = json.loads(entry.body or "{}")
            if "configuration" in body:
                yield body["configuration"]


def changed(document: dict[str, Any]) -> list[str]:
    """Return the names of webhooks that a plan changes."""
    return [each["name"] for each in document["operations"]]


Begin = Callable[..., Scenario]


@pytest.fixture
def begin(shell: Shell, file: File, cloud: MakeCloud) -> Begin:
    """Write the file and start a server with the variant's choices given by name."""

    def begin(text: str = FILE, **choices: Any) -> Scenario:
        file(text)
        return Scenario(shell=shell, file=file, cloud=cloud(**choices))

    return begin


@pytest.mark.parametrize("hidden", [("token", "password"), ("token", "password", "url")], ids=len)
@pytest.mark.parametrize("form", list(ReadBack))
def test_rotation(begin: Begin, form: ReadBack, hidden: tuple[str, ...]) -> None:
    """A rotation is detected if visible, otherwise reported as unknown, and sent on request."""
    scenario = begin(read_back=str(form), masked_fields=hidden)
    seen = form in SHOWN
    url_visible = seen or (form not in WHOLE and "url" not in hidden)
    scenario.apply()
    assert scenario.stored() == values(0)

    # Nothing is left to do, with or without the secrets, and unknown values are reported.
    for without in (False, True):
        plan = scenario.plan(without=without)
        assert changed(plan) == []
        assert bool(plan["unreadable"]) is not seen
    before = len(scenario.cloud.writes())
    scenario.apply()
    assert len(scenario.cloud.writes()) == before

    # Rotated: detected if visible; otherwise "no changes" is never reported.
    scenario.turn = 1
    plan = scenario.plan()
    expected = ["Deploys", "Pager"] if seen else ["Pager"] if url_visible else []
    assert changed(plan) == expected
    if not seen:
        text = scenario.run("plan").out
        assert "Cannot be read back: " in text
    else:
        assert "*** (before) -> *** (after)" in scenario.run("plan").out
    scenario.apply()
    new, old = values(1), values(0)
    # A configuration is sent completely, so the password is sent with the URL.
    assert scenario.stored() == {
        "TOKEN": new["TOKEN"] if seen else old["TOKEN"],
        "PASSWORD": new["PASSWORD"] if seen or url_visible else old["PASSWORD"],
        "ADDRESS": new["ADDRESS"] if url_visible else old["ADDRESS"],
        "OTHER": "never rotated",
    }
    assert changed(scenario.plan()) == []

    # A raised version is sent once where the server hides it.
    scenario.file(FILE, "old.yaml")
    scenario.file(
        FILE.replace("{env: TOKEN}", "{env: TOKEN, version: 2}")
        .replace("{env: PASSWORD}", "{env: PASSWORD, version: 2}")
        .replace("{env: ADDRESS}", "{env: ADDRESS, version: 2}")
    )
    scenario.turn = 2
    plan = scenario.plan("--base", "old.yaml")
    assert changed(plan) == ["Deploys", "Pager"]
    assert plan["digest"] == scenario.plan("--base", "old.yaml", without=True)["digest"]
    assert all(each["digests"] for each in plan["operations"])
    scenario.apply("--base", "old.yaml")
    assert scenario.stored() == values(2)
    assert changed(scenario.plan()) == []

    # A secret with a changed reference is sent once, too.
    scenario.file(FILE.replace("{env: TOKEN}", "{env: TOKEN, version: 2}"), "old.yaml")
    scenario.file(FILE.replace("{env: TOKEN}", "{env: SECOND_TOKEN}"))
    assert "Deploys" in changed(scenario.plan("--base", "old.yaml"))

    # With --resend-secret: a reference, a webhook, all.
    scenario.file(FILE)
    for turn, request, names in (
        (3, ["--resend-secret", "env:TOKEN"], ["Deploys"]),
        (4, ["--resend-secret", "Deploys", "--resend-secret", "env:PASSWORD"],
         ["Deploys", "Pager"]),
        (5, ["--resend-secret", "*"], ["Deploys", "Pager", "Second"]),
    ):  # fmt: skip
        scenario.turn = turn
        # A value known to be equal need not be sent.
        wanted = {each for each in names if not (seen and each == "Second")}
        assert wanted <= set(changed(scenario.plan(*request)))
        scenario.apply(*request)
        assert scenario.stored()["TOKEN"] == values(turn)["TOKEN"]
        if "Pager" in names:
            assert scenario.stored() == values(turn)
        assert changed(scenario.plan()) == []

    # Values that were only read are never sent.
    declared = {value for turn in range(6) for value in values(turn).values()}
    declared |= {"CloudTruth", "me", "#deploys", "https://second.example.com/x"}
    for configuration in scenario.sent():
        assert set(configuration.values()) <= declared
    for entry in scenario.cloud.emulator.log:
        assert MASK not in entry.body
        assert "gAAAA" not in entry.body


def test_masked_value_is_not_sent_with_another_field(begin: Begin) -> None:
    """An undeclared live key is shown as lost; its masked value is not sent back."""
    scenario = begin(read_back="partial", masked_fields=["token", "password", "extra"])
    scenario.apply()
    store = scenario.cloud.emulator.store
    row = next(each for each in store.webhooks() if each["name"] == "Deploys")
    more = {**row["configuration"], "extra": "something long and hidden"}
    store.update(row["id"], {**row, "configuration": more})
    scenario.file(FILE.replace("username: CloudTruth", "username: Bot"))
    assert "- extra" in scenario.run("plan").out
    scenario.apply()
    assert all("extra" not in configuration for configuration in scenario.sent())


def test_a_single_password_is_unreadable(begin: Begin) -> None:
    """A value without a known form is readable only if another one is known to be visible."""
    scenario = begin(FILE.replace("{env: OTHER}", "{env: PASSWORD}"))
    scenario.apply()
    assert scenario.plan()["unreadable"] == []
    scenario.turn = 1
    plan = scenario.plan()
    assert changed(plan) == ["Deploys", "Pager"]
    paths = [each["path"] for change in plan["operations"] for each in change["fields"]]
    assert ["configuration", "token"] in paths
    assert ["configuration", "password"] not in paths
    assert "password" in json.dumps(plan["unreadable"])
