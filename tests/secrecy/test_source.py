"""No secret is in the repository, and the values of secrets are read in one folder only."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import reconciler
from reconciler.api.attempt import Call, Reply
from reconciler.api.origin import Network
from reconciler.cli.console import Process
from reconciler.source.document import Document
from reconciler.source.files import SourceFile
from reconciler.source.schema import Part
from reconciler.workflow import Inputs
from tests.folders import ROOT, tracked
from tests.goldens import rows
from tests.secrecy.canaries import CANARIES

PACKAGE = Path(reconciler.__file__).parent


def _uses(name: str) -> Iterator[str]:
    """Yield the file of each use of an attribute, also one by `getattr`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if name in text else ():
            attribute = isinstance(node, ast.Attribute) and node.attr == name
            if attribute or (isinstance(node, ast.Constant) and node.value == name):
                yield path.relative_to(PACKAGE).as_posix()


def test_reveal_is_called_only_where_requests_are_made() -> None:
    """Only `api` reads secrets: for headers, for a body, and to mask them in responses.

    The only other place checks whether a live URL contains a credential, for `export`.
    """
    assert Counter(_uses("reveal")) == {
        "api/origin.py": 2, "api/transport.py": 1, "api/wire.py": 2, "source/secrets.py": 1,
    }  # fmt: skip


def test_only_the_class_secret_reads_its_value() -> None:
    """Other code uses the methods of `Secret`."""
    assert set(_uses("__value")) == {"model.py"}
    assert not set(_uses("_Secret__value"))


@pytest.mark.parametrize(
    "kind", [Call, Document, Inputs, Network, Part, Process, Reply, SourceFile],
    ids=lambda each: each.__name__,
)  # fmt: skip
def test_a_repr_shows_no_content(kind: type) -> None:
    """Values that may hold secrets as plain text: contents of files and requests, environments."""
    fields: tuple[str, ...] = getattr(kind, "_fields", ())
    hidden = set(fields) - {"definition", "file", "item", "method", "path", "paths"}
    assert hidden
    shown = repr(kind(**{each: Canary() if each in hidden else "shown" for each in fields}))
    assert "canary" not in shown


class Canary:
    def __repr__(self) -> str:
        return "canary"


PATTERNS = {
    "a Slack token": re.compile(
        rb"xox[abeoprs](?:\.xox[bp])?-(?:[0-9]{5,}-[0-9]{5,}|[0-9]-[A-Za-z0-9]{20,})"
        rb"|xapp-[0-9]-[A-Z0-9]{6,}-[0-9]{6,}"
    ),
    "a Slack address": re.compile(
        rb"hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{8,}/B?[A-Z0-9]{8,}/[A-Za-z0-9]{16,}"
    ),
    "a key in a header": re.compile(
        rb"""(?i)authorization['"]?\s*[:\]=]\s*(?:-\s*)?['"]?(?:Api-Key|Bearer)\s+"""
        rb"""(?=[^0-9'"\s]*[0-9])[A-Za-z0-9_.~+/=-]{12,}"""
    ),
    "a GitHub token": re.compile(rb"gh[pousr]_[A-Za-z0-9]{36}"),
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}"),
}


def test_no_file_contains_a_secret() -> None:
    """No file contains a canary, which exists only in memory, or anything like a real secret."""
    found: list[str] = []
    files = tracked()
    assert len(files) > 100
    for name in files:
        data = (ROOT / name).read_bytes()
        found += [f"{name}: {each.place}" for each in CANARIES if each.core.encode() in data]
        found += [f"{name}: {what}" for what, shape in PATTERNS.items() if shape.search(data)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("what", "parts"), rows(Path(__file__).with_name("formats.yaml")))
def test_a_real_secret_would_be_found(what: str, parts: list[str]) -> None:
    """The patterns match the formats of providers."""
    assert PATTERNS[what].search("".join(parts).encode())
