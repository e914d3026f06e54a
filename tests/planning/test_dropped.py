"""A secret that is declared no longer: gone, planned to go, or said to be in doubt."""

from __future__ import annotations

import pytest

from reconciler.model import Scheme, SecretRef
from reconciler.planning.plan import KeyLost, Plan
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import desired, generic, live, live_generic

BEARER = SecretRef(scheme=Scheme.ENV, name="BEARER")
BASE = PlanOptions(previous=desired(generic(token=BEARER)))


def rules(of: Plan) -> list[str]:
    return [each.rule for each in of.notes]


def test_what_shows_is_planned_instead() -> None:
    """A token that is seen to be there goes, and there is nothing left to remark on."""
    result = plan(desired(generic()), live(live_generic(token="***")), {}, BASE)
    assert [each.fields for each in result.updates] == [(KeyLost(path=("configuration", "token")),)]
    assert rules(result) == []


def test_what_goes_with_another_change_is_not_in_doubt() -> None:
    """The configuration is sent whole: what is not in it is gone afterwards."""
    changed = desired(generic(verify=False))
    result = plan(changed, live(live_generic()), {}, BASE)
    assert len(result.updates) == 1
    assert rules(result) == []


@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(previous=desired(generic()))])
def test_without_a_declaration_before_nothing_is_suspected(options: PlanOptions) -> None:
    """Only a base that had the secret gives a reason."""
    assert rules(plan(desired(generic()), live(live_generic()), {}, options)) == []
