"""Any declarations and any organization, small enough to collide."""

from __future__ import annotations

from hypothesis import strategies as st

from reconciler.findings import Position
from reconciler.model import (
    EVENT_TYPES,
    UNKNOWN,
    Absent,
    Desired,
    FileScope,
    Live,
    LiveWebhook,
    Pattern,
    Policy,
    Scheme,
    Secret,
    SecretRef,
    Webhook,
)
from tests.planning.builders import ACME

NAMES = ("a", "b", "c", "d", "ops", "Ops")
GLOBS = ("*", "a*", "o*", "b", "[cd]")
REFS = tuple(SecretRef(scheme=Scheme.ENV, name=name) for name in ("ONE", "TWO"))
VALUES = ("xoxb-1111111111-AAAA", "xoxb-2222222222-BBBB")
SECRETS = {ref: Secret(value) for ref, value in zip(REFS, VALUES, strict=True)}

events = st.frozensets(st.sampled_from(EVENT_TYPES[:4]), min_size=1)
globs = st.lists(st.sampled_from(GLOBS), max_size=2, unique=True)


@st.composite
def webhooks(draw: st.DrawFn, name: str) -> Webhook:
    if draw(st.booleans()):
        kind, configuration = (
            "slack",
            {
                "token": draw(st.sampled_from(REFS)),
                "channel": draw(st.sampled_from(("#x", "y"))),
                "username": draw(st.sampled_from(("ct", "bot"))),
            },
        )
    else:
        kind, configuration = "generic", {"url": f"https://{draw(st.sampled_from('pq'))}.test/h"}
        if draw(st.booleans()):
            configuration["verify"] = draw(st.booleans())
        if draw(st.booleans()):
            configuration["token"] = draw(st.sampled_from(REFS))
    previously = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    return Webhook(
        name=name,
        type=kind,
        event_types=draw(events),
        configuration=configuration,
        previously=tuple(old for old in previously if old != name),
        position=Position(file="f.yaml", line=draw(st.integers(1, 99))),
        file="f.yaml",
    )


@st.composite
def live_webhooks(draw: st.DrawFn, id: str) -> LiveWebhook:
    kind = draw(st.sampled_from(("slack", "slack", "generic", "generic", "teams")))
    if kind == "slack":
        configuration: object = {
            "token": Secret(draw(st.sampled_from(VALUES))),
            "channel": draw(st.sampled_from(("x", "#y"))),
            "username": draw(st.sampled_from(("ct", "bot"))),
        }
    elif kind == "generic":
        configuration = {"url": Secret(f"https://{draw(st.sampled_from('pq'))}.test/h")}
        if draw(st.booleans()):
            configuration["verify"] = draw(st.booleans())
        if draw(st.booleans()):
            configuration["token"] = Secret(draw(st.sampled_from(VALUES)))
    else:
        configuration = {"anything": Secret("xoxb-3333333333-CCCC")}
    return LiveWebhook(
        id=id,
        name=draw(st.sampled_from(NAMES)),
        type=kind,
        event_types=draw(events),
        configuration=configuration,  # type: ignore[arg-type]
    )


@st.composite
def live_organizations(draw: st.DrawFn) -> Live:
    ids = draw(st.permutations([f"id-{number}" for number in range(6)]))
    count = draw(st.integers(0, 6))
    return Live(
        origin="https://api.test",
        organization=ACME,
        webhooks=tuple(draw(live_webhooks(each)) for each in ids[:count]),
    )


@st.composite
def declarations(draw: st.DrawFn) -> Desired:
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    declared = [draw(webhooks(name)) for name in names]
    olds: set[str] = set(names)
    clean: list[Webhook] = []
    for each in declared:  # the reader of files refuses it, so it never reaches the planner
        kept = tuple(old for old in each.previously if old not in olds)
        olds.update(kept)
        clean.append(_with_previously(each, kept))
    free = [name for name in NAMES if name not in olds]
    absent = draw(st.lists(st.sampled_from(free), max_size=1)) if free else []
    return Desired(
        webhooks=tuple(clean),
        absent=tuple(Absent(name=name) for name in absent),
        policy=Policy(
            scopes=(
                FileScope(
                    file="f.yaml",
                    globs=tuple(draw(globs)) or ("*",),
                    prune=draw(st.booleans()),
                ),
            ),
            ignore=tuple(Pattern(glob=each) for each in draw(globs) if each != "*"),
            protect=tuple(Pattern(glob=each) for each in draw(globs)),
            max_deletes=draw(st.sampled_from((None, 0, 100))),
        ),
    )


def _with_previously(webhook: Webhook, previously: tuple[str, ...]) -> Webhook:
    return Webhook(
        name=webhook.name,
        type=webhook.type,
        event_types=webhook.event_types,
        configuration=webhook.configuration,
        previously=previously,
        position=webhook.position,
        file=webhook.file,
    )


def masked(live: Live) -> Live:
    """Return the same organization on a server that masks its secrets."""
    return Live(
        origin=live.origin,
        organization=live.organization,
        webhooks=tuple(
            LiveWebhook(
                id=each.id,
                name=each.name,
                type=each.type,
                event_types=each.event_types,
                configuration=UNKNOWN
                if each.configuration is UNKNOWN
                else {
                    name: Secret("*****") if isinstance(value, Secret) and name != "url" else value
                    for name, value in each.configuration.items()  # type: ignore[union-attr]
                },
            )
            for each in live.webhooks
        ),
    )
