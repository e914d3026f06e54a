"""A literal secret with a typo around it is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from reconciler.findings import Position
from reconciler.render import FINDINGS_RENDERERS, View
from reconciler.source.lint import Rules
from reconciler.source.position import excerpt
from tests.goldens import cases, rows
from tests.loading import load_text

TABLES = rows(Path(__file__).with_suffix(".yaml"))
PASSWORD = "Kq7vW2xZp9Lm4Rt"
TOKEN = "Jw3nB8yHd6Gf1Sc"
KEY = "Xb5tMz0kVq8rNe2"
CANARIES = (PASSWORD, TOKEN, KEY)
SHOWN = 6
"""The number of consecutive characters of a secret that must never appear."""

INDICATORS = ("-", "- ", "?", ":", ": ", ",", ", ", "[", "]", "{", "}", "#", " #", "&", "*", "!",
              "|", ">", "'", '"', "%", "@", "`", "=", " ", "\n", "\\")  # fmt: skip
VALUES = {"PASSWORD": PASSWORD, "TOKEN": TOKEN, "KEY": KEY, "START": KEY[:7], "REST": KEY[7:]}
FILES = {
    title: Template(text).substitute(VALUES)
    for title, (text, _) in cases(Path(__file__).with_name("typos.txt")).items()
}
NEEDS_NO_SECRET = FILES.pop("nothing secret")


def find_leak(text: str) -> str | None:
    """Return the part of a secret that appears when `text` is validated, in any format, or if any
    of its lines is shown.
    """
    findings = load_text(text, rules=Rules(allow_literal_secrets=True)).findings
    findings += load_text(text).findings
    shown = "".join(load()(findings, View()) for load in FINDINGS_RENDERERS.values())
    lines = range(1, text.count("\n") + 1)
    shown += "".join(excerpt(text, Position(file="w.yaml", line=line))[1] for line in lines)
    for canary in CANARIES:
        for at in range(len(canary) - SHOWN + 1):
            if canary[at : at + SHOWN] in shown:
                return canary[at : at + SHOWN]
    return None


@pytest.mark.parametrize("written", TABLES["configurations"])
@pytest.mark.parametrize("around", TABLES["around"])
def test_a_secret_is_not_shown(written: str, around: str) -> None:
    """A secret in wrong syntax does not appear in any format."""
    assert find_leak(around.replace("@", written.replace("%s", PASSWORD))) is None


PROPERTIES = ("!@ ", "!<@> ", "&@ ", "!@ &x ", "*@ #", "[@] #", "!@\n", "{env: [@]} #")


def with_properties(text: str) -> Iterator[str]:
    """Yield the text with a secret as a tag, an anchor, an alias or a list at each node."""
    nodes = (event for event in yaml.parse(text) if isinstance(event, yaml.NodeEvent))
    for place in sorted({event.start_mark.index for event in nodes}):
        for written in PROPERTIES:
            is_shown = written[0] in "[{" and "configuration" not in text[:place].split("- ")[-1]
            if not is_shown:
                yield text[:place] + written.replace("@", PASSWORD) + text[place:]


@pytest.mark.parametrize("slip", ["", "unknown: 1\n", " x: 1\n", "'"])
def test_a_tag_or_an_anchor_is_not_shown(slip: str) -> None:
    """A secret that YAML reads as a property of any node is not shown, whatever else is wrong."""
    leaks = {text for text in with_properties(NEEDS_NO_SECRET) if find_leak(text + slip)}
    assert leaks == set()


@st.composite
def typo(draw: st.DrawFn, text: str) -> str:
    """Return `text` with a YAML indicator inserted, deleted or moved."""
    places = [at for at, each in enumerate(text) if each in INDICATORS]
    match draw(st.sampled_from(["insert", "delete", "replace", "swap"])):
        case "insert":
            at = draw(st.integers(0, len(text)))
            return text[:at] + draw(st.sampled_from(INDICATORS)) + text[at:]
        case "delete":
            at = draw(st.sampled_from(places))
            return text[:at] + text[at + 1 :]
        case "replace":
            at = draw(st.sampled_from(places))
            return text[:at] + draw(st.sampled_from(INDICATORS)) + text[at + 1 :]
        case _:
            one, other = sorted(draw(st.tuples(*[st.sampled_from(places)] * 2)))
            letters = list(text)
            letters[one], letters[other] = letters[other], letters[one]
            return "".join(letters)


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(sorted(FILES.values())), st.integers(1, 2))
def test_no_typo_shows_a_secret(data: st.DataObject, text: str, edits: int) -> None:
    """One or two wrong indicators in a valid file show no six characters of a secret."""
    for _ in range(edits):
        text = data.draw(typo(text))
    assert find_leak(text) is None


def test_the_check_finds_a_leak() -> None:
    """A secret in a place that is shown, such as a name, is found."""
    assert find_leak(f"webhooks: [{{name: ' {PASSWORD}', type: x}}]\n") is not None
