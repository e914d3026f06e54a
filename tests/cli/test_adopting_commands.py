"""Adoption that must lose no token, and workflows that cannot be written; see sessions/."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cloud, Shell, expect
from tests.emulated.variant import Variant

APPS = {"PaymentsBot": (20, "xoxb-1111111111-pay"), "DeployBot": (16, "xoxb-2222222222-dep"),
        "CloudTruth": (10, "xoxb-3333333333-ct")}  # fmt: skip
USUAL = ("SLACK_BOT_TOKEN", "WEBHOOK_DEPLOYBOT_TOKEN", "WEBHOOK_CLOUDTRUTH_TOKEN")

Tokens = Callable[[], dict[str, str]]
"""Returns the token of each webhook."""


@pytest.fixture
def apps(server: Cloud, tmp_path: Path) -> Tokens:
    """Store 46 webhooks of three Slack apps on a server that hides tokens; return their tokens."""
    (tmp_path / "webhooks.yaml").unlink()
    emulator = server.emulator
    emulator.behavior = Variant(read_back="mask")
    for username, (count, token) in APPS.items():
        for number in range(count):
            configuration = {"token": token, "channel": f"#c{number}", "username": username}
            row = {"name": f"{username} {number}", "organization": emulator.organization}
            row |= {"type": "slack", "event_types": ["value_updated"]}
            emulator.store.save({**row, "configuration": configuration})
    return lambda: {
        row["name"]: row["configuration"]["token"]
        for row in emulator.store.webhooks(emulator.organization)
    }


@pytest.mark.parametrize("keys", [None, "yes\n"], ids=["in a script", "on a terminal"])
def test_adopting_the_webhooks_of_several_slack_apps_loses_no_token(
    shell: Shell, server: Cloud, apps: Tokens, tmp_path: Path, keys: str | None
) -> None:
    """A reader of the README adopts 46 webhooks, edits each app, and rotates one token."""
    before = apps()
    cloud = {each: server.environ[each] for each in server.environ if each[:5] == "CLOUD"}
    done = shell("init", terminal=keys is not None, keys=keys or "", **cloud)
    path = tmp_path / "webhooks.yaml"
    expect(done, 0, "No changes. 46 webhooks match", "check the references of hidden tokens at")
    for (username, (count, _)), variable in zip(APPS.items(), USUAL, strict=True):
        line = f"env {variable} for {count} webhooks: username '{username}' ({count})"
        assert line in done.err
        assert f"#   {line}\n" in path.read_text()

    secrets = dict(zip(USUAL, (token for _, token in APPS.values()), strict=True))
    text = path.read_text()
    path.write_text(re.sub(r'channel: "#c1"', 'channel: "#moved"', text))
    done = shell("apply", "--yes", **cloud, **secrets)
    expect(
        done, 0, "Applied 3 of 3 changes", "last write, except 3 values that cannot be compared.\n"
    )
    for variable in USUAL:
        assert f"resent from env {variable} (hidden: overwritten if different)" in done.err
    assert apps() == before

    pay = USUAL[0]
    old = tmp_path / "old.yaml"
    old.write_text(path.read_text())
    path.write_text(path.read_text().replace(f"{{env: {pay}}}", f"{{env: {pay}, version: 2}}"))
    rotated = {**secrets, pay: "xoxb-4444444444-new"}
    done = shell("apply", "--yes", "--base", "old.yaml", **cloud, **rotated)
    expect(done, 0, "20 webhooks", f"resent from env {pay} (version 2) (hidden:")
    changed = {name for name, token in apps().items() if token != before[name]}
    assert changed == {name for name in before if name.startswith("PaymentsBot")}


def test_init_needs_a_commit(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the commit of the program is unknown, it must be named."""
    monkeypatch.setattr("reconciler.ci.workflows._installed_commit", lambda: None)
    done = shell("init", "--github")
    assert (done.code, done.out, "--commit" in done.err) == (64, "", True)
