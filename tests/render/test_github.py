"""Annotations are decoded by the runner as the original text."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from reconciler.findings import Finding, Position, Severity
from reconciler.render.markdown import render_annotations
from reconciler.render.quote import prose
from tests.render.strategies import texts


def unescape(text: str, more: tuple[tuple[str, str], ...] = ()) -> str:
    for escaped, char in (*more, ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escaped, char)
    return text


@given(texts, texts)
def test_message_and_file_round_trip(message: str, file: str) -> None:
    """The runner decodes the message and the file, with control characters escaped."""
    finding = Finding(
        rule="rule",
        severity=Severity.ERROR,
        message=message,
        position=Position(file=file, line=3, column=4, width=5),
    )
    command, data = render_annotations((finding,)).rstrip("\n")[2:].split("::", 1)
    assert unescape(data) == prose(message)
    properties = dict(each.split("=", 1) for each in command.partition(" ")[2].split(","))
    assert unescape(properties["file"], (("%3A", ":"), ("%2C", ","))) == prose(file)
    assert (properties["line"], properties["col"], properties["endColumn"]) == ("3", "4", "9")
    assert properties["title"] == "rule"


def test_ten_findings_and_a_count() -> None:
    """The ten most severe findings are shown, and the others are counted."""
    many = tuple(
        Finding(rule=f"r{index}", severity=severity, message="m")
        for severity in (Severity.NOTE, Severity.WARNING, Severity.ERROR)
        for index in range(6)
    )
    lines = render_annotations(many).splitlines()
    assert Counter(line.split(" ")[0] for line in lines) == {
        "::error": 6, "::warning": 4, "::notice::and": 1
    }  # fmt: skip
    assert lines[-1] == "::notice::and 8 more findings"
