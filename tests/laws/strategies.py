"""Any declarations and any organization, with few names, so that they collide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from reconciler.findings import Position
from reconciler.kinds import EVENT_TYPES
from reconciler.model import (
    Absent,
    Desired,
    FileScope,
    Live,
    LiveWebhook,
    Pattern,
    Policy,
    Secret,
    SecretRef,
    Unknown,
    Webhook,
)
from tests.planning.builders import ACME

NAMES = ("a", "b", "c", "d", "ops", "Ops")
GLOBS = ("*", "a*", "o*", "b", "[cd]")
REFS = tuple(SecretRef(scheme="env", name=name) for name in ("ONE", "TWO"))
VALUES = ("xoxb-1111111111-AAAA", "xoxb-2222222222-BBBB")
SECRETS = {ref: Secret(value) for ref, value in zip(REFS, VALUES, strict=True)}

events = st.frozensets(st.sampled_from(EVENT_TYPES[:4]), min_size=1)
globs = st.lists(st.sampled_from(GLOBS), max_size=2, unique=True)


users = st.sampled_from(("ct", "bot"))
addresses = st.sampled_from(("https://p.test/h", "https://q.test/h"))


def configurations(
    tokens: st.SearchStrategy[Any], urls: st.SearchStrategy[Any], channels: st.SearchStrategy[str]
) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Return types, each with a configuration."""
    slack = st.fixed_dictionaries({"token": tokens, "channel": channels, "username": users})
    optional = {"verify": st.booleans(), "token": tokens}
    generic = st.fixed_dictionaries({"url": urls}, optional=optional)
    return st.tuples(st.just("slack"), slack) | st.tuples(st.just("generic"), generic)


declared = configurations(st.sampled_from(REFS), addresses, st.sampled_from(("#x", "y")))
stored = configurations(
    st.sampled_from(VALUES).map(Secret), addresses.map(Secret), st.sampled_from(("x", "#y"))
)
unknown = st.just(("teams", {"anything": Secret("xoxb-3333333333-CCCC")}))


@st.composite
def webhooks(draw: st.DrawFn, name: str) -> Webhook:
    kind, configuration = draw(declared)
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
    kind, configuration = draw(stored | stored | unknown)
    return LiveWebhook(
        id=id,
        name=draw(st.sampled_from(NAMES)),
        type=kind,
        event_types=draw(events),
        configuration=configuration,
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
    for each in declared:  # rejected when files are read, so the planner never receives it
        kept = tuple(old for old in each.previously if old not in olds)
        olds.update(kept)
        clean.append(replace(each, previously=kept))
    free = [name for name in NAMES if name not in olds]
    absent = draw(st.lists(st.sampled_from(free), max_size=1)) if free else []
    return Desired(
        webhooks=tuple(clean),
        absent=tuple(Absent(name=name, file="f.yaml") for name in absent),
        policy=Policy(
            scopes=(
                FileScope(
                    file="f.yaml", globs=tuple(draw(globs)) or ("*",), prune=draw(st.booleans())
                ),
            ),
            ignore=tuple(Pattern(glob=each, file="f.yaml") for each in draw(globs) if each != "*"),
            protect=tuple(Pattern(glob=each, file="f.yaml") for each in draw(globs)),
            max_deletes=draw(st.sampled_from((None, 0, 100))),
        ),
    )


def masked(live: Live) -> Live:
    """Return the same organization on a server that masks secrets, but shows hosts."""

    def mask(webhook: LiveWebhook) -> LiveWebhook:
        assert not isinstance(webhook.configuration, Unknown)
        shown = {
            name: Secret(value.shown_url() if name == "url" else "*****")
            if isinstance(value, Secret)
            else value
            for name, value in webhook.configuration.items()
        }
        return replace(webhook, configuration=shown)

    return live._replace(webhooks=tuple(map(mask, live.webhooks)))
