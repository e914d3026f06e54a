"""How stored webhooks are shown: secrets, pages, order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

HOOKS = "/api/v1/webhooks/"
Start = Callable[..., Any]
TOKEN = "xoxb-0123456789"


@pytest.mark.parametrize(
    ("form", "token"),
    [
        ("plain", TOKEN),
        ("mask", "*****"),
        ("null", None),
    ],
)
def test_a_secret_reads_back_in_the_chosen_form(start: Start, form: str, token: Any) -> None:
    """In a list and alone; what is not secret stays readable, what is stored stays whole."""
    api = start(read_back=form)
    made = api.create()
    (listed,) = api("GET").json()["results"]
    assert listed == api.read(made["id"])
    assert listed["configuration"] == {"token": token, "channel": "#alerts", "username": "CT"}
    (stored,) = api.emulator.store.webhooks()
    assert stored["configuration"]["token"] == TOKEN


def fill(api: Any, count: int) -> Any:
    for i in range(count):
        api.create(api.slack(f"w{(i * 7) % count}"))
    return api


def test_pages_are_cut_and_linked(start: Start) -> None:
    """`count`, `next` and `previous` are there, and all pages together are the list."""
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
def test_sizes_are_capped_and_rubbish_means_the_default(
    start: Start, query: str, rows: int
) -> None:
    """Without a word."""
    api = fill(start(page_size=3, max_page_size=4), 5)
    assert len(api.names(query)) == rows


@pytest.mark.parametrize("page", ["2", "0", "-1", "x", "9" * 400])
def test_a_page_that_is_not_there_is_404(api: Any, page: str) -> None:
    """The first page of an empty list is there."""
    assert api.names("page=1") == []
    answer = api("GET", query=f"page={page}")
    assert (answer.status, answer.json()) == (404, {"detail": "Invalid page."})


def test_rows_come_in_the_order_asked_for(api: Any) -> None:
    """Ascending, descending, by several keys; unknown keys are dropped."""
    fill(api, 3)
    assert api.names() == ["w0", "w1", "w2"]
    api.create(api.generic("w0"))
    assert api.names("ordering=-name") == ["w2", "w1", "w0", "w0"]
    rows = api("GET", query="ordering=name,-type,colour,last_run").json()["results"]
    assert [(row["name"], row["type"]) for row in rows][:2] == [("w0", "slack"), ("w0", "generic")]
