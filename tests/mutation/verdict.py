"""The result of each mutant, and whether it counts."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("equivalent.toml")
_NOT_RUN = (None, 2, 4, 255)  # interrupted, or the tests could not be started
_BY_TYPE = 37
# All tests passed, or there were none; other codes, such as that of a crash, mean killed.
_SURVIVED = (0, 5, 33)
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


class Result(StrEnum):
    """The result of a mutant. Only killed ones and survivors count."""

    REJECTED = "rejected by mypy"
    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    WORDING = "wording"  # only a message differs; golden files cover most of them


class Mutant(NamedTuple):
    """One mutation: its name in mutmut, and the lines that differ, with their context."""

    file: str
    name: str
    diff: str
    result: Result


class Equivalent(NamedTuple):
    """An entry of equivalent.toml, a mutant that behaves like the original."""

    file: str
    function: str  # as in `Class.method`
    lines: str


def _function(name: str) -> str:
    """Return the function in a name such as `a.b.x_add__mutmut_1` or `a.xǁSumǁadd__mutmut_1`."""
    text = name.rpartition("__mutmut_")[0].rpartition(".")[2]
    return text.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")


def mutants(file: str) -> Iterator[Mutant]:
    """Read the results for a file in the working directory of mutmut."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    data = SourceFileMutationData(path=file)
    data.load()
    for name, code in data.exit_code_by_key.items():
        diff = get_diff_for_mutant(name, path=file).splitlines()[3:]
        if code in _NOT_RUN:
            raise RuntimeError(f"no test was run on {name}: exit code {code}")
        if code == _BY_TYPE:
            result = Result.REJECTED
        elif code not in _SURVIVED:
            result = Result.KILLED
        elif sentence_only(diff):
            result = Result.WORDING
        else:
            result = Result.SURVIVED
        yield Mutant(file, name, "\n".join(diff), result)


def sentence_only(diff: Sequence[str]) -> bool:
    """Return whether the only difference is text with a space: a message."""

    def rest(sign: str) -> list[str]:
        return [
            _TEXT.sub(lambda text: '""' if " " in text[0] else text[0], line[1:])
            for line in diff
            if line[0] == sign
        ]

    return rest("-") == rest("+")


def _lines(diff: str) -> str:
    """Return the lines of a diff, or of a part of one, without their indentation."""
    return "".join(f"{line[0]} {line[1:].strip()}\n" for line in diff.splitlines() if line)


def equivalents(listed: str) -> Iterator[Equivalent]:
    """Parse the text of equivalent.toml."""
    for because in tomllib.loads(listed)["because"]:
        for place, diffs in because["mutants"].items():
            file, _, function = place.partition(":")
            for diff in diffs.strip("\n").split("\n\n"):
                yield Equivalent(f"reconciler/{file}", function, _lines(diff))


def mark_equivalent(
    made: Iterable[Mutant], known: Iterable[Equivalent]
) -> tuple[list[Mutant], list[str]]:
    """Mark survivors that are known as equivalent; also return the entries that match none."""
    unmatched = set(known)
    listed = sorted(unmatched)
    out: list[Mutant] = []
    for mutant in made:
        if mutant.result is Result.SURVIVED:
            for entry in listed:
                if _matches(entry, mutant):
                    unmatched.discard(entry)
                    mutant = mutant._replace(result=Result.EQUIVALENT)
        out.append(mutant)
    return out, [f"{file}:{function}\n{lines}" for file, function, lines in sorted(unmatched)]


def _matches(entry: Equivalent, mutant: Mutant) -> bool:
    place = (mutant.file, _function(mutant.name))
    return place == entry[:2] and f"\n{entry.lines}" in f"\n{_lines(mutant.diff)}"


def score(made: Iterable[Mutant]) -> float:
    """Return the percentage of killed mutants among those that count."""
    count = Counter(each.result for each in made)
    counting = count[Result.KILLED] + count[Result.SURVIVED]
    return 100 * count[Result.KILLED] / counting if counting else 100.0


def summary(title: str, made: Sequence[Mutant]) -> str:
    """Return one line with the number of mutants by result."""
    count = Counter(each.result for each in made)
    parts = ", ".join(f"{count[result]} {result}" for result in Result if count[result])
    return f"{title}: {score(made):.1f} % of {len(made)} mutants: {parts}"
