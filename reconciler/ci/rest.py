"""GitHub's API through the one transport that all servers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Self
from urllib.parse import urlsplit

from reconciler.errors import UsageError
from reconciler.model import Secret
from reconciler.ports import Clock

DEFAULT_API: Final = "https://api.github.com"
_VERSION: Final = "2022-11-28"


class TransportRest:
    """Requests to the API at `api_url`; those to `/graphql` go where GitHub has that."""

    def __init__(
        self,
        *,
        token: Secret,
        clock: Clock,
        environ: Mapping[str, str],
        adapter: Any = None,
    ) -> None:
        """Take the addresses from `environ`; with an `adapter` (see `api`) no network is used.

        Raises UsageError, CredentialError.
        """
        from reconciler.api.origin import Credential, Origin
        from reconciler.api.transport import LARGE, Transport

        api_url = environ.get("GITHUB_API_URL") or DEFAULT_API
        try:
            origin = Origin.parse(api_url)
        except UsageError:
            raise UsageError("GITHUB_API_URL is not an address that a token may go to") from None
        self._base = origin.base
        self._graphql = _graphql(environ.get("GITHUB_GRAPHQL_URL", ""), api_url)
        self._cap = LARGE
        self._transport = Transport(
            # An enterprise server has GraphQL beside the base of the REST API, not under it.
            origin=replace(origin, base=""),
            credential=Credential.bearer(token, "GitHub token"),
            clock=clock,
            environment=environ,
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION},
            adapter=adapter,
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request and return the JSON of the answer. Raises ApiError."""
        whole = self._graphql if path == "/graphql" else self._base + path
        reply = self._transport.request(method, whole, params=query, json=body, cap=self._cap)
        return reply.data

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def _graphql(named: str, api_url: str) -> str:
    """Return the path of GraphQL on the API's host; an address elsewhere is not used."""
    there, api = urlsplit(named), urlsplit(api_url)
    if (there.scheme, there.netloc) == (api.scheme, api.netloc):
        return there.path
    return api.path.rstrip("/").removesuffix("/v3") + "/graphql"
