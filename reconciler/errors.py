"""Why a run cannot continue: one tree of exceptions, each with its exit code.

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
    """The run cannot go on. `hint` is one sentence of advice."""

    exit_code: ExitCode = ExitCode.FAILED
    code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(ReconcilerError):
    """The command line or a setting is malformed."""

    exit_code = ExitCode.USAGE
    code = "usage"


class ConfigurationError(ReconcilerError):
    """The files cannot become a desired state; `findings` says why, all at once."""

    exit_code = ExitCode.INVALID
    code = "invalid-configuration"

    def __init__(
        self, message: str, *, findings: Sequence[Finding] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


class UnresolvedSecretsError(ConfigurationError):
    """Secret references that yield no usable value, every one of them named."""

    code = "unresolved-secrets"


class CredentialError(ReconcilerError):
    """There is no API key, or what there is cannot be one."""

    exit_code = ExitCode.DENIED
    code = "no-api-key"


class OrganizationError(ReconcilerError):
    """The key belongs to another organization than declared, or to none that we can tell."""

    exit_code = ExitCode.DENIED
    code = "wrong-organization"


class MaintenanceError(ReconcilerError):
    """The organization is in maintenance: the server refuses changes."""

    exit_code = ExitCode.DENIED
    code = "maintenance"


class BlockedError(ReconcilerError):
    """A guard holds the plan back; nothing was written."""

    exit_code = ExitCode.BLOCKED
    code = "blocked"


class StalePlanError(ReconcilerError):
    """What was reviewed is not what would happen now; nothing was written."""

    exit_code = ExitCode.STALE
    code = "stale-plan"

    def __init__(
        self, message: str, *, differences: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.differences = tuple(differences)


class NotReviewedError(StalePlanError):
    """No review has what would happen now; nothing was written."""

    code = "not-reviewed"


class NotConfirmedError(ReconcilerError):
    """The plan was not confirmed; nothing was written."""

    exit_code = ExitCode.NOT_CONFIRMED
    code = "not-confirmed"


class OutputError(ReconcilerError):
    """A result could not be written where it was wanted."""

    code = "output"


class SelectionError(ReconcilerError):
    """The arguments select no webhook."""

    code = "nothing-selected"


class ApiError(ReconcilerError):
    """A request failed.

    `fields` maps the path of a field, as in `("configuration", "token")`, to the server's message
    about it; `()` is the object itself. `detail` is the server's own sentence, bounded in length
    and never printed without being quoted. Neither holds anything that we sent.
    """

    code = "api"

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


class AuthenticationError(ApiError):
    """The server does not know the key."""

    exit_code = ExitCode.DENIED
    code = "authentication"


class PermissionDeniedError(ApiError):
    """The key is known, and its role is too low."""

    exit_code = ExitCode.DENIED
    code = "permission-denied"


class NotFoundError(ApiError):
    """The object is gone (a 404 with the API's own JSON; an HTML 404 is a ProtocolError)."""

    code = "not-found"


class ConflictError(ApiError):
    """The object was changed at the same time by another request."""

    code = "conflict"


class InvalidRequestError(ApiError):
    """The server refuses what was sent and will go on refusing it."""

    code = "invalid-request"


class RateLimitedError(ApiError):
    """The server asks for a longer pause than this run may take."""

    code = "rate-limited"


class ServerError(ApiError):
    """The server failed at every attempt."""

    code = "server-error"


class ProtocolError(ApiError):
    """An answer that is not what the API promises."""

    code = "protocol"


class IncompleteListingError(ProtocolError):
    """The pages of a listing do not add up: twice in the same way, or for too long."""

    code = "incomplete-listing"


class UnreachableError(ApiError):
    """The request surely never arrived, so repeating it is safe."""

    code = "unreachable"


class AmbiguousWriteError(ApiError):
    """The request may have been carried out: only reading back can tell."""

    code = "ambiguous-write"


class Interrupted(ReconcilerError):  # noqa: N818 - not an error
    """A signal ended the run before anything was written; its exit code is the signal's."""

    code = "interrupted"

    def __init__(self, message: str, *, signal_exit: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = signal_exit
