"""Untrusted text is harmless wherever it is put, and nothing of it is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from reconciler.render.quote import prose, quote
from tests.render.oracle import obeyed_characters, runner_commands
from tests.render.strategies import texts


def unquote(shown: str) -> str:
    return json.loads(shown) if shown.startswith('"') else shown


@pytest.mark.parametrize(
    "name",
    ["Deploys", "#deploys", "a b", "Ünïcødé 漢字 😀", "a::b", "x#[y]", "C:\\x", "it's"],
)
def test_clear_text_is_shown_as_it_is(name: str) -> None:
    """A name that deceives nobody carries no quotes."""
    assert quote(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", '""'),
        (" a", '" a"'),
        ("a ", '"a "'),
        ("a  b", '"a  b"'),
        ('"a"', '"\\"a\\""'),
        ("(kept)", '"(kept)"'),
        ("--- n8", '"--- n8"'),
        ("a -> b", '"a -> b"'),
        ("a\nb\\", '"a\\nb\\\\"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("a\x7fb", '"a\\u007fb"'),
        ("a\u202eb", '"a\\u202eb"'),
        ("\u0301a", '"\\u0301a"'),
        ("❤\ufe0f", '"❤\\ufe0f"'),
        ("\U000e0041", '"\\udb40\\udc41"'),
        ("x ##[error]y", '"x ##\\u005berror]y"'),
        ("##vso[task]", '"##vso\\u005btask]"'),
        ("::error::x", '"\\u003a:error::x"'),
        ("a ::error::x", '"a \\u003a:error::x"'),
        ("\ud800", '"\\ud800"'),
    ],
)
def test_other_text_is_a_json_string(name: str, shown: str) -> None:
    """What may be obeyed, overlooked or taken for our own words is escaped and in quotes."""
    assert quote(name) == shown


@given(texts)
def test_nothing_is_lost(text: str) -> None:
    """Every value can be told from what is shown of it."""
    assert unquote(quote(text)) == text


@given(texts, texts)
def test_two_values_never_look_alike(one: str, other: str) -> None:
    """Different values are shown differently."""
    assert (quote(one) == quote(other)) == (one == other)


@given(texts)
def test_quoted_text_is_obeyed_by_nobody(text: str) -> None:
    """Neither a terminal nor a runner finds anything to do, at the start of a line or after."""
    for shown in (quote(text), prose(text)):
        assert obeyed_characters(shown) == []
        assert runner_commands(shown) == []
        assert runner_commands("\n".join(shown.split(" "))) == []


def test_a_sentence_keeps_its_words() -> None:
    """Quotes and backslashes of a sentence stay, only what is dangerous is escaped."""
    assert prose('"a" is\ttwice: C:\\x ##[x]') == '"a" is\\ttwice: C:\\x ##\\u005bx]'
