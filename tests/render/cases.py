"""Plans, reports, findings and errors whose renderings are in golden/."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

from reconciler.errors import (
    ApiError,
    ConfigurationError,
    ExitCode,
    InvalidRequestError,
    StalePlanError,
)
from reconciler.findings import MAX_EXCERPT_PREFIX, Position, Related, error, note, warning
from reconciler.kinds.events import EVENT_TYPES
from reconciler.model import (
    UNKNOWN,
    DeliveryError,
    Organization,
    SecretRef,
    Value,
    Webhook,
)
from reconciler.planning.delivery import Delivery, delivery_state
from reconciler.planning.guards import guard
from reconciler.planning.plan import (
    Attribution,
    Counts,
    Create,
    Delete,
    Kept,
    Operation,
    Plan,
    Reason,
    SecretCause,
    SecretChange,
    SecretUse,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
    destination,
)
from reconciler.planning.review import digests, plan_digest
from reconciler.planning.run import RunPlan
from reconciler.planning.status import ManagementStatus, WebhookStatus
from reconciler.render import PLAIN, RENDERERS, View
from reconciler.report import (
    NOT_REVIEWED,
    Applied,
    Failed,
    FieldMessage,
    Outcome,
    RemovedDuplicate,
    Report,
    RunReport,
    Skipped,
    Unconfirmed,
)

TOKEN = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
COUNTS = Counts(live=12, in_scope=9, files=2)
ACME = Organization(id="o-1", name="Acme", role="ADMIN")
DELETED = tuple(each for each in EVENT_TYPES if each.endswith("_deleted"))


def at(line: int, column: int = 5, width: int = 1, file: str = "webhooks.yaml") -> Position:
    return Position(file=file, line=line, column=column, width=width)


def slack(
    name: str, *, channel: str = "#deploys", events: Iterable[str] = EVENT_TYPES[:2], line: int = 4
) -> Webhook:
    values: dict[str, Value] = {"token": TOKEN, "channel": channel, "username": "CloudTruth"}
    return Webhook(
        name=name,
        type="slack",
        event_types=frozenset(events),
        configuration=values,
        position=at(line),
    )


def live(
    name: str,
    id: str = "7",
    *,
    channel: str = "#deploys",
    events: Iterable[str] = EVENT_TYPES[:2],
    last_run: str | None = None,
) -> Snapshot:
    return Snapshot(
        id=id,
        name=name,
        type="slack",
        event_types=frozenset(events),
        configuration={"channel": channel, "username": UNKNOWN},
        destination=f"slack {channel}",
        last_run=last_run,
    )


def token_change(
    cause: SecretCause = SecretCause.DIFFERS, channel: str = "#deploys"
) -> SecretChange:
    return SecretChange(
        path=("configuration", "token"), after=TOKEN, cause=cause, destination=f"slack {channel}"
    )


def render_plan(plan: Plan, view: View = PLAIN, form: str = "text") -> str:
    """Render the plan of one organization."""
    return RENDERERS[form]().render_run(RunPlan.of(plan), view)


def render_report(report: Report, view: View = PLAIN, form: str = "text") -> str:
    """Render the report of one organization."""
    return RENDERERS[form]().render_run_report(RunReport.of(report), view)


def plan(
    *operations: Operation,
    origin: str = "https://api.cloudtruth.io",
    organization: Organization = ACME,
    **more: object,
) -> Plan:
    """Return a plan of `changes` with their digests and secrets."""
    found = tuple(digests(each, {}) for each in operations)
    base = Plan(
        origin=origin,
        organization=organization,
        operations=operations,
        digests=found,
        secrets=tuple(
            SecretUse(reference=ref, webhook=each.name, field=field,
                      destination=destination(each.after))
            for each in operations
            if not isinstance(each, Delete) and "configuration" in each.sent_fields
            for field, ref in sorted(each.after.configuration.items())
            if isinstance(ref, SecretRef)
        ),
        digest=plan_digest(origin, organization.id, chain.from_iterable(found)),
        counts=COUNTS,
    )  # fmt: skip
    made = base._replace(**more)  # type: ignore[arg-type]
    return made._replace(blocked=tuple(guard(made)))


RENAME = Update(
    before=live("audit-old", channel="#audit-eu"),
    after=slack("Audit", channel="#audit", events=EVENT_TYPES, line=16),
    reason=Reason.RENAMED,
    fields=(
        ValueChange(path=("name",), before="audit-old", after="Audit"),
        SetChange(path=("event_types",), added=("template_created",), removed=(), unchanged=14),
        ValueChange(path=("configuration", "channel"), before="#audit-eu", after="#audit"),
        token_change(channel="#audit"),
    ),
)
CREATE = Create(
    after=slack("Deploys", events=("value_created", "value_updated", *DELETED), line=13)
)
ABSENT = Delete(
    before=live("tmp-test", "9", channel="#random", last_run="2026-11-22T08:00:00Z"),
    reason=Reason.ABSENT,
    position=at(24),
)
PROTECTED = Kept(
    webhooks=(live("prod-pager", "4"),), reason=Reason.PROTECTED, position=at(7, file="base.yaml")
)
OPS = slack("Ops", channel="#ops", line=30)
MIXED = plan(
    RENAME,
    CREATE,
    ABSENT,
    kept=(PROTECTED,),
    matched={str(number): OPS for number in range(6)},
    counts=COUNTS._replace(ignored=2),
    unmanaged=(Kept(webhooks=(live("by hand", "77"),), reason=Reason.OUT_OF_SCOPE),),
    not_shown=(("Ops", "token"), ("Audit", "token"), ("a", "token"), ("b", "token")),
)

ADDRESS = SecretRef(scheme="env", name="HOOK_URL")
GENERIC = Webhook(
    name="Pager",
    type="generic",
    event_types=frozenset({"parameter_deleted"}),
    configuration={"url": ADDRESS},
    position=at(20),
)
BUMPED, MOVED = SecretCause.VERSION_CHANGED, SecretCause.REFERENCE_CHANGED
RESENT = plan(
    RENAME,
    *(
        Update(
            before=live(f"Team {number}", str(number), channel=channel),
            after=slack(f"Team {number}", channel=channel, line=number),
            reason=Reason.RESEND,
            attribution=Attribution.THIS_CHANGE,
            fields=(token_change(cause, channel),),
        )
        for number, channel, cause in zip(
            (1, 2, 3, 4), ("#deploys", "#ops", "#audit", "#team-four"),
            (BUMPED, MOVED, BUMPED, BUMPED), strict=True,
        )
    ),
    ABSENT,
)  # fmt: skip


def kept(reason: Reason, *webhooks: Snapshot, **more: Any) -> Kept:
    return Kept(webhooks=webhooks, reason=reason, **more)


KEPT = plan(
    Delete(before=live("Ops", "31"), reason=Reason.DUPLICATE, kept_id="3"),
    kept=(
        kept(Reason.AMBIGUOUS, live("Same", "5"), live("Same", "6"), position=at(8)),
        kept(Reason.AMBIGUOUS, live("Alone", "11"), unapplied=True),
        kept(Reason.UNKNOWN_TYPE, replace(live("New kind"), type="teams"), detail="teams"),
        kept(Reason.UNKNOWN_EVENT, live("New event"), detail="secret_read, role_created"),
        kept(Reason.PROTECTED, live("prod-x")),
    ),
    unmanaged=(
        Kept(
            webhooks=(live("hand made", last_run="2026-11-24T23:59:00Z"),), reason=Reason.PRUNE_OFF
        ),
        Kept(webhooks=(live("other team", last_run="no date"),), reason=Reason.OUT_OF_SCOPE),
    ),
    matched={"3": OPS},
    not_shown=(("Ops", "token"),),
)
HOSTILE = plan(
    Create(after=slack("x ##[set-output name=changed]false", channel="#`code`|pipe", line=1)),
    Create(after=slack("::error::forged", channel="@org/team", line=2)),
    Create(after=slack("\x1b[31mred\x1b[0m\r\u202egnol", channel="#a\nb", line=3)),
    Create(after=slack("```\n</details><script>alert(1)</script>", line=4)),
    Create(after=slack("漢字の名前", channel="#日本", line=5)),
    Create(after=slack("spoof   slack #a   (unchanged)", line=6)),
    Create(after=slack("n" * 256, line=7)),
    organization=Organization(id="o-1", name="<b>@everyone</b> `x`", maintenance=True),
    origin="http://localhost:8000",
)
PLANS = {
    "mixed": MIXED,
    "resent": RESENT,
    "kept": KEPT,
    "hostile": HOSTILE,
    "one": plan(matched={"3": OPS}),
}

REJECTED = Failed(
    operation=RENAME,
    code="invalid-request",
    message="CloudTruth rejects it (400)",
    hint="correct the field and apply again",
    fields=(
        FieldMessage(
            path=("configuration", "channel"),
            message="This field may not be blank.",
            position=at(18),
        ),
        FieldMessage(path=(), message="Nope."),
    ),
)
DENIED = REJECTED._replace(code="permission-denied", fields=(), hint=None)
RENAMED, CREATED = Applied(operation=RENAME, id="7"), Applied(operation=CREATE, id="99")
DRIFTED = CREATED._replace(operation=replace(CREATE, attribution=Attribution.DRIFT))


def skipped(operation: Operation, code: str, message: str) -> Skipped:
    return Skipped(operation=operation, code=code, message=message)


def report(plan: Plan, *outcomes: Outcome, **more: Any) -> Report:
    return Report(plan=plan, outcomes=outcomes, **more)


WARNED = PLANS["one"]._replace(
    notes=(warning("only-matches-nothing", "no such name"),),
    not_shown=(("Ops", "token"),),
)
CHANGED = skipped(RENAME, "changed", "changed since the plan")
UNCONFIRMED_CREATE = Unconfirmed(operation=CREATE, message="no response")
UNWANTED = Delete(before=live("Old", "10"), reason=Reason.NOT_DECLARED)
WAITS = skipped(ABSENT, "deletes-wait", "deletes wait until everything else is done")
REPORTS = {
    "done": report(
        MIXED, RENAMED, CREATED, Applied(operation=ABSENT, id="9", note="it was already deleted"),
        duplicates_removed=(RemovedDuplicate(name="Deploys", removed="100", kept="99"),),
        writes=3, verified=True,
    ),
    "partial": report(MIXED, REJECTED, DRIFTED, WAITS, writes=2, verified=True),
    "unconfirmed": report(
        MIXED,
        Unconfirmed(operation=RENAME, message="no response, and reading back failed"),
        skipped(CREATE, "stopped", "not started"),
        WAITS,
        writes=1,
        stopped=ExitCode.SIGTERM,
        problem="the final listing could not be read",
    ),
    "deleting": report(
        plan(ABSENT, UNWANTED),
        Applied(operation=ABSENT, id="9"),
        skipped(UNWANTED, "stopped", "not started"),
        writes=1,
        verified=True,
        stopped=ExitCode.SIGINT,
    ),
    "rejected": report(plan(RENAME), REJECTED),
    "denied": report(plan(RENAME), DENIED),
    "nothing": report(PLANS["one"]),
    "warned": report(WARNED),
    "stale": report(plan(RENAME), CHANGED),
    "unconfirmed-create": report(plan(RENAME, CREATE), CHANGED, UNCONFIRMED_CREATE, writes=1),
    "unapplied": report(plan(kept=(KEPT.kept[2]._replace(unapplied=True),))),
    "unreviewed": report(
        MIXED, RENAMED, *(skipped(each, NOT_REVIEWED, "not reviewed") for each in (CREATE, ABSENT)),
        writes=1, verified=True,
    ),
}  # fmt: skip

CHANNEL = error("unknown-key", "unknown key `chanel`", "did you mean `channel`?", at(12, 22, 6))
TWICE = error(
    "duplicate-key",
    "the name Deploys is declared twice",
    at=at(3, 11, 7),
    related=(Related(message="first declared here", position=at(1)),),
)
LONG = f"...{'a' * MAX_EXCERPT_PREFIX}bad{'c' * 397}..."
FINDINGS = {
    "several": (
        CHANNEL._replace(excerpt='    configuration: {chanel: "#deploys"}'),
        TWICE._replace(excerpt="\t- name: Deploys\u202e"),
        warning("no-place", "two\nlines"),
        note("at-the-end", "something is missing", at=at(120, 99, 9))._replace(excerpt="short"),
    ),
    "wide": (
        error("wide", "a wide word", at=at(1, 7, 2))._replace(excerpt="名前名前: 漢字"),
        error("long", "in a long line", at=at(2, 5001, 3))._replace(excerpt=LONG),
    ),
    "none": (),
}
ERRORS = {
    "configuration": ConfigurationError(
        "the files are invalid", findings=FINDINGS["wide"], hint="correct them"
    ),
    "stale": StalePlanError(
        "the plan differs from the reviewed plan",
        differences=("Audit is not as it was", "Deploys already exists"),
        hint="plan again",
    ),
    "api": InvalidRequestError(
        "CloudTruth rejects the request (400)",
        method="POST",
        path="/api/v1/webhooks/",
        status=400,
        detail="Bad ##[error]thing",
        fields=((("configuration", "token"), "Invalid."), ((), "Odd.")),
    ),
    "plain": ApiError("CloudTruth does not respond"),
}


def status(
    name: str,
    state: ManagementStatus,
    *,
    id: str | None = "1",
    last_run: str | None = None,
    last_error: DeliveryError | None = None,
    **more: Any,
) -> WebhookStatus:
    webhook = replace(live(name, channel="#a", events=("value_created",)), id=id or "")
    delivery = None
    if id is not None:
        delivery = Delivery(id, name, delivery_state(last_run, last_error), last_run, last_error)
    return WebhookStatus(webhook, state, delivery=delivery, **more)


UNCOMPARED = plan(
    matched={"3": OPS},
    not_shown=(("Ops", "token"),),
    not_compared=tuple(
        SecretUse(reference=ADDRESS, webhook=name, field="url", destination="generic")
        for name in ("Pager", "Audit")
    ),
)
STATUSES = {
    "none": (),
    "drift": (
        status("a", ManagementStatus.MISSING, id=None, position=at(3)),
        status("b", ManagementStatus.DIFFERS, id="12"),
        status("c", ManagementStatus.DIFFERS, id="13"),
        status("漢字漢字", ManagementStatus.UNMANAGED, id="14", last_run="2026-11-24T00:00:00Z"),
    ),
    "failing": (
        status(
            "a",
            ManagementStatus.IN_SYNC,
            last_error=DeliveryError(
                timestamp="2026-11-22T00:00:00Z", code="404", text="no\nchannel"
            ),
        ),
        status("b", ManagementStatus.IN_SYNC, last_error=DeliveryError()),
        status(
            "c",
            ManagementStatus.IN_SYNC,
            last_run="2026-11-23T00:00:00.123456Z",
            last_error=DeliveryError(timestamp="2026-11-22T00:00:00.123456Z", text="gone"),
        ),
        status(
            "d" * 40,
            ManagementStatus.IGNORED,
            last_run="2026-11-23T00:00:00.123456Z",
            last_error=DeliveryError(timestamp="2026-11-23T00:00:00Z", text="no route " * 20),
        ),
        status("e", ManagementStatus.IN_SYNC, last_run="today", last_error=DeliveryError()),
    ),
}
