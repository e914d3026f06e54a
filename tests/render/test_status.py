"""What is live, shown: harmless whatever it is called, and in columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings import Position
from reconciler.model import DeliveryError, Organization
from reconciler.planning.status import State, Status, drift
from reconciler.render import View
from reconciler.render.layout import columns
from reconciler.render.status import render_json, render_text
from tests.render.oracle import obeyed_characters, runner_commands
from tests.render.strategies import texts

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ACME = Organization(id="o-1", name="Acme")
some_statuses = st.lists(
    st.builds(
        Status,
        id=st.none() | texts,
        name=texts,
        type=texts,
        state=st.sampled_from(State),
        destination=texts,
        event_types=st.frozensets(texts, max_size=2),
        last_run=st.none() | texts,
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
    text = render_text(organization, statuses, drift(statuses), View(width=width, now=NOW))
    document = render_json(organization, statuses, drift(statuses))
    for shown in (text, document):
        assert obeyed_characters(shown) == []
        assert runner_commands(shown) == []
    told = [each["name"] for each in json.loads(document)["webhooks"]]
    assert told == [each.name for each in statuses]


def status(name: str, state: State, *, id: str | None = "1", **more: Any) -> Status:
    return Status(
        id=id, name=name, type="slack", state=state, destination="slack #a",
        event_types=frozenset({"value_created"}), **more,
    )  # fmt: skip


def shown(*statuses: Status) -> list[str]:
    return render_text(ACME, statuses, drift(statuses), View(now=NOW)).splitlines()


def test_states_are_aligned_whatever_the_script() -> None:
    """East Asian characters take two columns, and what follows stands where it should."""
    lines = shown(
        status("漢字漢字", State.IGNORED),
        status("four", State.IGNORED),
    )
    starts = [columns(line[: line.index("ignored")]) for line in lines if "ignored" in line]
    assert starts == [12, 12]


def test_nothing_is_said_to_be_nothing() -> None:
    """Where no webhook is live, that is what there is to see."""
    assert shown()[1:] == ["", "  none", "", "0 live webhooks. No drift."]


def test_a_failed_delivery_is_told_with_its_age() -> None:
    """What the server says of it is shown; where it says nothing, that is said."""
    error = DeliveryError(timestamp="2026-11-22T00:00:00Z", code="404", text="no\nchannel")
    failing = status("a", State.IN_SYNC, error=error)
    silent = status("b", State.IN_SYNC, error=DeliveryError())
    lines = shown(failing, silent)
    assert r'    last delivery failed: 404 "no\nchannel" (3 days ago)' in lines
    assert "    last delivery failed: the server gives no reason" in lines
    assert lines[-1] == "2 live webhooks, 2 with a failed delivery. No drift."


def test_missing_webhooks_ids_and_drift_are_shown() -> None:
    """A person sees what is not as declared without comparing two lists."""
    lines = shown(
        status("a", State.MISSING, id=None, position=Position(file="f.yaml", line=3)),
        status("b", State.DIFFERS, id="12"),
        status("c", State.DIFFERS, id="13"),
        status("d", State.UNMANAGED, id="14"),
    )
    assert lines[2:] == [
        "! a  missing (f.yaml:3)",
        "    slack #a · value_created",
        "! b  differs",
        "    slack #a · value_created · never ran · id 12",
        "! c  differs",
        "    slack #a · value_created · never ran · id 13",
        "  d  unmanaged",
        "    slack #a · value_created · never ran · id 14",
        "",
        "3 live webhooks. Drift: 1 missing, 2 differ.",
    ]
    assert render_text(ACME, (), None).endswith("No configuration file to compare with.\n")
