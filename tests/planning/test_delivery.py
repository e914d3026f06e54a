"""Delivery health: one definition for status, plan, comment, drift issue and JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import DeliveryError
from reconciler.planning.plan import DeliveryState, delivery_state
from tests.planning.builders import desired, live, live_slack, make_plan, slack

NINE = "2026-11-25T09:00:00Z"
FAILED = DeliveryError(timestamp=NINE, code="404", text="gone")


@pytest.mark.parametrize(
    ("last_run", "last_error", "state"),
    [
        (None, FAILED, DeliveryState.FAILING),
        (None, DeliveryError(), DeliveryState.FAILING),
        ("2026-11-25T08:00:00Z", FAILED, DeliveryState.FAILING),
        (NINE, FAILED, DeliveryState.FAILING),
        ("2026-11-25T09:00:01.000000Z", FAILED, DeliveryState.FAILING),
        ("2026-11-25T10:00:01+01:00", FAILED, DeliveryState.FAILING),
        ("2026-11-25t09:00:01.000001z", FAILED, DeliveryState.FAILED_EARLIER),
        ("2026-11-25T05:00:02-04:00", FAILED, DeliveryState.FAILED_EARLIER),
        (None, None, DeliveryState.NEVER_RUN),
        (NINE, None, DeliveryState.DELIVERING),
        ("yesterday", None, DeliveryState.DELIVERING),
        ("yesterday", FAILED, DeliveryState.UNKNOWN),
        (NINE, DeliveryError(code="404"), DeliveryState.UNKNOWN),
        (NINE, DeliveryError(timestamp="1764061200"), DeliveryState.UNKNOWN),
        ("2026-11-25T09:00:00", FAILED, DeliveryState.UNKNOWN),
        ("0001-01-01T00:00:00+23:00", FAILED, DeliveryState.FAILING),
    ],
)
def test_the_two_times_decide(
    last_run: str | None, last_error: DeliveryError | None, state: DeliveryState
) -> None:
    """A run more than a second after the error succeeded; a time is read only where it decides."""
    assert delivery_state(last_run, last_error) is state


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
