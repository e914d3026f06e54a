"""Failures on demand: which request fails, and how.

For example, only the third POST is dropped after it was stored. Rules are deterministic and
thread-safe; each counts the requests that match it, in order of arrival, and the first matching
rule wins. The emulator applies the fault to the response and the store; the transport (HTTP server
or in-process) applies `Fault.wire`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from reconciler.emulator import messages


class Wire(StrEnum):
    """How the transport sends a response."""

    SEND = "send"
    """Send it completely; the fault is in the response."""
    REFUSE = "refuse"
    """Refuse the connection; no request arrived at the server."""
    DROP = "drop"
    """Close the connection without sending a byte."""
    HANG = "hang"
    """Send nothing."""
    DELAY = "delay"
    """Send nothing for `seconds`, then the complete response."""
    TRUNCATE = "truncate"
    """Announce the complete body, send half of it, close normally."""
    RESET = "reset"
    """Announce the complete body, send half of it, reset the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One failure. Build it with the functions of this module, which allow only consistent ones.

    Without `commit` the request is not processed. With `commit_after` it is processed that many
    seconds later, while its response is lost immediately. `status`, `headers` and `body` replace
    those of the real response if they are set.
    """

    wire: Wire = Wire.SEND
    commit: bool = False
    commit_after: float | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """Return a short description of the fault."""
        what = f"status {self.status}" if self.status else str(self.wire)
        if what == Wire.SEND:
            return "content type"
        if self.commit_after is not None:
            return f"{what} and commit after {self.commit_after:g} s"
        either = self.status or self.wire in (Wire.DROP, Wire.HANG)
        return f"{what} after commit" if self.commit and either else what

    @property
    def has_response(self) -> bool:
        """Return whether the client receives a status line."""
        return self.wire not in (Wire.REFUSE, Wire.DROP, Wire.HANG)


# `when` is `commit` or `commit_after` of `Fault`.


def status(
    code: int, *, retry_after: str | int | None = None, detail: str | None = None, **when: Any
) -> Fault:
    """Respond with this status and a JSON `detail`; `retry_after` becomes that header unchanged."""
    pause = () if retry_after is None else (("retry-after", str(retry_after)),)
    text = detail if detail is not None else _DETAILS.get(code, "A server error occurred.")
    body = json.dumps({"detail": text}, separators=(",", ":")).encode()
    headers = (("content-type", "application/json"), *pause)
    return Fault(status=code, headers=headers, body=body, **when)


def refuse() -> Fault:
    """Refuse the connection: the request did not arrive."""
    return Fault(wire=Wire.REFUSE)


def drop(**when: Any) -> Fault:
    """Close the connection without a response, before or after the request was processed."""
    return Fault(wire=Wire.DROP, **when)


def hang(**when: Any) -> Fault:
    """Send nothing until the client closes the connection."""
    return Fault(wire=Wire.HANG, **when)


def delay(seconds: float) -> Fault:
    """Process the request, and respond normally after `seconds`."""
    return Fault(wire=Wire.DELAY, commit=True, seconds=seconds)


def truncate() -> Fault:
    """Process the request, then end the body after half of it."""
    return Fault(wire=Wire.TRUNCATE, commit=True)


def reset() -> Fault:
    """Process the request, then reset the connection in the middle of the body."""
    return Fault(wire=Wire.RESET, commit=True)


def html(code: int = 200, **when: Any) -> Fault:
    """Respond with an HTML page, as proxies and load balancers do."""
    page = b"<html><head><title>Please wait</title></head><body>Please wait.</body></html>"
    return raw(page, code=code, content_type="text/html; charset=utf-8", **when)


def redirect(location: str, code: int = 302, **when: Any) -> Fault:
    """Redirect the client to another location."""
    headers = (("location", location), ("content-type", "text/html; charset=utf-8"))
    return Fault(status=code, headers=headers, body=b"", **when)


def content_type(value: str) -> Fault:
    """Respond correctly with a wrong content type."""
    return Fault(commit=True, headers=(("content-type", value),))


def raw(
    body: bytes, *, code: int = 200, content_type: str = "application/json", **when: Any
) -> Fault:
    """Respond with exactly these bytes."""
    return Fault(status=code, headers=(("content-type", content_type),), body=body, **when)


class Response(NamedTuple):
    """One HTTP response, and the fault to apply while sending it, if any.

    `content-length` is that of the complete `body`, so a truncated response has fewer bytes than it
    announces.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fault: Fault | None = None

    def json(self) -> Any:
        """Return the decoded body; ValueError if it is not JSON."""
        return json.loads(self.body)


def with_fault(response: messages.Response, fault: Fault) -> Response:
    """Return the response changed by the fault."""
    body = response.body if fault.body is None else fault.body
    replaced = {name for name, _ in fault.headers}
    length: tuple[tuple[str, str], ...] = ()
    if fault.body is not None:
        replaced.add("content-length")
        length = (("content-length", str(len(body))),)
    kept = (pair for pair in response.headers if pair[0] not in replaced)
    return Response(
        status=response.status if fault.status is None else fault.status,
        headers=(*kept, *fault.headers, *length),
        body=body,
        fault=fault,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Selects the requests that fail: those that match every field that is set.

    `path` is a glob over the path as sent, `name` the `name` in a JSON body. The rule fires on the
    first `times` matches, None for all of them.
    """

    fault: Fault
    method: str | None = None
    path: str | None = None
    name: str | None = None
    times: int | None = 1

    def matches(self, method: str, path: str, body: bytes) -> bool:
        """Return whether the rule counts a request."""
        return (
            (self.method is None or self.method == method)
            and (self.path is None or fnmatchcase(path, self.path))
            and (self.name is None or self.name == _body_name(body))
        )


class FaultSource(Protocol):
    """A source of faults: a `Script`, or a simulation."""

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        """Return the fault for the request that has just arrived, or None."""


class Script:
    """A list of rules with their counters. Rules can be added at any time."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        """Start counting."""
        self._lock = threading.Lock()
        self._rules = [(rule, [0]) for rule in rules]

    def add(self, fault: Fault, **match: Any) -> None:
        """Append a rule that counts from now on; `match` are the fields of `Rule`."""
        with self._lock:
            self._rules.append((Rule(fault=fault, **match), [0]))

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        """Count the request against every rule and return the first fault that fires."""
        if not self._rules:
            return None
        found: Fault | None = None
        with self._lock:
            for rule, count in self._rules:
                if rule.matches(method, path, body):
                    count[0] += 1
                    if found is None and (rule.times is None or count[0] <= rule.times):
                        found = rule.fault
        return found


_DETAILS = {
    401: "Incorrect authentication credentials.",
    403: "You do not have permission to perform this action.",
    404: "Not found.",
    409: "The object was changed by another request.",
    429: "Request was throttled.",
}


def _body_name(body: bytes) -> object:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value.get("name") if isinstance(value, dict) else None
