"""Names and hosts: globs over names, what looks alike, and hosts that are not reached securely."""

from __future__ import annotations

import ipaddress
import json
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from fnmatch import translate
from functools import lru_cache
from re import compile as compile_pattern
from typing import Final

from reconciler.errors import UsageError
from reconciler.findings import Finding, Place, Position, note, warning
from reconciler.kinds import FIELDS, KINDS, Field
from reconciler.model import (
    Desired,
    Organization,
    Policy,
    SecretRef,
    SecretValues,
    Webhook,
    declared_secret,
    is_international,
)

MAX_GLOB: Final = 1024
"""The maximum length of a glob over names, in characters. Escaping a name can triple its length."""

_SPECIAL: Final = compile_pattern(r"[*?\[]")
_WILDCARD: Final = compile_pattern(r"\[!?\]?[^\]]*\]|[*?]")


class Globs:
    """Several case-sensitive globs that are matched together.

    A file may have thousands of globs and of names, so a name is only compared with the globs whose
    longest literal part it contains.
    """

    __slots__ = ("_everything", "_globs", "_lengths", "_matchers", "_names")

    def __init__(self, globs: Iterable[str]) -> None:
        listed = tuple(globs)
        self._everything = "*" in listed
        self._names = frozenset(glob for glob in listed if _SPECIAL.search(glob) is None)
        self._globs: dict[str, list[str]] = {}
        for glob in listed:
            if glob not in self._names:
                part = max(_WILDCARD.split(glob), key=len)
                self._globs.setdefault(part, []).append(glob)
        # One pattern for all globs with a part: files may have thousands.
        self._matchers = {part: _matcher(tuple(globs)) for part, globs in self._globs.items()}
        self._lengths = {len(part) for part in self._globs}

    def match(self, name: str) -> bool:
        """Return whether any of the globs matches all of `name`."""
        if self._everything or name in self._names:
            return True
        return any(self._matchers[part](name) for part in self._parts_of(name))

    def matching(self, name: str) -> Iterator[str]:
        """Yield the globs that match all of `name`, some of them repeatedly."""
        if name in self._names:
            yield name
        for part in self._parts_of(name):
            yield from (glob for glob in self._globs[part] if _matcher((glob,))(name))

    def used_by(self, names: Iterable[str]) -> Set[str]:
        """Return the globs that match at least one of `names`."""
        return set().union(*map(self.matching, names))

    def _parts_of(self, name: str) -> list[str]:
        """Return the literal parts of globs that a name contains, some of them repeatedly."""
        if len(self._globs) <= len(name):
            return [part for part in self._globs if part in name]
        return [
            name[first : first + length]
            for length in self._lengths
            for first in range(len(name) - length + 1)
            if name[first : first + length] in self._globs
        ]


@lru_cache(maxsize=16384)
def _matcher(globs: tuple[str, ...]) -> Callable[[str], object]:
    return compile_pattern("|".join(map(translate, globs))).match


def missed_organization(
    organization: Organization, declared: str | None, selected: Sequence[str]
) -> str | None:
    """Return the organization that was expected instead of that of the key, None if it is that one.

    `declared` is its name or id in the files; one of the `selected` names, ids or globs must match.
    """
    names = {organization.id, organization.name}
    if declared is not None and declared not in names:
        return declared
    # An exact name counts, too: it may contain characters of globs.
    if not selected or not names.isdisjoint(selected) or Globs(selected).match(organization.name):
        return None
    return selected[0]


ONLY_MATCHES_NOTHING: Final = "only-matches-nothing"
"""The rule of globs of `--only` that match no name."""


def unmatched(only: Iterable[str], names: Collection[str], searched: str) -> Iterator[Finding]:
    """Warn about each glob of `--only` that matches no name, so that typos are noticed.

    `searched` is the kind of name, as in `live webhook`.
    """
    used = Globs(only).used_by(names)
    for glob in dict.fromkeys(only):  # one that is given twice has one warning
        if glob not in used:
            yield warning(
                ONLY_MATCHES_NOTHING,
                f"--only {glob!r} matches no {searched}",
                "a glob must match the whole name, and case matters (`team-*`, not `team`); "
                "`webhooks status` lists names",
            )


def require_matches(only: Iterable[str], names: Collection[str], searched: str) -> None:
    """Raise UsageError if a glob of `--only` matches no name, even if another one does."""
    refuse_unmatched([*unmatched(only, names, searched)])


def refuse_unmatched(warnings: Sequence[Finding]) -> None:
    """Raise UsageError if there are warnings of `unmatched`."""
    if warnings:
        raise UsageError("; ".join(finding.message for finding in warnings), hint=warnings[0].hint)


PREVIOUSLY_UNUSED: Final = "previously-unused"
"""The rule of former names that rename nothing."""
_UNUSED_PATTERN: Final = "unused-pattern"
UNUSED: Final = frozenset({PREVIOUSLY_UNUSED, _UNUSED_PATTERN})
"""The rules of what one organization does not use of its files, which others may share."""


def unused(policy: Policy, names: Set[str], *, deletes: bool) -> Iterator[Finding]:
    """Note each pattern of `protect` and `ignore` that matches none of `names`.

    It may be a typo. A glob may be a precaution, and is only checked if the plan `deletes` webhooks
    that are not declared.
    """
    listed = [("protect", pattern) for pattern in policy.protect]
    listed += [("ignore", pattern) for pattern in policy.ignore]
    wildcards = {pattern.glob for _, pattern in listed if _SPECIAL.search(pattern.glob)}
    used = Globs(wildcards).used_by(names) if deletes else wildcards
    hint = "correct it, or remove it if the webhook is gone; `webhooks status` lists names"
    for key, pattern in listed:
        if pattern.glob not in used and pattern.glob not in names:
            message = f"`{key}` lists {pattern.glob!r}, which matches no declared or live webhook"
            yield note(_UNUSED_PATTERN, message, hint, pattern.position)


_LATIN: Final = str.maketrans(
    # Lower-case letters that (or whose capitals) look like Latin ones, and dashes and quotes.
    "авеікмнорстухјѕһԁԛԝѵӏαβεζηικμνορτυχıɑɡ‐‒–—―−‘’‛ʼ′“”‟\u2800",
    "abeikmhopctyxjshdqwvlabezhikmnoptyxiag------'''''\"\"\" ",
)
_SMALL_ONLY: Final = str.maketrans("νηυγօսհոցզ", "vnuyouhngq")
"""Greek and Armenian letters that look like a Latin one, but whose capitals look like another."""

INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Invisible or blank characters, besides those of the category `Cf`."""

_HIDDEN: Final = INVISIBLE.union(map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0)))
MAX_NORMALIZED_LENGTH: Final = 1000
"""Longer text is not normalized, because that takes quadratic time."""


def lookalike_key(name: str) -> str:
    """Return the form in which names that look alike are equal.

    Such names differ only in case, in leading, trailing or repeated spaces, in the kind of spaces,
    dashes and quotation marks, in invisible characters, in forms of the same letter (NFKC), or in
    Cyrillic, Greek and Armenian letters that look like Latin ones. Very long names are compared
    without case and spaces only.
    """
    if not name.isascii() and len(name) <= MAX_NORMALIZED_LENGTH:
        name = unicodedata.normalize("NFKC", name).translate(_SMALL_ONLY)
        # Folding may give letters that are not normalized.
        name = unicodedata.normalize("NFKC", name.casefold())
        shown = [
            char for char in name if char not in _HIDDEN and unicodedata.category(char) != "Cf"
        ]
        name = "".join(shown).translate(_LATIN)
    return " ".join(name.casefold().split())


def previously(name: str) -> str:
    """Return the key of an entry that renames a live webhook, for a message."""
    written = json.dumps(name, ensure_ascii=False)  # YAML reads the same text
    return f"`previously: [{written}]`"


# Hosts


def international_host(holder: str, origin: str, at: Place | Position | None) -> Finding:
    """Return the note about a webhook or a field with a host that is not ASCII."""
    message = f"{holder} delivers to a host that is not written in ASCII: {origin}"
    return note("url-host", message, "check that it is not a look-alike of another host", at)


_PRIVATE_ENDS: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def transport_notes(
    configuration: Mapping[str, object], fields: Mapping[str, Field], secrets: SecretValues
) -> Iterator[tuple[str, Finding]]:
    """Yield the notes about a configuration, each with its field.

    A URL that is not available here has none.
    """
    credentials = {name for name, field in fields.items() if field.secret and not field.is_url}
    has_credentials = not credentials.isdisjoint(configuration)
    what = "the credentials" if has_credentials else "messages"
    for name, field in fields.items():
        value = configuration.get(name)
        if field.is_url and _is_insecure(value, secrets, has_credentials=has_credentials):
            message = f"{what} are sent over http, without encryption"
            yield name, note("insecure-url", message, "use an https URL")
        if field.checks_certificate and value is False:
            message = "the certificate of the receiver is not verified"
            hint = f"remove `{name}: false`, and use a certificate of a public authority"
            yield name, note("tls-not-verified", message, hint)


def host_notes(previous: Desired | None, now: Desired, secrets: SecretValues) -> Iterator[Finding]:
    """Yield a note for each host that is not ASCII and that no file named before.

    Also each note about the connection to a webhook's destination that it did not have before.
    """
    if previous is None:
        return
    known = _international_hosts(previous)
    for origin, webhook in _international_hosts(now).items():
        if origin not in known:
            yield international_host(repr(webhook.name), origin, webhook.position)
    before = {
        (webhook.name, finding.rule) for webhook, finding in _connection_notes(previous, secrets)
    }
    for webhook, finding in _connection_notes(now, secrets):
        if (webhook.name, finding.rule) not in before:
            message = f"{webhook.name!r}: {finding.message}"
            yield finding._replace(message=message, position=webhook.position)


def _connection_notes(desired: Desired, secrets: SecretValues) -> Iterator[tuple[Webhook, Finding]]:
    """Yield the notes about the connection to each webhook's destination."""
    for webhook in desired.webhooks:
        for _, finding in transport_notes(webhook.configuration, FIELDS[webhook.type], secrets):
            yield webhook, finding


def _international_hosts(desired: Desired) -> dict[str, Webhook]:
    """Return the first webhook for each origin whose host is not ASCII."""
    hosts: dict[str, Webhook] = {}
    for webhook in desired.webhooks:
        url = webhook.configuration.get(KINDS[webhook.type].destination_field, "")
        secret = declared_secret(url, desired.literals)
        origin = None if secret is None else secret.origin()
        if origin is not None and is_international(origin):
            hosts.setdefault(origin, webhook)
    return hosts


def _is_insecure(url: object, secrets: SecretValues, *, has_credentials: bool) -> bool:
    """Return whether a URL sends messages to a public host, or credentials, without encryption."""
    secret = declared_secret(url, secrets) if isinstance(url, (str, SecretRef)) else None
    origin = None if secret is None else secret.origin()
    if origin is None or not origin.startswith("http://"):
        return False
    # Credentials are in danger in a private network, too.
    return has_credentials or not _is_private(origin.removeprefix("http://"))


def _is_private(host: str) -> bool:
    """Return whether only a private network has this host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        # A name: without a dot, only the local network resolves it.
        return "." not in host or host.endswith(_PRIVATE_ENDS)
