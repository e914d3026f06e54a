"""Details of a plan's document that no golden file shows."""

from __future__ import annotations

from reconciler.model import Scheme, SecretRef
from reconciler.planning.document import plan_tree
from reconciler.planning.planner import PlanOptions, plan
from tests.planning.builders import desired, generic, live, live_generic

BEARER = SecretRef(scheme=Scheme.ENV, name="BEARER")


def test_a_field_that_is_dropped_is_told_from_one_that_is_lost():
    """Only one of them was asked for, and a plan that is read back asks for it again."""
    base = desired(generic(token=BEARER, verify=False))
    found = live(live_generic(token="a real one", verify=False, extra="x"))

    made = plan(desired(generic(verify=True)), found, {}, PlanOptions(base=base))

    (change,) = plan_tree(made, "1.2.3")["changes"]
    assert change["fields"][1:] == [
        {"change": "lost", "path": ["configuration", "extra"]},
        {"change": "lost", "path": ["configuration", "token"], "dropped": True},
    ]
