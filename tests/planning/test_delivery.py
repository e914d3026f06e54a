"""Delivery health: one definition for status, plan, comment, drift issue and JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model import DeliveryError
from reconciler.planning.plan import delivery_state
from tests.goldens import rows
from tests.planning.builders import desired, live, live_slack, make_plan, slack

FAILED = DeliveryError(timestamp="2026-11-25T09:00:00Z", code="404", text="gone")


@pytest.mark.parametrize(
    ("last_run", "last_error", "state"), rows(Path(__file__).with_name("deliveries.yaml"))
)
def test_the_two_times_decide(
    last_run: str | None, last_error: dict[str, str] | None, state: str
) -> None:
    """A run more than a second after the error succeeded; a time is read only where it decides."""
    error = None if last_error is None else DeliveryError(**last_error)
    assert delivery_state(last_run, error) == state


def test_a_plan_names_the_managed_webhooks_that_fail() -> None:
    """They change no operation and no digest; ignored and unmanaged webhooks do not count."""
    names = ("drifted", "gone", "ignored", "in-sync", "manual", "recovered", "t-kept")
    healthy = live(*(live_slack(name, name) for name in names))
    failing = live(*(replace(webhook, last_error=FAILED) for webhook in healthy.webhooks[:-2]))
    recovered = replace(healthy.webhooks[-2], last_error=FAILED, last_run="2026-11-26T00:00:00Z")
    kept = replace(healthy.webhooks[-1], last_error=FAILED)
    failing = failing._replace(webhooks=(*failing.webhooks, recovered, kept))
    files = desired(
        *(slack(name) for name in ("in-sync", "recovered", "ignored")),
        slack("drifted", channel="#x"),
        scope=("gone", "in-sync", "recovered", "drifted", "t-*"),
        protect=("t-*",),
        ignore=("ignored",),
    )
    plan = make_plan(files, failing, allow_deletes=1)
    assert [webhook.name for webhook in plan.failing] == ["drifted", "gone", "in-sync", "t-kept"]
    assert plan._replace(failing=()) == make_plan(files, healthy, allow_deletes=1)
