"""The exceptions that end a run, each with its exit code.

Errors in a user's files are `Finding` values, reported together; an exception means that the run
cannot continue. Messages never contain a request or response body, a header, or text from a
library's exception.

    ReconcilerError                       1
    ├─ InternalError                     70   an unexpected exception
    ├─ UsageError                        64   the command line or a setting is invalid
    ├─ ConfigurationError                 3   findings: the files have errors
    │  ├─ RunConfigurationError           3   the same for all organizations
    │  └─ UnresolvedSecretsError          3   references without a usable value
    ├─ CredentialError                    4   an API key or a token that cannot be sent
    │  └─ NoKeyError                      4   no API key
    ├─ OrganizationError                  4   wrong organization, or it cannot be determined
    ├─ MaintenanceError                   4   the organization temporarily rejects changes
    ├─ BlockedError                       5   a guard blocks the plan
    ├─ StalePlanError                     6   the plan differs from the reviewed one
    │  └─ NotReviewedError                6   no planned operation was reviewed
    ├─ NotConfirmedError                  8   not confirmed
    ├─ Interrupted             129, 130, 143  a signal, before anything was written
    ├─ OutputError                        1   a result could not be written or served
    └─ ApiError                           1   method, path, status, detail, fields
       ├─ AuthenticationError             4   401, or a 403 about credentials
       ├─ PermissionDeniedError           4   403, or a 401 about permissions
       ├─ NotFoundError                   1   404 or 410 with JSON: no such object
       ├─ ConflictError                   1   409
       ├─ InvalidRequestError             1   400, 422 and other permanent rejections
       ├─ RateLimitedError                1   a rate limit that lasts longer than the deadline
       ├─ ServerError                     1   5xx, no complete response, too many failures
       ├─ ProtocolError                   1   a response that violates the API
       │  └─ IncompleteListingError       1   inconsistent pages, or too many
       ├─ UnreachableError                1   not sent: safe to repeat
       │  └─ DeadlineError                1   the run's time is up
       └─ AmbiguousWriteError             1   may have been processed: read back first
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import ClassVar, Final, Self

from reconciler.findings import Finding

RUN_AGAIN: Final = "run the same command again"


class ExitCode(IntEnum):
    """Every exit code of the program. docs/commands.md explains them."""

    OK = 0
    FAILED = 1
    CHANGES = 2
    INVALID = 3
    DENIED = 4
    BLOCKED = 5
    STALE = 6
    PARTIAL = 7
    NOT_CONFIRMED = 8
    # As in BSD's sysexits.h: EX_USAGE and EX_SOFTWARE.
    USAGE = 64
    BUG = 70
    # As a shell reports a signal: 128 and its number.
    SIGHUP = 129
    SIGINT = 130
    SIGTERM = 143


class ReconcilerError(Exception):
    """The run cannot continue.

    `findings` are the causes in files, `differences` those between a plan and its review, `hint` is
    the next step, in one sentence.
    """

    exit_code: ExitCode = ExitCode.FAILED
    code: ClassVar[str] = "failed"

    def __init_subclass__(
        cls, *, code: str | None = None, exit_code: ExitCode | None = None
    ) -> None:
        cls.code = code or cls.code
        cls.exit_code = exit_code or cls.exit_code

    def __init__(
        self,
        message: str,
        *,
        findings: Sequence[Finding] = (),
        differences: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.findings = tuple(findings)
        self.differences = tuple(differences)
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def with_hint(self, hint: str) -> Self:
        """Return a copy with another next step."""
        # Not by `copy`, which calls the constructor, and each class has another one.
        error = self.__class__.__new__(self.__class__, *self.args)
        vars(error).update(vars(self), hint=hint)
        return error


class InternalError(ReconcilerError, code="bug", exit_code=ExitCode.BUG):
    """An unexpected exception."""

    @classmethod
    def of(cls, error: BaseException, where: str = "") -> InternalError:
        """Return the error for an exception, without its text, which may contain a secret."""
        return cls(
            f"internal error: {type(error).__name__}{where}",
            hint="please report this line; it contains no secret. If apply was running, "
            "`webhooks plan` shows what is left to do",
        )


class UsageError(ReconcilerError, code="usage", exit_code=ExitCode.USAGE):
    """The command line or a setting is invalid."""


class ConfigurationError(ReconcilerError, code="invalid-configuration", exit_code=ExitCode.INVALID):
    """The files have errors; `findings` lists all of them."""


class RunConfigurationError(ConfigurationError):
    """A policy, `--base` or the list of allowed secrets is invalid, so all organizations fail."""


class UnresolvedSecretsError(ConfigurationError, code="unresolved-secrets"):
    """Secret references without a usable value; the message names all of them."""


class CredentialError(ReconcilerError, code="invalid-credential", exit_code=ExitCode.DENIED):
    """An API key or a token that cannot be read, is malformed, or is not for this server."""


class NoKeyError(CredentialError, code="no-api-key"):
    """There is no API key."""


class OrganizationError(ReconcilerError, code="wrong-organization", exit_code=ExitCode.DENIED):
    """The key does not belong to the declared organization, or its organization is unknown."""


class MaintenanceError(ReconcilerError, code="maintenance", exit_code=ExitCode.DENIED):
    """The organization is in maintenance: the server rejects changes."""


class BlockedError(ReconcilerError, code="blocked", exit_code=ExitCode.BLOCKED):
    """A guard blocks the plan; nothing was written."""


class StalePlanError(ReconcilerError, code="stale-plan", exit_code=ExitCode.STALE):
    """The plan differs from the reviewed plan; nothing was written."""

    @classmethod
    def since_review(cls, differences: Sequence[str], hint: str) -> Self:
        """Return the error of a plan of which operations have changed."""
        message = "the plan has changed since it was reviewed; nothing was written"
        return cls(message, differences=differences, hint=hint)


class NotReviewedError(StalePlanError, code="not-reviewed"):
    """No review includes the planned operations; nothing was written.

    `reasons` are the `differences`, each after the name of its webhook.
    """

    def __init__(
        self, message: str, *, reasons: Sequence[tuple[str, str]] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, differences=[reason for _, reason in reasons], hint=hint)
        self.reasons = tuple(reasons)


class NotConfirmedError(ReconcilerError, code="not-confirmed", exit_code=ExitCode.NOT_CONFIRMED):
    """The plan was not confirmed; nothing was written."""


class OutputError(ReconcilerError, code="output"):
    """A result could not be written to its destination, or metrics have no port."""


class ApiError(ReconcilerError, code="api"):
    """A request failed.

    `fields` maps the path of a field, as in `("configuration", "token")`, to the server's message
    about it; `()` is the object itself. `detail` is the server's message, limited in length and
    quoted when printed. Neither contains a secret that was sent or read: `redact` removes those
    that were read since.
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
        self.redact: Callable[[str], str] = str
        self._detail = detail
        self._fields = fields

    @property
    def detail(self) -> str | None:
        """The server's message, None if it sent none."""
        return None if self._detail is None else self.redact(self._detail)

    @property
    def fields(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The paths of fields, each with the server's message."""
        return tuple(
            (tuple(map(self.redact, path)), self.redact(text)) for path, text in self._fields
        )


class AuthenticationError(ApiError, code="authentication", exit_code=ExitCode.DENIED):
    """The server does not accept the key."""


class PermissionDeniedError(ApiError, code="permission-denied", exit_code=ExitCode.DENIED):
    """The API key's role does not allow this request."""


class NotFoundError(ApiError, code="not-found"):
    """The object does not exist: a 404 or 410 with JSON (with HTML, it is a ProtocolError)."""


class ConflictError(ApiError, code="conflict"):
    """The object was changed at the same time by another request."""


class InvalidRequestError(ApiError, code="invalid-request"):
    """The server rejects the request permanently."""


class RateLimitedError(ApiError, code="rate-limited"):
    """The server limits the rate of requests, and requests a longer pause than the run allows."""


class ServerError(ApiError, code="server-error"):
    """The server failed or did not respond completely, or the retry budget is used up."""


class ProtocolError(ApiError, code="protocol"):
    """A response that violates the API."""


class IncompleteListingError(ProtocolError, code="incomplete-listing"):
    """The pages of a listing are inconsistent, or more than 2,000, or have over 200,000 rows.

    They were inconsistent twice in the same way, or until half of the time that was left was over.
    """


class UnreachableError(ApiError, code="unreachable"):
    """The request was not sent, so repeating it is safe."""


class DeadlineError(UnreachableError, code="deadline"):
    """The time of the run is up: a request was not sent, or a read had no complete response."""


class AmbiguousWriteError(ApiError, code="ambiguous-write"):
    """The request may have been processed; only reading back shows whether it was."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP, as KeyboardInterrupt is SIGINT; `exit_code` is the signal's.

    Not an Exception: no handler can take it for a problem after which the program goes on.
    """

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


SIGNALS: Final = (KeyboardInterrupt, Terminated)
"""What a signal raises while no write can be in flight."""


class Interrupted(ReconcilerError, code="interrupted"):  # noqa: N818 - not an error
    """A signal ended the run before anything was written; its exit code is the signal's."""

    def __init__(self, message: str, *, signal_exit: ExitCode) -> None:
        super().__init__(message)
        # Per instance: the class cannot know which signal it was.
        self.exit_code = signal_exit

    @classmethod
    def by(cls, signal: BaseException, message: str) -> Self:
        """Return the error of a signal, one of SIGNALS."""
        return cls(message, signal_exit=getattr(signal, "exit_code", ExitCode.SIGINT))
