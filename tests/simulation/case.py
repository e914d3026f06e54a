"""The case of a seed: server, teams, live webhooks and faults."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.emulated.variant import ReadBack, Variant
from tests.simulation.declarations import Row, draw_initial_state
from tests.simulation.team import Team, conflicting_team, draw_variant, team


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
    most `max_failures`. `contradiction` is about the webhook with the id `odd_id`.
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
        quiet = self.applies == 1 and not self.manual_edit_odds
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
    )
    if draw.random() < 0.25:  # drawn last, so that the rest of a seed stays the same
        hidden = replace(variant, masked_fields=(*variant.masked_fields, "channel"))
        found = replace(found, variant=hidden)
    return found
