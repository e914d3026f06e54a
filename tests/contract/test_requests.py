"""Requests conform to descriptions of CloudTruth that are independent of the emulator.

`cloud` of tests/cli/conftest.py checks those of each test that uses it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cloud, MakeCloud, Shell
from tests.contract.published import WEBHOOKS, description, operation, violations
from tests.emulated.emulator import LOCAL_KEY, LogEntry
from tests.goldens import rows


def test_commands_send_only_these_requests(shell: Shell, cloud: MakeCloud, server: Cloud) -> None:
    """Each described operation is used, and no other."""
    for site in (server, cloud(methods=("PUT", "DELETE"), current_flag="missing")):
        store = site.emulator.store
        user = store.user_of_key(LOCAL_KEY)
        store.add_membership(user.id, store.add_organization("Other").id, role="VIEWER")
        for command in ("apply --yes", "doctor --probe --deliver Scratch --yes"):
            assert shell(*command.split(), **site.environ).code == 0
    log = [*server.emulator.log, *site.emulator.log]
    assert violations(log) == []
    described = [
        each.ok().label
        for prefix in (WEBHOOKS, "/api/")
        for each in description(prefix).get_all_operations()
    ]
    assert {operation(entry).label for entry in log} == set(described)


@pytest.mark.parametrize(
    ("request_", "body", "problem"), rows(Path(__file__).with_name("requests.yaml"))
)
def test_other_requests_are_reported(request_: str, body: object, problem: str | None) -> None:
    """A wrong path, query or body has a problem, even if a server would ignore it."""
    method, target = request_.split()
    path, _, query = target.partition("?")
    text = "" if body is None else json.dumps(body)
    entry = LogEntry(method=method, path=path, query=query, status=0, body=text, changed=None)
    expected = [] if problem is None else [f"{method} {path}: {problem}"]
    assert violations([entry]) == expected
