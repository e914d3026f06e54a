"""Requests and responses as plain values, and the undocumented behavior of the real server.

The messages are those of Django REST Framework. Every response has the `content-length` of its
complete body. Documented behavior is not here, because it does not vary.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

if TYPE_CHECKING:
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


# Behaviors are neither compared nor printed, and each method of a dataclass costs time at start.
@dataclass(kw_only=True, eq=False, repr=False)
class Behavior:
    """Undocumented behavior: one field or method for each choice, here the most likely ones.

    `--local` uses these; tests replace methods to get others. Methods are stateless: the exchange
    holds everything that they need.
    """

    types: tuple[str, ...] = ("slack", "generic")
    """The known webhook types; a type without rules accepts any configuration."""
    events: tuple[str, ...] = tuple(
        f"{subject}_{verb}"
        for subject in ("parameter", "template", "project", "environment", "value")
        for verb in ("created", "updated", "deleted")
    )
    """The known event types."""
    page_size: int = 100
    """The default number of rows per page."""
    max_page_size: int = 1000
    """The maximum of `page_size`; larger values are reduced to it."""
    any_key: bool = False
    """Accept any key as the first user's."""
    bad_key_status: int = 401
    """The HTTP status for a missing or invalid key."""
    maintenance: bool = False
    """Whether changes are disabled in every organization."""
    methods: tuple[str, ...] = ("PUT", "PATCH", "DELETE")
    """The methods allowed on a webhook, besides GET."""
    projects: Mapping[str, str] = field(default_factory=lambda: {"Scratch": ""})
    """The projects of every organization, each with the pattern of its parameters' names."""
    project_role: str | None = None
    """The key's role in the projects, if access to them is controlled."""
    delivery_seconds: float = 0.0
    """Seconds until a delivery changes a webhook."""
    clears_errors: bool = False
    """Whether a successful delivery removes the last error."""

    def delivers(self, event: str) -> bool:
        """Return whether the delivery of an event changes a webhook."""
        return True

    def fails(self, configuration: Mapping[str, Any], event: str) -> bool:
        """Return whether the delivery of an event to a webhook fails."""
        host = urlsplit(str(configuration.get("url", ""))).hostname or ""
        # RFC 2606 reserves this ending, so no real host has it.
        return host.endswith(".invalid")

    def role(self, stored: str) -> str:
        """Return the displayed form of a stored role."""
        return stored

    def allows(self, role: str, *, write: bool) -> bool:
        """Return whether a role may read or write webhooks."""
        # The displayed form of a role, which may be in lower case.
        return not write or role.upper() in ("ADMIN", "OWNER")

    def now(self) -> datetime:
        """Return the server's time."""
        return datetime.now(UTC)

    def account(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the displayed form of an organization or a user."""
        return row

    def required(self, field: str) -> bool:
        """Return whether a POST or PUT must have a field."""
        return True

    def name(self, text: str) -> str:
        """Return the stored form of a name."""
        return text.strip()

    def event_types(self, sent: list[str]) -> list[str]:
        """Return the stored form of event types."""
        return sent

    def configuration(
        self, kind: str, sent: dict[str, Any], patched: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the stored form of a configuration; `patched` is the one that a PATCH changes."""
        return sent

    def error_body(self, errors: Any) -> Any:
        """Return the JSON for validation errors."""
        return errors

    def check(
        self, exchange: Exchange, record: Mapping[str, Any], stored: Mapping[str, Any] | None
    ) -> None:
        """Raise RejectedError for a valid webhook, such as one whose name is taken.

        `stored` is the webhook to change, None for a new one.
        """

    def listed(self, exchange: Exchange, ordering: str) -> list[str]:
        """Return the JSON of each webhook in a list."""
        return exchange.store.texts(exchange.caller.organization, ordering)

    def page_head(self, head: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a page besides its rows; `next` is None on the last one."""
        return head

    def shown(self, exchange: Exchange, data: str, *, wrote: bool) -> str:
        """Return the JSON text of a webhook in a response; `wrote` is true after a write."""
        return data


class Exchange:
    """A request in progress."""

    caller: User
    """The owner of the key; set by the authentication."""
    ids: tuple[str, ...] = ()
    """The ids in the path, decoded, outer ones first."""
    changed: str | None = None
    """The id of the written webhook, if any, even if the client receives an error."""

    def __init__(self, *, request: Request, store: Store, behavior: Behavior) -> None:
        self.request, self.store, self.behavior = request, store, behavior

    @property
    def id(self) -> str:
        """The id of the object that the request is about."""
        return self.ids[-1]

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


def reject(status: int, problem: Any) -> RejectedError:
    """Return an error with this JSON; a text is its `detail`."""
    document = {"detail": problem} if isinstance(problem, str) else problem
    response = json_value(document, status=status)
    if status == 401:
        response = response.with_headers(("www-authenticate", "Api-Key"))
    return RejectedError(response)


def json_body(exchange: Exchange) -> dict[str, Any]:
    """Return the object that a request sends. Raises RejectedError."""
    request = exchange.request
    # As in Django REST Framework: without a body all fields are missing, whatever the media type.
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise reject(415, f'Unsupported media type "{kind}" in request.')
    try:
        data = json.loads(request.body)
        dump(data).encode()  # fails for values that cannot be stored: NaN, a lone surrogate
    except (ValueError, RecursionError) as error:
        raise reject(400, f"JSON parse error - {error}") from None
    if not isinstance(data, dict):
        raise reject(400, f"Invalid data. Expected a dictionary, but got {type(data).__name__}.")
    return data


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
