"""The exceptions that end a run, each with its exit code.

Mistakes in a user's files are `Finding` values and are reported all at once; an exception means
that the run cannot continue. Messages are ours: they never hold a request or response body, a
header, or the text of a library.

    ReconcilerError                       1
    ├─ UsageError                        64   the command line or a setting is malformed
    ├─ ConfigurationError                 3   findings: the files cannot become a desired state
    ├─ UnresolvedSecretsError             3   references that yield no usable value
    ├─ CredentialError                    4   no API key, or one that cannot be a key
    ├─ OrganizationError                  4   the key belongs elsewhere, or to an unknown one
    ├─ MaintenanceError                   4   the organization refuses changes for now
    ├─ BlockedError                       5   a guard holds the plan back
    ├─ StalePlanError                     6   what was reviewed is not what would happen now
    │  └─ NotReviewedError                6   nothing of what would happen now was reviewed
    ├─ NotConfirmedError                  8   not confirmed
    ├─ Interrupted             129, 130, 143  a signal, before anything was written
    ├─ OutputError                        1   a file could not be written
    ├─ SelectionError                     1   the arguments select no webhook
    └─ ApiError                           1   method, path, status, detail, fields
       ├─ AuthenticationError             4   401, or a 403 that speaks of credentials
       ├─ PermissionDeniedError           4   403
       ├─ NotFoundError                   1   404 with a JSON detail: that object is gone
       ├─ ConflictError                   1   409
       ├─ InvalidRequestError             1   400, 422 and other refusals of what was sent
       ├─ RateLimitedError                1   429, for longer than we may wait
       ├─ ServerError                     1   5xx
       ├─ ProtocolError                   1   an answer that is not what the API promises
       ├─ IncompleteListingError          1   pages that do not add up
       ├─ UnreachableError                1   surely not sent: safe to repeat
       └─ AmbiguousWriteError             1   may have happened: read back before anything else
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar

from reconciler.findings import Finding


class ExitCode(IntEnum):
    """Every exit code of the program. README documents the same list."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    INVALID = 3
    DENIED = 4
    BLOCKED = 5
    STALE = 6
    PARTIAL = 7
    NOT_CONFIRMED = 8
    USAGE = 64
    BUG = 70
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class ReconcilerError(Exception):
    """The run cannot continue. `hint` is one sentence of advice."""

    exit_code: ExitCode = ExitCode.FAILED
    code: ClassVar[str] = "failed"

    def __init_subclass__(
        cls, *, code: str | None = None, exit_code: ExitCode | None = None
    ) -> None:
        cls.code = code or cls.code
        cls.exit_code = exit_code or cls.exit_code

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(ReconcilerError, code="usage", exit_code=ExitCode.USAGE):
    """The command line or a setting is malformed."""


class ConfigurationError(ReconcilerError, code="invalid-configuration", exit_code=ExitCode.INVALID):
    """The files cannot become a desired state; `findings` says why, all at once."""

    def __init__(
        self, message: str, *, findings: Sequence[Finding] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


class UnresolvedSecretsError(ConfigurationError, code="unresolved-secrets"):
    """Secret references that yield no usable value, every one of them named."""


class CredentialError(ReconcilerError, code="no-api-key", exit_code=ExitCode.DENIED):
    """There is no API key, or it is malformed."""


class OrganizationError(ReconcilerError, code="wrong-organization", exit_code=ExitCode.DENIED):
    """The key belongs to another organization than declared, or to an unknown one."""


class MaintenanceError(ReconcilerError, code="maintenance", exit_code=ExitCode.DENIED):
    """The organization is in maintenance: the server refuses changes."""


class BlockedError(ReconcilerError, code="blocked", exit_code=ExitCode.BLOCKED):
    """A guard blocks the plan; nothing was written."""


class StalePlanError(ReconcilerError, code="stale-plan", exit_code=ExitCode.STALE):
    """The plan differs from the reviewed plan; nothing was written."""

    def __init__(
        self, message: str, *, differences: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.differences = tuple(differences)


class NotReviewedError(StalePlanError, code="not-reviewed"):
    """No review includes the planned operations; nothing was written."""


class NotConfirmedError(ReconcilerError, code="not-confirmed", exit_code=ExitCode.NOT_CONFIRMED):
    """The plan was not confirmed; nothing was written."""


class OutputError(ReconcilerError, code="output"):
    """A result could not be written to its destination."""


class SelectionError(ReconcilerError, code="nothing-selected"):
    """The arguments select no webhook."""


class ApiError(ReconcilerError, code="api"):
    """A request failed.

    `fields` maps the path of a field, as in `("configuration", "token")`, to the server's message
    about it; `()` is the object itself. `detail` is the server's own sentence, bounded in length
    and never printed without being quoted. Neither holds anything that we sent.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        detail: str | None = None,
        fields: Sequence[tuple[tuple[str, ...], str]] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.path = path
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)


class AuthenticationError(ApiError, code="authentication", exit_code=ExitCode.DENIED):
    """The server does not know the key."""


class PermissionDeniedError(ApiError, code="permission-denied", exit_code=ExitCode.DENIED):
    """The key is known, and its role is too low."""


class NotFoundError(ApiError, code="not-found"):
    """The object is gone (a 404 with the API's own JSON; an HTML 404 is a ProtocolError)."""


class ConflictError(ApiError, code="conflict"):
    """The object was changed at the same time by another request."""


class InvalidRequestError(ApiError, code="invalid-request"):
    """The server refuses the request, and would refuse it again."""


class RateLimitedError(ApiError, code="rate-limited"):
    """The server requests a longer pause than the deadline allows."""


class ServerError(ApiError, code="server-error"):
    """The server failed at every attempt."""


class ProtocolError(ApiError, code="protocol"):
    """A response that violates the API."""


class IncompleteListingError(ProtocolError, code="incomplete-listing"):
    """The pages of a listing do not add up: twice in the same way, or for too long."""


class UnreachableError(ApiError, code="unreachable"):
    """The request never arrived, so repeating it is safe."""


class AmbiguousWriteError(ApiError, code="ambiguous-write"):
    """The request may have been processed: only reading back shows it."""


class Interrupted(ReconcilerError, code="interrupted"):  # noqa: N818 - not an error
    """A signal ended the run before anything was written; its exit code is the signal's."""

    def __init__(self, message: str, *, signal_exit: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = signal_exit
