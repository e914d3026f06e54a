"""The use cases as a library: values in, values out, and the order of the checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import (
    ApiError,
    BlockedError,
    ConfigurationError,
    MaintenanceError,
    OrganizationError,
    ReconcilerError,
    UnresolvedSecretsError,
)
from reconciler.execute.workers import ThreadWorkers
from reconciler.findings import Severity
from reconciler.kinds.events import EVENT_TYPES
from reconciler.model import LiveWebhook, Organization, Secret, SecretRef
from reconciler.planning.planner import PlanOptions
from reconciler.ports import Draft
from reconciler.workflow import (
    Checked,
    Connection,
    Inputs,
    apply,
    gather,
    load,
    plan,
    previous,
)
from tests.ports import VirtualClock

SLACK = """
webhooks:
  - name: {name}
    type: slack
    event_types: ["*"]
    configuration: {{token: {{{token}}}, channel: "#a", username: u}}
"""
TOKEN = "xoxb-" + "0123456789-abcdef"
ACME = Organization(id="o-1", name="Acme", role="ADMIN")


@dataclass(slots=True)
class Server:
    """A server that records its requests, and can fail on demand."""

    organization_: Organization = ACME
    rows: tuple[LiveWebhook, ...] = ()
    asked: list[str] = field(default_factory=list)

    origin = "https://api.example.com"

    def organization(self) -> Organization:
        self.asked.append("organization")
        return self.organization_

    def list(self) -> tuple[LiveWebhook, ...]:
        self.asked.append("list")
        return self.rows

    def get(self, id: str) -> LiveWebhook | None:
        raise AssertionError("nothing needs a single read here")

    def create(self, draft: Draft, organization: str) -> LiveWebhook:
        self.asked.append("create")
        raise ApiError("no")

    def update(self, id: str, draft: Draft, sends: frozenset[str]) -> LiveWebhook:
        raise AssertionError("nothing is there to update")

    def delete(self, id: str) -> bool:
        raise AssertionError("nothing may be deleted here")


def connection(server: Server) -> Connection:
    """Return a connection to a server for apply."""
    return Connection(api=server, clock=VirtualClock(), workers=ThreadWorkers(1))


def live(name: str) -> LiveWebhook:
    return LiveWebhook(
        id="id-1", name=name, type="slack", event_types=frozenset(EVENT_TYPES),
        configuration={"token": Secret(TOKEN), "channel": "#a", "username": "u"},
    )  # fmt: skip


def slack(name: str = "A", token: str = "env: TOKEN") -> str:
    return SLACK.format(name=name, token=token)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Checked]:
    """Write files by name and check them."""

    def check(environ: dict[str, str] | None = None, /, **files: str) -> Checked:
        for name, text in files.items():
            path = tmp_path / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        inputs = Inputs(
            directory=tmp_path,
            environ=environ or {},
            stdin=bytes,
            paths=tuple(f"{name}.yaml" for name in files),
        )
        return load(inputs)

    return check


@pytest.mark.parametrize(
    ("text", "organization", "rows", "error", "asked"),
    [
        (f"organization: Other\n{slack()}", ACME, (), OrganizationError, ["organization"]),
        (slack(), replace(ACME, maintenance=True), (), MaintenanceError, ["organization"]),
        (slack(), ACME, (), UnresolvedSecretsError, ["organization", "list"]),
        ("webhooks: []", ACME, (live("x"),), BlockedError, ["organization", "list"]),
    ],
)
def test_the_order_of_the_checks(
    check: Callable[..., Checked],
    text: str,
    organization: Organization,
    rows: tuple[LiveWebhook, ...],
    error: type[ReconcilerError],
    asked: list[str],
) -> None:
    """Organization, maintenance, listing, secrets and guards come before the confirmation."""
    server = Server(organization, rows)

    def confirm(made: Any) -> bool:
        raise AssertionError("no prompt is allowed")

    with pytest.raises(error) as caught:
        apply(check(a=text), connection(server), options=PlanOptions(), confirm=confirm)
    assert server.asked == asked
    found = getattr(caught.value, "findings", ())
    assert [each.rule for each in found] == ["unresolved-secret"] * (
        error is UnresolvedSecretsError
    )


def test_failed_writes_are_in_the_report(check: Callable[..., Checked]) -> None:
    """A write that the server rejects is not an exception."""
    report = apply(
        check({"TOKEN": TOKEN}, a=slack()),
        connection(Server()),
        options=PlanOptions(),
        confirm=lambda made: True,
    )
    assert report.exit_code == 1
    assert not report.applied


def test_inputs_show_no_variable(tmp_path: Path) -> None:
    """The repr of `Inputs` does not contain the environment."""
    inputs = Inputs(directory=tmp_path, environ={"TOKEN": TOKEN}, stdin=bytes)
    assert TOKEN not in repr(inputs)


@pytest.mark.parametrize(
    ("now", "before", "named", "references"),
    [
        (["a", "b"], ["0", "a", "b"], "before", ["before/secrets/0", "secrets/a", "secrets/b"]),
        # A deleted file does not replace one of the same name elsewhere.
        (
            ["t/b/w"],
            ["t/a/w", "t/b/w"],
            "before",
            ["before/t/a/secrets/t/a/w", "t/b/secrets/t/b/w"],
        ),
        # One file before and one now are two versions of the same.
        (["a"], ["old"], "before/old.yaml", ["secrets/old"]),
    ],
)
def test_base_files_match_by_name(
    check: Callable[..., Checked],
    tmp_path: Path,
    now: list[str],
    before: list[str],
    named: str,
    references: list[str],
) -> None:
    """A file of the base is the earlier version of the file with the same name."""
    checked = check(**{name: slack(name, f"file: secrets/{name}") for name in now})
    for name in before:
        path = tmp_path / "before" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(slack(f"W{name}", f"file: secrets/{name}"))
    found = previous((named,), checked).webhooks
    tokens = [each.configuration["token"] for each in found]
    assert [each.name for each in tokens if isinstance(each, SecretRef)] == references


def test_strict_applies_to_plan_warnings(check: Callable[..., Checked], tmp_path: Path) -> None:
    """If warnings are errors, warnings of the plan are, too."""
    checked = check(a=f'ignore: ["A"]\n{slack()}')
    server = Server(rows=(live("A"),))
    made = plan(gather(checked), server, options=PlanOptions())
    assert [each.severity for each in made.notes] == [Severity.WARNING]
    inputs = Inputs(directory=tmp_path, environ={}, stdin=bytes, paths=("a.yaml",), strict=True)
    with pytest.raises(ConfigurationError, match="warnings are errors in this run"):
        plan(gather(load(inputs)), server, options=PlanOptions())


class Slipping(Server):
    """A server whose listing lacks an existing webhook."""

    def list(self) -> tuple[LiveWebhook, ...]:
        return ()

    def get(self, id: str) -> LiveWebhook | None:
        return next((each for each in self.rows if each.id == id), None)


def test_a_pinned_webhook_missing_in_the_list_is_read_by_id(
    check: Callable[..., Checked],
) -> None:
    """The webhook may have moved between two pages, so it is renamed, not created again."""
    pinned = slack("New").replace("type: slack", "id: id-1\n    type: slack")
    for rows, created in (((live("Old"),), []), ((), ["New"])):
        made = plan(gather(check(a=pinned)), Slipping(rows=rows), options=PlanOptions())
        assert [each.name for each in made.creates] == created
        assert [each.before.id for each in made.updates] == [each.id for each in rows]
