"""A listing is complete, or raises an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.client import read_all
from reconciler.errors import (
    IncompleteListingError,
    ProtocolError,
)
from tests.api.support import Scripted, json_response, transport
from tests.ports import InlineWorkers


def page(count: Any, *ids: int, more: Any = None) -> httpx.Response:
    return json_response(
        200,
        {
            "count": count,
            "next": more,
            "previous": None,
            "results": [{"id": str(each)} for each in ids],
        },
    )


GONE = json_response(404, {"detail": "Invalid page."})


def listing(*responses: Any) -> tuple[list[str], Scripted]:
    """List all webhooks; return the ids and the server."""
    one, server, _ = transport(*responses)
    found = read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    return list(found), server


def test_without_a_count_the_next_link_decides() -> None:
    """A listing without a count is read until a page has no `next` link."""
    found, server = listing(page(None, 1, 2, more="x"), page(None, 3, more=None))
    assert found == ["1", "2", "3"]
    assert [each.url.params["page"] for each in server.requests] == ["1", "2"]


INCONSISTENT = {
    "fewer than counted": [page(3, 1, 2)],
    "more than counted": [page(1, 1, 2)],
    "counted and empty": [page(1)],
    "a row twice": [page(2, 1, 1)],
    "a page twice": [page(4, 1, 2), page(4, 1, 2)],
    "rows that shifted": [page(4, 1, 2), page(4, 2, 3)],
    "a count that grew": [page(4, 1, 2), page(5, 3, 4)],
    "a page that shrank": [page(4, 1, 2), page(4, 3)],
    "more than counted at the end": [page(3, 1, 2), page(3, 3, 4)],
    "a page that grew": [page(3, 1, 2), page(3, 3, 4, 5)],
    "a short page in the middle": [page(5, 1, 2), page(5, 3), page(5, 4, 5)],
    "a page that is gone": [page(4, 1, 2), GONE],
    "one page with an endless next": [page(2, 1, 2, more="https://h/?page=2")],
    "several pages with an endless next": [page(4, 1, 2), page(4, 3, 4, more="https://h/?page=3")],
    "no count and an endless next": [page(None, 1, more="x"), page(None, more="x")],
    "no count and a repeated page": [page(None, 1, more="x"), page(None, 1, more=None)],
    "no count and a page that is gone": [page(None, 1, more="x"), GONE],
    "a bare list": [json_response(200, [])],
    "results that are not a list": [json_response(200, {"results": {}})],
    "no results": [json_response(200, {"count": 0})],
    "neither count nor next": [json_response(200, {"results": []})],
    "a count that is not a number": [json_response(200, {"results": [], "count": True})],
    "a count that is text": [page("1", 1)],
    "no object": [json_response(200, "text")],
}


@pytest.mark.parametrize("responses", INCONSISTENT.values(), ids=INCONSISTENT)
def test_an_inconsistent_listing_is_read_twice(responses: list[Any]) -> None:
    """The same problem twice is an error; a consistent second listing is returned."""
    with pytest.raises(IncompleteListingError, match="returns an incomplete listing") as caught:
        listing(*responses, *responses)
    assert caught.value.path == "/x/"
    assert caught.value.__context__ is None
    found, _ = listing(*responses, page(2, 7, 8))
    assert found == ["7", "8"]


@pytest.mark.parametrize(
    "responses",
    [[page(200_001, *range(1000))], [page(2001, 1)]],
    ids=["rows", "pages"],
)
def test_an_excessive_count_is_not_read(responses: list[Any]) -> None:
    """A count above the limit is an error after one request."""
    one, server, _ = transport(*responses)
    with pytest.raises(IncompleteListingError, match="more than 2000 pages or 200000 rows"):
        read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert len(server.requests) == 1


def test_an_endless_list_ends() -> None:
    """A server that always has a next page gets a limited number of requests."""
    numbers = iter(range(10**9))

    def endless(request: httpx.Request) -> httpx.Response:
        return page(None, next(numbers), more="x")

    one, server, _ = transport(endless)
    with pytest.raises(IncompleteListingError, match="more than 2000 pages"):
        read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert len(server.requests) == 2000


def growing(writes: int) -> Callable[[httpx.Request], httpx.Response]:
    """Serve 10 rows a page while another process adds a row before each of `writes` requests."""
    live = list(range(20))

    def serve(request: httpx.Request) -> httpx.Response:
        if len(live) < 20 + writes:
            live.append(len(live))
        start = (int(request.url.params["page"]) - 1) * 10
        return page(len(live), *live[start : start + 10])

    return serve


def test_a_changing_listing_is_read_again_with_growing_pauses() -> None:
    """The listing waits for a concurrent apply of another scope that writes 60 webhooks."""
    one, server, clock = transport(growing(60))
    found = read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert found == tuple(str(number) for number in range(80))
    assert clock.highs[:5] == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert len(server.requests) > 60


def test_a_listing_that_never_stops_changing_is_an_error_at_half_the_deadline() -> None:
    """The other half of the time is left for the rest of the run."""
    one, _, clock = transport(growing(10**6), deadline=100.0)
    began = clock.time
    with pytest.raises(IncompleteListingError, match="changed each time it was read") as caught:
        read_all(one, "/x/", lambda row: row["id"], str, InlineWorkers())
    assert caught.value.hint is not None
    assert "--deadline" in caught.value.hint
    assert 20.0 < clock.time - began <= 50.0


def test_a_missing_list_is_not_an_empty_list() -> None:
    """A 404 on the first page is a server error."""
    with pytest.raises(ProtocolError, match="has no list at /x/"):
        listing(GONE)


@given(
    total=st.integers(0, 40),
    size=st.integers(1, 15),
    edits=st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 50)), max_size=4),
)
def test_a_listing_during_edits_is_consistent(
    total: int, size: int, edits: list[tuple[int, bool, int]]
) -> None:
    """An accepted listing has every row once, even if rows move between pages."""
    live = list(range(total))
    fresh = iter(range(1000, 2000))
    served = 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal served
        for moment, insert, where in edits:
            if moment == served and insert:
                live.insert(min(where, len(live)), next(fresh))
            elif moment == served and where < len(live):
                del live[where]
        served += 1
        start = (int(request.url.params["page"]) - 1) * size
        if start and start >= len(live):
            return GONE
        part = live[start : start + size]
        return page(len(live), *part, more="x" if start + size < len(live) else None)

    try:
        found, _ = listing(serve)
    except IncompleteListingError:
        assert edits
        return
    assert len(found) == len(set(found))
    if not edits:
        assert found == [str(number) for number in live]
