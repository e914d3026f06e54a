"""The first line of a comment or issue: hidden, and all that a later run remembers of it.

It names what the text belongs to and which operations it showed. A line that is not exactly what
`encode` writes is no marker, and a comment without one is no review. The marker makes plan and
apply agree; it is not a border: whoever may edit comments may edit it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from reconciler.planning.digest import DIGITS, Operation
from reconciler.values import dataclass

FORMAT: Final = 1
OPERATIONS_SPACE: Final = 28_000
"""With more operations than fit into so many characters only the plan's digest is kept."""

_LINE: Final = re.compile(r"<!-- cloudtruth-webhooks (\{[^\r\n]*\}) -->")
_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{64})?")
_OPERATION: Final = re.compile(rf"[0-9a-f]{{{DIGITS}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What a comment or issue says of itself.

    `label` is empty where nobody chose one: then `organization` (an id) and `file` tell whose it
    is; each is empty as long as it is not known. `digest` is that of the plan, None where no plan
    was made, empty where it has no operations. `operations` holds digests, None where there are
    too many to list: the plan is then approved as a whole or not at all. `run` is the address of
    the run, `version` of this program.
    """

    kind: str
    label: str
    file: str
    organization: str = ""
    origin: str = ""
    digest: str | None = None
    operations: tuple[str, ...] | None = ()
    run: str = ""
    version: str = ""

    def same_subject(self, other: Marker) -> bool:
        """Say whether both speak of the same webhooks.

        Without a label, an organization that one of them does not know is no difference: a plan
        that failed before it could ask belongs to the comment that an earlier one left.
        """
        if self.kind != other.kind or self.label != other.label:
            return False
        if self.label:
            return True
        if self.file != other.file:
            return False
        unknown = not self.organization or not other.organization
        return unknown or self.organization == other.organization


def listed(operations: Iterable[Operation]) -> tuple[str, ...] | None:
    """Return the digests of a plan's operations; None if they are too many."""
    kept = sorted({each.digest for each in operations})
    fits = len(kept) * (DIGITS + 3) <= OPERATIONS_SPACE
    return tuple(kept) if fits else None


def encode(marker: Marker) -> str:
    """Return the marker's line, without a line end. It cannot end its HTML comment early."""
    content: dict[str, Any] = {
        "v": FORMAT,
        "kind": marker.kind,
        "label": marker.label,
        "file": marker.file,
        "organization": marker.organization,
        "origin": marker.origin,
        "digest": marker.digest,
        "operations": None if marker.operations is None else list(marker.operations),
        "run": marker.run,
        "version": marker.version,
    }
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    while "--" in text:
        text = text.replace("--", "-\\u002d")
    return f"<!-- cloudtruth-webhooks {text} -->"


def decode(body: str) -> Marker | None:
    """Return the marker in the first line of `body`; None if there is none that can be read."""
    line = body.split("\n", 1)[0].rstrip("\r")
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    try:
        content = json.loads(match.group(1))
    except (ValueError, RecursionError):
        return None
    return _checked(content) if isinstance(content, dict) else None


def _checked(content: dict[str, Any]) -> Marker | None:
    if content.get("v") != FORMAT:
        return None
    names = ("kind", "label", "file", "organization", "origin", "run", "version")
    if not all(isinstance(content.get(name), str) for name in names):
        return None
    digest = content.get("digest")
    if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        return None
    operations = content.get("operations")
    if operations is not None:
        if not isinstance(operations, list):
            return None
        if not all(isinstance(each, str) and _OPERATION.fullmatch(each) for each in operations):
            return None
        operations = tuple(operations)
    return Marker(digest=digest, operations=operations, **{name: content[name] for name in names})
