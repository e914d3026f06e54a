"""Write the live webhooks as a readable configuration file.

A plan of the file with the same live webhooks has no changes. A webhook that a file cannot express
is left out and added to `ignore`, with the reason in a comment, so that it is never deleted. A
secret is never written: it becomes a reference. A URL without a credential is written as text.

Fields with equal visible values share a reference. Each hidden value has a separate one, except
Slack tokens: those with the same user name and equal masks are assumed to be one, which the file
says in a comment. A webhook whose channel is hidden is written as a comment and ignored. The
variable of a URL that several webhooks share is named after its host; another shared value is named
after the first webhook, and a comment marks the others.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reconciler.findings import Position, Severity
from reconciler.kinds import FIELDS, KINDS, Field, slack
from reconciler.kinds.events import EVENT_TYPES, ordered
from reconciler.model import DataPath, Live, LiveValue, LiveWebhook, Scheme, Secret, SecretRef
from reconciler.planning.compare import compare_live
from reconciler.planning.match import unknown_type_or_event
from reconciler.planning.names import Globs
from reconciler.planning.readback import Reading, is_hidden, plausible, secrets_alike
from reconciler.source.lint import Rules
from reconciler.source.load import Parsed, load_parsed
from reconciler.source.rendered import escaped, yaml_text
from reconciler.source.secrets import public_url
from reconciler.source.text import in_quotes
from reconciler.source.yaml import Document

SLACK_TOKEN: Final = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")
"""The reference for the token of Slack webhooks, unless the user chooses another."""

_MODELINE: Final = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/"
    "cloudtruth-webhooks/main/schemas/webhooks.schema.json"
)
_HIDDEN_CHANNEL: Final = "the server shows no valid channel"
_SLACK_TOKENS: Final = [each for each in slack.KIND.fields if each.secret_pattern is slack.TOKEN]
_MAX_VARIABLE: Final = 100
_HOW_TO_DECLARE: Final = (
    "to manage one, replace its line with a declaration in the same change; otherwise it is deleted"
)


class Tokens(NamedTuple):
    """The references that a user has chosen for hidden Slack tokens.

    `shared` is for all webhooks whose user name is not in `named`; without it, each user name has a
    separate reference.
    """

    shared: SecretRef | None = None
    named: Mapping[str, SecretRef] = MappingProxyType({})


NO_TOKENS: Final = Tokens()


class HiddenTokens(NamedTuple):
    """Declared webhooks with a user name and hidden tokens, which `reference` is assumed to be."""

    reference: SecretRef
    username: str
    number: int


class Export(NamedTuple):
    """The file's text, the references in it, and the number of webhooks that it declares.

    `left_out` has (name, reason) for the live webhooks that the file ignores. `hidden` are the
    hidden Slack tokens, those of most webhooks first. `entries` are the complete declarations, and
    `comments` those above them, by id; `reasons` has the others.
    """

    text: str
    references: tuple[SecretRef, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    declared: int = 0
    hidden: tuple[HiddenTokens, ...] = ()
    entries: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    comments: Mapping[str, str] = MappingProxyType({})
    reasons: Mapping[str, str] = MappingProxyType({})

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Return a line for each reference that several hidden tokens are assumed to be."""
        lines = []
        for reference in dict.fromkeys(each.reference for each in self.hidden):
            users = [each for each in self.hidden if each.reference == reference]
            number = sum(each.number for each in users)
            names = ", ".join(f"{in_quotes(each.username)} ({each.number})" for each in users)
            if number > 1:
                lines.append(f"{reference} is the token of {number} webhooks: username {names}")
        return tuple(lines)


def export(live: Live, *, only: Sequence[str] = (), tokens: Tokens = NO_TOKENS) -> Export:
    """Return `live` as YAML; `only` are globs over names, which become the scope of the file.

    `tokens` are the references of hidden Slack tokens.
    """
    token = tokens.shared or SLACK_TOKEN
    chosen = Globs(only or ("*",))
    everything = sorted(live.webhooks, key=lambda each: (each.name, each.id))
    webhooks = [each for each in everything if chosen.match(each.name)]
    known = [each for each in everything if each.type in KINDS]
    visible = {name for each in known for name in _shown(each) if _secret(each, name)}
    references = _references(known, {each.id for each in webhooks}, visible, tokens)
    named = Counter(each.name for each in webhooks)
    reasons = {each.id: reason for each in webhooks if (reason := _unsupported_reason(each))}
    entries = {
        each.id: _entry(each, references, pinned=named[each.name] > 1)
        for each in webhooks
        if each.id not in reasons
    }
    reasons |= _rejected(entries)
    ignored = {each.name: reasons[each.id] for each in reversed(webhooks) if each.id in reasons}
    left_out = [
        (each.name, reasons.get(each.id, "another webhook with this name is ignored"))
        for each in webhooks
        if each.name in ignored
    ]
    written = [each for each in webhooks if each.name not in ignored]
    data: dict[str, Any] = {"organization": live.organization.name, "prune": True}
    comments: dict[DataPath, str] = {
        ("prune",): "deletes live webhooks in scope that this file does not declare"
    }
    if "" in ignored:  # only wildcards match it
        only = [each if each.strip("*") else "?*" for each in only or ("*",)]
        comments["scope",] = "a live webhook has no name, so no file can declare it"
    if only:
        data["scope"] = list(dict.fromkeys(only))
    if globs := {_as_glob(name): ignored[name] for name, _ in left_out if name}:
        data["ignore"] = list(globs)
        comments["ignore",] = _HOW_TO_DECLARE
        comments |= {("ignore", number): why for number, why in enumerate(globs.values())}
    if defaults := _defaults([entries[each.id] for each in written]):
        data["defaults"] = defaults
    data["webhooks"] = [_without(entries[each.id], defaults) for each in written]
    first: dict[SecretRef, str] = {}
    earlier: defaultdict[str, list[LiveWebhook]] = defaultdict(list)
    for number, found in enumerate(written):
        fields = entries[found.id]["configuration"]
        own = {each: references.get((found.id, each)) for each in fields}
        pinned = _why_pinned(found, earlier[found.name]) if named[found.name] > 1 else ()
        comments["webhooks", number] = "; ".join((*pinned, *_notes(found, own, first, visible)))
        earlier[found.name].append(found)
        # Note a missing field once. The shared token needs no note.
        visible |= {each.name for each in KINDS[found.type].fields} - own.keys()
        for ref in own.values():
            if ref is not None and ref != token:
                first.setdefault(ref, found.name)
    ids = {each.id for each in written}
    used = {ref for (key, _), ref in references.items() if key in ids}
    exported = Export(
        text="",
        references=tuple(sorted(used, key=str)),
        left_out=tuple(left_out),
        declared=len(written),
        hidden=_hidden_tokens(written, references),
        entries={webhook.id: entries[webhook.id] for webhook in written},
        comments={
            webhook.id: comments["webhooks", number] for number, webhook in enumerate(written)
        },
        reasons=reasons,
    )
    header = "\n".join((_MODELINE, *_assumption_comments(exported.assumptions)))
    unknown = [
        _entry(each, references, pinned=named[each.name] > 1)
        for each in webhooks
        if reasons.get(each.id) == _HIDDEN_CHANNEL
    ]
    text = yaml_text(data, lambda path: comments.get(path, ""))
    return exported._replace(text=f"{header}\n\n{text}{_commented(unknown)}")


def _hidden_tokens(
    webhooks: Iterable[LiveWebhook], references: Mapping[tuple[str, str], SecretRef]
) -> tuple[HiddenTokens, ...]:
    """Count the hidden Slack tokens by reference and user name, the most frequent first."""
    numbers = Counter(
        (references[webhook.id, field.name], _username(webhook))
        for webhook in webhooks
        for field in _SLACK_TOKENS
        if webhook.type == slack.KIND.type and (webhook.id, field.name) in references
        if not plausible(_secret(webhook, field.name))
    )
    return tuple(HiddenTokens(*key, number) for key, number in numbers.most_common())


def _assumption_comments(assumptions: Sequence[str]) -> Iterator[str]:
    """Yield the assumptions as comments of the file."""
    if assumptions:
        yield "# CloudTruth hides these tokens. Check each assumption, then delete its line:"
    yield from (f"#   {escaped(line)}" for line in assumptions)


def _commented(entries: Sequence[dict[str, Any]]) -> str:
    """Return declarations that lack a channel as comments."""
    if not entries:
        return ""
    lines = yaml_text({"webhooks": [*entries]}).splitlines()[2:]
    about = (
        "  # CloudTruth shows no valid channel of these webhooks, so they are in `ignore`. To",
        "  # manage one, uncomment it, add its `channel`, and remove its line from `ignore`.",
    )
    return "".join(
        f"{line}\n" for line in ("", *about, *(f"  # {line[2:]}".rstrip() for line in lines))
    )


def _rejected(entries: Mapping[str, Any]) -> dict[str, str]:
    """Return why a file cannot contain the declarations, by id: the first error of each."""
    # The line of a position is the index of an entry.
    ids, positions = list(entries), [Position(file="", line=line) for line in range(len(entries))]
    data = {"webhooks": list(entries.values())}
    document = Document(file="", text="", data=data, items={"webhooks": positions})
    found = load_parsed(Parsed(documents=(document,)), Rules()).findings
    errors = [each for each in found if each.severity is Severity.ERROR]
    return {ids[each.position.line]: each.message for each in reversed(errors) if each.position}


def _why_pinned(found: LiveWebhook, earlier: Sequence[LiveWebhook]) -> Iterator[str]:
    """Yield why an entry has an `id`; `earlier` are those with its name."""
    yield "`id` because other live webhooks have this name"
    if any(compare_live(each, found) is not Reading.DIFFERENT for each in earlier):
        yield "it looks the same as an earlier one: remove it if it is a duplicate"


def _shown(found: LiveWebhook) -> Mapping[str, LiveValue]:
    return found.configuration if isinstance(found.configuration, Mapping) else {}


def _secret(found: LiveWebhook, name: str) -> Secret | None:
    """Return a secret as it is shown, masked or not; None if it is missing or empty."""
    value = _shown(found).get(name)
    return value if isinstance(value, Secret) and value != Secret("") else None


def _references(
    webhooks: Sequence[LiveWebhook],
    chosen: Collection[str],
    visible: Collection[str],
    tokens: Tokens,
) -> dict[tuple[str, str], SecretRef]:
    """Return a reference for each secret of the `chosen` ids, by id and field name.

    A shared URL's variable is named after its host, any other after the first of all `webhooks`
    with the value, or its user name, so a partial export uses the same names. The Slack token that
    most of those chosen share has the reference of `tokens`. `visible` has the secret fields that
    any live webhook shows.
    """
    found: dict[tuple[str, str], SecretRef] = {}
    token = tokens.shared or SLACK_TOKEN
    taken = {token.name, *(each.name for each in tokens.named.values())}
    # A reference that the user gave to some user names is not shared with others.
    is_free = tokens.shared is not None or token not in tokens.named.values()
    secret_fields = [(kind, each) for kind in KINDS.values() for each in kind.fields if each.secret]
    for kind, field in secret_fields:
        same_type = (each for each in webhooks if each.type == kind.type)
        members = [each for each in same_type if _refers(field, each, visible)]
        groups = sorted(_groups(field, members, tokens), key=len, reverse=True)
        unnamed = [group for group in groups if _chosen(group[0], field, tokens) is None]
        usual = max(unnamed, key=lambda group: sum(each.id in chosen for each in group), default=[])
        for group in groups:
            reference = _chosen(group[0], field, tokens)
            if reference is None and group is usual and field in _SLACK_TOKENS and is_free:
                reference = token
            if reference is None:
                stem = _variable(_owner(group, field, tokens), field.name)
                numbered = (f"{stem}_{number}" for number in count(2))
                name = next(each for each in chain([stem], numbered) if each not in taken)
                taken.add(name)
                reference = SecretRef(scheme=Scheme.ENV, name=name)
            found.update(((webhook.id, field.name), reference) for webhook in group)
    return found


def _owner(group: Sequence[LiveWebhook], field: Field, tokens: Tokens) -> str:
    """Return what the variable of a group's secret is named after."""
    first = group[0]
    secret = _secret(first, field.name)
    if field.is_url and secret is not None and len(group) > 1:
        origin = secret.origin()
        return origin.partition("://")[2] if origin else first.name
    if field in _SLACK_TOKENS and not plausible(secret) and tokens.shared is None:
        return _username(first) or first.name
    return first.name


def _username(webhook: LiveWebhook) -> str:
    value = _shown(webhook).get("username")
    return value if isinstance(value, str) else ""


def _chosen(webhook: LiveWebhook, field: Field, tokens: Tokens) -> SecretRef | None:
    """Return the reference that the user has chosen for the user name of a hidden Slack token."""
    if field not in _SLACK_TOKENS or plausible(_secret(webhook, field.name)):
        return None
    return tokens.named.get(_username(webhook))


def _groups(
    field: Field, webhooks: Sequence[LiveWebhook], tokens: Tokens
) -> list[list[LiveWebhook]]:
    """Return the webhooks by the value of a secret field: those that may share a reference."""
    values = [_secret(each, field.name) for each in webhooks]
    numbers = Secret.groups(each or Secret("") for each in values)
    groups: defaultdict[object, list[LiveWebhook]] = defaultdict(list)
    for found, value, number in zip(webhooks, values, numbers, strict=True):
        key: object = number
        if not plausible(value):
            encrypted = secrets_alike(field, value, Secret("enc:")) is Reading.UNKNOWN
            hidden = "encrypted" if encrypted else number
            if field not in _SLACK_TOKENS:
                key = found.id
            elif (chosen := _chosen(found, field, tokens)) is not None:
                key = chosen
            else:
                key = hidden if tokens.shared is not None else (hidden, _username(found))
        groups[key].append(found)
    return list(groups.values())


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of the webhook or host `owner`.

    It begins with WEBHOOK; if `owner` is too long, its end is kept.
    """
    end = owner[-10 * _MAX_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_MAX_VARIABLE:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), field.upper()])


def _unsupported_reason(found: LiveWebhook) -> str | None:
    """Return why no declaration can be written for a live webhook, else None."""
    if (unknown := unknown_type_or_event(found)) is not None:
        reason, what = unknown
        return f"{reason.replace('-', ' ')} {what}, so no file can declare it"
    if not _shown(found):
        return "the server hides its configuration"
    fields = KINDS[found.type].fields
    hidden = any(
        each.may_be_hidden and is_hidden(each, _shown(found).get(each.name)) for each in fields
    )
    return _HIDDEN_CHANNEL if hidden else None


def _refers(field: Field, found: LiveWebhook, visible: Collection[str]) -> bool:
    """Return whether a file refers to the value of a secret field, shown or hidden."""
    if _secret(found, field.name):
        return _literal_value(field, found) is None
    partner = FIELDS[found.type].get(field.partner or "")
    has_partner = partner is not None and _literal_value(partner, found) is not None
    return (field.required or has_partner) and field.name not in visible


def _literal_value(field: Field, found: LiveWebhook) -> str | bool | None:
    """Return a value that the file has as text or flag; None if it is not set, hidden or secret."""
    value = _shown(found).get(field.name)
    if not field.secret and is_hidden(field, value):
        return None
    match value:
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
    for name, field in FIELDS[found.type].items():
        if (reference := references.get((found.id, name))) is not None:
            configuration[name] = reference.tree()
        elif (value := _literal_value(field, found)) is not None:
            configuration[name] = value
    events = ordered(found.event_types)
    return {
        "name": found.name,
        **({"id": found.id} if pinned else {}),
        "type": found.type,
        "event_types": ["*"] if len(events) == len(EVENT_TYPES) else events,
        "configuration": configuration,
    }


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
    """Return a glob that matches only this name, except for halves of surrogate pairs in it."""
    written = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    return re.sub("[\ud800-\udfff]", "?", written)
