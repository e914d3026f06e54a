"""The text output for terminals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.findings import Position, error
from reconciler.kinds import EVENT_TYPES, compress, expand
from reconciler.model import Secret, SecretRef, Webhook
from reconciler.planning.plan import Create, SecretUse
from reconciler.render import View
from reconciler.render.layout import columns
from reconciler.render.outcomes import conclusion
from reconciler.render.rows import outcome_row, plan_rows
from reconciler.render.text import render_findings
from reconciler.report import Applied, Report, RunReport, Unconfirmed
from tests.planning.builders import desired, generic, live_generic, make_plan
from tests.render.cases import plan, render_plan, slack

ADDRESS = SecretRef(scheme="env", name="HOOK_URL")
GENERIC = Webhook(
    name="Pager",
    type="generic",
    event_types=frozenset({"parameter_deleted"}),
    configuration={"url": ADDRESS},
)


def test_a_url_is_shown_with_the_host_known_to_the_plan() -> None:
    """A URL behind a reference is shown by its host once that is known."""
    create = Create(after=GENERIC)
    use = SecretUse(
        reference=ADDRESS, webhook="Pager", field="url", destination="generic https://x.test/***"
    )
    assert "+ Pager  generic https://x.test/***" in render_plan(plan(create, secrets=(use,)))
    assert "+ Pager  generic env HOOK_URL" in render_plan(plan(create, secrets=()))


def test_a_destination_is_that_of_the_webhook_and_not_of_its_namesake() -> None:
    """Webhooks that are pinned by `id` may share a name: each row has its own host."""
    plain = generic(id="1", url="https://third.example.org/new")
    declared = desired(plain, generic(id="2", url=ADDRESS))
    found = [live_generic(id=id_, url="https://old.example.com/x") for id_ in ("1", "2")]
    hosts = {ADDRESS: "https://evil.example.net"}
    values = {ADDRESS: Secret("https://evil.example.net/zzz")}
    made = make_plan(declared, *found, secrets=values, committed_hosts=hosts)
    first, second = (row.what for row in plan_rows(made))
    assert (first, second) == (
        "generic https://third.example.org/***",
        "generic https://evil.example.net/***",
    )


def test_a_secret_is_shown_with_its_destination_whatever_its_name() -> None:
    """Only the webhook's name is shown for a URL whose host is not known."""
    token = SecretRef(scheme="env", name="HOOK")  # its name is part of that of the URL
    webhook = replace(GENERIC, configuration={"url": ADDRESS, "token": token})
    text = render_plan(make_plan(desired(webhook)))
    assert "env HOOK  -> generic env HOOK_URL\n" in text
    assert "env HOOK_URL  -> Pager\n" in text


def test_a_name_is_never_wrapped() -> None:
    """A name with spaces stays on one line at any width."""
    name = "one two three four five six seven eight nine ten"
    assert name in render_plan(plan(Create(after=slack(name))), View(width=20))


@pytest.mark.parametrize("width", [40, 100])
@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("", 1), ("", 9), ("ab", 40), ("x" * 300, 299), ("漢字" * 100, 50), ("\u202e" * 100, 60),
        (f"{'a' * 60}: \u202e漢{'b' * 60}", 63),
    ],
)  # fmt: skip
def test_carets_point_at_a_character(line: str, column: int, width: int) -> None:
    """A caret is printed for any column, in the line or after it; no line exceeds the width."""
    place = Position(file="a.yaml", line=3, column=column, width=5)
    finding = error("x", "m", at=place)._replace(excerpt=line)
    shown = render_findings((finding,), View(width=width)).splitlines()
    assert shown[4].strip(" |")[:1] == "^"
    assert max(map(columns, shown)) <= width


@pytest.mark.parametrize("left_out", EVENT_TYPES)
def test_abbreviated_events_are_the_same_events(left_out: str) -> None:
    """All events of a subject or a verb are one glob."""
    members = compress(each for each in EVENT_TYPES if each != left_out)

    found = {event for member in members for event in expand(member)}
    assert found == {*EVENT_TYPES} - {left_out}
    assert len(members) == 6


@pytest.mark.parametrize(("resend", "advises"), [((), True), (("*",), False)])
def test_a_plan_is_suggested_only_if_it_shows_what_was_written(
    resend: tuple[str, ...], advises: bool
) -> None:
    """No plan shows whether a hidden value arrived."""
    declared = desired(generic(token=SecretRef("env", "T"), verify=True))
    planned = make_plan(declared, live_generic(token="***", verify=False), resend=resend)
    report = Report(planned, (Applied(planned.updates[0], id="id-1"),), writes=1)
    for run in (RunReport.of(report), RunReport(RunReport.of(report).organizations * 2)):
        assert ("run plan" in " ".join(conclusion(run))) == advises
    unconfirmed = outcome_row(Unconfirmed(planned.updates[0], "no response"))
    assert unconfirmed.why == f"no response{' (the next run checks it)' * advises}"
