"""Any plan, report or finding, with texts that somebody wrote to do harm."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.findings import Finding, Position, Related, Severity
from reconciler.model import (
    EVENT_TYPES,
    UNKNOWN,
    DeliveryError,
    Organization,
    Scheme,
    SecretRef,
    Webhook,
)
from reconciler.planning.plan import (
    Attribution,
    Create,
    Delete,
    GuardInput,
    Kept,
    KeyLost,
    Matched,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SetChange,
    Snapshot,
    Unmanaged,
    Update,
    ValueChange,
)
from reconciler.planning.status import ManagementStatus, WebhookStatus
from reconciler.report import (
    Applied,
    Failed,
    FieldMessage,
    Healed,
    Outcome,
    Report,
    Skipped,
    Unconfirmed,
)
from tests.render.cases import plan

SNIPPETS = (
    "##[error]", "##[", "##vso[task.x]", "::error::", "::set-output name=a::b", "::", "]", "#",
    "```", "`", "``", "|", "\\", "\\|", "@org/team", "<b>", "</details>", "<!--", "&lt;",
    "https://evil.example/x", "![x](y)", "**", "__", "# ", "- ", "~~~", "\n", "\r", "\r\n", "\t",
    "\x1b[31m", "\x9b", "\x7f", "\x00", "\u202e", "\u2066", "\u200b", "\u200d", "\u2028", "\u2029",
    "\x85", "\xa0", "\u3000", "\ufe0f", "\U000e0041", "\U000e0100", "\u034f", "\u115f", "\u2800",
    "\u0301", "é", "漢字", "😀", "%0A", "%", ",", ":", '"', "'", " ", "  ", " -> ", "(", "Deploys",
    "$(id)", "{{x}}", "\ud800",
)  # fmt: skip


def pieces(snippets: tuple[str, ...] = SNIPPETS) -> st.SearchStrategy[str]:
    """Return texts put together from dangerous and harmless pieces."""
    return st.lists(st.one_of(st.sampled_from(snippets), st.text(max_size=3)), max_size=4).map(
        "".join
    )


texts = pieces()
names = pieces(tuple(each for each in SNIPPETS if each != "\ud800")).filter(bool)
counts = st.integers(0, 10_000)
event_sets = st.frozensets(st.sampled_from(EVENT_TYPES), min_size=1)
positions = st.builds(
    Position,
    file=texts,
    line=st.integers(1, 99_999),
    column=st.integers(1, 300),
    width=st.integers(1, 40),
)
maybe_positions = st.none() | positions
findings = st.builds(
    Finding,
    rule=texts,
    severity=st.sampled_from(Severity),
    message=texts,
    position=maybe_positions,
    hint=st.none() | texts,
    excerpt=st.none() | texts,
    related=st.lists(st.builds(Related, message=texts, position=positions), max_size=2).map(tuple),
)
some_findings = st.lists(findings, max_size=2).map(tuple)
references = st.builds(
    SecretRef,
    scheme=st.sampled_from((Scheme.ENV, Scheme.FILE)),
    name=texts,
    version=st.none() | st.integers(1, 9),
)
slack = st.fixed_dictionaries({"token": references, "channel": texts, "username": texts})
generic = st.fixed_dictionaries(
    {"url": references | st.just("https://hooks.example.com/ct")},
    optional={"verify": st.booleans(), "username": texts, "password": references},
)


@st.composite
def webhooks(draw: st.DrawFn, names: st.SearchStrategy[str] = names) -> Webhook:
    kind = draw(st.sampled_from(("slack", "generic")))
    return Webhook(
        name=draw(names),
        type=kind,
        event_types=draw(event_sets),
        configuration=draw(slack if kind == "slack" else generic),
        id=draw(st.none() | texts),
        previously=tuple(draw(st.lists(texts, max_size=2))),
        position=draw(maybe_positions),
    )


plain_values = texts | st.booleans() | st.just(UNKNOWN)
snapshots = st.builds(
    Snapshot,
    id=texts,
    name=names,
    type=st.sampled_from(("slack", "generic")) | texts,
    event_types=event_sets | st.frozensets(texts, max_size=3),
    configuration=st.dictionaries(texts, plain_values, max_size=3),
    destination=texts,
    last_run=st.none() | texts | st.just("2026-01-02T03:04:05Z"),
)
paths = st.sampled_from((("name",), ("type",), ("event_types",))) | st.tuples(
    st.just("configuration"), texts
)
fields = st.one_of(
    st.builds(
        ValueChange,
        path=paths,
        before=st.none() | plain_values,
        after=texts | st.booleans(),
    ),
    st.builds(
        SetChange,
        path=st.just(("event_types",)),
        added=st.lists(texts, max_size=3).map(tuple),
        removed=event_sets.map(sorted).map(tuple),
        unchanged=counts,
    ),
    st.builds(
        SecretChange,
        path=st.tuples(st.just("configuration"), texts),
        after=references | st.just("https://hooks.example.com/path") | texts,
        cause=st.sampled_from(SecretCause),
        before=st.none() | texts,
        destination=texts,
    ),
    st.builds(KeyLost, path=st.tuples(st.just("configuration"), texts)),
)
attributions = st.none() | st.sampled_from(Attribution)
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Create, after=webhooks(), attribution=attributions),
    st.builds(
        Update,
        before=snapshots,
        after=webhooks(),
        fields=st.lists(fields, min_size=1, max_size=3).map(tuple),
        reason=st.sampled_from((Reason.DIFFERS, Reason.RENAMED, Reason.RESEND)),
        attribution=attributions,
    ),
    st.builds(
        Delete,
        before=snapshots,
        reason=st.sampled_from((Reason.ABSENT, Reason.NOT_DECLARED, Reason.DUPLICATE)),
        position=maybe_positions,
        keeps=st.none() | texts,
        attribution=attributions,
    ),
)
kept = st.builds(
    Kept,
    webhooks=st.lists(snapshots, min_size=1, max_size=3).map(tuple),
    reason=st.sampled_from(
        (
            Reason.PROTECTED,
            Reason.UNKNOWN_TYPE,
            Reason.UNKNOWN_EVENT,
            Reason.AMBIGUOUS,
            Reason.LATER,
        )
    ),
    position=maybe_positions,
    detail=texts,
)
unmanaged = st.builds(
    Unmanaged,
    webhook=snapshots,
    reason=st.sampled_from((Reason.PRUNE_OFF, Reason.OUT_OF_SCOPE)),
)


organizations = st.builds(
    Organization, id=texts, name=texts, role=st.none() | texts, maintenance=st.booleans()
)
grounds = st.builds(
    GuardInput, declared=st.booleans(), found=st.booleans(), max_deletes=st.none() | counts
)


@st.composite
def plans(draw: st.DrawFn, operations: st.SearchStrategy[Operation] = operations) -> Plan:
    """Return plans whose digests, lists of secrets and guards are right."""
    made = plan(
        *draw(st.lists(operations, max_size=3)),
        origin=draw(texts),
        organization=draw(organizations),
        matched=tuple(draw(st.lists(st.builds(Matched, id=texts, webhook=webhooks()), max_size=2))),
        kept=tuple(draw(st.lists(kept, max_size=2))),
        unmanaged=tuple(draw(st.lists(unmanaged, max_size=2))),
        ignored=draw(counts),
        files=draw(counts),
        in_scope=draw(counts),
        live=draw(counts),
        guard=draw(grounds),
        notes=draw(some_findings),
        relaxed=draw(some_findings),
        unreadable=tuple(draw(st.lists(st.tuples(texts, texts), max_size=3))),
    )
    secrets = (replace(each, destination=draw(texts)) for each in made.secrets)
    return replace(made, secrets=tuple(secrets))


messages = st.builds(
    FieldMessage,
    path=st.lists(texts, max_size=2).map(tuple),
    message=texts,
    position=maybe_positions,
)


def outcomes_of(operation: Operation) -> st.SearchStrategy[Outcome]:
    made, maybe = st.just(operation), st.none() | texts
    fields = st.lists(messages, max_size=2).map(tuple)
    return st.one_of(
        st.builds(Applied, operation=made, id=maybe, note=maybe),
        st.builds(Failed, operation=made, code=texts, message=texts, hint=maybe, fields=fields),
        st.builds(Skipped, operation=made, code=texts, message=texts),
        st.builds(Unconfirmed, operation=made, message=texts),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Return reports with an outcome for each change of their plan, or for the first of them."""
    plan = draw(plans())
    outcomes = [draw(outcomes_of(each)) for each in plan.operations[: draw(st.integers(0, 4))]]
    return Report(
        plan=plan,
        outcomes=tuple(outcomes),
        healed=tuple(
            draw(st.lists(st.builds(Healed, name=texts, removed=texts, kept=texts), max_size=2))
        ),
        writes=draw(st.integers(0, 3)),
        verified=draw(st.booleans()),
        stopped=draw(st.none() | st.sampled_from((ExitCode.SIGINT, ExitCode.SIGTERM))),
        problem=draw(st.none() | texts),
    )


statuses = st.lists(
    st.builds(
        WebhookStatus,
        id=st.none() | texts,
        name=texts,
        type=texts,
        state=st.sampled_from(ManagementStatus),
        destination=texts,
        event_types=st.frozensets(texts, max_size=2),
        last_run=st.none() | texts,
        position=maybe_positions,
        last_error=st.none()
        | st.builds(
            DeliveryError,
            timestamp=st.none() | texts,
            code=st.none() | texts,
            text=st.none() | texts,
        ),
    ),
    max_size=3,
)
