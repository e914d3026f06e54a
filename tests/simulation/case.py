"""What a seed stands for: server, teams, live webhooks, and what will go wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from tests.emulated.variant import ReadBack, Uniqueness, Variant
from tests.simulation.declarations import Row, scene
from tests.simulation.habits import habits
from tests.simulation.team import Team, rival, team


class Way(StrEnum):
    """How a plan comes to be applied."""

    DIRECT = "direct"  # made and carried out in one go
    DIGEST = "digest"  # made twice, and carried out if it has the digest that was reviewed
    SAVED = "saved"  # written to a file, read back, and carried out as it is
    BLIND = "blind"  # the same, made by somebody who has no secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One history's beginning and its dangers.

    `left` holds ids that nobody may touch. `applies`: one at a time or two, by the first and the
    last of `teams`. `late` is the longest time, in seconds, after which a write without an answer
    still happens; `crash` the step of the first apply at which it is killed, and whether after the
    commit; `stop` how many steps from its first write on a signal asks it to end, and `halt` how
    many later another one insists. `maintenance` is the span of requests in which the server
    refuses to write. `odds` is how often a request fails; `most` how many do at most.
    """

    seed: int
    variant: Variant
    teams: tuple[Team, ...]
    live: tuple[Row, ...]
    left: frozenset[str]
    applies: int
    way: Way
    parallelism: int
    latency: float
    odds: float
    most: int
    late: float
    meddling: float
    crash: tuple[int, bool] | None
    stop: int | None
    halt: int | None
    maintenance: tuple[int, int]

    @property
    def stale(self) -> bool:
        """Whether lists are behind."""
        return self.variant.stale

    @property
    def rivals(self) -> bool:
        """Whether two teams declare the same names, some of them otherwise."""
        return len(self.teams) > 1 and len({each.desired.policy.scopes for each in self.teams}) == 1

    @property
    def calm(self) -> bool:
        """Whether only failing requests happen, within what `Settle` waits for.

        Then success has to mean that all is as declared.
        """
        return self.applies == 1 and not self.meddling and self.late <= _SHORT


_SHORT = 1.9  # with as much again for a list that is behind: the third look of Settle sees it
_SCOPE = tuple(
    f"{start}*"
    for start in (
        *("hook-", "prod-", "old-", "link-", "pin-", "stray-", "manual-", "gone", "twin", "later"),
        *("was", "were", "named", "round", "about", "held", "lost", "shared", "taken"),
        *("Hook-", "cafe", "caf\u00e9", " spaced-", "spaced-", "much-", "plain-", "person-"),
    )
)
"""Where two teams share nothing, this is the first one's."""


def case(seed: int) -> Case:
    """Draw everything that a seed decides before the first request."""
    draw = random.Random(f"case {seed}")
    odd_names = draw.random() < 0.08
    variant = habits(draw, odd_names=odd_names)
    applies = 2 if draw.random() < 0.45 else 1
    company = draw.random() if applies == 2 else 1.0
    apart = company < 0.35
    plain = variant.read_back is ReadBack.PLAIN
    unique = variant.unique_names is not Uniqueness.NONE
    first = scene(draw, odd_names=odd_names, fenced=apart, plain=plain, unique=unique)
    teams = [team(draw, first, variant, globs=_SCOPE if apart else ("*",))]
    live, left = list(first.live), set(first.left)
    if apart:  # side by side, each with other names
        second = scene(draw, prefix="two-", fenced=True, plain=plain, unique=unique)
        teams.append(team(draw, second, variant, globs=("two-*",)))
        live += second.live
        left |= second.left
    elif company < 0.7 and not teams[0].refused:
        teams.append(rival(draw, teams[0], variant))
    peril = draw.random()
    stop = draw.choice((0, 0, 0, 1, 2, 3, 5, 8)) if draw.random() < 0.2 else None
    began = draw.randrange(60) if draw.random() < 0.04 else 0
    return Case(
        seed=seed,
        variant=variant,
        teams=tuple(teams),
        live=tuple(live),
        left=frozenset(left),
        applies=applies,
        way=draw.choice((*[Way.DIRECT] * 4, Way.DIGEST, *[Way.SAVED] * 2, *[Way.BLIND] * 2)),
        parallelism=draw.choice((1, 1, 2, 3)),
        latency=draw.choice((0.02, 0.2, 1.0)),
        odds=0.0 if peril < 0.15 else draw.choice((0.05, 0.15, 0.4)),
        most=draw.choice((1, 2, 4, 8, 1000)),
        late=draw.choice((0.0, 0.0, _SHORT, 60.0)),
        meddling=0.1 if draw.random() < 0.25 and not any(each.refused for each in teams) else 0.0,
        crash=(draw.randrange(25), draw.random() < 0.5) if draw.random() < 0.3 else None,
        stop=stop,
        halt=None if stop is None or draw.random() < 0.3 else draw.choice((0, 0, 1, 3)),
        maintenance=(began, began + draw.randrange(1, 20)) if began else (0, 0),
    )
