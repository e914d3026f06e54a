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
from reconciler.model import DataPath, Live, LiveValue, LiveWebhook, Secret, SecretRef
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

SLACK_TOKEN: Final = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
"""The reference for the token of Slack webhooks, unless the user chooses another."""

_MODELINE: Final = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/"
    "cloudtruth-webhooks/main/schemas/webhooks.schema.json"
)
_HIDDEN_CHANNEL: Final = "the server shows no valid channel"
_SLACK_TOKENS: Final = [field for field in slack.KIND.fields if field.secret_pattern is slack.TOKEN]
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
        users_by_reference: dict[SecretRef, list[HiddenTokens]] = {}
        for users in self.hidden:
            users_by_reference.setdefault(users.reference, []).append(users)
        lines: list[str] = []
        for reference, groups in users_by_reference.items():
            number = sum(users.number for users in groups)
            names = ", ".join(f"{in_quotes(users.username)} ({users.number})" for users in groups)
            if number > 1:
                lines.append(f"{reference} is the token of {number} webhooks: username {names}")
        return tuple(lines)


def export(live: Live, *, only: Sequence[str] = (), tokens: Tokens = NO_TOKENS) -> Export:
    """Return `live` as YAML; `only` are globs over names, which become the scope of the file.

    `tokens` are the references of hidden Slack tokens.
    """
    chosen = Globs(only or ("*",))
    everything = sorted(live.webhooks, key=lambda webhook: (webhook.name, webhook.id))
    webhooks = [webhook for webhook in everything if chosen.match(webhook.name)]
    # References depend on all webhooks, so that a partial export uses the same names.
    known = [webhook for webhook in everything if webhook.type in KINDS]
    visible = _visible_secrets(known)
    references = _references(known, {webhook.id for webhook in webhooks}, visible, tokens)
    contents = _contents(webhooks, references)
    reasons, ignored = contents.reasons, contents.ignored
    left_out = [
        (webhook.name, reasons.get(webhook.id, "another webhook with this name is ignored"))
        for webhook in webhooks
        if webhook.name in ignored
    ]
    written = [webhook for webhook in webhooks if webhook.name not in ignored]
    policy, comments = _policy(only, ignored)
    declarations = [contents.entries[webhook.id] for webhook in written]
    data: dict[str, Any] = {"organization": live.organization.name, **policy}
    defaults = _defaults(declarations)
    if defaults:
        data["defaults"] = defaults
    data["webhooks"] = [_without(entry, defaults) for entry in declarations]
    token = tokens.shared or SLACK_TOKEN
    comments |= _webhook_comments(written, declarations, references, visible, token)

    ids = {webhook.id for webhook in written}
    used = {reference for (id_, _), reference in references.items() if id_ in ids}
    exported = Export(
        text="",
        references=tuple(sorted(used, key=str)),
        left_out=tuple(left_out),
        declared=len(written),
        hidden=_hidden_tokens(written, references),
        entries={webhook.id: contents.entries[webhook.id] for webhook in written},
        comments={
            webhook.id: comments["webhooks", number] for number, webhook in enumerate(written)
        },
        reasons=reasons,
    )
    header = "\n".join((_MODELINE, *_assumption_comments(exported.assumptions)))
    text = yaml_text(data, lambda path: comments.get(path, ""))
    return exported._replace(text=f"{header}\n\n{text}{_commented(contents.without_channel)}")


class _Contents(NamedTuple):
    """What a file can declare, and what it ignores.

    `entries` are declarations by the id of the webhook, `reasons` why others have none.
    `without_channel` are declarations that lack only a channel. `ignored` has the names to ignore,
    with the reasons.
    """

    entries: Mapping[str, dict[str, Any]]
    without_channel: Sequence[dict[str, Any]]
    reasons: Mapping[str, str]
    ignored: Mapping[str, str]


def _contents(
    webhooks: Sequence[LiveWebhook], references: Mapping[tuple[str, str], SecretRef]
) -> _Contents:
    """Return the declarations of the webhooks, or why there is none."""
    numbers = Counter(webhook.name for webhook in webhooks)
    entries: dict[str, dict[str, Any]] = {}
    without_channel: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    for webhook in webhooks:
        pinned = numbers[webhook.name] > 1
        reason = _unsupported_reason(webhook)
        if reason is None:
            entries[webhook.id] = _entry(webhook, references, pinned=pinned)
            continue
        reasons[webhook.id] = reason
        if reason == _HIDDEN_CHANNEL:
            without_channel.append(_entry(webhook, references, pinned=pinned))
    reasons |= _rejected(entries)
    # `ignore` has names, so it applies to all webhooks with a name; the first one has the reason.
    ignored: dict[str, str] = {}
    for webhook in webhooks:
        if webhook.id in reasons:
            ignored.setdefault(webhook.name, reasons[webhook.id])
    return _Contents(entries, without_channel, reasons, ignored)


def _visible_secrets(webhooks: Iterable[LiveWebhook]) -> set[str]:
    """Return the fields for which any webhook shows a secret, masked or not."""
    visible: set[str] = set()
    for webhook in webhooks:
        visible.update(name for name in _shown(webhook) if _secret(webhook, name) is not None)
    return visible


def _policy(
    only: Sequence[str], ignored: Mapping[str, str]
) -> tuple[dict[str, Any], dict[DataPath, str]]:
    """Return the policy of the file, and its comments; `ignored` has the reason for each name."""
    policy: dict[str, Any] = {"prune": True}
    comments: dict[DataPath, str] = {
        ("prune",): "deletes live webhooks in scope that this file does not declare"
    }
    scope = list(only)
    if "" in ignored:  # only wildcards match it
        scope = [glob if glob.strip("*") else "?*" for glob in only or ("*",)]
        comments["scope",] = "a live webhook has no name, so no file can declare it"
    if scope:
        policy["scope"] = list(dict.fromkeys(scope))
    globs = {_as_glob(name): why for name, why in ignored.items() if name}
    if globs:
        policy["ignore"] = list(globs)
        comments["ignore",] = _HOW_TO_DECLARE
        for number, why in enumerate(globs.values()):
            comments["ignore", number] = why
    return policy, comments


def _webhook_comments(
    webhooks: Sequence[LiveWebhook],
    declarations: Sequence[Mapping[str, Any]],
    references: Mapping[tuple[str, str], SecretRef],
    visible: Collection[str],
    token: SecretRef,
) -> dict[DataPath, str]:
    """Return the comment of each declaration; `token` is the usual reference of Slack tokens."""
    comments: dict[DataPath, str] = {}
    numbers = Counter(webhook.name for webhook in webhooks)
    noted = set(visible)
    first_users: dict[SecretRef, str] = {}
    earlier: defaultdict[str, list[LiveWebhook]] = defaultdict(list)
    for number, webhook in enumerate(webhooks):
        fields = declarations[number]["configuration"]
        written = {name: references.get((webhook.id, name)) for name in fields}
        notes: list[str] = []
        if numbers[webhook.name] > 1:
            notes += _why_pinned(webhook, earlier[webhook.name])
        notes += _notes(webhook, written, first_users, noted)
        comments["webhooks", number] = "; ".join(notes)
        earlier[webhook.name].append(webhook)
        noted.update(FIELDS[webhook.type].keys() - written.keys())  # note a missing field once
        for reference in written.values():
            if reference is not None and reference != token:  # the usual token needs no note
                first_users.setdefault(reference, webhook.name)
    return comments


def _hidden_tokens(
    webhooks: Iterable[LiveWebhook], references: Mapping[tuple[str, str], SecretRef]
) -> tuple[HiddenTokens, ...]:
    """Count the hidden Slack tokens by reference and user name, the most frequent first."""
    numbers: Counter[tuple[SecretRef, str]] = Counter()
    for webhook in webhooks:
        if webhook.type != slack.KIND.type:
            continue
        for field in _SLACK_TOKENS:
            reference = references.get((webhook.id, field.name))
            if reference is not None and not plausible(_secret(webhook, field.name)):
                numbers[reference, _username(webhook)] += 1
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
    # Without the empty line and the key `webhooks` at the start.
    lines = yaml_text({"webhooks": [*entries]}).splitlines()[2:]
    commented = [
        "",
        "  # CloudTruth shows no valid channel of these webhooks, so they are in `ignore`. To",
        "  # manage one, uncomment it, add its `channel`, and remove its line from `ignore`.",
        *(f"  # {line[2:]}".rstrip() for line in lines),
    ]
    return "".join(f"{line}\n" for line in commented)


def _rejected(entries: Mapping[str, Any]) -> dict[str, str]:
    """Return why a file cannot contain the declarations, by id: the first error of each."""
    # The line of a position is the index of an entry.
    ids, positions = list(entries), [Position(file="", line=line) for line in range(len(entries))]
    data = {"webhooks": list(entries.values())}
    document = Document(file="", text="", data=data, items={"webhooks": positions})
    reasons: dict[str, str] = {}
    for finding in load_parsed(Parsed(documents=(document,)), Rules()).findings:
        if finding.severity is Severity.ERROR and finding.position is not None:
            reasons.setdefault(ids[finding.position.line], finding.message)
    return reasons


def _why_pinned(webhook: LiveWebhook, earlier: Sequence[LiveWebhook]) -> Iterator[str]:
    """Yield why an entry has an `id`; `earlier` are those with its name."""
    yield "`id` because other live webhooks have this name"
    if any(compare_live(other, webhook) is not Reading.DIFFERENT for other in earlier):
        yield "it looks the same as an earlier one: remove it if it is a duplicate"


def _shown(webhook: LiveWebhook) -> Mapping[str, LiveValue]:
    return webhook.configuration if isinstance(webhook.configuration, Mapping) else {}


def _secret(webhook: LiveWebhook, name: str) -> Secret | None:
    """Return a secret as it is shown, masked or not; None if it is missing or empty."""
    value = _shown(webhook).get(name)
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
    references: dict[tuple[str, str], SecretRef] = {}
    token = tokens.shared or SLACK_TOKEN
    taken = {token.name, *(named.name for named in tokens.named.values())}
    for kind in KINDS.values():
        same_type = [webhook for webhook in webhooks if webhook.type == kind.type]
        for field in kind.fields:
            if not field.secret:
                continue
            members = [webhook for webhook in same_type if _refers(field, webhook, visible)]
            groups = sorted(_groups(field, members, tokens), key=len, reverse=True)
            usual = _usual_group(field, groups, chosen, tokens)
            for group in groups:
                reference = _chosen(group[0], field, tokens)
                if group is usual:
                    reference = token
                if reference is None:
                    stem = _variable(_owner(group, field, tokens), field.name)
                    reference = SecretRef(scheme="env", name=_unused_name(stem, taken))
                    taken.add(reference.name)
                for webhook in group:
                    references[webhook.id, field.name] = reference
    return references


def _usual_group(
    field: Field,
    groups: Sequence[Sequence[LiveWebhook]],
    chosen: Collection[str],
    tokens: Tokens,
) -> Sequence[LiveWebhook] | None:
    """Return the webhooks that have the shared reference: those of the token that is most used."""
    token = tokens.shared or SLACK_TOKEN
    # A reference that the user gave to some user names is not shared with others.
    is_free = tokens.shared is not None or token not in tokens.named.values()
    if field not in _SLACK_TOKENS or not is_free:
        return None
    unnamed = [group for group in groups if _chosen(group[0], field, tokens) is None]
    return max(
        unnamed, key=lambda group: sum(webhook.id in chosen for webhook in group), default=None
    )


def _unused_name(stem: str, taken: Collection[str]) -> str:
    """Return `stem`, with a number if it is taken."""
    numbered = (f"{stem}_{number}" for number in count(2))
    return next(name for name in chain([stem], numbered) if name not in taken)


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
    values = [_secret(webhook, field.name) for webhook in webhooks]
    numbers = Secret.groups(value or Secret("") for value in values)
    groups: defaultdict[object, list[LiveWebhook]] = defaultdict(list)
    for webhook, value, number in zip(webhooks, values, numbers, strict=True):
        key: object = number
        if not plausible(value):
            key = _hidden_group(field, webhook, number, tokens)
        groups[key].append(webhook)
    return list(groups.values())


def _hidden_group(field: Field, webhook: LiveWebhook, number: int, tokens: Tokens) -> object:
    """Return what webhooks have in common whose hidden values are assumed to be equal.

    `number` is the same for equal masks.
    """
    if field not in _SLACK_TOKENS:
        return webhook.id
    chosen = _chosen(webhook, field, tokens)
    if chosen is not None:
        return chosen
    # The same token may be encrypted differently each time.
    value = _secret(webhook, field.name)
    encrypted = secrets_alike(field, value, Secret("enc:")) is Reading.UNKNOWN
    mask: object = "encrypted" if encrypted else number
    return mask if tokens.shared is not None else (mask, _username(webhook))


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of the webhook or host `owner`.

    It begins with WEBHOOK; if `owner` is too long, its end is kept.
    """
    end = owner[-10 * _MAX_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_MAX_VARIABLE:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), field.upper()])


def _unsupported_reason(webhook: LiveWebhook) -> str | None:
    """Return why no declaration can be written for a live webhook, else None."""
    unknown = unknown_type_or_event(webhook)
    if unknown is not None:
        reason, names = unknown
        return f"{reason.replace('-', ' ')} {names}, so no file can declare it"
    shown = _shown(webhook)
    if not shown:
        return "the server hides its configuration"
    for field in KINDS[webhook.type].fields:
        if field.may_be_hidden and is_hidden(field, shown.get(field.name)):
            return _HIDDEN_CHANNEL
    return None


def _refers(field: Field, webhook: LiveWebhook, visible: Collection[str]) -> bool:
    """Return whether a file refers to the value of a secret field, shown or hidden."""
    if _secret(webhook, field.name) is not None:
        return _literal_value(field, webhook) is None
    partner = FIELDS[webhook.type].get(field.partner or "")
    has_partner = partner is not None and _literal_value(partner, webhook) is not None
    return (field.required or has_partner) and field.name not in visible


def _literal_value(field: Field, webhook: LiveWebhook) -> str | bool | None:
    """Return a value that the file has as text or flag; None if it is not set, hidden or secret."""
    value = _shown(webhook).get(field.name)
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
    webhook: LiveWebhook, references: Mapping[tuple[str, str], SecretRef], *, pinned: bool
) -> dict[str, Any]:
    """Return the declaration of a live webhook."""
    configuration: dict[str, Any] = {}
    for name, field in FIELDS[webhook.type].items():
        reference = references.get((webhook.id, name))
        if reference is not None:
            configuration[name] = reference.tree()
            continue
        value = _literal_value(field, webhook)
        if value is not None:
            configuration[name] = value
    events = ordered(webhook.event_types)
    entry: dict[str, Any] = {"name": webhook.name}
    if pinned:
        entry["id"] = webhook.id
    entry["type"] = webhook.type
    entry["event_types"] = ["*"] if len(events) == len(EVENT_TYPES) else events
    entry["configuration"] = configuration
    return entry


def _notes(
    webhook: LiveWebhook,
    written: Mapping[str, SecretRef | None],
    first_users: Mapping[SecretRef, str],
    noted: Collection[str],
) -> Iterator[str]:
    """Yield notes on secrets, and on what the file cannot express.

    `written` has the fields in the file, with the references of secrets; `first_users` the names
    of earlier webhooks, by their references. `noted` are the secret fields that the server shows,
    or for which there is a note.
    """
    for field in KINDS[webhook.type].fields:
        if not field.secret:
            continue
        value, reference = _secret(webhook, field.name), written.get(field.name)
        if value is not None and reference is not None:
            origin = value.origin()
            if origin is not None:
                yield f"{origin}/***"
            elif reference in first_users:
                yield f"the same {field.name} as {in_quotes(first_users[reference])}"
        elif field.partner is None and field.name not in {*written, *noted}:
            yield f"the server shows no {field.name}: add it if the webhook has one"
    known = FIELDS[webhook.type]
    strange = [name for name, value in _shown(webhook).items() if value and name not in known]
    if strange:
        yield f"not supported in files, removed by the next update: {', '.join(sorted(strange))}"


def _defaults(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the type and events that most webhooks share, and the configuration of that type."""
    defaults = _usual([{key: entry[key] for key in ("type", "event_types")} for entry in entries])
    type_ = defaults.get("type")
    shared = _usual([entry["configuration"] for entry in entries if entry["type"] == type_])
    return {**defaults, "configuration": shared} if shared else defaults


def _usual(data: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of keys in all of `data` that most, and at least two, share."""
    usual: dict[str, Any] = {}
    if not data:
        return usual
    for key in data[0]:
        values = [mapping.get(key) for mapping in data]
        # Lists and mappings cannot be counted, but their text can.
        text, number = Counter(map(repr, values)).most_common(1)[0]
        if None not in values and number > 1 and 2 * number > len(values):
            usual[key] = next(value for value in values if repr(value) == text)
    return usual


def _without(entry: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without the values of the defaults."""
    rest = {key: value for key, value in entry.items() if defaults.get(key) != value}
    rest.pop("configuration", None)
    configuration = entry["configuration"]
    if "type" not in rest:  # the configuration in the defaults is for their type
        shared = defaults.get("configuration", {})
        configuration = {
            key: value for key, value in configuration.items() if shared.get(key) != value
        }
    if configuration:
        rest["configuration"] = configuration
    return rest


def _as_glob(name: str) -> str:
    """Return a glob that matches only this name, except for halves of surrogate pairs in it."""
    written = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    return re.sub("[\ud800-\udfff]", "?", written)
