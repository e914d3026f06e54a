"""Quoted untrusted text is harmless everywhere, and complete."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given, strategies

from reconciler.render.quote import command_line, prose, quote
from tests.goldens import rows
from tests.render.strategies import texts

HARMLESS = ("Deploys", "#deploys", "a b", "Ünïcødé 漢字 😀", "a::b", "x#[y]", "C:\\x", "it's")


@pytest.mark.parametrize(("name", "shown"), rows(Path(__file__).with_name("quotes.yaml")))
def test_quote(name: str, shown: str) -> None:
    """Only control characters, invisible characters and imitated output are escaped."""
    assert quote(name) == shown


@given(texts)
def test_quoted_text_can_be_decoded(text: str) -> None:
    """Every string can be restored from its quoted form, so no two strings look the same."""
    shown = quote(text)
    assert (json.loads(shown) if shown.startswith('"') else shown) == text


def test_a_sentence_stays_readable() -> None:
    """Quotes and backslashes are kept; only dangerous characters are escaped."""
    assert prose('"a" is\ttwice: C:\\x ##[x]') == '"a" is\\ttwice: C:\\x ##\\u005bx]'


@given(strategies.lists(texts))
def test_a_command_means_what_it_shows(words: list[str]) -> None:
    """A shell reads exactly these words from a printed command; else there is none."""
    line = command_line(words)
    assert not line or shlex.split(prose(line)) == words
    assert shlex.split(command_line(HARMLESS)) == [*HARMLESS]
