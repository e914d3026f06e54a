"""Strict YAML: bytes in, a plain tree or findings out.

`yaml.safe_load` is not enough for a file whose mistakes delete webhooks: it keeps the last of two
equal keys, reads `on` as true and 0777 as 511, and lets 300 bytes of aliases grow without end.
`load` refuses whatever two readers could take differently, and never raises, whatever the bytes.

Scalars: `scalars.py`. Aliases and `<<` work as in docker compose (the first of several merged
mappings wins, explicit keys win over all), within `expansion.py`'s bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from reconciler.findings import Finding, Related, Severity, sort_key
from reconciler.source import characters
from reconciler.source.events import PARSER, Parser
from reconciler.source.reader import Reader, Stopped

RULES: Final[Mapping[str, str]] = {
    **characters.RULES,
    "yaml-syntax": "The file must be YAML.",
    "empty-document": "An empty file declares nothing by accident; `webhooks: []` says it.",
    "root-not-mapping": "A file is a mapping: `webhooks` and the settings beside it.",
    "several-documents": "One file holds one document: no second `---`.",
    "duplicate-key": "A key is written once; YAML readers disagree about which one counts.",
    "key-not-text": "Keys are text: quote numbers, `true` and `null`.",
    "tag": "No tags (`!something`): values say by themselves what they are.",
    "number-too-large": "Numbers stay within ±(2^53 - 1); longer digits are text in quotes.",
    "too-deep": "Nesting ends at 32 levels, what aliases stand for included.",
    "unknown-alias": "An alias (`*name`) needs its anchor (`&name`) further up.",
    "alias-cycle": "Nothing contains itself.",
    "alias-expansion": "Aliases do not multiply the file beyond measure.",
    "merge": "`<<` takes a mapping or a list of mappings, once in each mapping.",
}
"""Every rule of reading, with a line of help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file, read.

    `text` is the file without byte order mark, with `\\n` as line ends, the last one included.
    `data` holds only dict (with text keys), list, str, bool, int, float and None; parts that the
    file shares through aliases are shared here too, so treat it as read-only. `lines` has the
    first line (from 1) of each item of the root's `webhooks`. `findings` are errors that leave
    the rest readable (of a key written twice the first counts, a key that is no text is left
    out): they are to be reported together with whatever else is found.
    """

    file: str
    text: str
    data: dict[str, Any]
    lines: list[int]
    findings: tuple[Finding, ...] = ()


def load(raw: bytes, file: str, *, parser: Parser = PARSER) -> Document | tuple[Finding, ...]:
    """Read one file, or say what is wrong with it as YAML. Never raises."""
    text = characters.decode(raw, file)
    if isinstance(text, Finding):
        return (_with_line(text, raw),)
    reader = Reader(text, file, parser)
    data = None
    try:
        data = reader.document()
    except Stopped:
        pass
    except yaml.YAMLError as error:
        from reconciler.source import syntax

        reader.findings.append(syntax.explain(error, text, file))
    finally:
        reader.close()
    found = _findings(reader, text, file)
    if data is None or not reader.usable:
        return found
    return Document(file=file, text=text, data=data, lines=reader.lines, findings=found)


def _with_line(finding: Finding, raw: bytes) -> Finding:
    """Add the source line to a finding about single characters."""
    if finding.position is None or finding.rule in ("encoding", "file-too-large"):
        return finding
    from reconciler.source.excerpt import rough_excerpt

    text = raw.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    return replace(finding, excerpt=rough_excerpt(text, finding.position))


def _findings(reader: Reader, text: str, file: str) -> tuple[Finding, ...]:
    """Return all findings, sorted: duplicate keys found, source lines added."""
    found = list(reader.findings)
    if not found and not reader.duplicates:
        return ()
    from reconciler.source.excerpt import excerpt, narrow
    from reconciler.source.locate import duplicate_keys

    found += [
        Finding(
            rule="duplicate-key",
            severity=Severity.ERROR,
            message="this key is written twice in one mapping",
            position=second,
            hint=f"keep one of the two; the other is on line {first.line}",
            related=(Related(message="first written here", position=first),),
        )
        for first, second in (duplicate_keys(text, file) if reader.duplicates else ())
    ]
    placed: list[Finding] = []
    for each in sorted(found, key=sort_key):
        if each.position is not None:
            position = narrow(text, each.position)
            each = replace(each, position=position, excerpt=excerpt(text, position))
        placed.append(each)
    return tuple(placed)
