"""Validating any file takes steps in proportion to its size.

Each file here once took quadratic time, or resembles one that did.
"""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest

from reconciler.findings import Finding, Position
from reconciler.planning.names import MAX_NORMALIZED_LENGTH
from reconciler.render import FINDINGS_RENDERERS
from reconciler.source.lint import Rules, lint
from reconciler.source.position import excerpt
from tests.loading import load_text
from tests.performance.test_growth import steps

FEW, MANY = 100, 200
MAX_FACTOR = 2.3
"""The maximum factor for twice the size: twice the steps, plus the overhead of sorting."""
HEAD = "webhooks:\n"


def _list(item: Callable[[int], str], count: int, between: str = ", ") -> str:
    return between.join(map(item, range(count)))


def _webhook(number: int, events: str = "'*'", url: str = "https://example.com/") -> str:
    return (
        f"- {{name: w{number}, type: generic, event_types: [{events}], "
        f"configuration: {{url: '{url}'}}}}\n"
    )


FILES: dict[str, Callable[[int], str]] = {
    "tags on one line": lambda n: f"{HEAD}- [{'!x 1, ' * n}]\n",
    "one key many times": lambda n: f"{HEAD}- {{{'a: 1, ' * n}}}\n",
    "keys twice": lambda n: f"{HEAD}- {{{_list(lambda i: f'a{i // 2}: 1', n)}}}\n",
    "keys twice, not closed": lambda n: f"{HEAD}- {{{'a: 1, ' * n}]\n",
    "secrets, not closed": lambda n: f"{HEAD}- {'token: x, ' * n}]\n",
    "minified, a typo in each": lambda n: (
        f'{{"webhooks": [{_list(lambda i: _webhook(i)[2:-1].replace("name", "nam"), n)}]}}'
    ),
    "minified, a literal in each": lambda n: (
        f'{{"webhooks": [{_list(lambda i: _webhook(i, url=f"https://a.b/?k={i}")[2:-1], n)}]}}'
    ),
    "unknown keys": lambda n: f"{HEAD}- {{{_list(lambda i: f'nam{i}: 1', n)}}}\n",
    "unknown keys of a secret": lambda n: (
        HEAD
        + _webhook(0).replace("'https://example.com/'", f"{{{'en%d: 1, ' * n}}}" % (*range(n),))
    ),
    "unknown events": lambda n: HEAD + _webhook(0, _list(lambda i: f"a{i}", n)),
    "globs of no event": lambda n: HEAD + _webhook(0, _list(lambda i: f"'*b{i:04}'", n)),
    "equal items": lambda n: f"scope: [{_list(lambda i: f'a{i // 2}', n)}]\nwebhooks: []\n",
    "items that are mappings": lambda n: (
        f"scope: [{_list(lambda i: f'{{a: {i}}}', n)}]\nwebhooks: []\n"
    ),
    "globs after the webhooks": lambda n: (
        f"{HEAD}{_list(_webhook, n, '')}ignore: [{_list(lambda i: f'c{i}', n)}]\n"
    ),
    "names out of scope": lambda n: (
        f"scope: [{_list(lambda i: f'c{i}', n)}]\n{HEAD}{_list(_webhook, n, '')}"
    ),
    "one alias many times": lambda n: f"x-a: &a {{name: 1}}\nwebhooks: [{'*a, ' * n}]\n",
    "one merge many times": lambda n: f"x-a: &a {{nam: 1}}\n{HEAD}" + "- {<<: *a, name: b}\n" * n,
    "a list of merges": lambda n: f"x-a: &a {{x: 1}}\n{HEAD}- {{<<: [{'*a, ' * n}], name: b}}\n",
    "a chain of merges": lambda n: (
        "x-0: &a0 {x: 1}\n"
        + _list(lambda i: f"x-{i + 1}: &a{i + 1} {{<<: *a{i}}}\n", n, "")
        + f"webhooks: [{{<<: *a{n}}}]\n"
    ),
    "a list of many merges": lambda n: (
        f"x-a: [{_list(lambda i: f'&a{i} {{x{i}: 1}}', n)}]\n"
        f"x-b: {{<<: [{_list(lambda i: f'*a{i}', n)}]}}\nwebhooks: 3\n"
    ),
    "renames of one name": lambda n: (
        HEAD
        + "- {name: x, previously: [y]}\n" * n
        + _list(lambda i: f"- {{name: z{i}, previously: [x]}}\n", n, "")
    ),
    "earlier names that are declared": lambda n: (
        HEAD + _list(lambda i: f"- {{name: b{i}, previously: [b{i + 1}]}}\n", n, "")
    ),
    "one name": lambda n: HEAD + _webhook(0) * n,
    "values that are empty": lambda n: HEAD + "- {\n" + "  name: ,\n" * n + "  }\n",
}


def _check(text: str) -> object:
    found = load_text(text).findings
    return [load()(found) for load in FINDINGS_RENDERERS.values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_steps_grow_in_proportion(name: str) -> None:
    """Twice the size takes about twice as many steps."""
    few, many = (partial(_check, FILES[name](count)) for count in (FEW, MANY))
    _check(FILES[name](10))  # loads modules
    counted = steps(few)
    assert steps(many) < MAX_FACTOR * counted


def test_earlier_names_of_deleted_webhooks_are_looked_up_in_proportion() -> None:
    """Entries that delete webhooks of one name by their ids are not searched for each rename."""

    def work(count: int) -> Callable[[], object]:
        deleted = [{"name": "x", "id": f"i{number}", "state": "absent"} for number in range(count)]
        data = {"webhooks": [*deleted, {"name": "z", "previously": ["x"] * count}]}
        return lambda: list(lint({"w.yaml": data}, Rules()))

    work(10)()
    assert steps(work(2 * MANY)) < MAX_FACTOR * steps(work(MANY))


def test_long_names_are_not_normalized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalizing many accents on one letter takes quadratic time, in one step of Python."""
    lengths = []

    def observed(function: Callable[[str, str], Any], form: str, text: str) -> Any:
        lengths.append(len(text))
        return function(form, text)

    for function in (unicodedata.normalize, unicodedata.is_normalized):
        monkeypatch.setattr(unicodedata, function.__name__, partial(observed, function))
    load_text(f'{HEAD}- {{name: "a{(chr(0x301) + chr(0x327)) * 5_000}"}}')
    assert max(lengths) <= MAX_NORMALIZED_LENGTH


def test_an_excerpt_copies_only_the_shown_part() -> None:
    """Each of many findings on one line shows only the part around it."""
    text, where = FILES["one key many times"](20_000), Position(file="w.yaml", line=2, column=4)
    shown = excerpt(text, where)[1]
    tracemalloc.start()
    assert excerpt(text, where)[1] == shown
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


@pytest.mark.parametrize("content", ["\0", "token", "{} ", "token: x ", "- x: &a y "])
def test_an_excerpt_of_a_broken_file_takes_little_memory(content: str) -> None:
    """A long line takes only a few times the memory of its text."""
    text = "webhooks: [" + content * (3_000_000 // len(content)) + "\n"
    where = Position(file="w.yaml", line=1, column=2_000_000)
    tracemalloc.start()
    shown = excerpt(text, where)[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(shown) < 800
    assert peak < 4 * len(text)


@cache
def _many(name: str, count: int) -> tuple[Finding, ...]:
    found = load_text(FILES[name](count)).findings
    assert len(found) >= count
    return found


@pytest.mark.parametrize("name", ["unknown keys", "minified, a typo in each"])
@pytest.mark.parametrize("format", FINDINGS_RENDERERS)
def test_output_grows_in_proportion(name: str, format: str) -> None:
    """A finding shows part of a long line, and text output ends after 100 findings."""
    sizes = [len(FINDINGS_RENDERERS[format]()(_many(name, count))) for count in (400, 800)]
    assert sizes[1] < (2.4 if format == "json" else 1.1) * sizes[0]


@pytest.mark.parametrize("levels", [10, 5000])
def test_merges_of_any_depth_are_followed(levels: int) -> None:
    """A long chain of merges has the same findings as a short one."""
    found = load_text(FILES["a chain of merges"](levels)).findings
    assert [each.rule for each in found] == ["unknown-key", *["missing-field"] * 4]
