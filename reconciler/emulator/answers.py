"""The forms in which the server answers.

For: one place that knows how Django REST Framework and Django itself word an answer.
Promises: every answer announces the length of its whole body.
Refuses: to decide when an answer is given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.emulator.faults import Fault
from reconciler.emulator.messages import Answer

# Made once: json.dumps would build a new encoder on each call.
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_JSON = ("content-type", "application/json")
_HTML = ("content-type", "text/html; charset=utf-8")


class RefusedError(Exception):
    """A request that ends in an error answer; raised from anywhere while it is carried out."""

    def __init__(self, answer: Answer) -> None:
        """Carry the answer to give."""
        super().__init__(answer.status)
        self.answer = answer


def dump(value: Any) -> str:
    """Return JSON text as the framework writes it: compact, and not escaped to ASCII."""
    return _ENCODE(value)


def json_text(text: str, *, status: int = 200) -> Answer:
    """Answer with JSON that is text already."""
    return _sized(status, text.encode("utf-8", "backslashreplace"), _JSON)


def json_value(value: Any, *, status: int = 200) -> Answer:
    """Answer with a value as JSON."""
    return json_text(dump(value), status=status)


def empty(status: int = 204) -> Answer:
    """Answer without a body."""
    return _sized(status, b"")


def html(status: int, title: str) -> Answer:
    """Answer with one of Django's own error pages."""
    page = f"<!doctype html>\n<html lang=en><title>{title}</title><h1>{title}</h1></html>\n"
    return _sized(status, page.encode(), _HTML)


def moved(location: str) -> Answer:
    """Answer that the path lacks its final slash."""
    return _sized(301, b"", _HTML, ("location", location))


def refuse(status: int, detail: str) -> RefusedError:
    """Build an error with a JSON `detail`, or the HTML page of a crash for 500."""
    if status >= 500 and status != 503:
        return RefusedError(html(status, "Server Error (500)"))
    answer = json_value({"detail": detail}, status=status)
    if status == 401:
        answer = with_headers(answer, ("www-authenticate", "Api-Key"))
    return RefusedError(answer)


def with_headers(answer: Answer, *pairs: tuple[str, str]) -> Answer:
    """Return the answer with more headers."""
    return Answer(
        status=answer.status,
        headers=(*answer.headers, *pairs),
        body=answer.body,
        fault=answer.fault,
    )


def without_body(answer: Answer) -> Answer:
    """Return the answer to HEAD: the same headers and no body."""
    return Answer(status=answer.status, headers=answer.headers, fault=answer.fault)


def with_fault(answer: Answer, fault: Fault) -> Answer:
    """Return the answer as the fault changes it."""
    replaced = {name for name, _ in fault.headers}
    headers: Sequence[tuple[str, str]] = [*answer.headers, *fault.headers]
    if replaced:
        headers = [pair for pair in answer.headers if pair[0] not in replaced]
        headers = [*headers, *fault.headers]
    body = answer.body
    if fault.body is not None:
        body = fault.body
        headers = [pair for pair in headers if pair[0] != "content-length"]
        headers = [*headers, ("content-length", str(len(body)))]
    return Answer(
        status=answer.status if fault.status is None else fault.status,
        headers=tuple(headers),
        body=body,
        fault=fault,
    )


def _sized(status: int, body: bytes, *headers: tuple[str, str]) -> Answer:
    length = ("content-length", str(len(body)))
    return Answer(status=status, headers=(*headers, length), body=body)
