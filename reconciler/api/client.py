"""CloudTruth: its organizations and webhooks.

`Reader` can only read, which is all that planning asks for; `Client` can write too. Both promise
the strict success of each method: 200 with the object, 201 for a create, 204 for a delete;
anything else in the two hundreds leaves a write in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self
from urllib.parse import quote

from reconciler.api import discovery, wire
from reconciler.api.paging import complete
from reconciler.api.transport import Transport
from reconciler.errors import InvalidRequestError, NotFoundError, ProtocolError
from reconciler.kinds import KINDS
from reconciler.model import LiveWebhook, Organization
from reconciler.ports import Draft, Workers

WEBHOOKS: Final = "/api/v1/webhooks/"
SCHEMA: Final = "/api/schema/"


class Reader:
    """CloudTruth, for reading only."""

    def __init__(self, transport: Transport, workers: Workers) -> None:
        self._transport = transport
        self._workers = workers
        self._organization: Organization | None = None

    @property
    def origin(self) -> str:
        """Scheme and host of the server."""
        return str(self._transport.origin)

    def organization(self) -> Organization:
        """Return the organization of the API key, as the server tells it now.

        Raises OrganizationError if it cannot be told, ApiError.
        """
        self._organization = discovery.organization(self._transport, self._workers, self._rows)
        return self._organization

    def list(self) -> tuple[LiveWebhook, ...]:
        """Return every live webhook. Raises IncompleteListingError rather than miss one."""
        rows = self._rows()
        for row in rows:
            self._ours(row)
        return rows

    def get(self, id: str) -> LiveWebhook | None:
        """Return one webhook, None if there is none. Raises ApiError."""
        path = _path(id)
        try:
            data = self._transport.request("GET", path, expect=200, accept=_is(id)).data
        except NotFoundError:
            return None
        return self._ours(wire.live_webhook(data))

    def deadline_in(self, seconds: float) -> None:
        """Set the end of the run anew: after a person was asked, or when a signal hurries us."""
        self._transport.deadline_in(seconds)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _rows(self) -> tuple[LiveWebhook, ...]:
        return complete(
            self._transport, WEBHOOKS, wire.live_webhook, lambda row: row.id, self._workers
        )

    def _ours(self, webhook: LiveWebhook) -> LiveWebhook:
        """Refuse a webhook that says it belongs to another organization."""
        ours, theirs = self._organization, webhook.organization
        if ours is not None and theirs is not None and theirs not in (ours.id, ours.name):
            raise ProtocolError(
                f"the server lists webhook {webhook.id}, which belongs to another organization",
                hint="use an API key that has access to one organization only",
            )
        return webhook


class Client(Reader):
    """CloudTruth, for reading and writing. No write is ever repeated blindly."""

    def __init__(self, transport: Transport, workers: Workers) -> None:
        super().__init__(transport, workers)
        self._replaces = False

    def create(self, draft: Draft, organization: str) -> LiveWebhook:
        """Create a webhook. Raises AmbiguousWriteError when it may exist now."""
        data = self._transport.request(
            "POST",
            WEBHOOKS,
            json=wire.whole(draft, organization),
            expect=201,
            accept=wire.has_id,
            hidden=wire.secret_values(draft),
        ).data
        return self._ours(wire.written(data, draft))

    def update(self, id: str, draft: Draft, sends: frozenset[str]) -> LiveWebhook:
        """Change the top-level fields named in `sends`.

        A server that refuses PATCH by 405 gets the whole webhook by PUT, from then on at once.
        Raises NotFoundError when it is gone, AmbiguousWriteError when it may have changed.
        """
        if not self._replaces:
            try:
                return self._send("PATCH", id, draft, wire.partial(draft, sends))
            except InvalidRequestError as refusal:
                if refusal.status != 405:
                    raise
            self._replaces = True
        if draft.configuration is None:
            raise self._needs_secrets(id, draft)
        organization = self._organization or self.organization()
        return self._send("PUT", id, draft, wire.whole(draft, organization.id))

    def delete(self, id: str) -> bool:
        """Delete; False if it was gone already. Raises AmbiguousWriteError."""
        try:
            self._transport.request("DELETE", _path(id), expect=204)
        except NotFoundError:
            return False
        return True

    def _send(self, method: str, id: str, draft: Draft, body: dict[str, Any]) -> LiveWebhook:
        data = self._transport.request(
            method,
            _path(id),
            json=body,
            expect=200,
            accept=_is(id),
            hidden=wire.secret_values(draft),
        ).data
        return self._ours(wire.written(data, draft))

    def _needs_secrets(self, id: str, draft: Draft) -> InvalidRequestError:
        kind = KINDS.get(draft.type)
        names = ", ".join(sorted(kind.secret_fields)) if kind is not None else "all of them"
        return InvalidRequestError(
            "this server only accepts complete webhooks (PUT), which include the secret fields "
            f"({names}), and not all of these are set",
            method="PUT",
            path=_path(id),
            status=405,
            hint="set the secret references of this webhook, then apply again",
        )


def _path(id: str) -> str:
    return f"{WEBHOOKS}{quote(id, safe='')}/"


def _is(id: str) -> Callable[[Any], bool]:
    return lambda document: wire.usable_id(document) == id
