"""Write the live webhooks as a readable configuration file.

A plan of the file with the same live webhooks has no changes. A webhook that a file cannot express
is left out, with the reason in a comment, and added to `ignore`, so that it is never deleted.
Secrets become references to variables, one variable for each distinguishable value. Secrets are
never written, and neither are URLs that may be secret.

A configuration that the server hides is not guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Final

from reconciler.findings import Severity
from reconciler.kinds import KINDS, Field
from reconciler.kinds.events import compress
from reconciler.model import Live, LiveValue, LiveWebhook, Path, Secret, Unknown
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
    """The file's text, the variables to set before `apply`, and what the file cannot express.

    `left_out` has (name, reason) for the live webhooks that the file ignores.
    """

    text: str
    variables: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    declared: int = 0


def export(live: Live, *, only: Sequence[str] = ()) -> Export:
    """Return `live` as YAML; `only` are globs over names, which become the scope of the file."""
    chosen = Globs(only) if only else None
    webhooks = sorted(
        (each for each in live.webhooks if chosen is None or chosen.match(each.name)),
        key=lambda each: (each.name, each.id),
    )
    reasons = ((each.name, _inexpressible(each)) for each in webhooks)
    left_out = [(name, reason) for name, reason in reasons if reason is not None]
    ignored = {name for name, _ in left_out}
    written = [each for each in webhooks if each.name not in ignored]
    names, variables = Counter(each.name for each in webhooks), _variable_names(written)
    entries = [_entry(each, variables, pinned=names[each.name] > 1) for each in written]
    defaults = _defaults(entries)
    uses: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for entry in entries:
        for name, value in entry["configuration"].items():
            if isinstance(value, dict):
                uses[value["env"]].append((entry["name"], name))
    lines = [
        _MODELINE,
        "",
        f"organization: {scalar(live.organization.name)}",
        "prune: true  # what is live, in scope and not declared here gets deleted",
    ]
    if only:
        # Only stars match the name that no file can declare.
        scope = ["?*" if "" in ignored and not each.strip("*") else each for each in only]
        lines.append(f"scope: {_inline(list(dict.fromkeys(scope)))}")
    elif "" in ignored:
        lines.append('scope: ["?*"]  # a webhook without a name is live, which no file can declare')
    globs = {as_glob(name): reason for name, reason in sorted(left_out, reverse=True) if name}
    lines += ["ignore:"] if globs else []
    lines += [f"  - {scalar(each)}  # {_comment(globs[each])}" for each in reversed(globs)]
    if defaults:
        lines += ["", "defaults:", *(f"  {line}" for line in block(defaults))]
    lines += ["", "webhooks:"] if entries else ["", "webhooks: []"]
    for number, (found, entry) in enumerate(zip(written, entries, strict=True)):
        lines += [""] if number else []
        lines += [f"  # {_comment(each)}" for each in _notes(found)]
        lines += _list_item(_without(entry, defaults))
    if uses:
        lines += ["", "# Set these before `webhooks apply`:"]
        lines += [f"#   {variable}  {_uses(uses[variable])}" for variable in sorted(uses)]
    return Export(
        text="\n".join(lines) + "\n",
        variables=tuple(sorted(uses)),
        left_out=tuple(left_out),
        declared=len(entries),
    )


def _shown(found: LiveWebhook) -> Mapping[str, LiveValue]:
    return {} if isinstance(found.configuration, Unknown) else found.configuration


def _variable_names(webhooks: Sequence[LiveWebhook]) -> dict[tuple[str, str], str]:
    """Return a variable for each secret field, by webhook id and field name.

    Fields with equal visible values share a variable. If all webhooks of a type share a value, the
    variable is named after the type, else after the first webhook that has the value.
    """
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for kind in KINDS.values():
        members = [each for each in webhooks if each.type == kind.type]
        for field in sorted(kind.secret_fields):
            values = {
                each.id: value
                for each in members
                if isinstance(value := _shown(each).get(field), Secret) and plausible(value)
            }
            numbers = dict(zip(values, Secret.groups(values.values()), strict=True))
            groups: dict[int | str, list[LiveWebhook]] = {}
            for each in members:
                groups.setdefault(numbers.get(each.id, each.id), []).append(each)
            for group in groups.values():
                shared = 1 < len(group) == len(members)
                stem = _variable(kind.type if shared else group[0].name, field)
                numbered = (f"{stem}_{number}" for number in count(2))
                name = next(each for each in chain([stem], numbered) if each not in taken)
                taken.add(name)
                names.update(((each.id, field), name) for each in group)
    return names


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of the webhook or type `owner`.

    It begins with WEBHOOK; if `owner` is too long, its end is kept.
    """
    end = owner[-10 * _LONGEST_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_LONGEST_VARIABLE:].strip("_")
    return "_".join(["WEBHOOK", *([words] if words else []), field.upper()])


def _inexpressible(found: LiveWebhook) -> str | None:
    """Return the reason if no file can declare a live webhook, else None."""
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
        value = _plain(each, found)
        if each.required and not each.secret and value is None:
            return f"the server hides its {each.name}"
        if each.pattern and isinstance(value, str) and not re.search(each.pattern, value):
            return f"its {each.name} is not {each.noun}"
    return None


def _plain(known: Field, found: LiveWebhook) -> str | bool | None:
    """Return the value of a plain field, None if it is missing or not shown."""
    match _shown(found).get(known.name):
        case bool(flag):
            return flag if known.flag and flag != known.default else None
        case str(text) if plausible(text) and not known.flag:
            return text
        case int() | float() as number if not known.flag:
            return str(number)
        case _:
            return None


def _entry(
    found: LiveWebhook, variables: Mapping[tuple[str, str], str], *, pinned: bool
) -> dict[str, Any]:
    """Return a live webhook as a file declares it."""
    configuration: dict[str, Any] = {}
    for each in KINDS[found.type].fields:
        if not each.secret:
            if (value := _plain(each, found)) is not None:
                configuration[each.name] = value
        elif (
            each.required
            or isinstance(_shown(found).get(each.name), Secret)
            or _has_partner(each, found)
        ):
            configuration[each.name] = {"env": variables[found.id, each.name]}
    return {
        "name": found.name,
        **({"id": found.id} if pinned else {}),
        "type": found.type,
        "event_types": list(compress(found.event_types)),
        "configuration": configuration,
    }


def _has_partner(known: Field, found: LiveWebhook) -> bool:
    """Return whether a hidden password exists because its user name is shown."""
    partner = KINDS[found.type].field(known.partner or "")
    return partner is not None and not partner.secret and _plain(partner, found) is not None


def _notes(found: LiveWebhook) -> Iterator[str]:
    """Yield notes on the hosts of secret URLs, and on what the file cannot express."""
    kind, shown = KINDS[found.type], _shown(found)
    for name in (each.name for each in kind.fields if each.secret):
        value = shown.get(name)
        if isinstance(value, Secret) and (origin := value.origin()) is not None:
            yield f"{origin}/***"
    strange = sorted(name for name, value in shown.items() if value and kind.field(name) is None)
    if strange:
        yield f"not expressible here, lost when it is changed: {', '.join(strange)}"


def _defaults(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the most common type, and the fields that all its webhooks share."""
    types = Counter(sorted(each["type"] for each in entries)).most_common(1)
    if not types or types[0][1] < 2:
        return {}
    kind = types[0][0]
    first, *others = (each["configuration"] for each in entries if each["type"] == kind)
    shared = {
        name: value
        for name, value in first.items()
        if all(each.get(name) == value for each in others)
    }
    return {"type": kind, **({"configuration": shared} if shared else {})}


def _without(entry: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without the values of the defaults."""
    rest, shared = dict(entry), {}
    if entry["type"] == defaults.get("type"):
        del rest["type"]
        shared = defaults.get("configuration", {})
    own = {name: value for name, value in entry["configuration"].items() if name not in shared}
    rest["configuration"] = own
    return rest if own else {key: rest[key] for key in rest if key != "configuration"}


def as_glob(name: str) -> str:
    """Return a glob that matches only this name, as far as a file can express it."""
    written = "".join(f"[{char}]" if char in "*?[" else char for char in name)
    if not any(each.severity is Severity.ERROR for each in name_findings(name)):
        return written
    return "".join(char if char.isprintable() else "?" for char in written)


def block(
    data: Mapping[str, Any], comment: Callable[[Path], str] = lambda path: "", at: Path = ()
) -> Iterator[str]:
    """Yield a mapping as lines of YAML, in the usual style.

    `comment` returns the text after the value at a path below `at`, such as `  # a comment`.
    """
    for key, value in data.items():
        path = (*at, key)
        match value:
            case [dict(), *_]:
                yield f"{key}:"
                for number, item in enumerate(value):
                    yield from [""] if number else []
                    yield from _list_item(item, comment, (*path, number))
            case dict() if key in ("configuration", "limits"):
                yield f"{key}:"
                yield from (f"  {line}" for line in block(value, comment, path))
            case _:
                yield f"{key}: {_inline(value)}{comment(path)}"


def _list_item(
    data: Mapping[str, Any], comment: Callable[[Path], str] = lambda path: "", at: Path = ()
) -> Iterator[str]:
    """Yield an item of a list."""
    for number, line in enumerate(block(data, comment, at)):
        yield f"    {line}" if number else f"  - {line}"


def _inline(value: Any) -> str:
    """Return a value as YAML on one line."""
    match value:
        case bool() | int():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_inline, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {_inline(each)}' for key, each in value.items())}}}"
        case _:
            return scalar(value)


def _uses(uses: Sequence[tuple[str, str]]) -> str:
    fields = sorted({field for _, field in uses})
    names = [name for name, _ in uses]
    shown = ", ".join(_comment(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{' and '.join(fields)} of {shown}{more}"


def scalar(text: str) -> str:
    """Return `text` as a YAML scalar that is read back unchanged, in block and flow style."""
    if _BARE.fullmatch(text) and text.casefold() not in _SPECIAL and text.isprintable():
        return text
    escaped = "".join(_escaped(char) for char in text)
    return f'"{_RUNNER_COMMAND.sub(_HARMLESS, escaped)}"'


def _comment(text: str) -> str:
    """Return `text` in a form that is safe in a comment."""
    escaped = "".join(_escaped(char) if char not in '"\\' else char for char in text)
    return _RUNNER_COMMAND.sub(_HARMLESS, escaped)


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if unicodedata.category(char) in _UNSEEN or (char.isspace() and char != " "):
        code = ord(char)
        return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    return char
