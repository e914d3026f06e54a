"""The case of a seed: server, teams with their options, live webhooks and faults."""

from __future__ import annotations

import random
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, get_args

from reconciler.kinds import EVENT_TYPES
from reconciler.model import Desired, SecretRef, Webhook
from reconciler.planning.planner import PlanOptions
from tests.emulated.variant import ErrorShape, EventOrder, HashSign, ReadBack, Uniqueness, Variant
from tests.simulation.declarations import (
    IGNORED,
    PASSWORD,
    PROTECTED,
    STRAY,
    InitialState,
    Row,
    content,
    draw_initial_state,
)

NAME_MAX = 12  # characters, where names are limited


def draw_variant(draw: random.Random, *, odd_names: bool) -> Variant:
    """Draw a server variant; with `odd_names` one that may store names in another form."""

    def seldom(value: Any, otherwise: Any) -> Any:
        return value if draw.random() < 0.15 else otherwise

    size = draw.choice((1000, 1000, 5, 3, 2))
    patch = seldom(False, True)
    secret = ("token", "password", *seldom(("url",), ()))
    return Variant(
        read_back=draw.choice(tuple(ReadBack)) if draw.random() < 0.5 else ReadBack.PLAIN,
        masked_fields=secret,
        default_keys=draw.random() < 0.3,
        unique_names=draw.choice(get_args(Uniqueness)) if draw.random() < 0.4 else "none",
        unique_shape=draw.choice(get_args(ErrorShape)),
        unique_status=draw.choice((400, 400, 409)),
        error_shape=draw.choice(get_args(ErrorShape)),
        methods=(
            *(("PUT",) if not patch or seldom(False, True) else ()),
            *(("PATCH",) if patch else ()),
            "DELETE",
        ),
        merges=draw.choice((False, True)),
        type_change=seldom(False, True),
        drop_unknown_keys=seldom(True, False),
        organization_required=draw.random() < 0.5,
        page_size=min(size, 100),
        max_page_size=size,
        ordered=draw.choice((True, True, False)),
        empty_next=(draw.choice((False, True)), draw.random())[0],  # keeps the seeds in bugs.txt
        event_order=draw.choice(get_args(EventOrder)),
        event_dedupe=draw.random() < 0.5,
        channel_hash=draw.choice(get_args(HashSign)),
        lower_channels=seldom(True, False),
        lower_names=odd_names and draw.random() < 0.4,
        trim_names=not odd_names or draw.random() < 0.7,
        composed_names=odd_names and draw.random() < 0.4,
        name_max=NAME_MAX if odd_names and draw.random() < 0.3 else None,
        stale_list_reads=draw.choice((0, 0, 0, 0, 0, 1, 2)),
        stale_list_seconds=draw.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.9)),
    )


def stored_name(name: str, variant: Variant) -> str | None:
    """Return the name under which a server stores a webhook, None if it rejects the name."""
    name = variant.name(name)
    return None if variant.name_max is not None and len(name) > variant.name_max else name


def merges_configuration(variant: Variant) -> bool:
    """Return whether keys of a configuration that are not sent are kept."""
    return variant.allows_patch and variant.merges


def can_store(webhook: Webhook, variant: Variant) -> bool:
    """Return whether the server can store a webhook exactly as declared."""
    channel = webhook.configuration.get("channel", "")
    lowered = variant.lower_channels and isinstance(channel, str) and channel != channel.lower()
    return stored_name(webhook.name, variant) == webhook.name and not lowered


def hides(variant: Variant, field: str) -> bool:
    """Return whether the server hides a field of every configuration."""
    form = ReadBack(variant.read_back)
    if form.startswith("configuration"):
        return True
    return form not in (ReadBack.PLAIN, ReadBack.BY_ROLE) and field in variant.masked_fields


def hides_destination(variant: Variant, kind: str) -> bool:
    """Return whether the server hides where webhooks of a type deliver to."""
    return hides(variant, {"slack": "channel", "generic": "url"}[kind])


def can_change_type(variant: Variant) -> bool:
    """Return whether the server can change the type of a webhook completely."""
    return variant.type_change and not merges_configuration(variant)


PLAIN = PlanOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One configuration and the options it is applied with.

    `expected_ids` maps a declared name to the id that its webhook must keep, `old_names` to the
    name that it had at first. `not_applied` has declarations that are not applied, `inapplicable`
    those that this server may be unable to store as declared, `shared` those that share a name.
    `invalid`: the declarations contradict the live webhooks.
    """

    desired: Desired
    options: PlanOptions = PLAIN
    expected_ids: Mapping[str, str] = field(default_factory=dict)
    old_names: Mapping[str, str] = field(default_factory=dict)
    not_applied: frozenset[str] = frozenset()
    inapplicable: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    invalid: bool = False

    @property
    def plain(self) -> Team:
        """Return the team without command-line options."""
        return replace(self, options=PLAIN)

    def selects(self, name: str) -> bool:
        """Return whether `--only` selects a name."""
        only = self.options.only
        return not only or any(fnmatchcase(name, glob) for glob in only)

    def may_touch(self, name: str) -> bool:
        """Return whether this team may write a live webhook of this name."""
        policy = self.desired.policy
        if any(fnmatchcase(name, each.glob) for each in policy.ignore):
            return False
        related = self._names(name)
        scope = policy.scopes[0]
        within = any(fnmatchcase(name, glob) for glob in scope.globs)
        if not within and not any(
            each.adopt and name in self._own(each) for each in self.desired.webhooks
        ):
            return False
        if related:
            return any(map(self.selects, related))
        safe = any(fnmatchcase(name, each.glob) for each in policy.protect)
        return within and scope.prune and self.options.prune and not safe and self.selects(name)

    def related_names(self, webhook: Webhook) -> frozenset[str]:
        """Return the names of a declaration, and of those that share a name with it."""
        names = self._own(webhook)
        return frozenset(
            names.union(*(own for own in map(self._own, self.desired.webhooks) if own & names))
        )

    def _own(self, webhook: Webhook) -> set[str]:
        name = webhook.name
        return {name, *webhook.previously, self.old_names.get(name, name)}

    def _names(self, name: str) -> set[str]:
        """Return all names of the declarations that mention a webhook of this name."""
        found = {each.name for each in self.desired.absent if each.name == name}
        return found.union(*(own for own in map(self._own, self.desired.webhooks) if name in own))


def team(
    draw: random.Random, initial: InitialState, variant: Variant, *, globs: tuple[str, ...]
) -> Team:
    """Make a team from an initial state."""
    limit = draw.choice((0, 1, None)) if draw.random() < 0.15 else 99
    desired = initial.desired(globs=globs, max_deletes=limit)
    return Team(
        desired=desired,
        options=PLAIN if initial.invalid else draw_options(draw, desired),
        expected_ids=initial.expected_ids,
        old_names=initial.old_names,
        not_applied=frozenset(initial.not_applied),
        shared=frozenset(initial.shared),
        inapplicable=_inapplicable(desired, variant, initial.retyped),
        invalid=initial.invalid,
    )


def _inapplicable(desired: Desired, variant: Variant, retyped: Set[str]) -> frozenset[str]:
    found = {each.name for each in desired.webhooks if not can_store(each, variant)}
    if not can_change_type(variant):
        found |= retyped
    if merges_configuration(variant):
        found |= {each.name for each in desired.webhooks if each.type == "generic"}
    return frozenset(found)


def draw_options(draw: random.Random, desired: Desired) -> PlanOptions:
    """Draw command-line options: mostly none."""
    if draw.random() < 0.6:
        return PLAIN
    declared = [each.name for each in desired.webhooks]
    options = PLAIN
    if draw.random() < 0.35:
        globs = ("hook-*", "pin-*", f"{PROTECTED}*", f"{STRAY}*", f"{IGNORED}*", "old-*")
        options = options._replace(only=tuple(sorted({draw.choice(globs), draw.choice(declared)})))
    if draw.random() < 0.25:
        options = options._replace(prune=False)
    if draw.random() < 0.4:
        options = options._replace(previous=before(draw, desired))
    if draw.random() < 0.35:
        # A request that no selected webhook has is an error.
        named = [
            f"{value.scheme}:{value.name}"
            for each in desired.webhooks
            if any(fnmatchcase(each.name, glob) for glob in options.only or ("*",))
            for value in each.configuration.values()
            if isinstance(value, SecretRef)
        ]
        wanted = () if not named or draw.random() < 0.4 else (draw.choice(named),)
        options = options._replace(resend=wanted or ("*",))
    return options


def before(draw: random.Random, desired: Desired) -> Desired:
    """Draw a previous revision: older secrets, other content, fewer or more webhooks."""

    def older(webhook: Webhook) -> Webhook:
        configuration = dict(webhook.configuration)
        match draw.randrange(4):
            case 0:
                return webhook
            case 1:  # every secret had another version
                for name, value in configuration.items():
                    if isinstance(value, SecretRef):
                        configuration[name] = value._replace(version=2)
            case 2:  # a field was declared that no longer is
                if webhook.type == "generic":
                    configuration = {"username": "ct", "password": PASSWORD, **configuration}
            case _:
                return replace(webhook, event_types=frozenset(draw.sample(EVENT_TYPES, 2)))
        return replace(webhook, configuration=configuration)

    webhooks = tuple(older(each) for each in desired.webhooks if draw.random() < 0.9)
    return desired._replace(webhooks=webhooks)


def conflicting_team(draw: random.Random, team: Team, variant: Variant) -> Team:
    """Draw a second team that declares most of the same webhooks, some of them differently."""

    def otherwise(webhook: Webhook) -> list[Webhook]:
        match draw.randrange(5):
            case _ if (
                webhook.name in team.not_applied
                or len(team.related_names(webhook)) > 2
                or webhook.id
            ):
                return [webhook]
            case 0 if webhook.name in team.old_names:
                return []
            case 0 | 1 | 3:
                return [replace(webhook, event_types=frozenset(draw.sample(EVENT_TYPES, 2)))]
            case 2:
                kind, configuration = content(draw, webhook.type)
                return [replace(webhook, type=kind, configuration=configuration)]
            case _:
                return [webhook]

    webhooks = tuple(new for each in team.desired.webhooks for new in otherwise(each))
    names = {each.name for each in webhooks}
    desired = team.desired._replace(webhooks=webhooks)
    return replace(
        team,
        desired=desired,
        options=PLAIN,
        inapplicable=_inapplicable(desired, variant, team.inapplicable),
        expected_ids={name: team.expected_ids[name] for name in names & team.expected_ids.keys()},
    )


class ApplyMode(StrEnum):
    """How a plan is applied."""

    DIRECT = "direct"  # planned and applied in one run
    DIGEST = "digest"  # planned twice; applied if the digest matches the reviewed one
    SAVED = "saved"  # saved to a file, loaded and applied
    WITHOUT_SECRETS = (
        "without-secrets"  # saved, loaded and applied; planned by a user without secrets
    )


class Contradiction(StrEnum):
    """How the row of one webhook, read by id, contradicts the listing until the faults stop."""

    MISSING = "missing"  # listed, but each request with its id is answered with 404
    OLD_LISTING = "old-listing"  # the listing shows it as before the first write, even if deleted
    NEVER_LISTED = "never-listed"  # the first created webhook is in no listing
    STALE_ROW = "stale-row"  # responses and rows by id are old, the listing is right


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The initial state of one history, and its faults.

    `untouchable` holds ids that no apply may write. `applies` is 1 or 2 concurrent applies, by the
    first and the last of `teams`. `late` is the longest time, in seconds, after which a write
    without a response is still committed. `crash` is the step of the first apply at which it is
    killed, and whether that is after the commit. `stop` is the number of steps from the first write
    to a signal, `halt` from that to a second signal. `maintenance` is the range of requests in
    which the server rejects writes. `odds` is the probability that a request fails; there are at
    most `max_failures`. `contradiction` is about the webhook with the id `odd_id`. `copy_odds` is
    the probability that a user makes a part of a planned operation by hand before a request.
    """

    seed: int
    variant: Variant
    teams: tuple[Team, ...]
    live: tuple[Row, ...]
    untouchable: frozenset[str]
    applies: int
    mode: ApplyMode
    parallelism: int
    latency: float
    odds: float
    max_failures: int
    late: float
    manual_edit_odds: float
    crash: tuple[int, bool] | None
    stop: int | None
    halt: int | None
    maintenance: tuple[int, int]
    contradiction: Contradiction | None = None
    odd_id: str = ""
    copy_odds: float = 0.0

    def is_untouchable(self, id: str, name: str, touched: Set[str]) -> bool:
        """Return whether no apply may write a webhook; `touched` are names that a user edited.

        A user may free the declared name of one that is pinned by `id`, or delete that one, so that
        its entry is matched by name.
        """
        pins = [
            (webhook, team.old_names.get(webhook.name))
            for team in self.teams
            for webhook in team.desired.webhooks
            if webhook.id is not None
        ]
        return id in self.untouchable and not any(
            (webhook.id == id and webhook.name in touched)
            or (webhook.name == name and old_name in touched)
            for webhook, old_name in pins
        )

    @property
    def conflicting(self) -> bool:
        """Return whether two teams declare the same names, some of them differently."""
        return len(self.teams) > 1 and len({each.desired.policy.scopes for each in self.teams}) == 1

    @property
    def only_request_failures(self) -> bool:
        """Return whether requests only fail within the time that the final verification waits.

        Success then means that everything is as declared.
        """
        unlisted = self.contradiction is Contradiction.NEVER_LISTED
        quiet = self.applies == 1 and not self.manual_edit_odds and not self.copy_odds
        return quiet and self.late <= _SHORT and not unlisted


_SHORT = 1.9  # plus the same for a stale list: the third read of the final verification sees it
_SCOPE = tuple(
    f"{start}*"
    for start in (
        *("hook-", "prod-", "old-", "link-", "pin-", "stray-", "manual-", "gone", "twice", "later"),
        *("was", "were", "named", "round", "about", "held", "lost", "shared", "taken"),
        *("Hook-", "cafe", "caf\u00e9", " spaced-", "spaced-", "much-", "plain-", "person-"),
    )
)
"""The scope of the first team where two teams share no names."""


_MODES = [
    ApplyMode(each) for each in [*["direct"] * 4, "digest", *["saved", "without-secrets"] * 2]
]


def case(seed: int) -> Case:
    """Draw everything that a seed determines before the first request."""
    draw = random.Random(f"case {seed}")
    odd_names = draw.random() < 0.08
    variant = draw_variant(draw, odd_names=odd_names)
    applies = 2 if draw.random() < 0.45 else 1
    company = draw.random() if applies == 2 else 1.0
    apart = company < 0.35
    plain = variant.read_back is ReadBack.PLAIN
    unique = variant.unique_names != "none"
    first = draw_initial_state(draw, odd_names=odd_names, scoped=apart, plain=plain, unique=unique)
    teams = [team(draw, first, variant, globs=_SCOPE if apart else ("*",))]
    live, left = list(first.live), set(first.untouchable)
    if apart:  # two teams with different names
        second = draw_initial_state(draw, prefix="two-", scoped=True, plain=plain, unique=unique)
        teams.append(team(draw, second, variant, globs=("two-*",)))
        live += second.live
        left |= second.untouchable
    elif company < 0.7 and not teams[0].invalid:
        teams.append(conflicting_team(draw, teams[0], variant))
    peril = draw.random()
    stop = draw.choice((0, 0, 0, 1, 2, 3, 5, 8)) if draw.random() < 0.2 else None
    odd = random.Random(f"contradiction {seed}")  # the other choices of a seed stay the same
    copies = random.Random(f"copies {seed}")
    began = draw.randrange(60) if draw.random() < 0.04 else 0
    found = Case(
        seed=seed,
        variant=variant,
        teams=tuple(teams),
        live=tuple(live),
        untouchable=frozenset(left),
        applies=applies,
        mode=draw.choice(_MODES),
        parallelism=draw.choice((1, 1, 2, 3)),
        latency=draw.choice((0.02, 0.2, 1.0)),
        odds=0.0 if peril < 0.15 else draw.choice((0.05, 0.15, 0.4)),
        max_failures=draw.choice((1, 2, 4, 8, 1000)),
        late=draw.choice((0.0, 0.0, _SHORT, 60.0)),
        manual_edit_odds=0.1
        if draw.random() < 0.25 and not any(each.invalid for each in teams)
        else 0.0,
        crash=(draw.randrange(25), draw.random() < 0.5) if draw.random() < 0.3 else None,
        stop=stop,
        halt=None if stop is None or draw.random() < 0.3 else draw.choice((0, 0, 1, 3)),
        maintenance=(began, began + draw.randrange(1, 20)) if began else (0, 0),
        contradiction=odd.choice([*Contradiction]) if odd.random() < 0.2 else None,
        odd_id=odd.choice(live)["id"] if live else "",
        copy_odds=0.2 if copies.random() < 0.3 and not any(each.invalid for each in teams) else 0.0,
    )
    if draw.random() < 0.25:  # drawn last, so that the rest of a seed stays the same
        hidden = replace(variant, masked_fields=(*variant.masked_fields, "channel"))
        found = replace(found, variant=hidden)
    return found
