"""What is live, shown: harmless whatever it is called, and in columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings import Position
from reconciler.model import DeliveryError, Organization
from reconciler.planning.changes import Snapshot
from reconciler.planning.status import Footing, Status
from reconciler.render.status import render_json, render_text
from reconciler.render.text.layout import columns
from reconciler.render.view import View
from tests.render.cases import live
from tests.render.oracle import obeyed_characters, runner_commands
from tests.render.strategies import texts

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ACME = Organization(id="o-1", name="Acme")
snapshots = st.builds(
    Snapshot,
    id=texts,
    name=texts,
    type=texts,
    event_types=st.frozensets(texts, max_size=2),
    configuration=st.just({}),
    destination=texts,
    last_run=st.none() | texts,
)
some_statuses = st.lists(
    st.builds(
        Status,
        webhook=snapshots,
        footing=st.sampled_from(Footing),
        position=st.none() | st.builds(Position, file=texts, line=st.just(3)),
        error=st.none()
        | st.builds(
            DeliveryError,
            timestamp=st.none() | texts,
            code=st.none() | texts,
            text=st.none() | texts,
        ),
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(
    organization=st.builds(Organization, id=texts, name=texts),
    statuses=some_statuses,
    width=st.integers(40, 140),
)
def test_a_status_is_harmless(
    organization: Organization, statuses: list[Status], width: int
) -> None:
    """No control character and no workflow command survives, neither for people nor programs."""
    text = render_text(organization, statuses, View(width=width, now=NOW))
    document = render_json(organization, statuses)
    for shown in (text, document):
        assert obeyed_characters(shown) == []
        assert runner_commands(shown) == []
    told = [each["name"] for each in json.loads(document)["webhooks"]]
    assert told == [each.webhook.name for each in statuses]


def shown(*statuses: Status) -> list[str]:
    return render_text(ACME, statuses, View(now=NOW)).splitlines()


def test_footings_stand_in_a_column_whatever_the_script() -> None:
    """East Asian characters take two columns, and what follows stands where it should."""
    lines = shown(
        Status(webhook=live("漢字漢字"), footing=Footing.IGNORED),
        Status(webhook=live("four"), footing=Footing.IGNORED),
    )
    starts = [columns(line[: line.index("ignored")]) for line in lines if "ignored" in line]
    assert starts == [12, 12]


def test_nothing_is_said_to_be_nothing() -> None:
    """Where no webhook is live, that is what there is to see."""
    assert shown()[1:] == ["", "  none", "", "0 webhooks."]


def test_a_failed_delivery_is_told_with_its_age() -> None:
    """What the server says of it is shown; where it says nothing, that is said."""
    error = DeliveryError(timestamp="2026-11-22T00:00:00Z", code="404", text="no\nchannel")
    failing = Status(webhook=live("a"), footing=Footing.DECLARED, error=error)
    silent = Status(webhook=live("b"), footing=Footing.DECLARED, error=DeliveryError())
    lines = shown(failing, silent)
    assert r'    last delivery failed: 404 "no\nchannel" (3 days ago)' in lines
    assert "    last delivery failed: the server gives no reason" in lines
    assert lines[-1] == "2 webhooks, 2 with a failed delivery."
