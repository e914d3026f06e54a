"""Requests and answers as plain values.

For: the one vocabulary shared by the handler and by whatever carries its answers: an HTTP server,
or a transport inside the same process.
Promises: values only; nothing here opens a socket, sleeps or parses.
Refuses: to act on a fault. An answer only says what has to go wrong on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.emulator.faults import Fault

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    `path` is as sent, percent-encoded and without the query; `query` is without its question mark;
    header names are in lower case.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, and the fault to carry out while sending it, if any.

    Headers are pairs, because `set-cookie` repeats; their names are in lower case.
    `content-length` is always there and always that of the whole `body` (of the body a GET would
    have had, for HEAD), so a truncated answer is one that sends fewer bytes than it announced.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    fault: Fault | None = None

    def header(self, name: str) -> str | None:
        """Return the first header of that name (case-blind), or None."""
        name = name.lower()
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """Return the decoded body; ValueError if it is not JSON."""
        return json.loads(self.body)
