"""Requests and responses as plain values, with the messages of Django REST Framework.

The emulator and its transports share them. Every response has the `content-length` of its complete
body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from reconciler.emulator.behavior import Behavior
    from reconciler.emulator.store import Store, User

_LOOPBACK = ("localhost", "127.", "[::1]")
# Created once: json.dumps would create a new encoder for each call.
dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Return JSON text as the framework writes it: compact, without escaping to ASCII."""


class Request(NamedTuple):
    """One HTTP request.

    `path` is percent-encoded, as sent, without the query; `query` has no question mark; header
    names are in lower case.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


class Response(NamedTuple):
    """One HTTP response.

    Headers are pairs, because `set-cookie` can repeat; their names are in lower case.
    `content-length` is that of the complete `body`.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def with_headers(self, *pairs: tuple[str, str]) -> Response:
        """Return the response with more headers."""
        return self._replace(headers=(*self.headers, *pairs))


class Exchange:
    """A request in progress."""

    caller: User
    """The owner of the key; set by the authentication."""
    id = ""
    """The last part of the path, decoded."""
    changed: str | None = None
    """The id of the written webhook, if any, even if the client receives an error."""

    def __init__(self, *, request: Request, store: Store, behavior: Behavior) -> None:
        self.request, self.store, self.behavior = request, store, behavior

    @property
    def role(self) -> str:
        """The displayed form of the caller's role."""
        return self.behavior.role(self.caller.role)

    @property
    def query_params(self) -> dict[str, str]:
        """The parameters of the query."""
        return dict(parse_qsl(self.request.query))

    def url(self, path: str) -> str:
        """Return an absolute URL of this server."""
        host = self.request.headers.get("host", "api.cloudtruth.io")
        return f"{'http' if host.startswith(_LOOPBACK) else 'https'}://{host}{path}"


class RejectedError(Exception):
    """Ends a request with an error response; raised anywhere during the request."""

    def __init__(self, response: Response) -> None:
        """Keep the response to send."""
        super().__init__(response.status)
        self.response = response


def json_value(value: Any, *, status: int = 200) -> Response:
    """Return a response with a value as JSON."""
    return bytes_response(status, dump(value).encode())


def bytes_response(
    status: int, body: bytes = b"", content_type: str = "application/json"
) -> Response:
    """Return a response with these bytes, and without a content type if there are none."""
    kind = (("content-type", content_type),) if body else ()
    return Response(status=status, headers=(("content-length", str(len(body))), *kind), body=body)


def reject(status: int, detail: str) -> RejectedError:
    """Return an error with a JSON `detail`."""
    response = json_value({"detail": detail}, status=status)
    if status == 401:
        response = response.with_headers(("www-authenticate", "Api-Key"))
    return RejectedError(response)


def page(exchange: Exchange, rows: list[str], show: Callable[[str], str] = str) -> Response:
    """Return the requested page; `show` turns a row into JSON."""
    params, behavior, total = exchange.query_params, exchange.behavior, len(rows)
    size = min(_positive(params.get("page_size")) or behavior.page_size, behavior.max_page_size)
    # The first page exists without rows, too; any other page without rows is a 404.
    number = _positive(params.get("page", "1"))
    if number is None or (number > 1 and (number - 1) * size >= total):
        raise reject(404, "Invalid page.")

    def link(number: int) -> str:
        query = urlencode({**params, "page": number})
        return exchange.url(f"{exchange.request.path}?{query}")

    head = behavior.page_head(
        {
            "count": total,
            "next": link(number + 1) if number * size < total else None,
            "previous": link(number - 1) if number > 1 else None,
        }
    )
    # Rows are text already, and to parse them again would make long lists slow.
    shown = ",".join(map(show, rows[(number - 1) * size : number * size]))
    return bytes_response(200, f'{dump(head)[:-1]},"results":[{shown}]}}'.encode())


def _positive(text: str | None) -> int | None:
    # Longer numbers are invalid, and expensive to parse.
    if text is None or len(text) > 12:
        return None
    # `isdigit` is true for `²`, too, which `int` rejects.
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) or None
