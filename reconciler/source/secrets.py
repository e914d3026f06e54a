"""Secrets: which references are allowed, and what they yield.

A reference is data until somebody resolves it, which `apply` does before its first write. The
same rules hold when a file is validated and again when a value is fetched, because a saved plan
brings references that no file of this run declares. No message here ever holds a value or a part
of one.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, assert_never

from reconciler.errors import UsageError
from reconciler.findings import Finding, Position, Severity
from reconciler.model import Desired, Scheme, Secret, SecretRef
from reconciler.source.files import STDIN_NAME, NotReadableError, read_regular
from reconciler.source.remark import Remark, error, warning

MAX_SECRET_BYTES: Final = 64 * 1024
FORBIDDEN_VARIABLES: Final = (
    "CLOUDTRUTH_", "GITHUB_", "ACTIONS_", "RUNNER_", "AWS_", "AZURE_", "GOOGLE_",
)  # fmt: skip
FORBIDDEN_FOLDERS: Final = ("/proc", "/sys", "/dev")

_NOT_BOT_TOKENS: Final = {
    "xoxp-": "a Slack user token: deliveries would speak as that person",
    "xapp-": "a Slack app-level token, which cannot post messages",
    "xoxe": "a Slack token that is rotated and expires within hours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What references yield: values, and findings about those that yield none or a doubtful one.

    A reference without a usable value has an error in `findings` and no entry in `secrets`.
    """

    secrets: Mapping[SecretRef, Secret] = field(repr=False)
    findings: tuple[Finding, ...] = ()


def references(desired: Desired) -> dict[SecretRef, Position | None]:
    """Return every reference that `desired` holds, with the place of the webhook that has it."""
    found: dict[SecretRef, Position | None] = {}
    for webhook in desired.webhooks:
        for value in webhook.configuration.values():
            if isinstance(value, SecretRef):
                found.setdefault(value, webhook.position)
    return found


def resolve(
    refs: Iterable[SecretRef],
    *,
    environ: Mapping[str, str],
    directory: Path,
    literals: Mapping[SecretRef, Secret],
    api_key: str | None = None,
    allow: Sequence[str] = (),
    places: Mapping[SecretRef, Position | None] | None = None,
) -> Resolution:
    """Fetch the value of each reference. Nothing is raised: all problems come back at once.

    Relative files start at `directory`, the working directory. A value equal to `api_key`, or
    holding it, is refused. `allow` is the list of `--allow-secret`, () for none. `places` gives
    findings a position.
    """
    secrets: dict[SecretRef, Secret] = {}
    findings: list[Finding] = []
    for ref in sorted(set(refs), key=lambda each: (each.scheme, each.name, each.version or 0)):
        outcome = refusal(ref, allow) or _fetch(ref, environ, directory, literals, allow)
        if isinstance(outcome, Secret):
            remark = _judge(ref, outcome, api_key)
            if remark is None or remark.severity is not Severity.ERROR:
                secrets[ref] = outcome
        else:
            remark = outcome
        if remark is not None:
            findings.append(
                Finding(
                    rule=remark.rule,
                    severity=remark.severity,
                    message=remark.message,
                    hint=remark.hint,
                    position=(places or {}).get(ref),
                )
            )
    return Resolution(secrets=secrets, findings=tuple(findings))


def refusal(ref: SecretRef, allow: Sequence[str] = ()) -> Remark | None:
    """Return why `ref` may not be used, None if it may. Looks at names only."""
    match ref.scheme:
        case Scheme.LITERAL:
            return None
        case Scheme.ENV:
            for prefix in FORBIDDEN_VARIABLES:
                if ref.name.upper().startswith(prefix):
                    return error(
                        "forbidden-secret",
                        f"{prefix}* variables are never sent to a webhook: {ref.name}",
                        "put the secret into a variable of another name",
                    )
        case Scheme.FILE:
            if _is_forbidden(ref.name):
                return _forbidden_file(ref)
        case _:
            assert_never(ref.scheme)
    name = posixpath.normpath(ref.name) if ref.scheme is Scheme.FILE else ref.name
    if allow and not any(fnmatchcase(f"{ref.scheme}:{name}", each) for each in allow):
        return _not_allowed(ref)
    return None


def allow_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return `patterns` of `--allow-secret`. Raises UsageError for one that can match nothing."""
    found = tuple(patterns)
    for pattern in found:
        scheme, separator, name = pattern.partition(":")
        if not separator or not name or scheme not in (Scheme.ENV, Scheme.FILE):
            raise UsageError(
                f"--allow-secret takes env:NAME or file:PATH (globs work), not '{pattern}'",
                hint="for example --allow-secret 'env:SLACK_*'",
            )
    return found


def file_name(path: str, declaring: str) -> str:
    """Return the name of a referenced file, relative to the working directory if it can be.

    `path` is relative to the file that says it, whose own name is `declaring`.
    """
    folder = "" if declaring == STDIN_NAME else posixpath.dirname(declaring)
    return posixpath.normpath(posixpath.join(folder, path.replace(os.sep, "/")))


def wrap(value: str) -> Secret:
    """Return `value` as a secret, without the one line end that editors and `echo` add."""
    return Secret(value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value)


def flaw(secret: Secret) -> str | None:
    """Return what makes a value unfit to be sent, in words that follow "is" or "holds"."""
    if secret.matches(_BLANK):
        return "is empty"
    if secret.matches(_CONTROL):
        return "holds a line break or another control character"
    return None


_BLANK: Final = re.compile(r"\s*")
_CONTROL: Final = re.compile(r".*[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff].*", re.DOTALL)


def _fetch(
    ref: SecretRef,
    environ: Mapping[str, str],
    directory: Path,
    literals: Mapping[SecretRef, Secret],
    allow: Sequence[str],
) -> Secret | Remark:
    match ref.scheme:
        case Scheme.LITERAL:
            literal = literals.get(ref)
            if literal is None:
                return _unusable(
                    f"the secret written into the file as {ref.name} is not at hand",
                    "a saved plan holds no secrets: use {env: NAME} or {file: PATH} in the file",
                )
            return literal
        case Scheme.ENV:
            value = environ.get(ref.name, "")
            if not value:
                return _unusable(
                    f"the variable {ref.name} is {'empty' if ref.name in environ else 'not set'}",
                    f"set {ref.name} in the environment of this command",
                )
            return wrap(value)
        case Scheme.FILE:
            return _fetch_file(ref, directory, allow)
        case _:
            assert_never(ref.scheme)


def _fetch_file(ref: SecretRef, directory: Path, allow: Sequence[str]) -> Secret | Remark:
    try:
        # What a link leads to counts, not what it is called.
        path = Path(os.path.realpath(directory / ref.name))
        if _is_forbidden(path.as_posix()):
            return _forbidden_file(ref)
        if allow and not any(_leads_to(path, each, directory) for each in allow):
            return _not_allowed(ref)
        return wrap(read_regular(path, limit=MAX_SECRET_BYTES).decode("utf-8"))
    except FileNotFoundError:
        return _unusable(f"there is no file {ref.name}", "create it, or mend the reference")
    except NotReadableError as cause:
        return _unusable(f"cannot read {ref.name}: it {cause}", None)
    except (ValueError, OSError):  # a decoding error's text would hold the value
        return _unusable(f"{ref.name} is not a UTF-8 text file", None)


def _leads_to(path: Path, pattern: str, directory: Path) -> bool:
    """Say whether `pattern` allows `path`, in which no links are left.

    The folders of `pattern` before its first glob may be links themselves: they were chosen by
    whoever runs the command.
    """
    scheme, _, name = pattern.partition(":")
    if scheme != Scheme.FILE:
        return False
    folder, slash, last = name.rpartition("/")
    fixed, rest = f"{folder}{slash}", ""
    glob = re.search(r"[*?\[]", fixed)
    if glob is not None:
        cut = fixed.rfind("/", 0, glob.start()) + 1
        fixed, rest = fixed[:cut], fixed[cut:]
    home = Path(os.path.realpath(directory / fixed)).as_posix()
    return fnmatchcase(path.as_posix(), f"{home.rstrip('/')}/{rest}{last}")


def _judge(ref: SecretRef, secret: Secret, api_key: str | None) -> Remark | None:
    subject = f"the value of {ref.scheme} {ref.name}"
    problem = flaw(secret)
    if problem is not None:
        return _unusable(f"{subject} {problem}", "store the bare value, without line breaks")
    if api_key and secret.matches(_holding(api_key)):
        return error(
            "forbidden-secret",
            f"{subject} holds the CloudTruth API key, which is never sent to a webhook",
            "refer to the secret of this webhook",
        )
    for prefix, meaning in _NOT_BOT_TOKENS.items():
        if secret.matches(re.compile(f"{prefix}.*")):
            return warning(
                "not-a-bot-token",
                f"{subject} is {meaning}",
                "use the app's Bot User OAuth Token",
            )
    return None


def _holding(api_key: str) -> re.Pattern[str]:
    """Return the shape of values that give the key away: of a short one, as tests use, itself."""
    around = ".*" if len(api_key) >= 8 else ""
    return re.compile(f"{around}{re.escape(api_key)}{around}", re.DOTALL)


def _is_forbidden(name: str) -> bool:
    # Two slashes at the start are kept by normpath, and mean the same as one.
    path = posixpath.normpath(name)
    path = f"/{path.lstrip('/')}" if path.startswith("/") else path
    return any(path == each or path.startswith(f"{each}/") for each in FORBIDDEN_FOLDERS)


def _forbidden_file(ref: SecretRef) -> Remark:
    return error(
        "forbidden-secret",
        f"files of /proc, /sys and /dev are never sent to a webhook: {ref.name}",
        "keep the secret in a file of its own",
    )


def _not_allowed(ref: SecretRef) -> Remark:
    return error(
        "secret-not-allowed",
        f"{ref.scheme} {ref.name} is not among the secrets that this run allows",
        f"add --allow-secret '{ref.scheme}:{ref.name}' if it may be sent",
    )


def _unusable(message: str, hint: str | None) -> Remark:
    return error("unresolved-secret", message, hint)
