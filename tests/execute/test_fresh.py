"""How changes fit the listing before the first write, with why and whom it is about."""

from __future__ import annotations

from reconciler.execute.fresh import fits
from reconciler.planning.standing import Fit, Standing
from tests.execute.world import SECRETS, memory, planned, row, slack

RENAMES = (slack("b", previously=("a",)), slack("d", previously=("c",)))
FOUND = (row("a", "1"), row("c", "2"))
DONE = Standing(fit=Fit.DONE, why="it is live already", id="1")
HOLDS = Standing(fit=Fit.HOLDS)


def test_a_rename_onto_a_name_that_was_taken_meanwhile_does_not_fit() -> None:
    """Whatever became of the changes before it."""
    plan = planned(memory(*FOUND), *RENAMES)
    listing = (row("b", "1"), row("c", "2"), row("d", "9", "#somebody"))
    taken = Standing(fit=Fit.CHANGED, why="another webhook of this name has appeared", id="9")
    assert fits(plan, listing, SECRETS) == [DONE, taken]


def test_a_rename_fits_beside_the_webhooks_of_its_plan() -> None:
    """Those that bear the names already, or leave them, are its own."""
    plan = planned(memory(*FOUND), *RENAMES)
    assert fits(plan, FOUND, SECRETS) == [HOLDS, HOLDS]


def test_a_create_does_not_fit_when_a_webhook_of_an_earlier_name_has_appeared() -> None:
    """The next plan renames that one instead."""
    plan = planned(memory(), slack("a"), slack("b", previously=("was",)))
    instead = Standing(
        fit=Fit.CHANGED, why="a webhook that is to be renamed to it has appeared meanwhile"
    )
    assert fits(plan, (row("was", "9", "#x"),), SECRETS) == [HOLDS, instead]
