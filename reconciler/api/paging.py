"""A listing that is complete, or an error.

Pages are asked for by our own numbers, the largest first, the rest side by side; a link of the
server is only ever looked at to see whether it claims that more follows. Rows move between pages
while they are read, so everything that can be checked is: the count, ids that come twice, a page
that is missing or repeats. What does not add up is read once more, then given up.

A single page is a snapshot. Of several pages, a row may still have slipped between two that both
look right; the engine's second listing, before its first write, is what catches that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

from reconciler.api.transport import LARGE, Transport
from reconciler.errors import IncompleteListingError, NotFoundError, ProtocolError
from reconciler.ports import Workers
from reconciler.values import dataclass

PAGE_SIZE: Final = 1000
"""Rows asked for on a page; the server may grant fewer."""
MOST_PAGES: Final = 2000
MOST_ROWS: Final = 200_000

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Row]):
    """One page: its rows, how many there are in all (None: not told), whether more follow."""

    rows: Sequence[Row]
    count: int | None
    more: bool


def complete(
    transport: Transport,
    path: str,
    decode: Callable[[Any], Row],
    key: Callable[[Row], str],
    workers: Workers,
) -> tuple[Row, ...]:
    """Return every row of a list, in the server's order.

    `decode` reads one row, `key` returns its id. Raises IncompleteListingError if two listings in
    a row do not add up, and ApiError for everything else.
    """
    read = partial(_read, transport, path, decode)
    why = ""
    for _ in range(2):
        try:
            return _once(read, key, workers)
        except _InconsistentError as problem:
            why = problem.why
    raise IncompleteListingError(
        f"the listing is not complete: {why}",
        method="GET",
        path=path,
        hint="nothing can be planned from it; run again when nobody else is changing it, and if it "
        "stays so, check the server URL",
    )


class _InconsistentError(Exception):
    """The pages of one listing do not add up."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _once(
    read: Callable[[int], Page[Row]], key: Callable[[Row], str], workers: Workers
) -> tuple[Row, ...]:
    first = read(1)
    if first.count is None:
        pages = _one_by_one(first, read)
    elif len(first.rows) >= first.count or not first.rows:
        pages = [first]
    else:
        last = -(-first.count // len(first.rows))
        if last > MOST_PAGES or first.count > MOST_ROWS:
            raise _InconsistentError("it has more rows than any organization")
        numbers = range(2, last + 1)
        pages = [first, *workers.run([partial(read, number) for number in numbers])]
    _check(pages)
    return _united(pages, key)


def _one_by_one(first: Page[Row], read: Callable[[int], Page[Row]]) -> list[Page[Row]]:
    """Follow a server that does not count, for as long as it says that more follows."""
    pages = [first]
    rows = len(first.rows)
    while pages[-1].more:
        if len(pages) == MOST_PAGES or rows > MOST_ROWS or not pages[-1].rows:
            raise _InconsistentError("its pages never end")
        pages.append(read(len(pages) + 1))
        rows += len(pages[-1].rows)
    return pages


def _check(pages: Sequence[Page[Row]]) -> None:
    size = len(pages[0].rows)
    if any(page.count != pages[0].count for page in pages):
        raise _InconsistentError("its count changes from page to page")
    if any(len(page.rows) != size for page in pages[:-1]) or len(pages[-1].rows) > size:
        raise _InconsistentError("its pages are of different sizes")
    if pages[-1].more:
        raise _InconsistentError("its last page says that more follows")


def _united(pages: Sequence[Page[Row]], key: Callable[[Row], str]) -> tuple[Row, ...]:
    rows = [row for page in pages for row in page.rows]
    if len({key(row) for row in rows}) != len(rows):
        raise _InconsistentError("rows come twice")
    count = pages[0].count
    if count is not None and count != len(rows):
        raise _InconsistentError(f"it counts {count} rows and shows {len(rows)}")
    return tuple(rows)


def _read(transport: Transport, path: str, decode: Callable[[Any], Row], number: int) -> Page[Row]:
    params: dict[str, str | int] = {"ordering": "name", "page": number, "page_size": PAGE_SIZE}
    try:
        data = transport.request("GET", path, params=params, expect=200, cap=LARGE).data
    except NotFoundError:
        if number > 1:
            raise _InconsistentError("a page is gone") from None
        raise ProtocolError(
            f"{transport.origin.host} has no such list",
            method="GET",
            path=path,
            status=404,
            hint="check the server URL: another program may answer there",
        ) from None
    rows = data.get("results") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise _InconsistentError("a page is no object with results")
    count, following = data.get("count"), data.get("next")
    told = isinstance(count, int) and not isinstance(count, bool)
    if not told and "next" not in data:
        raise _InconsistentError("a page tells neither a count nor whether more follows")
    return Page(
        rows=[decode(row) for row in rows], count=count if told else None, more=bool(following)
    )
