"""The delivery health of a live webhook, from the two fields that CloudTruth reports.

`last_error` is the last error that occurred: a later success does not clear it. Only the two times
together show whether the webhook delivers now. Both are the server's, so no local clock is needed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from reconciler.model import DeliveryError, LiveWebhook


class DeliveryState(StrEnum):
    """Whether a live webhook delivers."""

    FAILING = "failing"  # the last run failed
    FAILED_EARLIER = "failed earlier"  # a later run succeeded
    NEVER_RUN = "never run"
    DELIVERING = "delivering"
    UNKNOWN = "unknown"  # a time is needed that is missing or cannot be read


class Delivery(NamedTuple):
    """The deliveries of a live webhook, as the server reports them (untrusted text)."""

    id: str
    name: str
    state: DeliveryState
    last_run: str | None
    last_error: DeliveryError | None


_SAME_RUN: Final = timedelta(seconds=1)
"""The server may record the error of a run shortly before the run itself."""


def delivery(webhook: LiveWebhook) -> Delivery:
    """Return the deliveries of a live webhook."""
    return Delivery(
        id=webhook.id,
        name=webhook.name,
        state=delivery_state(webhook.last_run, webhook.last_error),
        last_run=webhook.last_run,
        last_error=webhook.last_error,
    )


def delivery_state(last_run: str | None, last_error: DeliveryError | None) -> DeliveryState:
    """Return the state that the two fields of a live webhook prove."""
    if last_error is None:
        return DeliveryState.NEVER_RUN if last_run is None else DeliveryState.DELIVERING
    if last_run is None:
        return DeliveryState.FAILING
    try:
        age = _time(last_run) - _time(last_error.timestamp or "")
    except (ValueError, TypeError):  # TypeError: only one of them has a time zone
        return DeliveryState.UNKNOWN
    return DeliveryState.FAILED_EARLIER if age > _SAME_RUN else DeliveryState.FAILING


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())  # RFC 3339 allows `t` and `z`
