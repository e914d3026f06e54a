"""Create values for tests of planning, with defaults for irrelevant fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.findings import Finding, Position
from reconciler.model import (
    UNKNOWN,
    Absent,
    Desired,
    FileScope,
    Live,
    LiveWebhook,
    Organization,
    Pattern,
    Policy,
    Secret,
    SecretRef,
    Value,
    Webhook,
)
from reconciler.planning.guards import guard_all
from reconciler.planning.plan import DeclaredElsewhere, Plan
from reconciler.planning.planner import PlanOptions, plan
from tests.loading import load_text

ACME = Organization(id="org-1", name="Acme", role="ADMIN")
TOKEN_REF = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
TOKEN = "xoxb-0000000000-AAAAAAAA"
OTHER_TOKEN = "xoxb-1111111111-BBBBBBBB"
SECRETS = {TOKEN_REF: Secret(TOKEN)}
EVENTS = ("value_created", "value_updated")
SHOWN = {
    "slack": {"token": TOKEN, "channel": "#deploys", "username": "CloudTruth"},
    "generic": {"url": "https://hooks.example.com/ct"},
}
"""What a live webhook shows."""
PLAIN_FIELDS = ("channel", "username")
"""Fields whose text is not a secret; that of an unknown field may be one."""
SHARED = {
    "prune": "true",
    "limits": "{max_deletes: 1000}",
    "defaults": "{type: slack, event_types: [value_created, value_updated], configuration: "
    '{token: {env: SLACK_BOT_TOKEN}, channel: "#deploys", username: CloudTruth}}',
}
"""What a configuration has."""


def declared(text: str) -> Desired:
    """Load a file, which may omit what most have."""
    shared = (f"{key}: {value}\n" for key, value in SHARED.items() if f"{key}:" not in text)
    loaded = load_text(text + "".join(shared))
    assert loaded.desired is not None, loaded.findings
    return loaded.desired


def slack(
    name: str = "Deploys",
    *,
    channel: str = "#deploys",
    events: Iterable[str] = EVENTS,
    token: Value = TOKEN_REF,
    username: str = "CloudTruth",
    id: str | None = None,
    previously: tuple[str, ...] = (),
    adopt: bool = False,
    line: int = 1,
) -> Webhook:
    return Webhook(
        name=name,
        type="slack",
        adopt=adopt,
        event_types=frozenset(events),
        configuration={"token": token, "channel": channel, "username": username},
        id=id,
        previously=previously,
        position=Position(file="webhooks.yaml", line=line),
        file="webhooks.yaml",
    )


def generic(name: str = "Pager", *, id: str | None = None, **configuration: Value) -> Webhook:
    return Webhook(
        name=name,
        type="generic",
        event_types=frozenset(EVENTS),
        configuration={"url": "https://hooks.example.com/ct", **configuration},
        id=id,
        position=Position(file="webhooks.yaml", line=1),
        file="webhooks.yaml",
    )


def live_row(
    id: str = "id-1", name: str = "Deploys", type: str = "slack", **more: Any
) -> LiveWebhook:
    """Return a live webhook, also of a data file; a field that is `absent` is not shown."""
    values: Any = UNKNOWN
    if more.get("configuration") != "hidden":
        shown = {**SHOWN.get(type, {}), **more.get("configuration", {})}
        values = {
            key: Secret(value) if key not in PLAIN_FIELDS and isinstance(value, str) else value
            for key, value in shown.items()
            if value not in ("absent", ...)
        }
    events = frozenset(more.get("event_types", EVENTS))
    return LiveWebhook(id=id, name=name, type=type, event_types=events, configuration=values)


def live_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[LiveWebhook, ...]:
    return tuple(live_row(**row) for row in rows)


def live_slack(
    name: str = "Deploys", id: str = "id-1", *, events: Iterable[str] = EVENTS, **shown: object
) -> LiveWebhook:
    return live_row(id, name, configuration=shown, event_types=events)


def live_generic(name: str = "Pager", id: str = "id-9", **shown: object) -> LiveWebhook:
    return live_row(id, name, "generic", configuration=shown)


def unshown(live: LiveWebhook) -> LiveWebhook:
    return replace(live, configuration=UNKNOWN)


def desired(
    *webhooks: Webhook,
    absent: tuple[Absent, ...] = (),
    prune: bool = True,
    scope: tuple[str, ...] = ("*",),
    ignore: tuple[str, ...] = (),
    protect: tuple[str, ...] = (),
    max_deletes: int | None = 1000,
) -> Desired:
    return Desired(
        webhooks=webhooks,
        absent=absent,
        policy=Policy(
            scopes=(FileScope(file="webhooks.yaml", globs=scope, prune=prune),),
            ignore=tuple(Pattern(glob=glob) for glob in ignore),
            protect=tuple(
                Pattern(glob=glob, position=Position(file="webhooks.yaml", line=7))
                for glob in protect
            ),
            max_deletes=max_deletes,
        ),
    )


def live(*webhooks: LiveWebhook) -> Live:
    return Live(origin="https://api.cloudtruth.io", organization=ACME, webhooks=webhooks)


def make_plan(
    declaration: Desired,
    *found: LiveWebhook | Live,
    secrets: Mapping[SecretRef, Secret] = SECRETS,
    **options: Any,
) -> Plan:
    """Plan a configuration against webhooks or a listing; `options` are those of PlanOptions."""
    listing = next((each for each in found if isinstance(each, Live)), None)
    listing = listing or live(*(each for each in found if isinstance(each, LiveWebhook)))
    return plan(declaration, listing, secrets, PlanOptions(**options))


def counted(
    deletes: int, in_scope: int = 20, elsewhere: tuple[DeclaredElsewhere, ...] = (), **more: Any
) -> Plan:
    """Return a plan that deletes `w0`, `w1` and so on; `more` are fields of Counts."""
    deleting = make_plan(desired(), *(live_slack(f"w{n}", f"id-{n}") for n in range(deletes)))
    deleting = with_counts(deleting, in_scope, **more)
    return deleting._replace(elsewhere=elsewhere, read_both="webhooks plan -f .")


def with_counts(planned: Plan, in_scope: int = 20, **more: Any) -> Plan:
    """Return a plan with other counts; `more` are fields of Counts."""
    numbers = {"any_declared": True, "any_declared_live": True, "max_deletes": None, **more}
    return planned._replace(counts=planned.counts._replace(in_scope=in_scope, **numbers))


def blocking_guards(
    *, deletes: int = 0, allow_deletes: int | None = None, **more: Any
) -> tuple[Finding, ...]:
    """Return the guards that block a plan of this many deletes, see `counted`."""
    return guard_all([counted(deletes, **more)], allow_deletes)[0]
