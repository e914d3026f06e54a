"""Read a complete listing, or raise an error.

Pages are requested by number, with the maximum page size: the first alone, the others in parallel.
A `next` link only shows that more pages exist. Rows move between pages while another process
writes, so the count, duplicate ids, and missing or repeated pages are checked. An inconsistent
listing is read again, with growing pauses, while it keeps changing and at least half of the run's
remaining time is left. A listing with the same problem twice is a server error.

A single page is a snapshot. A row can still be missed between several consistent pages; the second
listing before the first write finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count as attempts
from typing import Any, Final, Generic, NamedTuple, TypeVar

from reconciler.api.attempt import WRONG_SERVER_HINT
from reconciler.api.transport import MAX_LISTING_BYTES, Transport
from reconciler.errors import IncompleteListingError, NotFoundError, ProtocolError
from reconciler.ports import Workers

_PAGE_SIZE: Final = 1000
"""The requested number of rows per page; the server may return fewer."""
_MAX_PAGES: Final = 2000
_MAX_ROWS: Final = 200_000

_T = TypeVar("_T")


class _Page(NamedTuple, Generic[_T]):
    """One page: its rows, the total number (None if unknown), and whether there are more pages.

    `problem` describes an invalid page.
    """

    rows: Sequence[_T] = ()
    total: int | None = None
    more: bool = False
    problem: str | None = None


def read_all(
    transport: Transport,
    path: str,
    decode: Callable[[Any], _T],
    key: Callable[[_T], str],
    workers: Workers,
) -> tuple[_T, ...]:
    """Return every row of a list, in the server's order.

    `decode` reads one row, `key` returns its id. Raises IncompleteListingError if the listing has
    the same problem twice, or keeps changing for too long; ApiError for all other errors.
    """
    read = partial(_read, transport, path, decode)
    pace = transport.pace
    # Half of the time stays for what follows the listing: an apply needs it for its writes.
    reserve = pace.left() / 2
    before = None
    for attempt in attempts(1):
        pages = _pages(read, workers, path)
        problem = _problem(pages, key)
        if problem is None:
            break
        shape = [(page.total, page.more, [key(row) for row in page.rows]) for page in pages]
        # The same problem with the same rows is no change by another process.
        if shape == before:
            server = transport.origin.address
            raise _incomplete(path, f"{server} returns an incomplete listing: {problem}")
        before = shape
        delay = pace.delay(attempt - 1)
        in_time = pace.left() - delay >= reserve
        if in_time:
            pace.pause(delay)
        if not in_time or pace.wait_for_pause() is not None:
            raise _incomplete(
                path,
                f"the listing changed each time it was read ({attempt} attempts): {problem}",
                "another process is changing this organization; run again after it finishes, "
                "or allow more time with --deadline",
            )
    return tuple(row for page in pages for row in page.rows)


def _pages(read: Callable[[int], _Page[_T]], workers: Workers, path: str) -> Sequence[_Page[_T]]:
    """Read the pages of one listing. Raises IncompleteListingError if there are too many."""
    first = read(1)
    if first.total is None:
        return _one_by_one(first, read, path)
    if len(first.rows) >= first.total or not first.rows:
        return [first]
    # By the size that came back: a server may have a smaller maximum than the requested one.
    last = -(-first.total // len(first.rows))
    if last > _MAX_PAGES or first.total > _MAX_ROWS:
        raise _endless(path)
    return [first, *workers.run([partial(read, number) for number in range(2, last + 1)])]


def _one_by_one(first: _Page[_T], read: Callable[[int], _Page[_T]], path: str) -> list[_Page[_T]]:
    """Read the pages of a server without `count`, while they have rows and a next page."""
    pages = [first]
    rows = len(first.rows)
    while pages[-1].more and pages[-1].rows:
        if len(pages) == _MAX_PAGES or rows > _MAX_ROWS:
            raise _endless(path)
        pages.append(read(len(pages) + 1))
        rows += len(pages[-1].rows)
    return pages


def _endless(path: str) -> IncompleteListingError:
    return _incomplete(path, f"the listing has more than {_MAX_PAGES} pages or {_MAX_ROWS} rows")


def _incomplete(path: str, message: str, hint: str = WRONG_SERVER_HINT) -> IncompleteListingError:
    return IncompleteListingError(message, method="GET", path=path, hint=hint)


def _problem(pages: Sequence[_Page[_T]], key: Callable[[_T], str]) -> str | None:
    """Return why pages are not a complete listing, None if they are."""
    for page in pages:
        if page.problem is not None:
            return page.problem
    count = pages[0].total
    if any(page.total != count for page in pages):
        return "its count changes from page to page"
    if _have_different_sizes(pages):
        return "its pages have different sizes"
    if pages[-1].more:
        return "its last page links to another page"
    return _row_problem(count, [key(row) for page in pages for row in page.rows])


def _row_problem(count: int | None, ids: Sequence[str]) -> str | None:
    # A row that moved to another page between two requests comes twice, or not at all.
    if len(set(ids)) != len(ids):
        return "it has duplicate rows"
    if count is not None and count != len(ids):
        return f"its count is {count}, but it has {len(ids)} rows"
    return None


def _have_different_sizes(pages: Sequence[_Page[_T]]) -> bool:
    # Only the last page may be smaller.
    size = len(pages[0].rows)
    return any(len(page.rows) != size for page in pages[:-1]) or len(pages[-1].rows) > size


def _read(transport: Transport, path: str, decode: Callable[[Any], _T], number: int) -> _Page[_T]:
    # Without a fixed order, rows could move between two pages although nothing was written.
    params: dict[str, str | int] = {"ordering": "name", "page": number, "page_size": _PAGE_SIZE}
    try:
        data = transport.request("GET", path, params=params, expect=200, cap=MAX_LISTING_BYTES).data
    except NotFoundError:
        # The first page always exists; a later one may be gone since the first was read.
        if number > 1:
            return _Page(problem=f"page {number} is missing")
        raise ProtocolError(
            f"{transport.origin.address} has no list at {path}",
            method="GET",
            path=path,
            status=404,
            hint=WRONG_SERVER_HINT,
        ) from None
    return _decoded(data, decode)


def _decoded(data: Any, decode: Callable[[Any], _T]) -> _Page[_T]:
    rows = data.get("results") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        return _Page(problem="a page is not an object with `results`")
    count, following = data.get("count"), data.get("next")
    counted = isinstance(count, int) and not isinstance(count, bool)  # True is an int
    if count is not None and not counted:
        return _Page(problem="its `count` is not a number")
    if not counted and "next" not in data:
        return _Page(problem="a page has neither `count` nor `next`")
    return _Page(
        rows=[decode(row) for row in rows], total=count if counted else None, more=bool(following)
    )
