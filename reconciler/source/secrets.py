"""What references to secrets yield.

A reference is data until somebody resolves it, which `apply` does before its first write. What
may be referred to (`allowed.py`) is asked again here, because a saved plan brings references that
no file of this run declares. No message here ever holds a value or a part of one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final, assert_never

from reconciler.findings import Finding, Position, Severity
from reconciler.model import Desired, Scheme, Secret, SecretRef
from reconciler.source.allowed import (
    forbidden_file,
    is_forbidden,
    leads_to,
    not_allowed,
    refusal,
    shown,
)
from reconciler.source.files import NotReadableError, read_regular
from reconciler.source.remark import Remark, error, warning
from reconciler.values import dataclass

MAX_SECRET_BYTES: Final = 64 * 1024
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
    api_key: Secret | None = None,
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


def wrap(value: str) -> Secret:
    """Return `value` as a secret, without the one line end that editors and `echo` add."""
    return Secret(value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value)


def flaw(secret: Secret) -> str | None:
    """Return what makes a value unfit to be sent, in words that may follow its name."""
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
                    f"the secret written into the file as {shown(ref)} is not at hand",
                    "saved plans hold no secrets: use `{env: NAME}` or `{file: PATH}` in the file",
                )
            return literal
        case Scheme.ENV:
            value = environ.get(ref.name, "")
            if not value:
                return _unusable(
                    f"the variable {shown(ref)} is {'empty' if ref.name in environ else 'not set'}",
                    f"set {shown(ref)} in the environment of this command",
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
        if is_forbidden(path.as_posix()):
            return forbidden_file(ref)
        if allow and not any(leads_to(path, each, directory) for each in allow):
            return not_allowed(ref)
        return wrap(read_regular(path, limit=MAX_SECRET_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        return _unusable(f"there is no file {shown(ref)}", "create it, or mend the reference")
    except NotReadableError as cause:
        return _unusable(f"cannot read {shown(ref)}: it {cause}", _READABLE)
    except (ValueError, OSError):  # a decoding error's text would hold the value
        return _unusable(f"{shown(ref)} is not a UTF-8 text file", _READABLE)


def _judge(ref: SecretRef, secret: Secret, api_key: Secret | None) -> Remark | None:
    subject = f"the value of {ref.scheme} {shown(ref)}"
    problem = flaw(secret)
    if problem is not None:
        return _unusable(f"{subject} {problem}", "store the bare value, without line breaks")
    if api_key is not None and secret.holds(api_key):
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


_READABLE: Final = "name a text file that this user may read and that holds the bare value"


def _unusable(message: str, hint: str | None) -> Remark:
    return error("unresolved-secret", message, hint)
