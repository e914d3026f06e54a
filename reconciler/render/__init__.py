"""Results to text: every renderer is pure, and the same value always gives the same text.

A format is one module with the functions of `view.Renderer` and one line in a table here. A
renderer is loaded when it is asked for, and no renderer knows another; what they share is how
untrusted text is made harmless (`quote`), what there is to say (`describe`) and in which words
(`words`). Texts end with a line break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # what has nothing to show needs no view
    from reconciler.render.view import FindingsRenderer, Renderer


def _text() -> Renderer:
    from reconciler.render import text

    return text


def _json() -> Renderer:
    from reconciler.render import json

    return json


def _markdown() -> Renderer:
    from reconciler.render import markdown

    return markdown


def _github() -> FindingsRenderer:
    from reconciler.render import github

    return github


RENDERERS: Final[Mapping[str, Callable[[], Renderer]]] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
}
"""The formats of plans and reports, each with how to load it."""

FINDINGS_RENDERERS: Final[Mapping[str, Callable[[], FindingsRenderer]]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}
"""The formats of `validate`."""
