"""A long plan has several pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.planning.plan import Plan
from reconciler.render.markdown import paged_plan
from reconciler.render.quote import quote
from tests.render.strategies import plans

FOOT = "Merging applies exactly what is shown here."


@given(
    plan=plans(),
    limit=st.integers(4_000, 20_000),
    most=st.integers(1, 4),
    extra=st.integers(0, 5_000),
)
def test_each_operation_is_on_one_page_or_omitted(
    plan: Plan, limit: int, most: int, extra: int
) -> None:
    """No page exceeds its limit, and the first one has the number of omitted operations."""
    pages = paged_plan(plan, limit=limit, most=most, extra=lambda place: extra, foot=FOOT)
    assert 1 <= len(pages) <= most
    shown = [place for _, places in pages for place in places]
    assert len(shown) == len(set(shown))
    for text, places in pages:
        assert len(text) + extra * len(places) <= limit
        for place in places:
            assert quote(plan.operations[place].name).replace("|", "\\|") in text
    assert ("**Not approved**" in pages[0][0]) is (len(shown) < len(plan.operations))
    assert FOOT in pages[0][0]
