"""The CloudTruth client: organizations and webhooks.

Each method expects one status: 200 with the object, 201 for a create, 204 for a delete. After any
other 2xx the outcome of a write is unknown.

A listing is complete, or an error is raised. Pages are requested by number, with the maximum page
size: the first alone, the others in parallel. A `next` link only shows that more pages exist. Rows
move between pages while another process writes, so each page must have the same count, and all of
them together that many different ids. An inconsistent listing is read again, with growing pauses,
while it keeps changing and at least half of the run's remaining time is left. A listing with the
same problem twice is a server error. A single page is a snapshot. A row can still be missed between
several consistent pages; the second listing before the first write finds it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from reconciler.api import wire
from reconciler.api.origin import WRONG_SERVER_HINT, Credential, Network, Origin
from reconciler.api.transport import MAX_LISTING_BYTES, Transport
from reconciler.errors import (
    IncompleteListingError,
    InvalidRequestError,
    NotFoundError,
    OrganizationError,
    PermissionDeniedError,
    ProtocolError,
)
from reconciler.kinds import KINDS
from reconciler.model import DeliveryError, LiveWebhook, Organization, Secret
from reconciler.ports import Draft, Workers

_WEBHOOKS: Final = "/api/v1/webhooks/"
_MAX_PAGES: Final = 2000
_MAX_ROWS: Final = 200_000

_T = TypeVar("_T")


class Client:
    """The CloudTruth client. It never repeats a write without reading first.

    `transport` sends its requests.
    """

    def __init__(self, transport: Transport, workers: Workers) -> None:
        self.transport = transport
        self._workers = workers
        self._redactor = transport.redactor
        self._organization: Organization | None = None
        self._uses_put = False

    @property
    def origin(self) -> str:
        """Scheme and host of the server."""
        return str(self.transport.origin)

    def organization(self) -> Organization:
        """Read the organization of the API key, and return it.

        Raises OrganizationError if it cannot be determined, ApiError if a request fails.
        """
        # Kept, because each webhook that is read must belong to it.
        self._organization = _find_organization(self.transport, self._workers, self._rows)
        return self._organization

    def list(self) -> tuple[LiveWebhook, ...]:
        """Return every live webhook. Raises IncompleteListingError rather than miss one."""
        return tuple(self._checked(row) for row in self._rows())

    def get(self, id: str) -> LiveWebhook | None:
        """Return one webhook, None if it does not exist. Raises ApiError."""
        if wire.usable_id({"id": id}) is None:
            return None  # such as `.`, which would be another path
        path = _path(id)
        try:
            # A 404 counts only with the API's JSON, so another server is no deleted webhook.
            data = self.transport.request(
                "GET",
                path,
                expect=200,
                accept=_has_id(id),
                secret_values=self._redactor.own(id),
            ).data
        except NotFoundError:
            return None
        return self._checked(self._learned(wire.live_webhook(data)))

    def schema(self) -> Any:
        """Return the OpenAPI description that the server publishes. Raises ApiError."""
        params = {"format": "json"}
        return self.transport.request(
            "GET", "/api/schema/", params=params, expect=200, cap=MAX_LISTING_BYTES
        ).data

    def left(self) -> float:
        """Return the seconds until the run's deadline; negative when it is over."""
        return self.transport.pace.left()

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    def create(self, draft: Draft, organization: str) -> LiveWebhook:
        """Create a webhook. Raises AmbiguousWriteError if it may have been created."""
        return self._send("POST", _WEBHOOKS, draft, wire.full_body(draft, organization))

    def update(self, id: str, draft: Draft, fields: frozenset[str]) -> LiveWebhook:
        """Change the top-level fields named in `fields`.

        If the server rejects PATCH with 405, this and all later updates send the complete webhook
        by PUT, unless that changes fields that the plan does not name. Raises NotFoundError if it
        was deleted, AmbiguousWriteError if it may have changed.
        """
        path = _path(id)
        if not self._uses_put:
            try:
                return self._send("PATCH", path, draft, wire.changed_body(draft, fields), id)
            except InvalidRequestError as error:
                # 405 precedes any processing, so nothing was changed and PUT can follow.
                if error.status != 405:
                    raise
            self._uses_put = True
        _require_complete(draft, path)
        organization = self._organization or self.organization()
        return self._send("PUT", path, draft, wire.full_body(draft, organization.id), id)

    def delete(self, id: str) -> bool:
        """Delete a webhook. Return False if it did not exist. Raises AmbiguousWriteError."""
        try:
            self.transport.request(
                "DELETE", _path(id), expect=204, secret_values=self._redactor.own(id)
            )
        except NotFoundError:
            return False
        return True

    def _rows(self) -> tuple[LiveWebhook, ...]:
        def decode(row: Any) -> LiveWebhook:
            return self._learned(wire.live_webhook(row))

        return _read_all(self.transport, _WEBHOOKS, decode, lambda row: row.id, self._workers)

    def _learned(self, webhook: LiveWebhook) -> LiveWebhook:
        """Return a webhook, and keep its secrets out of later errors."""
        self._redactor.add(webhook.configuration, webhook.id)
        return webhook

    def _checked(self, webhook: LiveWebhook) -> LiveWebhook:
        """Return the webhook, without secrets of other webhooks in its delivery error.

        Raises ProtocolError if it belongs to another organization.
        """
        if webhook.last_error is not None:
            texts = [text and self._redactor.redact(text) for text in webhook.last_error]
            webhook = replace(webhook, last_error=DeliveryError(*texts))
        expected, actual = self._organization, webhook.organization
        if expected is None or actual is None:
            return webhook
        if actual not in (expected.id, expected.name):
            raise ProtocolError(
                f"the server returned webhook {webhook.id}, which belongs to another organization",
                hint="use an API key that has access to one organization only",
            )
        return webhook

    def _send(
        self, method: str, path: str, draft: Draft, body: dict[str, Any], id: str | None = None
    ) -> LiveWebhook:
        """Send a webhook. `id` is that of an existing one; a new one may have any id."""
        self._redactor.add(draft.configuration, id)
        data = self.transport.request(
            method,
            path,
            json=body,
            expect=201 if id is None else 200,
            # Another id would confirm the change of another webhook.
            accept=wire.usable_id if id is None else _has_id(id),
            secret_values=(*wire.secret_values(draft), *self._redactor.own(id)),
        ).data
        return self._checked(self._learned(wire.written_webhook(data, draft)))


def _require_complete(draft: Draft, path: str) -> None:
    """Raise InvalidRequestError if an update by PUT cannot be sent, or changes what is not planned.

    PUT replaces everything, so it needs secrets that PATCH would not send.
    """
    if draft.configuration is None:
        names = "all of them"
        if draft.type in KINDS:
            names = ", ".join(sorted(KINDS[draft.type].secret_fields))
        problem = f", which include the secret fields ({names}), but some of these are not set"
        hint = "set the secret references of this webhook, then apply again"
    elif draft.unplanned:
        problem = (
            ": the update would also replace or remove fields that the plan does not name: "
            f"{', '.join(draft.unplanned)}"
        )
        hint = (
            f"plan with `--resend-secret {shlex.quote(draft.name)}`, which names what is sent and "
            "removed; without a secret, change another field of its configuration"
        )
    else:
        return
    message = f"this server only accepts complete webhooks (PUT){problem}"
    raise InvalidRequestError(message, method="PUT", path=path, status=405, hint=hint)


def _path(id: str) -> str:
    return f"{_WEBHOOKS}{quote(id, safe='')}/"


def _has_id(id: str) -> Callable[[Any], bool]:
    return lambda document: wire.usable_id(document) == id


def connect(*, server_url: str, key: Secret | None, workers: Workers, network: Network) -> Client:
    """Return a client. No request is made yet.

    Raises UsageError for an unsafe URL, CredentialError for a malformed key.
    """
    origin = Origin.parse(server_url)
    credential = None if key is None else Credential.api_key(key)
    return Client(Transport(origin=origin, credential=credential, network=network), workers)


# The organization of a key


def _find_organization(
    transport: Transport,
    workers: Workers,
    webhooks: Callable[[], tuple[LiveWebhook, ...]],
) -> Organization:
    """Return the organization of the API key.

    The first match wins: the only organization marked as current; the only organization; the
    membership of the current user; the organization of all live webhooks, which `webhooks` lists.
    Raises OrganizationError if there is none. Raises ApiError.
    """
    try:
        rows = _read_all(transport, "/api/v1/organizations/", _row, lambda row: row[0].id, workers)
    except PermissionDeniedError:
        rows = ()  # the other ways below need no list
    # A key may see several; only one of them is that of its requests.
    current = [organization for organization, is_current in rows if is_current]
    if len(current) == 1:
        return current[0]
    if len(rows) == 1:
        return rows[0][0]
    known = {organization.id: organization for organization, _ in rows}
    id_ = _membership_organization(transport) or _only_owner(webhooks())
    if id_ is None:
        raise OrganizationError(
            "the organization of the API key cannot be determined",
            hint="use the key of a service account, which belongs to one organization",
        )
    # The list may be forbidden, and the id is then the only name that is known.
    return known.get(id_, Organization(id=id_, name=id_))


def _row(value: Any) -> tuple[Organization, bool]:
    """Return an organization of the list, and whether it is marked as current."""
    return wire.organization(value), value.get("current") is True


def _only_owner(webhooks: Sequence[LiveWebhook]) -> str | None:
    owners = {webhook.organization for webhook in webhooks}
    return owners.pop() if len(owners) == 1 else None


def _membership_organization(transport: Transport) -> str | None:
    id_ = _object(transport, "/api/v1/users/current/").get("membership_id")
    # The id becomes a part of a path, which one such as `..` would change.
    if not isinstance(id_, str) or wire.usable_id({"id": id_}) is None:
        return None
    membership = _object(transport, f"/api/v1/memberships/{quote(id_, safe='')}/")
    return wire.bare_id(membership.get("organization"))


def _object(transport: Transport, path: str) -> dict[str, Any]:
    try:
        data = transport.request("GET", path, expect=200).data
    except (NotFoundError, PermissionDeniedError):
        return {}
    if isinstance(data, dict):
        return data
    return {}


# Listings


class _Page(NamedTuple, Generic[_T]):
    """One page: its rows, the number of all rows, and whether there are more pages.

    `problem` describes an invalid page.
    """

    rows: Sequence[_T] = ()
    total: int = 0
    more: bool = False
    problem: str | None = None


def _read_all(
    transport: Transport,
    path: str,
    decode: Callable[[Any], _T],
    key: Callable[[_T], str],
    workers: Workers,
) -> tuple[_T, ...]:
    """Return every row of a list, in the server's order.

    `decode` reads one row, `key` returns its id. Raises IncompleteListingError if the listing has
    the same problem twice, keeps changing for half of the time that is left, or has too many pages
    or rows; ApiError for all other errors.
    """
    read = partial(_read, transport, path, decode)
    pace = transport.pace
    # Half of the time stays for what follows the listing: an apply needs it for its writes.
    reserve = pace.left() / 2
    before = None
    attempt = 0
    while True:
        attempt += 1
        pages = _pages(read, workers, path)
        rows = tuple(chain.from_iterable(page.rows for page in pages))
        ids = list(map(key, rows))
        problem = _problem(pages, ids)
        if problem is None:
            return rows
        shape = (ids, [(page.total, page.more, len(page.rows)) for page in pages])
        # The same problem with the same rows is no change by another process.
        if shape == before:
            server = transport.origin.address
            raise _incomplete(path, f"{server} returns an incomplete listing: {problem}")
        before = shape
        delay = pace.delay(attempt - 1)
        in_time = pace.left() - delay >= reserve
        if in_time:
            pace.pause(delay)
        if not in_time or pace.wait_for_pause() is not None:
            raise _incomplete(
                path,
                f"the listing changed each time it was read ({attempt} attempts): {problem}",
                "another process is changing this organization; run again after it finishes, "
                "or allow more time with --deadline",
            )


def _pages(read: Callable[[int], _Page[_T]], workers: Workers, path: str) -> Sequence[_Page[_T]]:
    """Read the pages of one listing. Raises IncompleteListingError if there are too many."""
    first = read(1)
    if len(first.rows) >= first.total or not first.rows:
        return [first]
    # By the size that came back: a server may have a smaller maximum than the requested one.
    last = -(-first.total // len(first.rows))
    if last > _MAX_PAGES or first.total > _MAX_ROWS:
        raise _incomplete(path, f"the listing has more than {_MAX_PAGES} pages or {_MAX_ROWS} rows")
    return [first, *workers.run([partial(read, number) for number in range(2, last + 1)])]


def _incomplete(path: str, message: str, hint: str = WRONG_SERVER_HINT) -> IncompleteListingError:
    return IncompleteListingError(message, method="GET", path=path, hint=hint)


def _problem(pages: Sequence[_Page[_T]], ids: Sequence[str]) -> str | None:
    """Return why pages with rows of these ids are not a complete listing, None if they are."""
    for page in pages:
        if page.problem is not None:
            return page.problem
    count = pages[0].total
    if any(page.total != count for page in pages):
        return "its count changes from page to page"
    if pages[-1].more:
        return "its last page links to another page"
    # A row that moved to another page between two requests comes twice, or not at all.
    if len(set(ids)) != len(ids):
        return "it has duplicate rows"
    if count != len(ids):
        return f"its count is {count}, but it has {len(ids)} rows"
    return None


def _read(transport: Transport, path: str, decode: Callable[[Any], _T], number: int) -> _Page[_T]:
    # Without a fixed order, rows could move between two pages although nothing was written. The
    # server may return fewer rows.
    params: dict[str, str | int] = {"ordering": "name", "page": number, "page_size": 1000}
    try:
        data = transport.request("GET", path, params=params, expect=200, cap=MAX_LISTING_BYTES).data
    except NotFoundError:
        # The first page always exists; a later one may be gone since the first was read.
        if number > 1:
            return _Page(problem=f"page {number} is missing")
        raise ProtocolError(
            f"{transport.origin.address} has no list at {path}",
            method="GET",
            path=path,
            status=404,
            hint=WRONG_SERVER_HINT,
        ) from None
    return _decoded(data, decode)


def _decoded(data: Any, decode: Callable[[Any], _T]) -> _Page[_T]:
    rows = data.get("results") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        return _Page(problem="a page is not an object with `results`")
    count = data.get("count")
    if type(count) is not int:  # True is an int, too
        return _Page(problem="its `count` is not a number")
    return _Page(rows=[decode(row) for row in rows], total=count, more=bool(data.get("next")))
