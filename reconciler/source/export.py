"""Write the live webhooks as a readable configuration file.

A plan of the file with the same live webhooks has no changes. A webhook that a file cannot express
is left out and added to `ignore`, with the reason in a comment, so that it is never deleted. A
secret is never written: it becomes a reference. A URL without a credential is written as text.

Fields with equal visible values share a reference. Each hidden value has a separate one, except
Slack tokens, which share one unless the visible parts of their masks differ. The variable of a URL
that several webhooks share is named after its host; another shared value is named after the first
webhook, and a comment marks the others.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, takewhile
from typing import Any, Final

from reconciler.findings import Severity
from reconciler.kinds import KINDS, Field, slack
from reconciler.kinds.events import EVENT_TYPES, ordered
from reconciler.model import (
    DataPath,
    Live,
    LiveValue,
    LiveWebhook,
    Scheme,
    Secret,
    SecretRef,
    Unknown,
)
from reconciler.planning.compare import compare_live
from reconciler.planning.match import unknown_type_or_event
from reconciler.planning.names import Globs
from reconciler.planning.readback import Reading, plausible, secrets_alike
from reconciler.source.lint import name_findings
from reconciler.source.rendered import yaml_text
from reconciler.source.secrets import is_placeholder, public_url
from reconciler.source.text import in_quotes

SLACK_TOKEN: Final = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")
"""The reference for the token of Slack webhooks, unless the user chooses another."""

_MODELINE: Final = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/"
    "cloudtruth-webhooks/main/schemas/webhooks.schema.json"
)
_MAX_VARIABLE: Final = 100
_UNKNOWN: Final = "unknown "
_HOW_TO_DECLARE: Final = (
    "to manage one, replace its line with a declaration in the same change; otherwise it is deleted"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The file's text, the references in it, and what the file cannot express.

    `left_out` has (name, reason) for the live webhooks that the file ignores. `declarable` is the
    number of these that a file can declare after a correction; the others have an unknown type or
    event. `declared` is the number of webhooks in the file.
    """

    text: str
    references: tuple[SecretRef, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    declarable: int = 0
    declared: int = 0


def export(live: Live, *, only: Sequence[str] = (), token: SecretRef = SLACK_TOKEN) -> Export:
    """Return `live` as YAML; `only` are globs over names, which become the scope of the file.

    `token` refers to the token that most Slack webhooks share.
    """
    chosen = Globs(only) if only else None
    everything = sorted(live.webhooks, key=lambda each: (each.name, each.id))
    webhooks = [each for each in everything if chosen is None or chosen.match(each.name)]
    known = [each for each in everything if each.type in KINDS]
    visible = {name for each in known for name in _shown(each) if _secret(each, name)}
    reasons = {each.id: _unsupported_reason(each, visible) for each in webhooks}
    ignored = {each.name: reason for each in reversed(webhooks) if (reason := reasons[each.id])}
    left_out = [
        (each.name, reasons[each.id] or "another webhook with this name is ignored")
        for each in webhooks
        if each.name in ignored
    ]
    written = [each for each in webhooks if each.name not in ignored]
    alike: defaultdict[str, list[LiveWebhook]] = defaultdict(list)
    for each in written:
        alike[each.name].append(each)
    references = _references(known, written, token)
    entries = [_entry(each, references, pinned=len(alike[each.name]) > 1) for each in written]
    data: dict[str, Any] = {"organization": live.organization.name, "prune": True}
    comments: dict[DataPath, str] = {
        ("prune",): "deletes live webhooks in scope that this file does not declare"
    }
    if only:
        # Exclude the webhook without a name, which only wildcards match.
        scope = ["?*" if "" in ignored and not each.strip("*") else each for each in only]
        data["scope"] = list(dict.fromkeys(scope))
    elif "" in ignored:
        data["scope"] = ["?*"]
        comments["scope",] = "a live webhook has no name, so no file can declare it"
    if globs := {_as_glob(name): ignored[name] for name, _ in left_out if name}:
        data["ignore"] = list(globs)
        if not all(map(_is_unknown, globs.values())):
            comments["ignore",] = _HOW_TO_DECLARE
        for number, why in enumerate(globs.values()):
            more = ", so no file can declare it" if _is_unknown(why) else ""
            comments["ignore", number] = f"{why}{more}"
    if defaults := _defaults(entries):
        data["defaults"] = defaults
    data["webhooks"] = [_without(each, defaults) for each in entries]
    first: dict[SecretRef, str] = {}
    for number, (found, entry) in enumerate(zip(written, entries, strict=True)):
        own = {each: references.get((found.id, each)) for each in entry["configuration"]}
        notes = [*_pinned(found, alike[found.name]), *_notes(found, own, first, visible)]
        if notes:
            comments["webhooks", number] = "; ".join(notes)
        # Note a missing field once. The shared token needs no note.
        visible |= {each.name for each in KINDS[found.type].fields} - own.keys()
        for ref in own.values():
            if ref is not None and ref != token:
                first.setdefault(ref, found.name)
    return Export(
        text=f"{_MODELINE}\n\n{yaml_text(data, lambda path: comments.get(path, ''))}",
        references=tuple(sorted(set(references.values()), key=str)),
        left_out=tuple(left_out),
        declarable=sum(not _is_unknown(why) for _, why in left_out),
        declared=len(entries),
    )


def _is_unknown(reason: str) -> bool:
    """Return whether the reason is an unknown type or event: such a webhook is never changed."""
    return reason.startswith(_UNKNOWN)


def _pinned(found: LiveWebhook, alike: Sequence[LiveWebhook]) -> Iterator[str]:
    """Yield why an entry has an `id`, given all entries with its name."""
    if len(alike) > 1:
        yield f"`id` because {len(alike)} live webhooks have this name"
        earlier = takewhile(lambda each: each.id != found.id, alike)
        if any(compare_live(each, found) is not Reading.DIFFERENT for each in earlier):
            yield "it looks the same as an earlier one: remove it if it is a duplicate"


def _shown(found: LiveWebhook) -> Mapping[str, LiveValue]:
    return {} if isinstance(found.configuration, Unknown) else found.configuration


def _secret(found: LiveWebhook, name: str) -> Secret | None:
    """Return a secret as it is shown, masked or not; None if it is missing or empty."""
    value = _shown(found).get(name)
    return value if isinstance(value, Secret) and value != Secret("") else None


def _references(
    webhooks: Sequence[LiveWebhook], written: Sequence[LiveWebhook], token: SecretRef
) -> dict[tuple[str, str], SecretRef]:
    """Return a reference for each secret in the file, by webhook id and field name.

    A shared URL's variable is named after its host, any other after the first of all `webhooks`
    with the value, so a partial export uses the same names. `token` is used for the Slack token
    that most of `written` share.
    """
    ids = {each.id for each in written}
    found: dict[tuple[str, str], SecretRef] = {}
    taken = {token.name}
    for kind in KINDS.values():
        for field in (each for each in kind.fields if each.secret):
            members = [each for each in webhooks if each.type == kind.type and _refers(field, each)]
            groups = sorted(_groups(field, members), key=len, reverse=True)
            usual = max(groups, key=lambda group: sum(each.id in ids for each in group), default=[])
            for group in groups:
                reference = token
                if group is not usual or field.secret_pattern is not slack.TOKEN:
                    url = _secret(group[0], field.name) if field.is_url else None
                    origin = url.origin() if url is not None and len(group) > 1 else None
                    owner = origin.partition("://")[2] if origin else group[0].name
                    stem = _variable(owner, field.name)
                    numbered = (f"{stem}_{number}" for number in count(2))
                    name = next(each for each in chain([stem], numbered) if each not in taken)
                    taken.add(name)
                    reference = SecretRef(scheme=Scheme.ENV, name=name)
                found.update(((each.id, field.name), reference) for each in group if each.id in ids)
    return found


def _groups(field: Field, webhooks: Sequence[LiveWebhook]) -> list[list[LiveWebhook]]:
    """Return the webhooks by the value of a secret field: those that may share a reference."""
    values = [_secret(each, field.name) for each in webhooks]
    numbers = Secret.groups(each or Secret("") for each in values)
    masks: list[Secret | None] = []
    groups: dict[object, list[LiveWebhook]] = {}
    for found, value, group in zip(webhooks, values, numbers, strict=True):
        key: object = group if plausible(value) else found.id
        if field.secret_pattern is slack.TOKEN and not plausible(value):
            alike = (secrets_alike(field, each, value) is not Reading.DIFFERENT for each in masks)
            place = next((number for number, each in enumerate(alike) if each), len(masks))
            masks += [value] if place == len(masks) else []
            key = ("hidden", place)
        groups.setdefault(key, []).append(found)
    return list(groups.values())


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of the webhook or host `owner`.

    It begins with WEBHOOK; if `owner` is too long, its end is kept.
    """
    end = owner[-10 * _MAX_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_MAX_VARIABLE:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), field.upper()])


def _unsupported_reason(found: LiveWebhook, visible: Collection[str]) -> str | None:
    """Return the reason if no file can declare a live webhook, else None.

    `visible` has the secret fields that any live webhook shows, masked or not.
    """
    if (unknown := unknown_type_or_event(found)) is not None:
        _, what = unknown
        subject = "type" if found.type not in KINDS else "event"
        return f"{_UNKNOWN}{subject} {what}"
    if not found.name:
        return "it has no name"
    if any(each.severity is Severity.ERROR for each in name_findings(found.name)):
        return "its name contains invisible characters"
    if not found.event_types:
        return "it has no events"
    if isinstance(found.configuration, Unknown) or not found.configuration:
        return "the server hides its configuration"
    for each in KINDS[found.type].fields:
        value = _secret(found, each.name) if each.secret else _literal_value(each, found)
        shown = found.configuration.get(each.name)
        if value is None and (each.required or _has_partner(each, found)):
            if not each.secret and shown not in (None, ""):
                return f"the server hides its {each.name}"
            if not each.secret or each.name in visible:
                return f"it has no {each.name}"
        if each.secret and each.partner and value and not _has_partner(each, found):
            return f"it has a {each.name} without a {each.partner}"
        if (
            each.schema_pattern
            and isinstance(value, str)
            and not re.search(each.schema_pattern, value)
        ):
            return f"its {each.name} {in_quotes(value)} is not {each.noun}"
        if not each.secret and isinstance(value, str) and is_placeholder(value):
            return f"its {each.name} {in_quotes(value)} looks like a placeholder"
    return None


def _refers(field: Field, found: LiveWebhook) -> bool:
    """Return whether a file refers to the value of a secret field, shown or hidden."""
    is_set = field.required or _secret(found, field.name) or _has_partner(field, found)
    return bool(is_set) and _literal_value(field, found) is None


def _literal_value(field: Field, found: LiveWebhook) -> str | bool | None:
    """Return a value that the file has as text or flag; None if it is not set, hidden or secret."""
    match _shown(found).get(field.name):
        case Secret() as url if field.is_url:
            return public_url(url)
        case bool(flag):
            return flag if field.is_boolean and flag != field.default else None
        case str(text) if plausible(text) and not field.is_boolean:
            return text
        case int() | float() as number if not field.is_boolean:
            return str(number)
        case _:
            return None


def _entry(
    found: LiveWebhook, references: Mapping[tuple[str, str], SecretRef], *, pinned: bool
) -> dict[str, Any]:
    """Return the declaration of a live webhook."""
    configuration: dict[str, Any] = {}
    for each in KINDS[found.type].fields:
        if (reference := references.get((found.id, each.name))) is not None:
            configuration[each.name] = reference.tree()
        elif (value := _literal_value(each, found)) is not None:
            configuration[each.name] = value
    events = ordered(found.event_types)
    return {
        "name": found.name,
        **({"id": found.id} if pinned else {}),
        "type": found.type,
        "event_types": ["*"] if len(events) == len(EVENT_TYPES) else events,
        "configuration": configuration,
    }


def _has_partner(known: Field, found: LiveWebhook) -> bool:
    """Return whether the other field of a pair is set, such as the user name of a password."""
    partner = KINDS[found.type].field(known.partner or "")
    return partner is not None and not partner.secret and _literal_value(partner, found) is not None


def _notes(
    found: LiveWebhook,
    written: Mapping[str, SecretRef | None],
    first: Mapping[SecretRef, str],
    known: Collection[str],
) -> Iterator[str]:
    """Yield notes on secrets, and on what the file cannot express.

    `written` has the fields in the file, with the references of secrets; `first` the names of
    earlier webhooks, by their references. `known` are the secret fields that the server shows, or
    for which there is a note.
    """
    kind, shown = KINDS[found.type], _shown(found)
    for field in (each for each in kind.fields if each.secret):
        value, ref = _secret(found, field.name), written.get(field.name)
        if value is not None and ref is not None:
            if (origin := value.origin()) is not None:
                yield f"{origin}/***"
            elif ref in first:
                yield f"the same {field.name} as {in_quotes(first[ref])}"
        elif field.partner is None and field.name not in {*written, *known}:
            yield f"the server shows no {field.name}: add it if the webhook has one"
    strange = sorted(name for name, value in shown.items() if value and kind.field(name) is None)
    if strange:
        yield f"not supported in files, removed by the next update: {', '.join(strange)}"


def _defaults(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the type and events that most webhooks share, and the configuration of that type."""
    defaults = _usual([{key: each[key] for key in ("type", "event_types")} for each in entries])
    alike = [each["configuration"] for each in entries if each["type"] == defaults.get("type")]
    shared = _usual(alike)
    return {**defaults, "configuration": shared} if shared else defaults


def _usual(data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of keys in all of `data` that most, and at least two, share."""
    usual = {}
    for key in data[0] if data else ():
        values = [each.get(key) for each in data]
        text, number = Counter(map(repr, values)).most_common(1)[0]
        if None not in values and number > 1 and 2 * number > len(values):
            usual[key] = next(each for each in values if repr(each) == text)
    return usual


def _without(entry: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without the values of the defaults."""
    rest = {key: value for key, value in entry.items() if defaults.get(key) != value}
    shared = defaults.get("configuration", {}) if "type" not in rest else {}
    own = {key: each for key, each in entry["configuration"].items() if shared.get(key) != each}
    rest.pop("configuration", None)
    return {**rest, "configuration": own} if own else rest


def _as_glob(name: str) -> str:
    """Return a glob that matches only this name, as far as a file can express it."""
    written = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    if not any(each.severity is Severity.ERROR for each in name_findings(name)):
        return written
    return "".join(char if char.isprintable() else "?" for char in written)
