"""Laws: whatever a plan shows of an operation is in its digest, and it shows where secrets go."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

from hypothesis import given, settings, strategies as st

from reconciler.errors import ConfigurationError
from reconciler.model import (
    UNKNOWN,
    Desired,
    Live,
    LiveWebhook,
    Organization,
    Secret,
    SecretRef,
    Webhook,
)
from reconciler.planning.plan import (
    Delete,
    Operation,
    Plan,
    SecretCause,
    SecretChange,
    Update,
    webhook_key,
)
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render import RENDERERS, View
from reconciler.render.rows import FieldLine, plan_rows
from tests.laws.strategies import REFS, SECRETS, VALUES, declarations, live_organizations
from tests.planning.builders import generic

URLS = ("https://p.test/h", "https://q.test/h", "https://p.test/other", "*****", "")
LIVE_VALUES = {
    "url": st.sampled_from((*URLS, "https://q.test/***")).map(Secret),
    "token": st.sampled_from((*VALUES, "*****", "")).map(Secret),
    "channel": st.sampled_from(("x", "#x", "#y", "X", "*****")),
    "username": st.sampled_from(("ct", "bot", "")),
    "verify": st.booleans(),
    "note": st.just(Secret("set by hand")),
    "more": st.just(7),
}
"""Live values that another user or server may set; the last two fields are unknown."""
DECLARED_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "url": st.sampled_from((*URLS[:3], REFS[0], REFS[0]._replace(version=2))),
    "token": st.sampled_from((*REFS, REFS[0]._replace(version=2))),
    "channel": st.sampled_from(("x", "#x", "y")),
    "username": st.sampled_from(("ct", "bot")),
    "verify": st.booleans(),
}
FIELDS = {"slack": ("token", "channel", "username"), "generic": ("url", "token", "verify")}
OPTIONS = st.builds(
    PlanOptions,
    resend=st.sampled_from(((), ("*",))),
    committed_hosts=st.sampled_from(({}, {REFS[0]: "https://p.test"}, {REFS[0]: "https://q.test"})),
)


@st.composite
def changed_live(draw: st.DrawFn, live: Live) -> Live:
    """Return the organization after another user changed one webhook, or the same."""
    if not live.webhooks:
        return live
    at = draw(st.integers(0, len(live.webhooks) - 1))
    found = live.webhooks[at]
    configuration: Any = dict(found.configuration)  # type: ignore[arg-type]
    name = draw(st.sampled_from(sorted(LIVE_VALUES)))
    match draw(st.integers(0, 4)):
        case 0:
            configuration = UNKNOWN
        case 1:
            configuration.pop(name, None)
        case _:
            configuration[name] = draw(LIVE_VALUES[name])
    webhooks: list[LiveWebhook] = [*live.webhooks]
    webhooks[at] = replace(found, configuration=configuration)
    return live._replace(webhooks=tuple(webhooks))


@st.composite
def changed_files(draw: st.DrawFn, desired: Desired) -> Desired:
    """Return the configuration after an edit of one field, or the same."""
    if not desired.webhooks or draw(st.booleans()):
        return desired
    at = draw(st.integers(0, len(desired.webhooks) - 1))
    found = desired.webhooks[at]
    name = draw(st.sampled_from(FIELDS[found.type]))
    webhooks: list[Webhook] = [*desired.webhooks]
    configuration = {**found.configuration, name: draw(DECLARED_VALUES[name])}
    webhooks[at] = replace(found, configuration=configuration)
    return desired._replace(webhooks=tuple(webhooks))


def _value_only(change: object) -> bool:
    """Return whether only the value of a secret differs, which no review can show."""
    differs = (SecretCause.DIFFERS, SecretCause.ADDED)
    return (
        isinstance(change, SecretChange)
        and isinstance(change.after, SecretRef)
        and change.cause in differs
    )


def _reviewed_part(operation: Operation) -> Operation:
    if not isinstance(operation, Update):
        return operation
    fields = tuple(change for change in operation.fields if not _value_only(change))
    return replace(operation, fields=fields)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(declarations(), live_organizations(), OPTIONS, st.data())
def test_operations_that_look_different_have_different_digests(
    desired: Desired, live: Live, options: PlanOptions, data: st.DataObject
) -> None:
    """Two rows that differ, apart from position and reason, never share a digest.

    Exempt are secrets of which only the value differs: each plan lists them as not in its digest.
    """
    lives = (live, data.draw(changed_live(live)))
    files = (desired, data.draw(changed_files(desired)))
    secrets = {**SECRETS, REFS[0]._replace(version=2): Secret(VALUES[0])}
    shown: dict[object, object] = {}
    for current, declared, previous in product(lives, files, (None, desired)):
        try:
            found = plan(declared, current, secrets, options._replace(previous=previous))
        except ConfigurationError:
            continue
        part = found._replace(operations=tuple(map(_reviewed_part, found.operations)))
        for row, digests in zip(plan_rows(part), found.digests, strict=True):
            looks = (row.sign, row.name, row.what, frozenset(map(_text, row.fields)))
            if digests:
                assert shown.setdefault(digests, looks) == looks


def _text(line: FieldLine) -> tuple[str, ...]:
    """Return the content of a line without the reason for sending a secret."""
    return (line.label, *(atom.text for atom in line.atoms if atom.text not in _CAUSES))


_CAUSES = {f"({str(cause).replace('-', ' ')})" for cause in SecretCause}


CREATED = {
    "url": st.sampled_from(("https://p.test/h", "https://p.test/i", *REFS)),
    "verify": st.just(False),
    "username": st.sampled_from(("ct", "ct, verify false", "ct) (", 'c"t')),
    "password": st.sampled_from((*REFS, SecretRef("file", "x (version 2)"))),
    "token": st.sampled_from((REFS[0], SecretRef("file", "x", 2), SecretRef("file", '"x"'))),
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_creates_that_look_equal_are_equal(data: st.DataObject) -> None:
    """Equal text means equal creates; of a URL it shows the host, and the digest tells the rest."""
    options = PlanOptions(committed_hosts={REFS[0]: "https://p.test"})
    optional = st.fixed_dictionaries({}, optional=CREATED)
    first = {name: {**data.draw(optional), "url": data.draw(CREATED["url"])} for name in "AB"}
    changed = {name: dict(values) for name, values in first.items()}
    for name in data.draw(st.sampled_from(("A", "B", "AB"))):
        field = data.draw(st.sampled_from(sorted(CREATED)))
        changed[name][field] = data.draw(CREATED[field])
    shown: dict[object, object] = {}
    for number, both in product((1, 2), product((first, changed), repeat=2)):
        results = []
        for organization, declared in zip(("Beta", "Prod")[:number], both, strict=False):
            webhooks = tuple(generic(name, **values) for name, values in declared.items())
            live = Live("https://api.test", Organization(organization, organization))
            made = plan(Desired(webhooks=webhooks), live, {}, options)
            results.append(OrganizationResult(organization, value=made))
        run = RunPlan(tuple(results))
        for form in ("text", "markdown"):
            text = RENDERERS[form]().render_run(run, View(shows_digest=False))
            if "https://p.test/" not in str(both[:number]):  # Markdown always has it
                text = re.sub("Digest .*", "", text)
            assert shown.setdefault(text, both[:number]) == both[:number]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(declarations(), live_organizations(), st.booleans(), st.data())
def test_plans_of_organizations_that_look_equal_send_the_same_secrets(
    desired: Desired, live: Live, with_values: bool, data: st.DataObject
) -> None:
    """Equal texts of a run mean the same operations and references in each organization."""
    shown: dict[tuple[str, str], object] = {}
    for _ in range(8):
        results, sent = list[OrganizationResult[Plan]](), set[object]()
        for name in ("Beta", "Prod"):
            webhooks = []
            for webhook in desired.webhooks:
                references = {
                    field: data.draw(st.sampled_from(REFS)) for field, _ in webhook.references
                }
                configuration = {**webhook.configuration, **references}
                webhooks.append(replace(webhook, configuration=configuration))
            organization = Organization(id=name, name=name)
            declared = desired._replace(webhooks=tuple(webhooks))
            try:
                found = plan(
                    declared,
                    live._replace(organization=organization),
                    SECRETS if with_values else {},
                    PlanOptions(),
                )
            except ConfigurationError:
                return
            results.append(OrganizationResult(name, value=found))
            for operation in found.operations:
                key: tuple[object, ...] = (name, type(operation), webhook_key(operation))
                if not isinstance(operation, Delete) and "configuration" in operation.sent_fields:
                    key += tuple(operation.after.references)
                sent.add(key)
        for form in ("text", "markdown"):
            text = RENDERERS[form]().render_run(RunPlan(tuple(results)), View(shows_digest=False))
            looks = (form, re.sub("Digest .*", "", text))
            assert shown.setdefault(looks, sent) == sent
