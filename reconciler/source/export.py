"""Write the live webhooks as a readable configuration file.

A plan of the file with the same live webhooks has no changes. A webhook that a file cannot express
is left out and added to `ignore`, with the reason in a comment, so that it is never deleted. A
secret is never written: it becomes a reference. A URL without a credential is written as text.

A webhook whose channel is hidden is written as a comment and ignored.

Fields with equal visible values share a reference. Each hidden value has a separate one, except
Slack tokens: those with the same user name and equal masks are assumed to be one, which comments
at the top list. The variable of a URL that several webhooks share is named after its host; another
one after the first webhook with the value, or for a hidden token after its user name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reconciler.findings import Position, Severity, plural
from reconciler.kinds import EVENT_TYPES, FIELDS, KINDS, Field, ordered, slack
from reconciler.model import DataPath, Live, LiveValue, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.compare import compare_live
from reconciler.planning.match import unknown_type_or_event
from reconciler.planning.names import Globs
from reconciler.planning.readback import (
    Reading,
    gather_evidence,
    is_encrypted,
    is_hidden,
    nonempty,
    plausible,
)
from reconciler.source.document import Document
from reconciler.source.lint import Rules
from reconciler.source.load import Parsed, load_parsed
from reconciler.source.secrets import public_url
from reconciler.source.text import in_quotes
from reconciler.source.writer import escaped, item_lines, yaml_text

_MODELINE: Final = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/"
    "cloudtruth-webhooks/main/schemas/webhooks.schema.json"
)
_HIDDEN_CHANNEL: Final = "the server shows no valid channel"
_SAME_NAME: Final = "another webhook with this name is ignored"
_HOW_TO_DECLARE: Final = (
    "to manage one, replace its line with a declaration in the same change; otherwise it is deleted"
)


class _HiddenTokens(NamedTuple):
    """Declared webhooks with a user name and hidden tokens, which `reference` is assumed to be."""

    reference: SecretRef
    username: str
    number: int


class _Declaration(NamedTuple):
    """A declaration, the comment above it, and the assumed reference of a hidden Slack token."""

    data: Mapping[str, Any]
    comment: str
    assumed: SecretRef | None


class Export(NamedTuple):
    """The file's text, and the references in it.

    `left_out` has (name, reason) for the live webhooks that the file ignores. `hidden` are the
    hidden Slack tokens, those of most webhooks first. `assumptions` are the sentences of the file
    about them, and `unassigned` those about user names without a reference from the user.
    `declarations` are complete, by the id of the webhook; `reasons` has the others.
    """

    text: str
    references: tuple[SecretRef, ...]
    left_out: tuple[tuple[str, str], ...]
    hidden: tuple[_HiddenTokens, ...]
    declarations: Mapping[str, _Declaration]
    reasons: Mapping[str, str]
    assumptions: tuple[str, ...]
    unassigned: tuple[str, ...]


def export(live: Live, *, only: Sequence[str] = (), tokens: Tokens | None = None) -> Export:
    """Return `live` as YAML; `only` are globs over names, which become the scope of the file.

    `tokens` are the references of hidden Slack tokens.
    """
    globs, tokens = Globs(only or ("*",)), tokens or Tokens()
    # The order of a listing may change; that of an export must not, or each one would differ.
    everything = sorted(live.webhooks, key=lambda webhook: (webhook.name, webhook.id))
    webhooks = [webhook for webhook in everything if globs.match(webhook.name)]
    references = _References(everything, {webhook.id for webhook in webhooks}, tokens)
    entries, reasons = _entries(webhooks, references)
    # `ignore` has names: what shares one with a webhook that no file can declare is ignored, too.
    ignored: dict[str, str] = {}
    for webhook in webhooks:
        if webhook.id in reasons:
            ignored.setdefault(webhook.name, reasons[webhook.id])
    declared = [webhook for webhook in webhooks if webhook.name not in ignored]
    comments = _webhook_comments(declared, entries, references)
    declarations = {
        webhook.id: _Declaration(
            entries[webhook.id], comments[webhook.id], references.hidden_token(webhook)
        )
        for webhook in declared
    }
    used = {reference for (id_, _), reference in references.chosen.items() if id_ in declarations}
    hidden = _hidden_tokens(declared, declarations)
    # A reviewer of the file has not seen the user's answers, so they are in it, too.
    assumptions = tuple(_assumptions(hidden, tokens.declared))
    text = _text(live, _policy(only, ignored), [*declarations.values()], assumptions)
    return Export(
        text=text + _commented(entries, reasons),
        references=tuple(sorted(used, key=str)),
        left_out=tuple(
            (webhook.name, reasons.get(webhook.id, _SAME_NAME))
            for webhook in webhooks
            if webhook.name in ignored
        ),
        hidden=hidden,
        declarations=declarations,
        reasons=reasons,
        assumptions=assumptions,
        unassigned=tuple(
            _assumptions(hidden, tokens.declared, tokens.named.keys() - tokens.declared)
        ),
    )


def _text(
    live: Live,
    policy: tuple[dict[str, Any], dict[DataPath, str]],
    declarations: Sequence[_Declaration],
    assumptions: Sequence[str],
) -> str:
    """Return the file: its header, policy with comments, and declarations."""
    settings, comments = policy
    data: dict[str, Any] = {"organization": live.organization.name, **settings}
    defaults = _defaults([declaration.data for declaration in declarations])
    if defaults:
        data["defaults"] = defaults
    data["webhooks"] = [_without(declaration.data, defaults) for declaration in declarations]
    for number, declaration in enumerate(declarations):
        comments["webhooks", number] = declaration.comment
    header = [_MODELINE]
    if assumptions:
        header.append(
            "# CloudTruth hides these tokens. Check each assumption, then delete its line:"
        )
    header += [f"#   {escaped(line)}" for line in assumptions]
    text = yaml_text(data, lambda path: comments.get(path, ""))
    return "\n".join((*header, "", text))


def _entries(
    webhooks: Sequence[LiveWebhook], references: _References
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the declarations of webhooks by id, and why some cannot be in a file.

    Of these, a webhook that lacks only a channel has a declaration, too.
    """
    numbers = Counter(webhook.name for webhook in webhooks)
    entries: dict[str, dict[str, Any]] = {}
    reasons: dict[str, str] = {}
    for webhook in webhooks:
        reason = _unsupported_reason(webhook)
        if reason is not None:
            reasons[webhook.id] = reason
        if reason in (None, _HIDDEN_CHANNEL):
            # Two declarations with one name need ids, or one plan could mix up their webhooks.
            pinned = numbers[webhook.name] > 1
            entries[webhook.id] = _entry(webhook, references, pinned=pinned)
    # The checks of files decide, so that an export is always accepted later.
    complete = {id_: entry for id_, entry in entries.items() if id_ not in reasons}
    return entries, reasons | _rejected(complete)


def _policy(
    only: Sequence[str], ignored: Mapping[str, str]
) -> tuple[dict[str, Any], dict[DataPath, str]]:
    """Return the policy of the file, and its comments; `ignored` has the reason for each name."""
    # Without `prune`, an edit that removes an entry would delete nothing.
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
    webhooks: Iterable[LiveWebhook],
    entries: Mapping[str, Mapping[str, Any]],
    references: _References,
) -> dict[str, str]:
    """Return the comment of each declaration, by the id of its webhook."""
    comments: dict[str, str] = {}
    # The secret fields that the server shows, or for which there is a note.
    noted = set(references.visible)
    earlier: defaultdict[str, list[LiveWebhook]] = defaultdict(list)
    for webhook in webhooks:
        entry = entries[webhook.id]
        notes: list[str] = []
        if "id" in entry:
            notes.append("`id` because other live webhooks have this name")
        if any(
            compare_live(other, webhook) is not Reading.DIFFERENT for other in earlier[webhook.name]
        ):
            notes.append("it looks the same as an earlier one: remove it if it is a duplicate")
        notes += _secret_notes(webhook, entry["configuration"], noted)
        known = FIELDS[webhook.type]
        strange = [name for name, value in _shown(webhook).items() if value and name not in known]
        if strange:
            names = ", ".join(sorted(strange))
            notes.append(f"not supported in files, removed by the next update: {names}")
        comments[webhook.id] = "; ".join(notes)
        earlier[webhook.name].append(webhook)
        noted.update(known.keys() - entry["configuration"].keys())  # note a missing field once
    return comments


def _hidden_tokens(
    webhooks: Iterable[LiveWebhook], declarations: Mapping[str, _Declaration]
) -> tuple[_HiddenTokens, ...]:
    """Count the hidden Slack tokens by reference and user name, the most frequent first."""
    numbers: Counter[tuple[SecretRef, str]] = Counter()
    for webhook in webhooks:
        assumed = declarations[webhook.id].assumed
        if assumed is not None:
            numbers[assumed, _username(webhook)] += 1
    return tuple(_HiddenTokens(*key, number) for key, number in numbers.most_common())


def _assumptions(
    hidden: Sequence[_HiddenTokens], declared: Collection[str], assigned: Collection[str] = ()
) -> Iterator[str]:
    """Yield a line for each reference that several hidden tokens are assumed to be.

    Those of `assigned` user names are left out. A single token has a line, too, if its reference is
    that of `declared` webhooks, or the usual one of several: its name does not show whose it is.
    """
    users_by_reference: dict[SecretRef, list[_HiddenTokens]] = {}
    for users in hidden:
        users_by_reference.setdefault(users.reference, []).append(users)
    for reference, groups in users_by_reference.items():
        assumed = [users for users in groups if users.username not in assigned]
        number = sum(users.number for users in assumed)
        is_usual = reference == SLACK_TOKEN and len(users_by_reference) > 1
        is_declared = any(users.username in declared for users in assumed)
        if number > 1 or (number and (is_usual or is_declared)):
            names = ", ".join(f"{in_quotes(users.username)} ({users.number})" for users in assumed)
            webhooks = plural(number, "webhook")
            if len(assumed) > 1:  # user names tell the apps of Slack apart
                webhooks += f", although they have {len(assumed)} user names"
            yield f"{reference} is the token of {webhooks}: username {names}"


def _commented(entries: Mapping[str, Mapping[str, Any]], reasons: Mapping[str, str]) -> str:
    """Return declarations that lack a channel as comments."""
    lacking = [entries[id_] for id_, reason in reasons.items() if reason == _HIDDEN_CHANNEL]
    if not lacking:
        return ""
    return (
        "\n  # CloudTruth shows no valid channel of these webhooks, so they are in `ignore`. To\n"
        "  # manage one, uncomment it, add its `channel`, and remove its line from `ignore`.\n"
    ) + "".join(f"  # {line}".rstrip() + "\n" for line in item_lines(lacking))


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


def _unsupported_reason(webhook: LiveWebhook) -> str | None:
    """Return why no declaration can be written for a live webhook, else None."""
    unknown = unknown_type_or_event(webhook)
    if unknown is not None:
        reason, names = unknown
        return f"{reason.replace('-', ' ')} {names}, so no file can declare it"
    configuration = _shown(webhook)
    if not configuration:
        return "the server hides its configuration"
    for field in KINDS[webhook.type].fields:
        if field.may_be_hidden and is_hidden(field, configuration.get(field.name)):
            return _HIDDEN_CHANNEL
    return None


def _entry(webhook: LiveWebhook, references: _References, *, pinned: bool) -> dict[str, Any]:
    """Return the declaration of a live webhook."""
    configuration: dict[str, Any] = {}
    for name, field in FIELDS[webhook.type].items():
        reference = references.chosen.get((webhook.id, name))
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


def _secret_notes(
    webhook: LiveWebhook, written: Mapping[str, Any], noted: Collection[str]
) -> Iterator[str]:
    """Yield notes on secrets; `written` is the configuration in the file."""
    for field in KINDS[webhook.type].fields:
        if not field.secret:
            continue
        value = nonempty(webhook.value(field.name))
        # A URL as text shows more than its host.
        if value is not None and isinstance(written.get(field.name), dict):
            # The path of a webhook's URL is often the secret.
            origin = value.origin()
            if origin is not None:
                yield f"{origin}/***"
        elif field.partner is None and field.name not in {*written, *noted}:
            yield f"the server shows no {field.name}: add it if the webhook has one"


def _defaults(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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
        # With fewer, most webhooks would override the default, which is longer than without it.
        if None not in values and number > 1 and 2 * number > len(values):
            usual[key] = next(value for value in values if repr(value) == text)
    return usual


def _without(entry: Mapping[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
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
    # Half of a pair cannot be encoded, so no file can have it.
    return re.sub("[\ud800-\udfff]", "?", written)


# References

SLACK_TOKEN: Final = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
"""The reference for the token of Slack webhooks, unless the user chooses another."""

_SLACK_TOKEN: Final = FIELDS[slack.KIND.type]["token"]
_MAX_VARIABLE: Final = 100


class Tokens(NamedTuple):
    """The references that a user has chosen for hidden Slack tokens.

    `shared` is for all webhooks whose user name is not in `named`; without it, each user name has a
    separate reference. The references of `declared` user names come from files, not from the user.
    """

    shared: SecretRef | None = None
    named: Mapping[str, SecretRef] = MappingProxyType({})
    declared: frozenset[str] = frozenset()


def declared_tokens(webhooks: Iterable[Webhook]) -> Tokens:
    """Return the references that most declared Slack webhooks use, of all and by user name."""
    uses: Counter[SecretRef] = Counter()
    uses_by_username: defaultdict[str, Counter[SecretRef]] = defaultdict(Counter)
    for webhook in webhooks:
        token = webhook.configuration.get("token")
        if (
            webhook.type == slack.KIND.type
            and isinstance(token, SecretRef)
            and not token.is_literal
        ):
            uses[token] += 1
            uses_by_username[str(webhook.configuration["username"])][token] += 1
    shared = next((token for token, _ in uses.most_common(1)), None)
    named = {name: tokens.most_common(1)[0][0] for name, tokens in uses_by_username.items()}
    return Tokens(shared, named)


class _References:
    """The `chosen` references of live webhooks, by id and field; not set or text fields have none.

    They depend on all live webhooks, so that a partial export uses the same names. Of the Slack
    tokens, the one that most of the `exported` ids share has the reference `token`. `visible` are
    the secret fields that any webhook shows, masked or not.
    """

    def __init__(
        self, webhooks: Iterable[LiveWebhook], exported: Collection[str], tokens: Tokens
    ) -> None:
        known = [webhook for webhook in webhooks if webhook.type in KINDS]
        self.token = tokens.shared or SLACK_TOKEN
        self.visible = gather_evidence((), known, {}).shown
        self._tokens = tokens
        self._exported = exported
        # A new variable must not have the name of one that the user has chosen for another secret.
        self._taken = {self.token.name, *(named.name for named in tokens.named.values())}
        self.chosen: dict[tuple[str, str], SecretRef] = {}
        for kind in KINDS.values():
            same_type = [webhook for webhook in known if webhook.type == kind.type]
            for field in kind.fields:
                if field.secret:
                    self._choose(field, same_type)

    def hidden_token(self, webhook: LiveWebhook) -> SecretRef | None:
        """Return the reference of a Slack webhook's token that the server hides."""
        name = _SLACK_TOKEN.name
        if webhook.type != slack.KIND.type or plausible(webhook.value(name)):
            return None
        return self.chosen.get((webhook.id, name))

    def _choose(self, field: Field, webhooks: Iterable[LiveWebhook]) -> None:
        """Choose the references of a secret field, those that most webhooks share first."""
        members = [webhook for webhook in webhooks if self._refers(field, webhook)]
        # They choose first, so the names without a number belong to the most used values.
        groups = sorted(self._groups(field, members), key=len, reverse=True)
        usual = self._usual_group(field, groups)
        for group in groups:
            reference = self.token if group is usual else self._named(field, group[0])
            if reference is None:
                reference = self._new_reference(field, group)
            for webhook in group:
                self.chosen[webhook.id, field.name] = reference

    def _refers(self, field: Field, webhook: LiveWebhook) -> bool:
        """Return whether a file refers to the value of a secret field, shown or hidden."""
        if nonempty(webhook.value(field.name)) is not None:
            return _literal_value(field, webhook) is None
        partner = FIELDS[webhook.type].get(field.partner or "")
        has_partner = partner is not None and _literal_value(partner, webhook) is not None
        # If the server shows this field of others, it would show a value here, too: there is none.
        return (field.required or has_partner) and field.name not in self.visible

    def _groups(self, field: Field, webhooks: Sequence[LiveWebhook]) -> list[list[LiveWebhook]]:
        """Return the webhooks by the value of a secret field: those that may share a reference."""
        values = [nonempty(webhook.value(field.name)) for webhook in webhooks]
        numbers = Secret.groups(value or Secret("") for value in values)
        groups: defaultdict[object, list[LiveWebhook]] = defaultdict(list)
        for webhook, value, number in zip(webhooks, values, numbers, strict=True):
            key: object = number
            if not plausible(value):
                key = self._hidden_group(field, webhook, number)
            groups[key].append(webhook)
        return list(groups.values())

    def _hidden_group(self, field: Field, webhook: LiveWebhook, number: int) -> object:
        """Return what webhooks have in common whose hidden values are assumed to be equal.

        `number` is the same for equal masks.
        """
        if field != _SLACK_TOKEN:
            return webhook.id
        named = self._named(field, webhook)
        if named is not None:
            return named
        # The same token may be encrypted differently each time.
        value = nonempty(webhook.value(field.name))
        mask: object = number
        if value is not None and is_encrypted(value):
            mask = "encrypted"
        return mask if self._tokens.shared is not None else (mask, _username(webhook))

    def _usual_group(
        self, field: Field, groups: Iterable[list[LiveWebhook]]
    ) -> Sequence[LiveWebhook] | None:
        """Return the webhooks that have the shared reference: those of the most used token."""
        # A reference that the user gave to some user names is not shared with others.
        is_free = self._tokens.shared is not None or self.token not in self._tokens.named.values()
        if field != _SLACK_TOKEN or not is_free:
            return None
        unnamed = [group for group in groups if self._named(field, group[0]) is None]
        return max(
            unnamed,
            key=lambda group: sum(webhook.id in self._exported for webhook in group),
            default=None,
        )

    def _named(self, field: Field, webhook: LiveWebhook) -> SecretRef | None:
        """Return the reference that the user has chosen for the user name of a hidden token."""
        if field != _SLACK_TOKEN or plausible(webhook.value(field.name)):
            return None
        return self._tokens.named.get(_username(webhook))

    def _new_reference(self, field: Field, group: Sequence[LiveWebhook]) -> SecretRef:
        """Return a reference to a variable that no other secret has."""
        stem = _variable(self._owner(field, group), field.name)
        # Two webhooks may have names that differ only in characters that no variable can have.
        names = chain([stem], (f"{stem}_{number}" for number in count(2)))
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return SecretRef(scheme="env", name=name)

    def _owner(self, field: Field, group: Sequence[LiveWebhook]) -> str:
        """Return what the variable of a secret is named after."""
        first = group[0]
        owner, secret = first.name, nonempty(first.value(field.name))
        if field.is_url and secret is not None and len(group) > 1:
            return (secret.origin() or "").partition("://")[2] or owner
        if field == _SLACK_TOKEN and not plausible(secret) and self._tokens.shared is None:
            return _username(first) or owner
        return owner


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of the webhook or host `owner`.

    It begins with WEBHOOK; if `owner` is too long, its end is kept.
    """
    end = owner[-10 * _MAX_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_MAX_VARIABLE:].strip("_")
    return "_".join(filter(None, ["WEBHOOK", words, field.upper()]))


def _shown(webhook: LiveWebhook) -> Mapping[str, LiveValue]:
    """Return the configuration that the server shows, if any."""
    return webhook.configuration if isinstance(webhook.configuration, Mapping) else {}


def _username(webhook: LiveWebhook) -> str:
    """Return the user name, empty without one."""
    value = webhook.value("username")
    return value if isinstance(value, str) else ""


def _literal_value(field: Field, webhook: LiveWebhook) -> str | bool | None:
    """Return a value that the file has as text or flag; None if it is not set, hidden or secret."""
    value = _shown(webhook).get(field.name)
    if not field.secret and is_hidden(field, value):
        return None
    match value:
        case Secret() as url if field.is_url:
            return public_url(url)
        # Before numbers, because a bool is an int. The default is left out.
        case bool(flag):
            return flag if field.is_boolean and flag != field.default else None
        case str(text) if plausible(text) and not field.is_boolean:
            return text
        case int() | float() as number if not field.is_boolean:
            return str(number)
        case _:
            return None
