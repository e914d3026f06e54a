"""A server in the same process, behind the same HTTP library.

For `--local`: requests go to a function. The server is only described here, by its shape; this
package knows no server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import httpx


class Response(Protocol):
    """One HTTP response of the server."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers, `content-length` among them."""
        ...

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...


class InProcess(httpx.BaseTransport):
    """Carries requests to `handle`.

    `request` makes the value that `handle` takes, from method, path, query, headers (names in
    lower case) and body.
    """

    def __init__(self, handle: Callable[[Any], Response], *, request: Callable[..., Any]) -> None:
        self._handle = handle
        self._request = request

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request."""
        response = self.respond(request)
        # As a stream, which can be read once, like that of a connection.
        content = iter((response.body,))
        return httpx.Response(response.status, headers=list(response.headers), content=content)

    def respond(self, request: httpx.Request) -> Response:
        """Return the server's response."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        return self._handle(
            self._request(
                method=request.method,
                path=path,
                query=query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
            )
        )
