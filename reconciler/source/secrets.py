"""What references to secrets yield.

A reference is data until somebody resolves it, which `apply` does before its first write. What
may be referred to (`allowed.py`) is asked again here, because a saved plan brings references that
no file of this run declares. No message here ever holds a value or a part of one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, assert_never

from reconciler.findings import Finding, Position, error, has_errors, note, warning
from reconciler.kinds import KINDS, Field, slack
from reconciler.model import Scheme, Secret, SecretRef, Webhook
from reconciler.planning.readback import declared_secret
from reconciler.source.allowed import (
    PLACEHOLDER,
    bare,
    forbidden_file,
    forbidden_prefix,
    is_forbidden,
    is_padded,
    leads_to,
    not_allowed,
    refusal,
    shown,
)
from reconciler.source.files import NotReadableError, read_regular

_MAX_BYTES: Final = 64 * 1024
_URL: Final = re.compile(r"https?://[^\s/?#<>][^\s<>]*")
_COMPARABLE: Final = re.compile(r".{8,}", re.DOTALL)
_HOLDS_TOKEN: Final = re.compile(f".*(?:{slack.TOKEN.pattern}).*", re.DOTALL)


class _Fetched(NamedTuple):
    """A value, and whether more than a line end was removed around it."""

    secret: Secret
    padded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What references yield: values, and for each reference what is wrong with its value.

    A reference without a usable value has an error in `problems` and no entry in `secrets`.
    """

    secrets: Mapping[SecretRef, Secret] = field(repr=False)
    problems: Mapping[SecretRef, tuple[Finding, ...]] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return all problems, in the order of their references."""
        return tuple(each for found in self.problems.values() for each in found)


def references(webhooks: Iterable[Webhook]) -> dict[SecretRef, Position | None]:
    """Return every reference of `webhooks`, with the place of the first webhook that has it."""
    found: dict[SecretRef, Position | None] = {}
    for webhook in webhooks:
        for value in webhook.configuration.values():
            if isinstance(value, SecretRef):
                found.setdefault(value, webhook.position)
    return found


def resolve(
    webhooks: Sequence[Webhook],
    *,
    environ: Mapping[str, str],
    directory: Path,
    literals: Mapping[SecretRef, Secret],
    api_key: Secret | None = None,
    allow: Sequence[str] = (),
) -> Resolution:
    """Fetch the value of each reference of `webhooks`. Return all problems; raise nothing.

    Relative files start at `directory`, the working directory. A value that holds `api_key`, or
    equals the value of a forbidden variable, is refused, and so is one that does not fit a field
    that refers to it. `allow` is the list of `--allow-secret`, () for none.
    """
    places = references(webhooks)
    forbidden = {
        name: wrap(value) for name, value in environ.items() if forbidden_prefix(name) is not None
    }
    fetched: dict[SecretRef, Secret] = {}
    problems: dict[SecretRef, list[Finding]] = {}
    for ref in sorted(places, key=lambda each: (each.scheme, each.name, each.version or 0)):
        outcome = refusal(ref, allow) or _fetch(ref, environ, directory, literals, allow)
        if isinstance(outcome, Finding):
            problems[ref] = [outcome]
            continue
        problems[ref] = list(_judge(ref, outcome, api_key, forbidden))
        if not has_errors(problems[ref]):
            fetched[ref] = outcome.secret
    for webhook in webhooks:
        for ref, problem in _misused(webhook, fetched):
            if problem not in problems[ref]:
                problems[ref].append(problem)
    return Resolution(
        secrets={ref: secret for ref, secret in fetched.items() if not has_errors(problems[ref])},
        problems={
            ref: tuple(replace(each, position=places[ref]) for each in found)
            for ref, found in problems.items()
            if found
        },
    )


def wrap(value: str) -> Secret:
    """Return `value` as a secret, without what pasting adds around it."""
    return Secret(bare(value))


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
) -> _Fetched | Finding:
    match ref.scheme:
        case Scheme.LITERAL:
            return _Fetched(literals[ref])
        case Scheme.ENV:
            value = environ.get(ref.name, "")
            if not value:
                return _unusable(
                    f"the variable {shown(ref)} is {'empty' if ref.name in environ else 'not set'}",
                    f"set {shown(ref)} in the environment of this command",
                )
            return _Fetched(wrap(value), is_padded(value))
        case Scheme.FILE:
            return _fetch_file(ref, directory, allow)
        case _:
            assert_never(ref.scheme)


def _fetch_file(ref: SecretRef, directory: Path, allow: Sequence[str]) -> _Fetched | Finding:
    try:
        # What a link leads to counts, not what it is called.
        path = Path(os.path.realpath(directory / ref.name))
        if is_forbidden(path.as_posix()):
            return forbidden_file(ref)
        if allow and not any(leads_to(path, each, directory) for each in allow):
            return not_allowed(ref)
        text = read_regular(path, limit=_MAX_BYTES).decode()
        return _Fetched(wrap(text), is_padded(text))
    except FileNotFoundError:
        return _unusable(f"there is no file {shown(ref)}", "create it, or correct the reference")
    except NotReadableError as cause:
        return _unusable(f"cannot read {shown(ref)}: it {cause}", _READABLE)
    except (ValueError, OSError):  # a decoding error's text would hold the value
        return _unusable(f"{shown(ref)} is not a UTF-8 text file", _READABLE)


def _judge(
    ref: SecretRef,
    fetched: _Fetched,
    api_key: Secret | None,
    forbidden: Mapping[str, Secret],
) -> Iterator[Finding]:
    subject, secret = _subject(ref), fetched.secret
    problem = flaw(secret)
    if problem is not None:
        yield _unusable(f"{subject} {problem}", "store the bare value, without line breaks")
        return
    if api_key is not None and secret.holds(api_key):
        yield error(
            "forbidden-secret",
            f"{subject} holds the CloudTruth API key, which is never sent to a webhook",
            "refer to the secret of this webhook",
        )
        return
    if secret.matches(_COMPARABLE):
        for name in sorted(forbidden):
            if secret.same_as(forbidden[name]):
                yield error(
                    "forbidden-secret",
                    f"{subject} is also the value of {name}, which is never sent to a webhook",
                    "refer to the secret of this webhook",
                )
                return
    if secret.matches(PLACEHOLDER):
        yield error(
            "unreplaced-placeholder",
            f"{subject} is a placeholder: nothing replaced it",
            "store the value itself; check what fills the variable or the file",
        )
        return
    if fetched.padded:
        yield note(
            "trimmed-secret",
            f"{subject} has blanks, line ends or a byte order mark around it: they are not sent",
            "store the bare value",
        )


def _misused(
    webhook: Webhook, fetched: Mapping[SecretRef, Secret]
) -> Iterator[tuple[SecretRef, Finding]]:
    """Yield the references of `webhook` whose values do not belong into their fields."""
    kind = KINDS[webhook.type]
    for name, value in webhook.configuration.items():
        secret = fetched.get(value) if isinstance(value, SecretRef) else None
        each = kind.field(name)
        if secret is None or each is None or not isinstance(value, SecretRef):
            continue
        if not fits(each, secret):
            yield value, _unfit(value, each)
        elif each.shape is slack.TOKEN:
            for shape, meaning, cure in slack.OTHER_TOKENS:
                if secret.matches(shape):
                    message = f"{_subject(value)} is {meaning}"
                    yield value, warning("not-a-bot-token", message, cure)
                    break
        elif secret.matches(_HOLDS_TOKEN):
            url = declared_secret(webhook.configuration.get(kind.destination, ""), fetched)
            if url is not None and not url.matches(slack.HOST):
                yield (
                    value,
                    error(
                        "slack-token-elsewhere",
                        f"{_subject(value)} holds a Slack token, and this webhook is not for Slack",
                        "a Slack token is sent only by webhooks of type `slack` and to hosts under "
                        "slack.com",
                    ),
                )


def fits(field: Field, secret: Secret) -> bool:
    """Return whether a value can be sent as `field`."""
    shape = _URL if field.address else field.shape
    return shape is None or secret.matches(shape)


def _unfit(ref: SecretRef, field: Field) -> Finding:
    if ref.scheme is Scheme.LITERAL:
        hint = f"refer to it: `{field.name}: {{env: NAME}}`, with the name of your variable"
    else:
        hint = "store the bare value there, without quotes or other text"
    return error("unfit-secret", f"{_subject(ref)} is not {field.noun}", hint)


def _subject(ref: SecretRef) -> str:
    return f"the value of {ref.scheme} {shown(ref)}"


_READABLE: Final = "name a text file that this user may read and that holds the bare value"


def _unusable(message: str, hint: str | None) -> Finding:
    return error("unresolved-secret", message, hint)
