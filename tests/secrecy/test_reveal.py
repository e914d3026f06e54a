"""Values of secrets come out in one folder only."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import reconciler

PACKAGE = Path(reconciler.__file__).parent


def _uses(name: str) -> Iterator[str]:
    """Yield the file of each mention of an attribute, also one by `getattr`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if name in text else ():
            attribute = isinstance(node, ast.Attribute) and node.attr == name
            if attribute or (isinstance(node, ast.Constant) and node.value == name):
                yield path.relative_to(PACKAGE).as_posix()


def test_reveal_is_called_where_requests_are_made_and_nowhere_else() -> None:
    """Twice for a header, for a body, and for taking what was sent out of what comes back.

    The one place outside judges whether a live URL holds a credential, for `export`.
    """
    assert Counter(_uses("reveal")) == {
        "api/origin.py": 2, "api/transport.py": 1, "api/wire.py": 3, "source/secrets.py": 1,
    }  # fmt: skip


def test_nobody_reaches_around_reveal() -> None:
    """The value itself is touched by its own class alone."""
    assert set(_uses("__value")) == {"model.py"}
    assert not set(_uses("_Secret__value"))
