"""Live webhooks as a file that a person would have written.

Promises: planning the file against the webhooks it was made from shows no change. What a file
cannot say is left out with the reason in a comment, and put under `ignore`, so that nothing which
was not understood is ever deleted. Secrets become references to variables, one variable for one
value where values can be told apart; none of them is written, an address neither, as it may be
one itself.

Refuses: to guess. A configuration that the server hides is not filled in.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler.findings import Severity
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import compress
from reconciler.model import Live, LiveWebhook, Secret, Unknown
from reconciler.planning.match import not_understood
from reconciler.planning.names import Globs
from reconciler.planning.readback import plausible
from reconciler.source.lint import name_findings

_MODELINE = (
    "# yaml-language-server: $schema=https://raw.githubusercontent.com/cloudtruth-webhooks/"
    "cloudtruth-webhooks/main/schemas/webhooks.schema.json"
)

_BARE: Final = re.compile(r"[^\W\d_]\w*(?:[ ./-]\w+)*")
# Words that some reader of YAML takes for a flag or for nothing.
_SPECIAL: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_RUNNER_COMMAND: Final = re.compile(r"(##\w*)\[")  # the log of a CI runner executes it
_HARMLESS: Final = r"\1\\u005B"
_LONGEST_VARIABLE: Final = 100
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The file's text, the variables to set before `apply`, and what it could not express.

    `left_out` holds (name, reason) of live webhooks that the file ignores.
    """

    text: str
    variables: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    declared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A live webhook as it will be written; values are ready-made YAML, `variables` by field."""

    name: str
    type: str
    events: tuple[str, ...]
    configuration: Mapping[str, str]
    id: str | None = None
    comments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def export(live: Live, *, only: Sequence[str] = ()) -> Export:
    """Write `live` as YAML; `only` are globs over names: what they leave out is out of scope."""
    chosen = Globs(only) if only else None
    webhooks = sorted(
        (each for each in live.webhooks if chosen is None or chosen.match(each.name)),
        key=lambda each: (each.name, each.id),
    )
    names = Counter(each.name for each in webhooks)
    written: list[LiveWebhook] = []
    left_out: list[tuple[str, str]] = []
    for each in webhooks:
        reason = _inexpressible(each)
        if reason is None:
            written.append(each)
        else:
            left_out.append((each.name, reason))
    ignored = {name for name, _ in left_out}
    written = [each for each in written if each.name not in ignored]
    variables = _variable_names(written)
    entries = [_entry(each, variables, pinned=names[each.name] > 1) for each in written]
    uses: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for entry in entries:
        for name, variable in entry.variables.items():
            uses[variable].append((entry.name, name))
    default_type, defaults = _defaults(entries)
    lines = [
        _MODELINE,
        "",
        f"organization: {scalar(live.organization.name)}",
        "prune: true  # what is live, in scope and not declared here gets deleted",
    ]
    if only:
        # Only stars match the name that no file can declare.
        scope = ["?*" if "" in ignored and not each.strip("*") else each for each in only]
        lines.append(f"scope: {_flow(list(dict.fromkeys(scope)))}")
    elif "" in ignored:
        lines.append('scope: ["?*"]  # a webhook without a name is live, which no file can declare')
    lines += _ignore(left_out)
    lines += _default_lines(default_type, defaults)
    lines += _webhook_lines(entries, default_type, defaults)
    if uses:
        lines += ["", "# Set these before `webhooks apply`:"]
        lines += [f"#   {variable}  {_uses(uses[variable])}" for variable in sorted(uses)]
    return Export(
        text="\n".join(lines) + "\n",
        variables=tuple(sorted(uses)),
        left_out=tuple(left_out),
        declared=len(entries),
    )


def _variable_names(webhooks: Sequence[LiveWebhook]) -> dict[tuple[str, str], str]:
    """Return a variable for each secret field, by the id of its webhook and its name.

    There is one for one value, where values are shown and equal. A value that all webhooks of a
    type share is named after the type, else after the first webhook that has it.
    """
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for kind in KINDS.values():
        members = [each for each in webhooks if each.type == kind.type]
        for secret in sorted(kind.secret_fields):
            for owner, group in _groups(kind.type, secret, members):
                stem = name = _variable(owner, secret)
                number = 2
                while name in taken:
                    name, number = f"{stem}_{number}", number + 1
                taken.add(name)
                names.update(((each.id, secret), name) for each in group)
    return names


def _groups(
    kind: str, field: str, webhooks: Sequence[LiveWebhook]
) -> Iterator[tuple[str, list[LiveWebhook]]]:
    """Yield webhooks of one type that have the same value, and whom it is named after."""
    shown: list[tuple[LiveWebhook, Secret]] = []
    hidden: list[LiveWebhook] = []
    for each in webhooks:
        configuration = each.configuration
        value = None if isinstance(configuration, Unknown) else configuration.get(field)
        if isinstance(value, Secret) and plausible(value):
            shown.append((each, value))
        else:
            hidden.append(each)
    groups: dict[int, list[LiveWebhook]] = {}
    numbers = Secret.groups(value for _, value in shown)
    for (each, _), number in zip(shown, numbers, strict=True):
        groups.setdefault(number, []).append(each)
    for members in groups.values():
        shared = len(members) > 1 and len(members) == len(webhooks)
        yield (kind if shared else members[0].name), members
    yield from ((each.name, [each]) for each in hidden)


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of a webhook (or of a type) called `owner`.

    It begins with WEBHOOK however long `owner` is, of which the end is kept.
    """
    end = owner[-10 * _LONGEST_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_LONGEST_VARIABLE:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), field.upper()])


def _inexpressible(found: LiveWebhook) -> str | None:
    """Return why no file can declare a live webhook as it is."""
    if (unknown := not_understood(found)) is not None:
        _, what = unknown
        subject = "type" if found.type not in KINDS else "event"
        return f"this version does not know the {subject} {what}"
    if any(each.severity is Severity.ERROR for each in name_findings(found.name)):
        return "its name holds characters that no reader can see"
    if not found.event_types:
        return "it has no events"
    if isinstance(found.configuration, Unknown) or not found.configuration:
        return "the server hides its configuration"
    for each in KINDS[found.type].fields:
        if each.required and not each.secret and _plain(each, found) is None:
            return f"the server hides its {each.name}"
    return None


def _plain(known: Field, found: LiveWebhook) -> str | None:
    """Return the YAML of a field that is no secret, None if it is not there or not shown."""
    if isinstance(found.configuration, Unknown):
        return None
    value = found.configuration.get(known.name)
    if known.flag:
        return str(value).lower() if isinstance(value, bool) and value != known.default else None
    if isinstance(value, str) and plausible(value):
        return scalar(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return scalar(str(value))
    return None


def _entry(found: LiveWebhook, names: Mapping[tuple[str, str], str], *, pinned: bool) -> _Entry:
    configuration: dict[str, str] = {}
    variables: dict[str, str] = {}
    notes: list[str] = []
    shown = {} if isinstance(found.configuration, Unknown) else found.configuration
    for each in KINDS[found.type].fields:
        value = shown.get(each.name)
        if each.secret:
            if each.required or isinstance(value, Secret) or _partner(each, found):
                variables[each.name] = names[found.id, each.name]
                configuration[each.name] = f"{{env: {variables[each.name]}}}"
                origin = value.origin() if isinstance(value, Secret) else None
                if origin is not None:
                    notes.append(f"{origin}/***")
        elif (text := _plain(each, found)) is not None:
            configuration[each.name] = text
    known = {each.name for each in KINDS[found.type].fields}
    strange = sorted(name for name, value in shown.items() if name not in known and value)
    if strange:
        notes.append(f"not expressible here, lost when it is changed: {', '.join(strange)}")
    return _Entry(
        name=found.name,
        type=found.type,
        events=compress(found.event_types),
        configuration=configuration,
        id=found.id if pinned else None,
        comments=tuple(notes),
        variables=variables,
    )


def _partner(known: Field, found: LiveWebhook) -> bool:
    """A password that is not shown is there all the same when its user name is."""
    if known.partner is None or isinstance(found.configuration, Unknown):
        return False
    partner = KINDS[found.type].field(known.partner)
    return partner is not None and not partner.secret and _plain(partner, found) is not None


def _defaults(entries: Sequence[_Entry]) -> tuple[str | None, Mapping[str, str]]:
    """Pull out the most common type, and what all webhooks of it have in common."""
    if len(entries) < 2:
        return None, {}
    kind, count = min(
        Counter(each.type for each in entries).items(), key=lambda pair: (-pair[1], pair[0])
    )
    if count < 2:
        return None, {}
    first, *others = (each for each in entries if each.type == kind)
    return kind, {
        name: value
        for name, value in first.configuration.items()
        if all(each.configuration.get(name) == value for each in others)
    }


def _ignore(left_out: Iterable[tuple[str, str]]) -> list[str]:
    entries = sorted({(name, reason) for name, reason in left_out if name})
    if not entries:
        return []
    lines = ["ignore:"]
    seen: set[str] = set()
    for name, reason in entries:
        glob = as_glob(name)
        if glob in seen:
            continue
        seen.add(glob)
        lines.append(f"  - {scalar(glob)}  # {_comment(reason)}")
    return lines


def as_glob(name: str) -> str:
    """Write a name as the glob that matches it and nothing else, as far as a file can hold it."""
    written = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    if not any(each.severity is Severity.ERROR for each in name_findings(name)):
        return written
    return "".join(char if char.isprintable() else "?" for char in written)


def _default_lines(kind: str | None, shared: Mapping[str, str]) -> list[str]:
    if kind is None:
        return []
    lines = ["", "defaults:", f"  type: {kind}"]
    if shared:
        lines.append("  configuration:")
        lines += [f"    {name}: {value}" for name, value in shared.items()]
    return lines


def _webhook_lines(
    entries: Sequence[_Entry], kind: str | None, shared: Mapping[str, str]
) -> list[str]:
    if not entries:
        return ["", "webhooks: []"]
    lines = ["", "webhooks:"]
    for number, each in enumerate(entries):
        if number:
            lines.append("")
        lines += [f"  # {_comment(note)}" for note in each.comments]
        lines.append(f"  - name: {scalar(each.name)}")
        if each.id is not None:
            lines.append(f"    id: {scalar(each.id)}")
        if each.type != kind:
            lines.append(f"    type: {each.type}")
        lines.append(f"    event_types: {_flow(list(each.events))}")
        own = {
            name: value
            for name, value in each.configuration.items()
            if each.type != kind or shared.get(name) != value
        }
        if own:
            lines.append("    configuration:")
            lines += [f"      {name}: {value}" for name, value in own.items()]
    return lines


def _uses(uses: Sequence[tuple[str, str]]) -> str:
    fields = sorted({field for _, field in uses})
    names = [name for name, _ in uses]
    shown = ", ".join(_comment(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{' and '.join(fields)} of {shown}{more}"


def scalar(text: str) -> str:
    """Write `text` so that it is read back as exactly this text, in block and flow style."""
    if _BARE.fullmatch(text) and text.casefold() not in _SPECIAL and text.isprintable():
        return text
    escaped = "".join(_escaped(char) for char in text)
    return f'"{_RUNNER_COMMAND.sub(_HARMLESS, escaped)}"'


def _flow(items: list[str]) -> str:
    """Write a list of texts on one line."""
    return "[" + ", ".join(scalar(item) for item in items) + "]"


def _comment(text: str) -> str:
    """Return `text` as it can stand in a comment."""
    escaped = "".join(_escaped(char) if char not in '"\\' else char for char in text)
    return _RUNNER_COMMAND.sub(_HARMLESS, escaped)


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if unicodedata.category(char) in _UNSEEN or (char.isspace() and char != " "):
        code = ord(char)
        return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    return char
