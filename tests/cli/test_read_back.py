"""However a server shows secrets: an apply converges and sends nothing back that was only shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Cloud, Shell
from tests.emulated.variant import ReadBack


@pytest.mark.parametrize("hidden", [("token", "password"), ("token", "password", "url")])
@pytest.mark.parametrize("read_back", list(ReadBack))
def test_converges(
    shell: Shell,
    file: Callable[..., Path],
    cloud: Callable[..., Cloud],
    read_back: ReadBack,
    hidden: tuple[str, ...],
) -> None:
    """After an apply nothing is left to do, and every secret that was sent is the real one."""
    there = cloud(read_back=str(read_back), secret_fields=list(hidden))
    file()
    assert shell("apply", "--yes", **there.environ).code == 0
    assert shell("plan", "--detailed-exitcode", **there.environ).code == 0
    file(**{"username: CloudTruth": "username: Bot"})
    changed = shell("apply", "--yes", **there.environ)
    assert changed.code == 0
    assert shell("plan", "--detailed-exitcode", **there.environ).code == 0
    bodies = [json.loads(each.body) for each in there.emulator.store.log() if each.body]
    assert bodies
    for configuration in [each["configuration"] for each in bodies if "configuration" in each]:
        assert configuration.get("token", SECRETS["TOKEN"]) == SECRETS["TOKEN"]
        assert configuration.get("password", SECRETS["PASSWORD"]) == SECRETS["PASSWORD"]
        assert configuration.get("channel", "#deploys") == "#deploys"
        assert configuration.get("url", "https://pager.example.com/x") == (
            "https://pager.example.com/x"
        )
