"""What a seed stands for: server, declarations, live webhooks, and what will go wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.dials import (
    ConfigurationPatch,
    Count,
    Dials,
    ErrorShape,
    EventOrder,
    Hash,
    NextLink,
    Ordering,
    ReadBack,
    Uniqueness,
)
from reconciler.model import (
    EVENT_TYPES,
    Absent,
    Desired,
    FileScope,
    Pattern,
    Policy,
    Scheme,
    Secret,
    SecretRef,
    Webhook,
)

CANARY = "canary"
TOKEN = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")
URL = SecretRef(scheme=Scheme.ENV, name="PAGER_URL")
PASSWORD = SecretRef(scheme=Scheme.ENV, name="PAGER_PASSWORD")
VALUES = {
    TOKEN: f"xoxb-1234567890-{CANARY}token",
    URL: f"https://hooks.example.com/{CANARY}url",
    PASSWORD: f"{CANARY}password",
}
SECRETS = {reference: Secret(value) for reference, value in VALUES.items()}

IGNORED, PROTECTED = "manual-", "prod-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One history's beginning and its dangers.

    `late` is the longest time, in seconds, after which a write without an answer still happens;
    `crash` the step of the first apply at which it is killed, and whether after the commit;
    `stop` the step at which a signal asks it to end;
    `odds` how often a request fails; `most` how many do at most.
    """

    seed: int
    dials: Dials
    desired: Desired
    live: tuple[Mapping[str, Any], ...]
    applies: int
    parallelism: int
    reviewed: bool
    latency: float
    odds: float
    most: int
    late: float
    meddling: float
    crash: tuple[int, bool] | None
    stop: int | None

    @property
    def stale(self) -> bool:
        """Whether lists are behind."""
        return self.dials.stale_list_reads > 0 or self.dials.stale_list_seconds > 0

    @property
    def calm(self) -> bool:
        """Whether nothing but failing requests happens, within what `Settle` waits for.

        Then success has to mean that all is as declared.
        """
        return self.applies == 1 and not self.meddling and self.late <= _SHORT


_SHORT = 1.9  # with as much again for a list that is behind: the third look of Settle sees it


def case(seed: int) -> Case:
    """Draw everything that a seed decides before the first request."""
    draw = random.Random(f"case {seed}")
    desired, live = _webhooks(draw)
    peril = draw.random()
    pinned = any(each.id for each in desired.webhooks)  # what a person deletes cannot be pinned
    return Case(
        seed=seed,
        dials=_dials(draw),
        desired=desired,
        live=live,
        applies=2 if draw.random() < 0.25 else 1,
        parallelism=draw.choice((1, 1, 2, 3)),
        reviewed=draw.random() < 0.25,
        latency=draw.choice((0.02, 0.2, 1.0)),
        odds=0.0 if peril < 0.15 else draw.choice((0.05, 0.15, 0.4)),
        most=draw.choice((1, 2, 4, 8, 1000)),
        late=draw.choice((0.0, 0.0, _SHORT, 60.0)),
        meddling=0.1 if draw.random() < 0.25 and not pinned else 0.0,
        crash=(draw.randrange(25), draw.random() < 0.5) if draw.random() < 0.3 else None,
        stop=draw.randrange(25) if draw.random() < 0.15 else None,
    )


def _dials(draw: random.Random) -> Dials:
    def seldom(value: Any, otherwise: Any) -> Any:
        return value if draw.random() < 0.15 else otherwise

    size = draw.choice((1000, 1000, 5, 3, 2))
    patch = seldom(False, True)
    secret = ("token", "password", *seldom(("channel",), ()), *seldom(("url",), ()))
    return Dials(
        read_back=draw.choice(tuple(ReadBack)) if draw.random() < 0.5 else ReadBack.PLAIN,
        secret_fields=secret,
        default_keys=draw.random() < 0.3,
        unique_names=draw.choice(tuple(Uniqueness)) if draw.random() < 0.4 else Uniqueness.NONE,
        unique_shape=draw.choice(tuple(ErrorShape)),
        unique_status=draw.choice((400, 400, 409)),
        error_shape=draw.choice(tuple(ErrorShape)),
        patch_allowed=patch,
        put_allowed=not patch or seldom(False, True),
        configuration_patch=draw.choice(tuple(ConfigurationPatch)),
        organization_required=draw.random() < 0.5,
        default_page_size=min(size, 100),
        max_page_size=size,
        ordering=draw.choice((Ordering.HONOURED, Ordering.HONOURED, Ordering.IGNORED)),
        next_link=draw.choice((NextLink.NULL, NextLink.EMPTY)),
        count=seldom(Count.MISSING, Count.TRUE),
        event_order=draw.choice(tuple(EventOrder)),
        event_dedupe=draw.random() < 0.5,
        channel_hash=draw.choice(tuple(Hash)),
        stale_list_reads=draw.choice((0, 0, 0, 1, 2)),
        stale_list_seconds=draw.choice((0.0, 0.0, 0.0, 0.5, 1.9)),
    )


def _webhooks(draw: random.Random) -> tuple[Desired, tuple[Mapping[str, Any], ...]]:
    """Declare a few webhooks, and let live be so, otherwise, older, doubled or absent."""
    declared: list[Webhook] = []
    live: list[Mapping[str, Any]] = []
    for n in range(draw.randrange(1, 6)):
        name = draw.choice((f"hook-{n}", f"{PROTECTED}{n}"))
        old = f"old-{n}"
        webhook = _declare(draw, name, previously=(old,) if draw.random() < 0.3 else ())
        declared.append(webhook)
        was = draw.random()
        if was < 0.35:
            continue
        row = _row(draw, webhook, other=draw.random() < 0.5)
        if webhook.previously and was < 0.7:
            live.append({**row, "name": old})
            continue
        live.append(row)
        if draw.random() < 0.25:
            live.append(dict(row))
    if len(declared) > 1 and draw.random() < 0.15:
        declared, live = _chain(draw, declared, live)
    if draw.random() < 0.5:
        live += [_row(draw, _declare(draw, f"stray-{n}"), other=False) for n in range(2)]
    if draw.random() < 0.3:
        live.append(_row(draw, _declare(draw, f"{IGNORED}1"), other=False))
    if draw.random() < 0.3:
        live.append(_row(draw, _declare(draw, f"{PROTECTED}stray"), other=False))
    absent: tuple[Absent, ...] = ()
    if draw.random() < 0.2:
        absent = (Absent(name="gone"),)
        live.append(_row(draw, _declare(draw, "gone"), other=False))
    draw.shuffle(live)
    scope = FileScope(file="webhooks.yaml", prune=draw.random() < 0.7)
    policy = Policy(
        scopes=(scope,),
        ignore=(Pattern(glob=f"{IGNORED}*"),),
        protect=(Pattern(glob=f"{PROTECTED}*"),),
        max_deletes=99,
    )
    return Desired(webhooks=tuple(declared), absent=absent, policy=policy), tuple(live)


def _chain(
    draw: random.Random, declared: list[Webhook], live: list[Mapping[str, Any]]
) -> tuple[list[Webhook], list[Mapping[str, Any]]]:
    """Two renames of which one needs the name that the other gives up."""
    first = _declare(draw, "link-b", id="00000000-0000-4000-8000-00000000000a")
    second = _declare(draw, "link-c", id="00000000-0000-4000-8000-00000000000b")
    rows = [
        {**_row(draw, first, other=False), "id": first.id, "name": "link-a"},
        {**_row(draw, second, other=False), "id": second.id, "name": "link-b"},
    ]
    return [*declared, first, second], [*live, *rows]


def _declare(draw: random.Random, name: str, **more: Any) -> Webhook:
    events = frozenset(draw.sample(EVENT_TYPES, draw.randrange(1, 4)))
    if draw.random() < 0.7:
        channel = draw.choice(("#ops", "deploys", "#a"))
        configuration: dict[str, Any] = {"token": TOKEN, "channel": channel, "username": "CT"}
        return Webhook(
            name=name, type="slack", event_types=events, configuration=configuration, **more
        )
    configuration = {"url": draw.choice((URL, "https://plain.example.com/ct"))}
    if draw.random() < 0.5:
        configuration |= {"username": "ct", "password": PASSWORD}
    return Webhook(
        name=name, type="generic", event_types=events, configuration=configuration, **more
    )


def _row(draw: random.Random, webhook: Webhook, *, other: bool) -> dict[str, Any]:
    """Return a webhook as the server stores it: as declared, or `other` in some field."""
    configuration = {
        name: VALUES[value] if isinstance(value, SecretRef) else value
        for name, value in webhook.configuration.items()
    }
    events = sorted(webhook.event_types)
    if other:
        what = draw.choice(("events", "plain", "secret", "extra"))
        if what == "events":
            events = sorted(draw.sample(EVENT_TYPES, draw.randrange(1, 4)))
        elif what == "extra":
            configuration["note"] = "kept by hand"
        elif webhook.type == "slack":
            field = "channel" if what == "plain" else "token"
            configuration[field] = "#other" if what == "plain" else "xoxb-9999999999-oldtoken"
        else:
            configuration["url"] = "https://older.example.com/ct"
    return {
        "name": webhook.name,
        "type": webhook.type,
        "event_types": events,
        "configuration": configuration,
    }
