"""The result of each mutant, and whether it counts."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

LIST = Path(__file__).with_name("equivalent.toml")
_NOT_RUN = (None, 2, 4, 255)  # interrupted, or the tests could not be started
_BY_TYPE = 37
_UNNOTICED = (0, 5, 33)  # all tests passed, or there were none; a crash or hang counts as killed
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


class Result(StrEnum):
    """The result of a mutant. Only killed ones and survivors count."""

    REFUSED = "refused by mypy"
    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    WORDING = "wording"  # only a message differs; golden files cover most of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mutation: `diff` has the lines that differ, with their context."""

    file: str
    line: int
    diff: str
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    """An entry of equivalent.toml: a mutant that behaves like the original code.

    `around` are neighboring lines, needed if the change alone is ambiguous.
    """

    file: str
    change: str
    around: frozenset[str] = frozenset()

    def is_meant(self, mutant: Mutant) -> bool:
        """Return whether the entry matches a mutant."""
        return (
            self.file == mutant.file
            and self.change == change(mutant.diff)
            and self.around <= around(mutant.diff)
        )


def mutants(file: str) -> Iterator[Mutant]:
    """Read the results for a file in the working directory of mutmut."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    data = SourceFileMutationData(path=file)
    data.load()
    starts = _starts(Path(file).read_text(encoding="utf-8"))
    for name, code in data.exit_code_by_key.items():
        header, *diff = get_diff_for_mutant(name, path=file).splitlines()[2:]
        if code in _NOT_RUN:
            raise RuntimeError(f"no test was run on {name}: exit code {code}")
        if code == _BY_TYPE:
            result = Result.REFUSED
        elif code not in _UNNOTICED:
            result = Result.KILLED
        elif sentence_only(diff):
            result = Result.WORDING
        else:
            result = Result.SURVIVED
        within = int(re.findall(r"\d+", header)[0]) - 1
        within += next(place for place, line in enumerate(diff) if line[0] in "+-")
        function = name.rpartition(".")[2].partition("__mutmut_")[0].removeprefix("x")
        start = starts[re.split("ǁ", function)[-1] if "ǁ" in function else function[1:]]
        yield Mutant(file=file, line=start + within, diff="\n".join(diff), result=result)


def _starts(source: str) -> dict[str, int]:
    """Map the functions of a module to the lines on which they, or comments above them, start."""
    lines = source.splitlines()
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            line = node.lineno
            while lines[line - 2].lstrip().startswith("#"):
                line -= 1
            found.setdefault(node.name, line)
    return found


def sentence_only(diff: Sequence[str]) -> bool:
    """Return whether the only difference is text with a space: a message."""

    def rest(sign: str) -> list[str]:
        return [
            _TEXT.sub(lambda text: '""' if " " in text[0] else text[0], line[1:])
            for line in diff
            if line[0] == sign
        ]

    return rest("-") == rest("+")


def change(diff: str) -> str:
    """Return the lines that differ, which identify a mutant within its file."""
    return "\n".join(
        f"{line[0]} {line[1:].strip()}" for line in diff.splitlines() if line[:1] in ("+", "-")
    )


def around(diff: str) -> frozenset[str]:
    """Return the lines that do not differ."""
    return frozenset(line.strip() for line in diff.splitlines() if line[:1] == " ")


def equivalents(listed: str) -> Iterator[Equivalent]:
    """Parse the text of equivalent.toml."""
    for because in tomllib.loads(listed)["because"]:
        for file, diffs in because["mutants"].items():
            for diff in diffs.strip("\n").split("\n\n"):
                yield Equivalent(
                    file=f"reconciler/{file}", change=change(diff), around=around(diff)
                )


def remove_equivalent(
    made: Iterable[Mutant], known: Iterable[Equivalent]
) -> tuple[list[Mutant], list[str]]:
    """Remove survivors that are known as equivalent; return the entries that match none."""
    fates: dict[Equivalent, set[Result]] = {each: set() for each in known}
    out: list[Mutant] = []
    for each in made:
        meant = [entry for entry in fates if entry.is_meant(each)]
        for entry in meant:
            fates[entry].add(each.result)
        known_survivor = meant and each.result is Result.SURVIVED
        out.append(replace(each, result=Result.EQUIVALENT) if known_survivor else each)
    stale = [
        f"{each.file}: {'it is noticed' if seen else 'there is no such mutant'}\n{each.change}"
        for each, seen in fates.items()
        if Result.SURVIVED not in seen
    ]
    return out, sorted(stale)


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
