"""Details of a plan's document that no golden file shows."""

from __future__ import annotations

import pytest

from reconciler.model import Secret
from reconciler.planning.document import plain, plan_tree
from reconciler.planning.planner import plan
from tests.planning.builders import desired, generic, live, live_generic


def test_every_field_that_goes_is_named():
    """Also one that this version does not know."""
    found = live(live_generic(token="a real one", verify=False, extra="x"))

    made = plan(desired(generic(verify=True)), found, {})

    (change,) = plan_tree(made, "1.2.3")["operations"]
    assert change["fields"][1:] == [
        {"change": "lost", "path": ["configuration", "token"]},
        {"change": "lost", "path": ["configuration", "extra"]},
    ]


def test_no_document_holds_a_secret():
    """Not even in stars: it does not belong there."""
    with pytest.raises(TypeError, match="no document holds a Secret"):
        plain((Secret("xoxb-0000000000-AAAAAAAA"),))
