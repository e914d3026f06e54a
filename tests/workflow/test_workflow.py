"""The use cases as a library: values in, values out, the order of the checks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import (
    ApiError,
    BlockedError,
    ConfigurationError,
    MaintenanceError,
    OrganizationError,
    UnresolvedSecretsError,
)
from reconciler.execute.workers import ThreadWorkers
from reconciler.findings import Severity
from reconciler.model import EVENT_TYPES, LiveWebhook, Organization, Secret, SecretRef
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

SLACK = """
webhooks:
  - name: {name}
    type: slack
    event_types: ["*"]
    configuration: {{token: {{{token}}}, channel: "#a", username: u}}
"""
TOKEN = "xoxb-" + "0123456789-abcdef"


@dataclass(slots=True)
class Server:
    """A server that remembers what it was asked, and may be told to fail."""

    organization_: Organization = field(
        default_factory=lambda: Organization(id="o-1", name="Acme", role="ADMIN")
    )
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


class Still:
    """A clock on which no time passes."""

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        return

    def uniform(self, low: float, high: float) -> float:
        return low


def connection(server: Server) -> Connection:
    """What apply needs to write to a server."""
    return Connection(api=server, clock=Still(), workers=ThreadWorkers(1))


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


def slack(name: str = "A", token: str = "env: TOKEN") -> str:
    return SLACK.format(name=name, token=token)


def test_files_come_first(check: Callable[..., Checked]) -> None:
    """Files with a mistake end the run before anything else, with all findings."""
    with pytest.raises(ConfigurationError) as caught:
        check(a="webhooks: [{nam: x}]")
    assert caught.value.findings


def test_organization_comes_before_the_listing(check: Callable[..., Checked]) -> None:
    """A key of another organization reads nothing further."""
    server = Server()
    with pytest.raises(OrganizationError):
        plan(gather(check(a=f"organization: Other\n{slack()}")), server, options=PlanOptions())
    assert server.asked == ["organization"]


@pytest.mark.parametrize("name", ["Acme", "o-1"])
def test_organization_by_name_or_id(check: Callable[..., Checked], name: str) -> None:
    """The guard takes either."""
    checked = check(a=f"organization: {name}\n{slack()}")
    assert plan(gather(checked), Server(), options=PlanOptions()).creates


def test_maintenance_comes_before_the_listing(check: Callable[..., Checked]) -> None:
    """Maintenance stops who wants to write, and nobody else."""
    server = Server(Organization(id="o-1", name="Acme", maintenance=True))
    checked = check({"TOKEN": TOKEN}, a=slack())
    assert plan(gather(checked), server, options=PlanOptions()).creates
    server.asked.clear()
    with pytest.raises(MaintenanceError):
        apply(checked, connection(server), options=PlanOptions(), confirm=lambda made: True)
    assert server.asked == ["organization"]


def test_secrets_come_before_guards_and_consent(check: Callable[..., Checked]) -> None:
    """Missing secrets are told before anybody is asked, and nothing is written."""
    server = Server()

    def confirm(made: Any) -> bool:
        raise AssertionError("nobody is to be asked")

    with pytest.raises(UnresolvedSecretsError) as caught:
        apply(check(a=slack()), connection(server), options=PlanOptions(), confirm=confirm)
    assert [each.rule for each in caught.value.findings] == ["unresolved-secret"]
    assert server.asked == ["organization", "list"]


def test_guards_come_before_consent(check: Callable[..., Checked]) -> None:
    """A plan that is held back is nobody's to agree to."""
    server = Server(
        rows=(
            LiveWebhook(id="1", name="x", type="slack", event_types=frozenset(), configuration={}),
        )
    )

    def confirm(made: Any) -> bool:
        raise AssertionError("nobody is to be asked")

    with pytest.raises(BlockedError, match="nothing was written"):
        apply(check(a="webhooks: []"), connection(server), options=PlanOptions(), confirm=confirm)


def test_failed_writes_are_reported(check: Callable[..., Checked]) -> None:
    """What the server refuses is in the report, not an exception."""
    report = apply(
        check({"TOKEN": TOKEN}, a=slack()),
        connection(Server()),
        options=PlanOptions(),
        confirm=lambda made: True,
    )
    assert report.exit_code == 1
    assert not report.applied


def test_secrets_that_must_not_be_sent(check: Callable[..., Checked]) -> None:
    """The API key is refused as a webhook's secret, whatever it is called."""
    checked = check({"TOKEN": "key-0123456789"}, a=slack())
    with pytest.raises(ConfigurationError, match="cannot be used"):
        gather(checked, Secret("key-0123456789"))


def test_inputs_show_no_variable(tmp_path: Path) -> None:
    """A program may print them: what the environment holds is not in it."""
    inputs = Inputs(directory=tmp_path, environ={"TOKEN": TOKEN}, stdin=bytes)
    assert TOKEN not in repr(inputs)


def test_base_files_match_by_name(check: Callable[..., Checked], tmp_path: Path) -> None:
    """Files of the base compare as earlier versions of this run's, references as written."""
    checked = check(a=slack("A", "file: secrets/a"), b=slack("B", "file: secrets/b"))
    for name in ("0", "a", "b"):
        before = tmp_path / "before" / f"{name}.yaml"
        before.parent.mkdir(exist_ok=True)
        before.write_text(slack(f"W{name}", f"file: secrets/{name}"))
    found = previous(("before",), checked)
    references = [
        value.name
        for webhook in found.webhooks
        for value in webhook.configuration.values()
        if isinstance(value, SecretRef)
    ]
    assert references == ["before/secrets/0", "secrets/a", "secrets/b"]


def test_base_files_of_one_name_match_by_their_directories(
    check: Callable[..., Checked], tmp_path: Path
) -> None:
    """A file that is gone does not take the place of one of the same name elsewhere."""
    checked = check(**{"teams/b/webhooks": slack("B", "file: secrets/b")})
    for team in ("a", "b"):
        before = tmp_path / "before" / "teams" / team / "webhooks.yaml"
        before.parent.mkdir(parents=True)
        before.write_text(slack(team.upper(), f"file: secrets/{team}"))
    found = previous(("before",), checked)
    files = [each.position and each.position.file for each in found.webhooks]
    assert files == ["before/teams/a/webhooks.yaml", "teams/b/webhooks.yaml"]


def test_single_base_file_matches_whatever_its_name(
    check: Callable[..., Checked], tmp_path: Path
) -> None:
    """One file before and one now are two versions of the same."""
    checked = check(a=slack("A", "file: secrets/a"))
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "old.txt").write_text(slack("A", "file: secrets/a"))
    found = previous((os.fspath(other / "old.txt"),), checked)
    assert found.webhooks[0].configuration == checked.desired.webhooks[0].configuration


def test_strict_notes(check: Callable[..., Checked], tmp_path: Path) -> None:
    """Where warnings are errors, those of a plan are too."""
    checked = check(a=f'ignore: ["A"]\n{slack()}')
    server = Server(
        rows=(
            LiveWebhook(id="1", name="A", type="slack", event_types=frozenset(), configuration={}),
        )
    )
    made = plan(gather(checked), server, options=PlanOptions())
    assert [each.severity for each in made.notes] == [Severity.WARNING]
    inputs = Inputs(directory=tmp_path, environ={}, stdin=bytes, paths=("a.yaml",), strict=True)
    with pytest.raises(ConfigurationError, match="warnings count as errors"):
        plan(gather(load(inputs)), server, options=PlanOptions())


class Slipping(Server):
    """A server whose list lacks a webhook that it has."""

    def list(self) -> tuple[LiveWebhook, ...]:
        return ()

    def get(self, id: str) -> LiveWebhook | None:
        return next((each for each in self.rows if each.id == id), None)


def test_a_pinned_webhook_that_the_list_does_not_show_is_asked_for(
    check: Callable[..., Checked],
) -> None:
    """It may have slipped between two pages: it is renamed, not created again."""
    pinned = slack("New").replace("type: slack", "id: id-1\n    type: slack")
    row = LiveWebhook(
        id="id-1", name="Old", type="slack", event_types=frozenset(EVENT_TYPES),
        configuration={"token": Secret(TOKEN), "channel": "#a", "username": "u"},
    )  # fmt: skip
    for rows, created in (((row,), []), ((), ["New"])):
        made = plan(gather(check(a=pinned)), Slipping(rows=rows), options=PlanOptions())
        assert [each.name for each in made.creates] == created
        assert [each.before.id for each in made.updates] == [each.id for each in rows]
