"""Pages as Django REST Framework cuts them, with the dials' deviations.

For: both lists of the API.
Promises: pure.
Refuses: a page past the end, or one that is no number, with 404 "Invalid page.".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from reconciler.emulator.answers import dump, refuse
from reconciler.emulator.dials import Count, Dials, NextLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: `number` is the one asked for, `offset` and `limit` are the rows to show."""

    number: int
    size: int
    offset: int
    limit: int
    total: int


def choose(query: str, total: int, dials: Dials) -> Page:
    """Return the page that the query asks for, of a list with `total` rows."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    size = _positive(asked.get("page_size", "")) or dials.default_page_size
    size = min(size, dials.max_page_size)
    last = max(1, -(-total // size))
    text = asked.get("page") or "1"
    number = last if text == "last" else _positive(text)
    if number is None or (number > last and dials.next_link is not NextLink.ENDLESS):
        raise refuse(404, "Invalid page.")
    shown = number if dials.page_honoured else 1
    return Page(number=number, size=size, offset=(shown - 1) * size, limit=size, total=total)


def envelope(page: Page, rows: Sequence[str], *, url: str, query: str, dials: Dials) -> str:
    """Return the JSON text of a page from the JSON texts of its rows."""
    last = page.number * page.size >= page.total
    following: str | None = _link(url, query, page.number + 1)
    if last and dials.next_link is not NextLink.ENDLESS:
        following = "" if dials.next_link is NextLink.EMPTY else None
    previous = _link(url, query, page.number - 1) if page.number > 1 else None
    counts = {
        Count.TRUE: f'"count":{page.total},',
        Count.LOW: f'"count":{max(0, page.total - 1)},',
        Count.HIGH: f'"count":{page.total + 1},',
        Count.MISSING: "",
    }
    links = f'"next":{dump(following)},"previous":{dump(previous)}'
    return f'{{{counts[dials.count]}{links},"results":[{",".join(rows)}]}}'


def _positive(text: str) -> int | None:
    # Longer numbers than this are rubbish, and expensive to read.
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        return None
    return int(text) or None


def _link(url: str, query: str, number: int) -> str:
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "page"]
    if number > 1:
        pairs.append(("page", str(number)))
    return f"{url}?{urlencode(pairs)}" if pairs else url
