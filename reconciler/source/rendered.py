"""Render the effective configuration, globs expanded and defaults merged; write YAML.

`provenance` adds where each value is written.

The planner uses the same `Desired`, so this shows its input. Secrets appear as references. Parsing
the text again gives the same `Desired`, unless a file contains literal secrets: these appear as
`{literal: WEBHOOK/FIELD}`, URLs as scheme and host with `***`, and neither is allowed in a file.
A host that is not ASCII appears as `xn--`. Exports use the same writer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.findings import Position
from reconciler.kinds import FIELDS, Field, ordered
from reconciler.model import (
    Absent,
    DataPath,
    Desired,
    FileScope,
    Secret,
    SecretRef,
    Value,
    Webhook,
    with_ascii_host,
)
from reconciler.planning.document import Tree, without_commands
from reconciler.source.document import UNITED, holds
from reconciler.source.load import Loaded

_Comment: TypeAlias = Callable[[DataPath], str]
"""Returns the comment for the value at a path, or an empty text."""

_WIDTH: Final = 80
"""The maximum width of a line with a list or a mapping, if it can be broken."""

# Text that needs no quotes: it starts with a letter, so it is no number, date or indicator.
_BARE: Final = re.compile(r"[^\W\d_]\w*(?:[ ./-]\w+)*|https?://[\w.-]+(?:/[\w./-]*)?")
# Words that some YAML readers read as a boolean or null.
_SPECIAL: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# Control, format and unpaired characters, private and unassigned ones, line separators.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def configurations(desired: Desired) -> dict[str, dict[str, Any]]:
    """Return the configuration of each file as plain data in the file format, by file."""
    return {scope.file: _configuration(desired, scope) for scope in desired.policy.scopes}


def _configuration(desired: Desired, scope: FileScope) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if desired.organization:
        data["organization"] = desired.organization
    data |= {"prune": scope.prune, "scope": list(scope.globs)}
    data |= shared_settings(desired, scope.file)
    entries: list[Webhook | Absent] = [
        *(webhook for webhook in desired.webhooks if webhook.file == scope.file),
        *(entry for entry in desired.absent if entry.file == scope.file),
    ]
    # Positions are looked up by index, so the order must be that of the file.
    entries.sort(key=lambda entry: entry.index)
    data["webhooks"] = [_entry(entry, desired.literals) for entry in entries]
    return data


def shared_settings(desired: Desired, file: str | None = None) -> dict[str, Any]:
    """Return the settings of a file, or of all files, besides names, scopes and webhooks."""
    policy = desired.policy
    data: dict[str, Any] = {}
    for key, patterns in (("ignore", policy.ignore), ("protect", policy.protect)):
        globs = [pattern.glob for pattern in patterns if file in (None, pattern.file)]
        if globs:
            data[key] = globs
    if policy.max_deletes is not None:
        data["limits"] = {"max_deletes": policy.max_deletes}
    if desired.environment is not None:
        data["github"] = {"environment": desired.environment}
    return data


def _entry(entry: Webhook | Absent, literals: Mapping[SecretRef, Secret]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": entry.name}
    if entry.id is not None:
        data["id"] = entry.id
    if isinstance(entry, Absent):
        return {**data, "state": "absent"}
    if entry.previously:
        data["previously"] = list(entry.previously)
    if entry.adopt:
        data["adopt"] = True
    fields = FIELDS[entry.type]
    return {
        **data,
        "type": entry.type,
        "event_types": ordered(entry.event_types),
        "configuration": {
            name: _value(fields[name], value, literals)
            for name, value in entry.configuration.items()
        },
    }


def _value(field: Field, value: Value, literals: Mapping[SecretRef, Secret]) -> Any:
    """Return the value of a field as plain data, without secrets."""
    if not isinstance(value, SecretRef):
        return with_ascii_host(value) if field.is_url and isinstance(value, str) else value
    if field.is_url and value in literals:
        # A policy for hosts must see that of every URL in the file.
        return literals[value].shown_url()
    return value.tree()


# Provenance


class Provenance(NamedTuple):
    """The positions that form a value, and those of the values that it overrides, the latest first.

    Only lists that are united have several positions; a built-in default has none.
    """

    written: Sequence[Position] = ()
    overridden: Sequence[Position] = ()

    def __str__(self) -> str:
        if not self.written:
            return "default"
        text = " and ".join(map(str, self.written))
        if self.overridden:
            text += f", overrides {', '.join(map(str, self.overridden))}"
        return text

    def tree(self, path: DataPath) -> Tree:
        """Return the provenance of the value at a path as plain data, for JSON."""
        return {
            "path": list(path),
            "written": [_line(position) for position in self.written],
            "overrides": [_line(position) for position in self.overridden],
        }


def _line(position: Position) -> Tree:
    return {"file": position.file, "line": position.line}


def provenance(loaded: Loaded, file: str, data: Mapping[str, Any]) -> dict[DataPath, Provenance]:
    """Return the provenance of each value in the rendered data of a file, by its path."""
    from reconciler.source.position import positions  # only for this view

    document = loaded.documents[file]
    sources = {
        # `prune` and `scope` are always rendered; perhaps no file writes them.
        path: tuple(document.sources(path)) if holds(document.data, path[:1]) else ()
        for path in _paths(data, ())
    }
    known = positions(loaded.files, {place for places in sources.values() for place in places})
    result: dict[DataPath, Provenance] = {}
    for path, places in sources.items():
        written = [known[place] for place in places]
        if path[-1] in UNITED:
            # `sources` starts with the latest file, the list with the items of the lowest one.
            result[path] = Provenance(written[::-1])
        elif path[-1] == "name":
            result[path] = Provenance(written[:1])  # other entries have the same name
        else:
            result[path] = Provenance(written[:1], written[1:])
    return result


def _paths(value: Any, path: DataPath) -> Iterator[DataPath]:
    """Yield the paths of values; a list and a reference are one value, except `webhooks`."""
    if path == ("webhooks",):
        for index, webhook in enumerate(value):
            yield from _paths(webhook, (*path, index))
    # A mapping inside of `configuration` is a reference.
    elif isinstance(value, dict) and (len(path) < 4 or path[-2] != "configuration"):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    else:
        yield path


# YAML


def yaml_text(data: Mapping[str, Any], comment: _Comment = lambda path: "") -> str:
    """Return the data of a file as YAML.

    The comment for a webhook is above it, that for a list of several lines after its key, others
    after the value. A value that contains comments is not written on one line.
    """
    return "".join(f"{line}\n" for line in _mapping(data, comment, ()))


def item_lines(items: Sequence[Any], comment: _Comment = lambda path: "") -> Iterator[str]:
    """Yield the lines of items of `webhooks`, with their dashes in the first column."""
    return _list(items, comment, ("webhooks",))


def _mapping(data: Mapping[str, Any], comment: _Comment, path: DataPath) -> Iterator[str]:
    """Yield the lines of a mapping; a value that fits is on the line of its key."""
    for key, value in data.items():
        inner_path = (*path, key)
        note = _trailing_comment(comment(inner_path))
        is_section = not path and key in ("defaults", "webhooks")
        if is_section:
            yield ""
        if not (is_section and value) and _fits(key, value, comment, inner_path):
            yield f"{key}: {inline(value)}{note}"
            continue
        is_list = isinstance(value, list)
        yield f"{key}:{note if is_list and not is_section else ''}"
        for line in (_list if is_list else _mapping)(value, comment, inner_path):
            yield f"  {line}".rstrip()


def _fits(key: str, value: Any, comment: _Comment, path: DataPath) -> bool:
    """Return whether a value fits on the line of its key; values with comments do not."""
    if not isinstance(value, (dict, list)) or not value:
        return True
    parts = value if isinstance(value, dict) else range(len(value))
    width = len(key) + len(inline(value)) + 2 * len(path)
    return width <= _WIDTH and not any(comment((*path, part)) for part in parts)


def _list(data: Sequence[Any], comment: _Comment, path: DataPath) -> Iterator[str]:
    """Yield the lines of a list, with blank lines between mappings."""
    for number, item in enumerate(data):
        note = comment((*path, number))
        if not isinstance(item, dict):
            yield f"- {inline(item)}{_trailing_comment(note)}"
            continue
        if number:
            yield ""
        if note:
            yield f"# {escaped(note)}"
        indent = "- "
        for line in _mapping(item, comment, (*path, number)):
            yield f"{indent}{line}"
            indent = "  "


def _trailing_comment(comment: str) -> str:
    return f"  # {escaped(comment)}" if comment else ""


def inline(value: Any) -> str:
    """Return a value as YAML on one line, readable in block and flow style."""
    match value:
        # A bool is an int, and YAML's words are in lower case.
        case bool() | int():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(inline, value))}]"
        case dict():
            pairs = (f"{key}: {inline(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return scalar(value)


def scalar(text: str) -> str:
    """Return `text` as a YAML scalar that is read back unchanged, in block and flow style."""
    if _BARE.fullmatch(text) and text.casefold() not in _SPECIAL and text.isprintable():
        return text
    # Double quotes are the only form of YAML with escapes for characters that are not shown.
    quoted = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped(quoted)}"'


def escaped(text: str) -> str:
    """Return text on one line, without characters that are not shown and without commands."""
    return without_commands("".join(map(_escaped_char, text)))


def _escaped_char(char: str) -> str:
    if unicodedata.category(char) in _UNSEEN or (char.isspace() and char != " "):
        code = ord(char)
        return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    return char
