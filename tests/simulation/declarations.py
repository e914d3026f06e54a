"""The declarations and the live webhooks of a history, and the expected result for each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.kinds import EVENT_TYPES
from reconciler.model import Absent, Desired, FileScope, Pattern, Policy, Secret, SecretRef, Webhook

CANARY = "canary"
"""Part of every secret, declared or live: output that contains it leaks a secret."""

TOKEN = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
URL = SecretRef(scheme="env", name="PAGER_URL")
PASSWORD = SecretRef(scheme="env", name="PAGER_PASSWORD")
VALUES = {
    TOKEN: f"xoxb-1234567890-{CANARY}token",
    URL: f"https://hooks.example.com/{CANARY}url",
    PASSWORD: f"{CANARY}password",
}
ENVIRONMENT = {reference.name: value for reference, value in VALUES.items()}
OLD_TOKEN = f"xoxb-9999999999-{CANARY}old"
OLD_URL = f"https://older.example.com/{CANARY}"

FILE = "webhooks.yaml"
IGNORED, PROTECTED, STRAY = "manual-", "prod-", "stray-"

Row = Mapping[str, Any]
"""A webhook as the server stores it."""

ODD = ("Hook-{}", "cafe\u0301-{}", " spaced-{}", "much-too-long-{}", "plain-{}")
"""Names that some servers store in another form, and one that every server keeps."""


@dataclass(slots=True, kw_only=True)
class InitialState:
    """Declarations and live webhooks under construction.

    `expected_ids` maps a declared name to the id of the live webhook that it must keep, `old_names`
    to that webhook's name. `untouchable` holds ids that no apply may write. `not_applied` has
    declarations that are not applied: ignored, of an unknown event, live as duplicates that differ,
    or under another name that stays. `retyped` names webhooks that are live with another type.
    `shared` names declarations that share a name, each pinned by id. `invalid`: the declarations
    contradict the live webhooks.

    `scoped`: the scope does not cover every name. `plain`: the server shows secrets. `unique`: the
    server rejects a second webhook of a name.
    """

    draw: random.Random
    prefix: str = ""
    odd_names: bool = False
    scoped: bool = False
    plain: bool = False
    unique: bool = False
    declared: list[Webhook] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    live: list[dict[str, Any]] = field(default_factory=list)
    expected_ids: dict[str, str] = field(default_factory=dict)
    old_names: dict[str, str] = field(default_factory=dict)
    untouchable: set[str] = field(default_factory=set)
    not_applied: set[str] = field(default_factory=set)
    retyped: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    invalid: bool = False

    def desired(self, *, globs: tuple[str, ...], max_deletes: int | None) -> Desired:
        """Return everything declared so far."""
        scope = FileScope(file=FILE, globs=globs, prune=self.draw.random() < 0.7)
        policy = Policy(
            scopes=(scope,),
            ignore=(Pattern(glob=f"{self.prefix}{IGNORED}*", file=FILE),),
            protect=(Pattern(glob=f"{self.prefix}{PROTECTED}*", file=FILE),),
            max_deletes=max_deletes,
        )
        return Desired(webhooks=tuple(self.declared), absent=tuple(self.absent), policy=policy)

    def chance(self, odds: float) -> bool:
        return self.draw.random() < odds

    def declare(self, name: str, **more: Any) -> Webhook:
        """Declare a webhook of a random type and content."""
        webhook = some(self.draw, self.prefix + name, **more)
        self.declared.append(webhook)
        return webhook

    def add(self, webhook: Webhook, *, name: str | None = None, other: bool = False) -> str:
        """Make a webhook live, as declared or `other` in some field; return its id."""
        row = stored(self.draw, webhook, other=other)
        if row["type"] != webhook.type:
            self.retyped.add(webhook.name)
        row |= {"name": webhook.name if name is None else self.prefix + name}
        row |= {"id": webhook.id or new_id(self.draw)}
        self.live.append(row)
        self.old_names[webhook.name] = row["name"]
        return str(row["id"])

    # What a history may contain

    def hooks(self) -> None:
        """Add webhooks that are live as declared, different, under an older name, duplicated, or
        not live.
        """
        for n in range(self.draw.randrange(1, 6)):
            name = self.draw.choice((f"hook-{n}", f"{PROTECTED}{n}"))
            if self.odd_names and self.chance(0.6):
                name = self.draw.choice(ODD).format(n)
            old = (f"{self.prefix}old-{n}",) if self.chance(0.3) else ()
            webhook = self.declare(name, previously=old)
            was = self.draw.random()
            if was < 0.35:
                continue
            if old and was < 0.7:
                first = self.add(webhook, name=f"old-{n}", other=self.chance(0.5))
                self.expected_ids[webhook.name] = first
                continue
            self.expected_ids[webhook.name] = first = self.add(webhook, other=self.chance(0.5))
            if self.chance(0.25):
                more = [new_id(self.draw) for _ in range(self.draw.choice((1, 1, 2)))]
                self.live += [{**self.live[-1], "id": each} for each in more]
                self.expected_ids[webhook.name] = min(first, *more)
                if name.startswith(PROTECTED):
                    self.untouchable.update((first, *more))
                    self.not_applied.add(webhook.name)

    def pinned(self) -> None:
        """Add two renames by id."""
        for old, name in (("pin-a", "pin-b"), ("pin-c", "pin-d")):
            webhook = self.declare(name, id=new_id(self.draw))
            self.expected_ids[webhook.name] = self.add(webhook, name=old)

    def strays(self) -> None:
        """Add two undeclared webhooks."""
        for n in range(2):
            self.add(some(self.draw, f"{self.prefix}{STRAY}{n}"))

    def ignored(self) -> None:
        """Add an ignored webhook, declared or not."""
        webhook = some(self.draw, f"{self.prefix}{IGNORED}1")
        self.untouchable.add(self.add(webhook, other=True))
        if self.chance(0.3):
            self.declared.append(webhook)
            self.not_applied.add(webhook.name)

    def protected(self) -> None:
        """Add a webhook that is undeclared and protected from deletion."""
        self.untouchable.add(self.add(some(self.draw, f"{self.prefix}{PROTECTED}stray")))

    def gone(self) -> None:
        """Add webhooks that are declared absent: one, several of a name, none, or by id."""
        webhook = some(self.draw, f"{self.prefix}gone")
        ids = [self.add(webhook, other=True) for _ in range(self.draw.choice((0, 1, 1, 2)))]
        pinned = ids[0] if len(ids) == 1 and self.chance(0.3) else None
        self.absent.append(Absent(name=webhook.name, id=pinned, file=FILE))

    def differing_duplicates(self) -> None:
        """Add duplicates of a declared webhook that differ: a user must choose one."""
        webhook = self.declare("twice")
        one = {**stored(self.draw, webhook, other=False), "event_types": ["project_created"]}
        other = {**one, "event_types": ["project_deleted"]}
        if self.plain and webhook.type == "slack" and self.chance(0.5):
            other = {**one, "configuration": {**one["configuration"], "token": OLD_TOKEN}}
        for row in (one, other):
            self.live.append({**row, "id": new_id(self.draw)})
            self.untouchable.add(self.live[-1]["id"])
        self.not_applied.add(webhook.name)

    def unknown_event(self) -> None:
        """Add a webhook with an event that only a later version knows."""
        webhook = some(self.draw, f"{self.prefix}later")
        self.untouchable.add(self.add(webhook))
        self.live[-1]["event_types"] = ["moon_landed"]
        if self.chance(0.5):
            self.declared.append(webhook)
            self.not_applied.add(webhook.name)

    def missing_id(self) -> None:
        """Add a webhook whose id is gone: live under its name, an older name, or not at all."""
        webhook = self.declare("lost", id=new_id(self.draw), previously=(f"{self.prefix}old-lost",))
        if self.chance(0.6):
            again = replace(webhook, id=None)
            name = self.draw.choice(("lost", "old-lost"))
            self.expected_ids[webhook.name] = self.add(again, name=name, other=self.chance(0.5))

    def sharing(self) -> None:
        """Add webhooks that share a name, each pinned by id; one of them may have been deleted."""
        if self.unique:
            return
        name = f"{self.prefix}shared"
        first = self.declare("shared", id=new_id(self.draw))
        second = first if self.chance(0.5) else some(self.draw, name)
        self.declared.append(replace(second, id=new_id(self.draw)))
        self.shared.add(name)
        gone = self.draw.choice((0, 1, None))
        for at, webhook in enumerate(self.declared[-2:]):
            if at != gone:
                self.add(webhook)

    def adopted(self) -> None:
        """Add a webhook outside the scope that is adopted if its declaration allows that."""
        if not self.scoped:
            return
        old, pin = f"else-{self.prefix}1", new_id(self.draw)
        more = {"id": pin} if self.chance(0.5) else {"previously": (old,)}
        webhook = self.declare("taken", adopt=self.chance(0.7), **more)
        self.invalid |= not webhook.adopt and webhook.id is None
        self.expected_ids[webhook.name] = self.add(replace(webhook, id=pin), other=self.chance(0.5))
        self.live[-1]["name"] = self.old_names[webhook.name] = old
        if not webhook.adopt:
            self.untouchable.add(pin)
            self.not_applied.add(webhook.name)

    def outside(self) -> None:
        """Add a webhook outside the scope that is declared absent by id, which is not applied."""
        if not self.scoped:
            return
        webhook = some(self.draw, f"else-{self.prefix}2")
        pin = self.add(webhook)
        self.untouchable.add(pin)
        self.absent.append(Absent(name=f"{self.prefix}gone-2", id=pin, file=FILE))

    def taken(self) -> None:
        """Add a rename by id to a name that another webhook has, or gives up in the same apply."""
        if self.chance(0.5):
            for old, name in (("pin-x", "pin-y"), ("pin-y", "pin-z")):
                webhook = self.declare(name, id=new_id(self.draw))
                self.expected_ids[webhook.name] = self.add(webhook, name=old)
            return
        webhook = self.declare("held", id=new_id(self.draw))
        self.untouchable.add(self.add(some(self.draw, webhook.name)))
        self.untouchable.add(self.add(webhook, name="was"))
        self.not_applied.add(webhook.name)

    def contradictory(self) -> None:
        """Add declarations that contradict the live webhooks until a user edits one of them."""
        self.invalid = True
        match self.draw.randrange(3):
            case 0:  # two live webhooks of the previous name
                webhook = self.declare("named", previously=(f"{self.prefix}was",))
                self.add(webhook, name="was")
                self.live.append({**self.live[-1], "id": new_id(self.draw)})
            case 1:  # two previous names, both live
                olds = (f"{self.prefix}was", f"{self.prefix}were")
                webhook = self.declare("named", previously=olds)
                self.add(webhook, name="was")
                self.add(webhook, name="were")
            case _:  # absent and protected
                webhook = some(self.draw, f"{self.prefix}{PROTECTED}gone")
                self.add(webhook)
                self.absent.append(Absent(name=webhook.name, file=FILE))


_PARTS = (
    (0.08, InitialState.pinned),
    (0.5, InitialState.strays),
    (0.3, InitialState.ignored),
    (0.3, InitialState.protected),
    (0.2, InitialState.gone),
    (0.08, InitialState.differing_duplicates),
    (0.12, InitialState.missing_id),
    (0.12, InitialState.sharing),
    (0.3, InitialState.adopted),
    (0.05, InitialState.outside),
    (0.05, InitialState.unknown_event),
    (0.05, InitialState.contradictory),
)


def draw_initial_state(draw: random.Random, **choices: Any) -> InitialState:
    """Draw declarations and live webhooks."""
    made = InitialState(draw=draw, **choices)
    made.hooks()
    for odds, part in _PARTS:
        if made.chance(odds):
            part(made)
    # Drawn apart, so that the other seeds keep their histories.
    if random.Random(str(draw.getstate())).random() < 0.05:
        made.taken()
    draw.shuffle(made.live)
    return made


def new_id(draw: random.Random) -> str:
    """Return an id in the server's format."""
    digits = f"{draw.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def some(draw: random.Random, name: str, **more: Any) -> Webhook:
    """Return a webhook of a random type and content."""
    events = frozenset(draw.sample(EVENT_TYPES, draw.randrange(1, 4)))
    kind, configuration = content(draw, "slack" if draw.random() < 0.7 else "generic")
    return Webhook(
        name=name, type=kind, event_types=events, configuration=configuration, file=FILE, **more
    )


def content(draw: random.Random, kind: str) -> tuple[str, dict[str, str | bool | SecretRef]]:
    """Return a type and a configuration of that type."""
    if kind == "slack":
        channel = draw.choice(("#ops", "deploys", "#a", "C0123456UP"))
        return kind, {"token": TOKEN, "channel": channel, "username": "CT"}
    configuration: dict[str, str | bool | SecretRef] = {
        "url": draw.choice((URL, "https://plain.example.com/ct"))
    }
    if draw.random() < 0.5:
        configuration |= {"username": "ct", "password": PASSWORD}
    return kind, configuration


def stored(draw: random.Random, webhook: Webhook, *, other: bool) -> dict[str, Any]:
    """Return a webhook as the server stores it: as declared, or `other` in some field."""
    kind, configuration = webhook.type, dict(webhook.configuration)
    changed: Mapping[str, Any] = {}
    events = sorted(webhook.event_types)
    if other:
        what = draw.choice(("events", "plain", "secret", "both", "extra", "keys", "type"))
        if what in ("events", "both"):
            events = sorted(draw.sample(EVENT_TYPES, draw.randrange(1, 4)))
        if what == "type":
            kind, configuration = content(draw, "generic" if kind == "slack" else "slack")
        elif what == "extra":
            changed = {"note": "kept by hand"}
        elif what == "keys" and kind == "generic":
            kind, configuration = content(draw, kind)
            changed = {"verify": False}
        elif kind == "generic" and what != "events":
            changed = {"url": OLD_URL}
        elif what != "events":
            changed = {"channel": "#other"} if what == "plain" else {"token": OLD_TOKEN}
    values = {name: value_of(value) for name, value in configuration.items()}
    return {
        "name": webhook.name,
        "type": kind,
        "event_types": events,
        "configuration": {**values, **changed},
    }


def value_of(declared: object) -> object:
    """Return the value that is sent for a declared value."""
    return VALUES[declared.unversioned] if isinstance(declared, SecretRef) else declared


def secrets() -> Mapping[SecretRef, Secret]:
    """Return the resolved secrets, for every version that may be declared."""
    return {
        reference._replace(version=version): Secret(value)
        for reference, value in VALUES.items()
        for version in (None, 2)
    }
