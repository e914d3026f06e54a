"""Write the live webhooks as a readable configuration file.

A plan of the file with the same live webhooks has no changes. A webhook that a file cannot express
is left out and added to `ignore`, with the reason in a comment, so that it is never deleted. A
secret is never written: it becomes a reference. A URL without a credential is written as text.

A webhook whose channel is hidden is written as a comment and ignored. Comments at the top list
which hidden tokens are assumed to be one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from reconciler.findings import Position, Severity
from reconciler.kinds import EVENT_TYPES, FIELDS, KINDS, ordered, slack
from reconciler.model import DataPath, Live, LiveValue, LiveWebhook, SecretRef
from reconciler.planning.compare import compare_live
from reconciler.planning.match import unknown_type_or_event
from reconciler.planning.names import Globs
from reconciler.planning.readback import (
    Reading,
    is_unset,
    nonempty,
    unseen_secrets,
)
from reconciler.source.document import Document
from reconciler.source.lint import Rules
from reconciler.source.load import Parsed, load_parsed
from reconciler.source.new_references import References, SlackToken, Tokens, literal_value
from reconciler.source.secrets import holds_token
from reconciler.source.writer import escaped, item_lines, yaml_text

_NOT_SHOWN: Final = "the server shows no valid {}"
_HIDDEN_CHANNEL: Final = _NOT_SHOWN.format("channel")


class _Declaration(NamedTuple):
    """A declaration, the comment above it, and the assumed reference of a hidden Slack token.

    `unseen` are the secret fields that may be set, although the server does not show them.
    """

    data: Mapping[str, Any]
    comment: str
    assumed: SecretRef | None
    unseen: tuple[str, ...]


class Export(NamedTuple):
    """The file's text, and the references in it.

    `left_out` has (name, reason) for the live webhooks that the file ignores. `tokens` are the
    Slack tokens, those of most webhooks first. `assumptions` are the sentences of the file about
    the hidden ones, and `unassigned` those about usernames without a reference from the user.
    `declarations` are complete, by the id of the webhook; `reasons` has the others.
    """

    text: str
    references: tuple[SecretRef, ...]
    left_out: tuple[tuple[str, str], ...]
    tokens: tuple[SlackToken, ...]
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
    references = References(everything, {webhook.id for webhook in webhooks}, tokens)
    entries, reasons = _entries(webhooks, references)
    ignored = _ignored(webhooks, reasons)
    declared = [webhook for webhook in webhooks if webhook.name not in ignored]
    left_out = [webhook for webhook in webhooks if webhook.name in ignored]
    declarations = _declarations(declared, entries, references)
    slack_tokens = references.slack_tokens(declared)
    # A reviewer of the file has not seen the user's answers, so they are in it, too.
    assumptions = tuple(tokens.assumptions(slack_tokens))
    used = {reference for (id_, _), reference in references.chosen.items() if id_ in declarations}
    text = _text(live, only, ignored, [*declarations.values()], assumptions)
    same_name = "another webhook with this name is ignored"
    return Export(
        text=text + _commented(entries, reasons),
        references=tuple(sorted(used, key=str)),
        left_out=tuple((webhook.name, reasons.get(webhook.id, same_name)) for webhook in left_out),
        tokens=slack_tokens,
        declarations=declarations,
        reasons=reasons,
        assumptions=assumptions,
        unassigned=tuple(tokens.assumptions(slack_tokens, without=tokens.assigned)),
    )


def _ignored(webhooks: Iterable[LiveWebhook], reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the names that the file ignores, each with the reason.

    `ignore` has names: what shares one with a webhook that no file can declare is ignored, too.
    """
    ignored: dict[str, str] = {}
    for webhook in webhooks:
        if webhook.id in reasons:
            ignored.setdefault(webhook.name, reasons[webhook.id])
    return ignored


# The declarations


def _entries(
    webhooks: Sequence[LiveWebhook], references: References
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
        value = configuration.get(field.name)
        is_lost = not (field.secret or is_unset(value) or value is field.default)
        # A declaration without the value would remove it, and a password with its username.
        if (is_lost or field.may_be_hidden) and literal_value(field, webhook) is None:
            return _NOT_SHOWN.format(field.name)
    return None


def _entry(webhook: LiveWebhook, references: References, *, pinned: bool) -> dict[str, Any]:
    """Return the declaration of a live webhook."""
    configuration: dict[str, Any] = {}
    for name, field in FIELDS[webhook.type].items():
        reference = references.chosen.get((webhook.id, name))
        if reference is not None:
            configuration[name] = reference.tree()
            continue
        value = literal_value(field, webhook)
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


def _rejected(entries: Mapping[str, Any]) -> dict[str, str]:
    """Return why a file cannot contain the declarations, by id: the first error of each."""
    # The line of a position is the index of an entry.
    positions = [Position(file="", line=index) for index in range(len(entries))]
    ids = list(entries)
    data = {"webhooks": list(entries.values())}
    document = Document(file="", text="", data=data, items={"webhooks": positions})
    reasons: dict[str, str] = {}
    for finding in load_parsed(Parsed(documents=(document,)), Rules()).findings:
        if finding.severity is Severity.ERROR and finding.position is not None:
            reasons.setdefault(ids[finding.position.line], finding.message)
    return reasons


def _declarations(
    webhooks: Iterable[LiveWebhook],
    entries: Mapping[str, Mapping[str, Any]],
    references: References,
) -> dict[str, _Declaration]:
    """Return the declarations of webhooks, by id."""
    declarations: dict[str, _Declaration] = {}
    same_name: defaultdict[str, list[LiveWebhook]] = defaultdict(list)
    for webhook in webhooks:
        entry = entries[webhook.id]
        notes: list[str] = []
        if "id" in entry:
            notes.append("`id` because other live webhooks have this name")
        earlier = same_name[webhook.name]
        if any(compare_live(other, webhook) is not Reading.DIFFERENT for other in earlier):
            notes.append(
                "it looks the same as one above, and either may be the original: before you remove "
                "one, compare their last runs (`webhooks status -v`)"
            )
        written = entry["configuration"]
        unseen = [field.name for field in unseen_secrets(webhook, written, references.evidence)]
        notes += _url_notes(webhook, written)
        notes += [f"the server shows no {name}: add it if the webhook has one" for name in unseen]
        notes += _unknown_field_notes(webhook)
        assumed = references.hidden_token(webhook)
        declarations[webhook.id] = _Declaration(entry, "; ".join(notes), assumed, tuple(unseen))
        earlier.append(webhook)
    return declarations


def _url_notes(webhook: LiveWebhook, written: Mapping[str, Any]) -> Iterator[str]:
    """Yield the host of each URL that the file refers to; `written` is its configuration."""
    for field in KINDS[webhook.type].fields:
        value = nonempty(webhook.value(field.name))
        # A URL as text shows more than its host.
        if value is not None and isinstance(written.get(field.name), dict):
            # The path of a webhook's URL is often the secret.
            origin = value.origin()
            if origin is not None:
                yield f"{origin}/***"


def _unknown_field_notes(webhook: LiveWebhook) -> Iterator[str]:
    """Yield a note on the fields that no file can have."""
    shown = _shown(webhook)
    unknown = sorted(
        name for name in shown.keys() - FIELDS[webhook.type].keys() if not is_unset(shown[name])
    )
    if unknown:
        yield f"not supported in files, removed by the next update: {', '.join(unknown)}"


def _shown(webhook: LiveWebhook) -> Mapping[str, LiveValue]:
    """Return the configuration that the server shows, if any."""
    return webhook.configuration if isinstance(webhook.configuration, Mapping) else {}


# The text


def _text(
    live: Live,
    only: Sequence[str],
    ignored: Mapping[str, str],
    declarations: Sequence[_Declaration],
    assumptions: Sequence[str],
) -> str:
    """Return the file; `ignored` has the reason for each name."""
    # Without `prune`, an edit that removes an entry would delete nothing.
    data: dict[str, Any] = {"organization": live.organization.name, "prune": True}
    comments: dict[DataPath, str] = {
        ("prune",): "deletes live webhooks in scope that this file does not declare"
    }
    scope = list(only)
    if "" in ignored:  # only wildcards match it
        scope = [glob if glob.strip("*") else "?*" for glob in only or ("*",)]
        comments["scope",] = "a live webhook has no name, so no file can declare it"
    if scope:
        data["scope"] = list(dict.fromkeys(scope))
    ignore = {_as_glob(name): why for name, why in ignored.items() if name}
    if ignore:
        data["ignore"] = list(ignore)
        comments["ignore",] = (
            "to manage a webhook, replace its line with a declaration; if you only remove the "
            "line, it is deleted, unless its type or event is unknown"
        )
    for number, why in enumerate(ignore.values()):
        comments["ignore", number] = why
    defaults = _defaults([declaration.data for declaration in declarations])
    if defaults:
        data["defaults"] = defaults
    data["webhooks"] = [_without(declaration.data, defaults) for declaration in declarations]
    for number, declaration in enumerate(declarations):
        comments["webhooks", number] = declaration.comment
    text = yaml_text(data, lambda path: comments.get(path, ""))
    return "\n".join((*_header(assumptions), "", text))


def _header(assumptions: Sequence[str]) -> Iterator[str]:
    """Yield the first lines of the file."""
    yield (
        "# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/"
        "cloudtruth-webhooks/main/schemas/webhooks.schema.json"
    )
    if assumptions:
        yield "# CloudTruth hides these tokens. Check each reference, then delete its line:"
    for line in assumptions:
        yield f"#   {escaped(line)}"


def _commented(entries: Mapping[str, Mapping[str, Any]], reasons: Mapping[str, str]) -> str:
    """Return declarations that lack a channel as comments."""
    lacking = [entries[id_] for id_, reason in reasons.items() if reason == _HIDDEN_CHANNEL]
    lacking = [entry for entry in lacking if not holds_token("\n".join(item_lines([entry])))]
    if not lacking:
        return ""
    lines = "".join(f"  # {line}".rstrip() + "\n" for line in item_lines(lacking))
    return (
        "\n  # CloudTruth shows no valid channel of these webhooks, so they are in `ignore`. To\n"
        "  # manage one, uncomment it, add its `channel`, and remove its line from `ignore`.\n"
        f"{lines}"
    )


def _defaults(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the type and events that most webhooks share, and the configuration of that type."""
    defaults = _usual([{key: entry[key] for key in ("type", "event_types")} for entry in entries])
    type_ = defaults.get("type")
    shared = _usual([entry["configuration"] for entry in entries if entry["type"] == type_])
    if shared:
        defaults["configuration"] = shared
    return defaults


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
    """Return a glob that matches only this name, except for what a file cannot or must not have."""
    written = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    # Of a token, only the prefix is no secret.
    written = slack.TOKEN.sub(_without_token, written)
    # Half of a surrogate pair cannot be encoded.
    return re.sub("[\ud800-\udfff]", "?", written)


def _without_token(token: re.Match[str]) -> str:
    prefix, dash, secret = token[0].partition("-")
    return f"{prefix}{dash}{'?' * len(secret)}"
