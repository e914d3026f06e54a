"""A rotated secret is sent in every read-back form, and values that were read are never sent."""

from __future__ import annotations

import json
import re
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
    cloud: Cloud
    turn: int = 0

    def run(self, *arguments: str, without: bool = False) -> Done:
        secrets = {} if without else {**values(self.turn), "SECOND_TOKEN": SECOND_TOKEN}
        server = {name: value for name, value in self.cloud.environ.items() if "_" in name}
        return self.shell(*arguments, **server, **secrets)

    def plan(self, *arguments: str, without: bool = False) -> Any:
        done = self.run("plan", "--format", "json", *arguments, without=without)
        assert done.code == 0, done.err
        return json.loads(done.out)["organizations"][0]

    def apply(self, *arguments: str) -> None:
        done = self.run("apply", "--yes", *arguments)
        assert done.code == 0, done.out + done.err

    def stored(self) -> dict[str, str]:
        store = self.cloud.emulator.store
        rows = {each["name"]: each["configuration"] for each in store.webhooks()}
        return {
            "TOKEN": rows["Deploys"]["token"],
            "PASSWORD": rows["Pager"]["password"],
            "ADDRESS": rows["Pager"]["url"],
            "OTHER": rows["Second"]["password"],
        }


def changed_names(document: dict[str, Any]) -> list[str]:
    """Return the names of webhooks that a plan changes."""
    return [each["name"] for each in document["operations"]]


@pytest.mark.parametrize("hidden", [("token", "password"), ("token", "password", "url")], ids=len)
@pytest.mark.parametrize("form", list(ReadBack))
def test_rotation(
    shell: Shell, file: File, cloud: MakeCloud, form: ReadBack, hidden: tuple[str, ...]
) -> None:
    """A rotation is detected if visible, otherwise reported as unknown, and sent on request."""
    file(FILE)
    scenario = Scenario(shell, cloud(read_back=str(form), masked_fields=hidden))
    seen = form in (ReadBack.PLAIN, ReadBack.BY_ROLE)
    url_visible = seen or not (form.startswith("configuration") or "url" in hidden)
    scenario.apply()
    assert scenario.stored() == values(0)

    # Nothing is left to do, with or without the secrets, and unknown values are reported.
    for without in (False, True):
        plan = scenario.plan(without=without)
        assert changed_names(plan) == []
        assert bool(plan["unreadable"]) is not seen
    before = len(scenario.cloud.writes())
    scenario.apply()
    assert len(scenario.cloud.writes()) == before

    # Rotated: detected if visible; otherwise "no changes" is never reported.
    scenario.turn = 1
    plan = scenario.plan()
    expected = ["Deploys", "Pager"] if seen else ["Pager"] if url_visible else []
    assert changed_names(plan) == expected
    shown = "*** -> ***" if seen else "Cannot be read back: "
    assert shown in scenario.run("plan").out
    scenario.apply()
    new, old = values(1), values(0)
    # A configuration is sent completely, so the password is sent with the URL.
    assert scenario.stored() == {
        "TOKEN": new["TOKEN"] if seen else old["TOKEN"],
        "PASSWORD": new["PASSWORD"] if seen or url_visible else old["PASSWORD"],
        "ADDRESS": new["ADDRESS"] if url_visible else old["ADDRESS"],
        "OTHER": "never rotated",
    }
    assert changed_names(scenario.plan()) == []

    # A raised version is sent once where the server hides it.
    file(FILE, "old.yaml")
    file(re.sub("(TOKEN|PASSWORD|ADDRESS)}", r"\1, version: 2}", FILE))
    scenario.turn = 2
    plan = scenario.plan("--base", "old.yaml")
    assert changed_names(plan) == ["Deploys", "Pager"]
    assert plan["digest"] == scenario.plan("--base", "old.yaml", without=True)["digest"]
    assert all(each["digests"] for each in plan["operations"])
    scenario.apply("--base", "old.yaml")
    assert scenario.stored() == values(2)
    assert changed_names(scenario.plan()) == []

    # A secret with a changed reference is sent once, too.
    file(FILE.replace("{env: TOKEN}", "{env: TOKEN, version: 2}"), "old.yaml")
    file(FILE.replace("{env: TOKEN}", "{env: SECOND_TOKEN}"))
    assert "Deploys" in changed_names(scenario.plan("--base", "old.yaml"))

    # With --resend-secret: a reference, a webhook, all.
    file(FILE)
    for turn, request, names in (
        (3, ["--resend-secret", "env:TOKEN"], ["Deploys"]),
        (4, ["--resend-secret", "Deploys", "--resend-secret", "env:PASSWORD"],
         ["Deploys", "Pager"]),
        (5, ["--resend-secret", "*"], ["Deploys", "Pager", "Second"]),
    ):  # fmt: skip
        scenario.turn = turn
        # A value known to be equal need not be sent.
        wanted = {each for each in names if not (seen and each == "Second")}
        assert wanted <= set(changed_names(scenario.plan(*request)))
        scenario.apply(*request)
        assert scenario.stored()["TOKEN"] == values(turn)["TOKEN"]
        if "Pager" in names:
            assert scenario.stored() == values(turn)
        assert changed_names(scenario.plan()) == []

    # Values that were only read are never sent.
    declared = {value for turn in range(6) for value in values(turn).values()}
    declared |= {"CloudTruth", "me", "#deploys", "https://second.example.com/x"}
    for entry in scenario.cloud.emulator.log:
        configuration = json.loads(entry.body or "{}").get("configuration", {})
        assert set(configuration.values()) <= declared
        assert MASK not in entry.body
        assert "gAAAA" not in entry.body
