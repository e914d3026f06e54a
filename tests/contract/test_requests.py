"""Requests conform to descriptions of CloudTruth that are independent of the emulator.

`cloud` of tests/cli/conftest.py checks those of each test that uses it.
"""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cloud, MakeCloud, Shell
from tests.contract.published import WEBHOOKS, descriptions, operation, violations
from tests.emulated.emulator import LOCAL_KEY, LogEntry

ID = "3ddc47f6-a16a-477c-94cd-f74ea943103b"
PROJECTS = "/api/v1/projects/"
VALUES = f"{PROJECTS}{ID}/parameters/{ID}/values/"


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
    published, contract = (
        {described.ok().label for described in document.get_all_operations()}
        for document in descriptions()
    )
    known = published | {label for label in contract if WEBHOOKS in label}
    assert {operation(entry).label for entry in log} == known


@pytest.mark.parametrize(
    ("request_", "body", "problem"),
    [
        (f"GET {PROJECTS}?name=a&page_size=100", None, None),
        (f"GET {PROJECTS}?names=a", None, "unknown parameter names"),
        (f"GET {PROJECTS}?page_size=1.5", None, '1.5 is not of type "integer"'),
        (f"GET {PROJECTS[:-1]}", None, "no such operation"),
        (f"PUT {PROJECTS}", {}, "no such operation"),
        (f"GET {PROJECTS}x/parameters/", None, '"x" is not a "uuid"'),
        (f"POST {VALUES}", {"environment": "https://a.test/", "internal_value": "1"}, None),
        (f"POST {VALUES}", {"environment": ID}, f'"{ID}" is not a "uri"'),
        (f"POST {VALUES}", {"internal_value": "1"}, '"environment" is a required property'),
        (f"POST {VALUES}", None, "a body is missing or not expected"),
        (f"PATCH {VALUES}{ID}/", {"value": "1"}, '{} is not allowed for "1"'),
        (f"PATCH {VALUES}{ID}/", {"internal_value": None}, None),
        (f"DELETE {VALUES}{ID}/", {}, "a body is missing or not expected"),
        (f"PATCH {WEBHOOKS}{ID}/", {"event_types": "*"}, '"*" is not of type "array"'),
        (f"PATCH {WEBHOOKS}{ID}/", {"id": ID},
         "Additional properties are not allowed ('id' was unexpected)"),
    ],
)  # fmt: skip
def test_other_requests_are_reported(request_: str, body: object, problem: str | None) -> None:
    """A wrong path, query or body has a problem, even if a server would ignore it."""
    method, target = request_.split()
    path, _, query = target.partition("?")
    text = "" if body is None else json.dumps(body)
    entry = LogEntry(method=method, path=path, query=query, status=0, body=text, changed=None)
    expected = [] if problem is None else [f"{method} {path}: {problem}"]
    assert violations([entry]) == expected
