"""How stored webhooks are returned: secrets, pages, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]


def fill(api: Any, count: int) -> Any:
    for i in range(count):
        api.create(api.slack(f"w{(i * 7) % count}"))
    return api


def test_pages_have_counts_and_links(start: Start) -> None:
    """`count`, `next` and `previous` are set, and all pages together are the list."""
    api = fill(start(), 5)
    pages = [api("GET", query=f"page={n}&page_size=2&ordering=name").json() for n in (1, 2, 3)]
    assert [row["name"] for page in pages for row in page["results"]] == [f"w{i}" for i in range(5)]
    assert {page["count"] for page in pages} == {5}
    url = f"https://api.cloudtruth.io{HOOKS}"
    assert pages[0]["next"] == f"{url}?page_size=2&ordering=name&page=2"
    assert pages[1]["previous"] == f"{url}?page_size=2&ordering=name"
    assert (pages[0]["previous"], pages[2]["next"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 3),
        ("page_size=0", 3),
        ("page_size=-1", 3),
        ("page_size=x", 3),
        ("page_size=2", 2),
        ("page_size=1000", 4),
        ("page=last", 2),
        ("page=", 3),
    ],
)
def test_page_sizes_are_limited_and_invalid_ones_ignored(
    start: Start, query: str, rows: int
) -> None:
    """An invalid size means the default, without an error."""
    api = fill(start(page_size=3, max_page_size=4), 5)
    assert len(api.names(query)) == rows


@pytest.mark.parametrize("page", ["2", "0", "-1", "x", "9" * 400])
def test_a_missing_page_is_404(api: Any, page: str) -> None:
    """The first page of an empty list exists."""
    assert api.names("page=1") == []
    answer = api("GET", query=f"page={page}")
    assert (answer.status, answer.json()) == (404, {"detail": "Invalid page."})


def test_rows_have_the_requested_order(api: Any) -> None:
    """Ascending, descending, by several keys; unknown keys are ignored."""
    fill(api, 3)
    assert api.names() == ["w0", "w1", "w2"]
    api.create(api.generic("w0"))
    assert api.names("ordering=-name") == ["w2", "w1", "w0", "w0"]
    rows = api("GET", query="ordering=name,-type,colour,last_run").json()["results"]
    assert [(row["name"], row["type"]) for row in rows][:2] == [("w0", "slack"), ("w0", "generic")]
