"""Check files beyond their structure: names, events, secrets, and conflicts between files.

These checks use the data as written and accept data of any shape, so that files with structural
errors get these findings in the same run. Values in `defaults` are checked once, not for each
webhook that inherits them. No listing is needed: checks that depend on the live webhooks are in the
planner.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from reconciler.findings import (
    LOOKS_SECRET,
    MASK,
    Finding,
    Place,
    Position,
    Severity,
    did_you_mean,
    error,
    in_quotes,
    masked,
    note,
    quoted,
    related,
    warning,
)
from reconciler.kinds import EVENT_TYPES, EVENTS, FIELDS, GLOBS, KINDS, Field, expand, slack
from reconciler.model import SecretRef, is_international, origin_of
from reconciler.planning import names
from reconciler.planning.names import transport_notes
from reconciler.source import secrets
from reconciler.source.document import Document, holds, listed, mapping, usable_defaults, value_at
from reconciler.source.files import IDENTITY
from reconciler.source.schemes import REFERENCE, SCHEMES, reference_in, refusal


class Rules(NamedTuple):
    """The rules for secrets from the command line.

    `allow_secrets` has the patterns of `--allow-secret`; () allows everything that is not
    forbidden. `api_keys` refer to the CloudTruth API keys of the run, which webhooks must not
    contain.
    """

    allow_secrets: tuple[str, ...] = ()
    allow_literal_secrets: bool = False
    api_keys: frozenset[SecretRef] = frozenset()


PASTED: Final = "slack-token-in-file"

_COMMENT: Final = re.compile(r"(?:^|\s)#")

# Embeddings, overrides and isolates make the displayed order differ from the stored one.
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters, unpaired surrogates, line and paragraph separators.
_REFUSED: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _fields_of_any_type() -> dict[str, Field]:
    """Return the fields of `defaults` without a type; the webhooks that inherit them check more.

    A field that is secret in one type must not be text for any.
    """
    # Without a type, it is not known which fields the webhooks that inherit these will have.
    fields: dict[str, Field] = {}
    for field in chain.from_iterable(kind.fields for kind in KINDS.values()):
        known = fields.get(field.name, field)
        fields[field.name] = field._replace(
            secret=field.secret or known.secret,
            is_url=field.is_url and known.is_url,
            secret_pattern=None,
        )
    return fields


_ANY_FIELD: Final = _fields_of_any_type()


class _Entry(NamedTuple):
    """One item of a file's `webhooks` with a name, as far as it can be read."""

    place: Place
    name: str
    id: str | None
    previously: list[tuple[Place, str]]
    absent: bool


def lint(files: Mapping[str, dict[str, Any]], rules: Rules) -> Iterator[Finding]:
    """Yield the findings of all files, given as data by file name."""
    yield from _settings_differ(files)
    by_name: dict[str, list[_Entry]] = defaultdict(list)
    for file, data in files.items():
        # Merging removes it from an overlay, so this file extends nothing.
        if "unprotect" in data:
            yield overlay_only("unprotect", Place(file, ("unprotect",), key=True))
        yield from _key_findings(file, data)
        defaults = usable_defaults(data)
        yield from _settings(Place(file, ("defaults",)), defaults, defaults.get("type"), rules)
        scope = _scope(data)
        for index, webhook in enumerate(listed(data.get("webhooks"))):
            if not isinstance(webhook, dict):
                continue
            place = Place(file, ("webhooks", index))
            yield from _settings(place, webhook, webhook.get("type", defaults.get("type")), rules)
            # Names are compared after this loop, because the files of a run share them.
            if isinstance(webhook.get("name"), str):
                entry = _entry(place, webhook)
                by_name[entry.name].append(entry)
                yield from _name_findings(entry, scope)
    yield from _twice(by_name)
    yield from _lookalikes(by_name)
    yield from _renames([entry for entries in by_name.values() for entry in entries])


def _key_findings(file: str, data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the error about a file whose API key must not be read from where it says."""
    key = reference_in(data.get("api_key"), file)
    if key is not None:
        refused = secrets.key_refusal(key)
        if refused is not None:
            yield refused._replace(place=Place(file, ("api_key",)))


def overlay_only(key: str, place: Place) -> Finding:
    """Return the error about a key that only files with `extends` can have."""
    return error(
        "overlay-only",
        f"only a file with `extends` can have `{key}`",
        "remove it, or add `extends`",
        place,
    )


# Names


def _entry(place: Place, webhook: dict[str, Any]) -> _Entry:
    pin = webhook.get("id")
    previously = enumerate(listed(webhook.get("previously")))
    return _Entry(
        place=place,
        name=webhook["name"],
        id=pin if isinstance(pin, str) else None,
        previously=[
            (place.at("previously", index), old)
            for index, old in previously
            if isinstance(old, str)
        ],
        absent=webhook.get("state") == "absent",
    )


def _scope(data: Mapping[str, Any]) -> names.Globs:
    """Return the names that a file may declare."""
    scope = data.get("scope")
    globs = scope if isinstance(scope, list) else ["*"]
    # The schema reports the others.
    return names.Globs(
        glob for glob in globs if isinstance(glob, str) and len(glob) <= names.MAX_GLOB
    )


def _name_findings(entry: _Entry, scope: names.Globs) -> Iterator[Finding]:
    """Yield the findings for the name of one webhook of a file with this `scope`.

    A name is shown to reviewers, matched by globs and compared with the stored name. A name that
    can deceive a reader is an error; one that a server may store differently is a warning. An
    absent entry must be able to name any live webhook.
    """
    name, place = entry.name, entry.place.at("name")
    if not scope.match(name):
        yield error(
            "out-of-scope",
            f"{in_quotes(name)} is not in the scope of this file",
            "declare it in the file whose scope includes it, or extend `scope`",
            place,
            related("the scope of this file", Place(place.file, ("scope",), key=True)),
        )
    if entry.absent:
        return
    yield from _copied_findings(entry)
    if not name.strip():
        yield error("empty-name", "the name is empty", "set a name", place)
    elif not (name.isascii() and name.isprintable()) or name != name.strip():  # most names are
        yield from _character_findings(name, place)


def _copied_findings(entry: _Entry) -> Iterator[Finding]:
    """Yield the findings for a secret, or what replaces one, that was copied into a name."""
    name, place = entry.name, entry.place.at("name")
    # A name is shown in plans and reports, so a token there would be public.
    if secrets.holds_token(name):
        yield _slack_token("`name`")._replace(place=place)
    # What is printed in place of a secret was copied.
    elif MASK in name:
        yield _placeholder_in_name("name", "write the actual value", place)
    elif name.strip("*") and secrets.PLACEHOLDER.fullmatch(name):
        yield _placeholder_in_name("name", f"write the actual value{_renaming(name)}", place)
    for old_place, old in entry.previously:
        if MASK in old:
            yield _placeholder_in_name("previously", "write the actual name", old_place)


def _renaming(name: str) -> str:
    """Return how to correct the name of a live webhook, which follows a hint.

    Otherwise the corrected entry would replace the webhook, and lose its hidden secrets.
    """
    if LOOKS_SECRET.search(name) is not None:
        return ""
    return f"; if the webhook is live, add {names.previously(name)} to rename it"


def _placeholder_in_name(key: str, hint: str, place: Place) -> Finding:
    """Return the warning about a placeholder in a name, which may be part of the actual one."""
    return _placeholder(key, hint)._replace(severity=Severity.WARNING, place=place)


def _character_findings(name: str, place: Place) -> Iterator[Finding]:
    """Yield the findings for unusual characters of a name."""
    unsafe = _having(name, _REFUSED, _BIDI_CONTROLS)
    if unsafe:
        yield error(
            "unsafe-name",
            f"the name contains invisible characters: {_code_points(unsafe)}",
            "remove control, line separator, surrogate and text direction characters",
            place,
        )
        return
    keep = _renaming(name)
    if name != name.strip():
        yield warning(
            "spaces-around-name",
            "the name begins or ends with a space, which a server may strip",
            f"remove the space{keep}",
            place,
        )
    # Only a warning: many emoji contain joiners, which are format characters (Cf).
    invisible = _having(name, {"Cf"}, names.INVISIBLE)
    if invisible:
        yield warning(
            "invisible-characters",
            f"the name contains invisible characters: {_code_points(invisible)}",
            f"remove them, unless an emoji needs them{keep}",
            place,
        )
    if not unicodedata.is_normalized("NFC", name[: names.MAX_NORMALIZED_LENGTH]):
        yield warning(
            "name-not-normalized",
            "the name is not in Unicode's composed form (NFC); a server may change it",
            f"write accented letters as one character{keep}",
            place,
        )


def _having(name: str, categories: Collection[str], characters: Collection[str]) -> set[str]:
    """Return the characters of a name that have one of `categories`, or are among `characters`."""
    return {char for char in name if char in characters or unicodedata.category(char) in categories}


def _code_points(characters: Iterable[str]) -> str:
    """Return the code points of at most five characters, in order."""
    return ", ".join(f"U+{ord(char):04X}" for char in sorted(characters)[:5])


# Events and configurations


def _settings(holder: Place, data: dict[str, Any], kind: object, rules: Rules) -> Iterator[Finding]:
    """Yield findings for the events and the configuration of a webhook or of defaults."""
    for index, event in enumerate(listed(data.get("event_types"))):
        if isinstance(event, str) and _matches_nothing(event):
            yield error(
                "unknown-event",
                f"{quoted('the glob', event)} matches no event",
                # A similar name is searched for the start only, as comparing a long text is slow.
                did_you_mean(event[:80], (*GLOBS, *EVENT_TYPES)) or EVENTS,
                holder.at("event_types", index),
            )
    configuration, fields = mapping(data.get("configuration")), FIELDS.get(str(kind), _ANY_FIELD)
    yield from _configuration(holder.at("configuration"), configuration, fields, rules)


def _configuration(
    holder: Place, configuration: dict[str, Any], fields: Mapping[str, Field], rules: Rules
) -> Iterator[Finding]:
    """Yield the findings for the configuration at the place `holder`."""
    for name, value in configuration.items():
        finding = _value(name, value, fields.get(name), holder.file, rules)
        if finding is not None:
            yield finding._replace(place=holder.at(name))
        if name in fields and fields[name].is_url and isinstance(value, str):
            origin = origin_of(value) or ""
            if is_international(origin):
                yield names.international_host(f"`{name}`", origin, holder.at(name))
    for name, finding in transport_notes(configuration, fields, {}):
        yield finding._replace(place=holder.at(name))


def _matches_nothing(event: str) -> bool:
    """Return whether an entry of `event_types` is a glob without a match.

    The schema checks other entries, and the length.
    """
    is_glob = any(char in event for char in "*?[")
    return is_glob and len(event) <= 128 and not expand(event)


def _value(
    name: str, value: object, field: Field | None, file: str, rules: Rules
) -> Finding | None:
    """Return the finding for the value of a configuration field, if any.

    The schema reports a field of another type. It may be a secret there, so the advice must not be
    to write its value as text.
    """
    if isinstance(value, str) and secrets.holds_token(value) and not rules.allow_literal_secrets:
        return _slack_token(f"`{name}`" if name in _ANY_FIELD else "an unknown key")
    if field is None:
        return None
    if isinstance(value, dict):
        return _reference(field, value, file, rules)
    if not isinstance(value, str):
        return None
    if field.secret:
        return _literal(field, value, rules)
    if secrets.is_placeholder(value):
        return _placeholder(name, "write the actual value")
    return None


def _reference(field: Field, value: dict[str, Any], file: str, rules: Rules) -> Finding | None:
    """Return the finding for a reference, if any; the schema reports invalid ones."""
    reference = reference_in(value, file)
    if reference is None:
        return None
    if field.secret:
        return _refusal(reference, rules)
    return error(
        "reference-not-allowed",
        f"`{field.name}` is not a secret: write the value as text, not as a reference",
        "use a reference only for secret fields",
    )


@lru_cache(maxsize=256)  # most webhooks share their references
def _refusal(ref: SecretRef, rules: Rules) -> Finding | None:
    if not SCHEMES[ref.scheme].accepts(ref.name):
        return None  # the schema reports it
    if secrets.holds_token(ref.name):
        return _slack_token("this reference")
    if ref not in rules.api_keys:
        return refusal(ref, rules.allow_secrets)
    # Whoever receives such a key could change all webhooks of the organization.
    return error(
        "forbidden-secret",
        f"{masked(ref.name)} is the `api_key` of an organization, which is never sent to a webhook",
        "use this webhook's own secret",
    )


def _literal(field: Field, value: str, rules: Rules) -> Finding | None:
    """Return the finding for a literal value in a secret field, if any."""
    secret, name = secrets.wrap(value), field.name
    problem = secrets.flaw(secret)
    if problem is not None:
        return error("unusable-secret", f"the value of `{name}` {problem}", f"use {REFERENCE}")
    advice = f"write `{name}: {{env: NAME}}`, with the name of your variable"
    # A URL has no `<`, so this is a placeholder; in a token it may occur by chance.
    in_address = field.is_url and ("<" in value or secrets.is_placeholder(value))
    if in_address or secrets.PLACEHOLDER.fullmatch(value):
        return _placeholder(name, f"for a secret {advice}")
    if field.is_url:
        return _literal_url(name, value, rules)
    if not secrets.fits(field, secret):
        return error("malformed-secret", f"`{name}` is not {field.noun}", advice)
    if secrets.is_padded(value):
        return note(
            "trimmed-secret",
            f"`{name}` has surrounding whitespace or a byte order mark, which is not sent",
            "remove the whitespace",
        )
    return None if rules.allow_literal_secrets else _in_file(f"`{name}` is a secret")


def _literal_url(name: str, url: str, rules: Rules) -> Finding | None:
    if not secrets.is_url(url):
        return None  # the schema reports it
    origin = origin_of(url)
    # The host of a private server may have underscores, but not in public DNS.
    if origin is None or "_" in origin:
        return error(
            "url-host",
            f"the host or the port of `{name}` is invalid",
            "use a host name of letters, digits, hyphens and dots, or an IP address, and a port up "
            "to 65535",
        )
    # An ordinary URL is no secret, so a review can show where events are sent.
    reason = secrets.url_credential(url)
    if reason is None or rules.allow_literal_secrets:
        return None
    return _in_file(f"the URL {reason}")


def _in_file(what: str) -> Finding:
    return warning(
        "literal-secret",
        f"{what}: move it out of this file",
        f"use a variable or a secret file: {REFERENCE}; if the secret was ever committed, "
        "rotate it",
    )


def _placeholder(name: str, hint: str) -> Finding:
    return error(
        "unreplaced-placeholder", f"`{name}` contains a placeholder, which is not expanded", hint
    )


def pasted_tokens(documents: Iterable[Document]) -> Iterator[Finding]:
    """Yield a finding for each line with a Slack token, also in comments and in old names.

    Where the line declares a value, `lint` has an error about it. In a comment it may be an
    example.
    """
    for document in documents:
        if not secrets.holds_token(document.text):
            continue
        for number, line in enumerate(document.text.split("\n"), 1):
            token = slack.TOKEN.search(line)
            if token is None:
                continue
            start, end = token.span()
            severity = Severity.WARNING
            if _COMMENT.search(line, 0, start) is not None:
                severity = Severity.NOTE
            yield _slack_token("this line", "remove it")._replace(
                severity=severity,
                position=Position(document.file, number, start + 1, end - start),
            )


def _slack_token(holder: str, fix: str = "use `{env: SLACK_BOT_TOKEN}`") -> Finding:
    return error(
        PASTED,
        f"{holder} contains what looks like a Slack token",
        f"{fix}; if the file was ever committed, revoke the token",
    )


# Settings of several files


def without_organization(files: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Yield an error for each file that names no organization, if another file names one."""
    named = [file for file, data in files.items() if not data.keys().isdisjoint(IDENTITY)]
    for file in files:
        if named and file not in named:
            yield error(
                "no-organization",
                f"{in_quotes(file)} names no organization, but {in_quotes(named[0])} does",
                "set `organization` in this file, leave it out, or let the others extend it",
                Place(file, ()),
            )


def _settings_differ(files: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    """Yield the settings of the run that files set to different values.

    A file without `organization` may belong to another organization: only that is then an error.
    """

    def written(*path: str) -> list[tuple[Place, Any]]:
        return [
            (Place(file, path), value_at(data, path))
            for file, data in files.items()
            if holds(data, path)
        ]

    yield from _different(
        "organizations-differ",
        "two files name different organizations",
        "set the same `organization` in these files, or run them separately",
        [(place, name) for place, name in written("organization") if isinstance(name, str)],
    )
    # All other settings are compared within one organization, so it must be known first.
    unnamed = list(without_organization(files))
    if unnamed:
        yield from unnamed
        return
    yield from _different(
        "limits-differ",
        "two files set different values of `max_deletes`",
        "the limit is for the whole run: set it in one file",
        written("limits", "max_deletes"),
    )
    yield from _different(
        "environments-differ",
        "two files of one organization name different GitHub environments",
        "set the same `github: {environment: ...}` in both, or in one file only",
        [
            (place, name.casefold())  # as GitHub compares them
            for place, name in written("github", "environment")
            if isinstance(name, str)
        ],
    )
    yield from _different(
        "keys-differ",
        "this organization has different values of `api_key` or `profile`",
        "keep only one of them",
        # A reference never equals the name of a profile, so having both is an error, too.
        [*written("api_key"), *written("profile")],
    )


def _different(
    rule: str, message: str, hint: str, written: list[tuple[Place, Any]]
) -> Iterator[Finding]:
    """Yield an error for each value that differs from the first one."""
    for place, value in written:
        first, known = written[0]
        if value != known:
            yield error(rule, message, hint, place, related("the other value", first))


# Declarations of several files


def _twice(by_name: Mapping[str, list[_Entry]]) -> Iterator[Finding]:
    """Yield the entries that declare the webhook of an earlier one.

    An id that is the name of another entry is ambiguous, too. If only one of two entries with the
    same name has an id, the other one may match its webhook.
    """
    first: dict[str, _Entry] = {}
    for name, entries in by_name.items():
        for entry in entries:
            field, identity = ("name", name) if entry.id is None else ("id", entry.id)
            # An empty id identifies nothing.
            other = first.setdefault(identity or name, entry)
            if other is entry and (entry.id is None) is not (entries[0].id is None):
                field, identity, other = "name", name, entries[0]
            if other is not entry:
                hint = "remove one of the two, or pin each to its own webhook with `id`"
                # One may lack its organization, or have that of a file which it is a copy of.
                if other.place.file != entry.place.file:
                    hint += "; if the files are for different organizations, each needs its own "
                    hint += "`organization`"
                yield error(
                    "declared-twice",
                    f"{in_quotes(identity)} is declared twice",
                    hint,
                    entry.place.at(field),
                    related("also declared here", other.place.at("name")),
                )


def _lookalikes(by_name: dict[str, list[_Entry]]) -> Iterator[Finding]:
    seen: dict[str, _Entry] = {}
    for name, (entry, *_) in by_name.items():
        # One pair for each name: a reader needs only one other name to see the problem.
        other = seen.setdefault(names.lookalike_key(name), entry)
        if other is entry:
            continue
        odd = [char for char in {*name} ^ {*other.name} if not char.isascii()]
        only_one = f"; only one has {_code_points(odd)}" if odd else ""
        finding = warning(
            "names-look-alike",
            f"{in_quotes(name)} looks like {in_quotes(other.name)}{only_one}",
            "use names that are easy to distinguish",
            entry.place.at("name"),
            related("the other one", other.place.at("name")),
        )
        # Names that differ in case only are common, and a reader sees the difference.
        case_only = name.isascii() and name.lower() == other.name.lower()
        yield finding._replace(severity=Severity.NOTE) if case_only else finding


def _renames(entries: Sequence[_Entry]) -> Iterator[Finding]:
    first_use: dict[str, Place] = {}
    holders: dict[str, _Entry] = {}
    for entry in entries:
        if not (entry.absent and entry.id):  # it deletes a webhook by id, and declares no name
            holders.setdefault(entry.name, entry)
    for entry in entries:
        for place, old in entry.previously:
            was, now = in_quotes(old), in_quotes(entry.name)
            first = first_use.setdefault(old, place)
            if first is not place:
                yield error(
                    "previously-twice",
                    f"two entries have {was} in `previously`",
                    "remove the name from one of them",
                    place,
                    related("first used here", first),
                )
            # The rename and the other entry would claim the same live webhook.
            if old in holders:
                yield error(
                    "previously-declared",
                    f"{was} is a previous name of {now}, but is also declared",
                    f"if the rename to {now} is done, remove {was} from `previously`; if not, "
                    f"{_how_to_rename(was, holders[old])}",
                    place,
                    related("declared here", holders[old].place.at("name")),
                )


def _how_to_rename(was: str, holder: _Entry) -> str:
    """Return how to rename a webhook whose old name another entry has."""
    # Without its entry in the first apply, its webhook would be deleted.
    if holder.previously:
        return (
            f"first apply with {was} under its live name, then rename it; to exchange names, use "
            "three applies: rename one of them to a temporary name, then the other one, and last "
            "the first one"
        )
    return (
        f"use two applies: rename while {was} is not declared (exclude it if a parent file "
        "declares it), then declare it again"
    )
