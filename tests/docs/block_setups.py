"""The fenced code blocks of Markdown, and what each block of shell commands needs and does.

A block runs as written, in a new folder, against an emulated CloudTruth and a fake Slack.
blocks.yaml has an entry for every block on a page for users, by its name. A program that no test
can run is replaced by a small one on the PATH that records its calls and does as much of its work
as possible; `calls` is compared with the record. Blocks run in another test are in `ELSEWHERE`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from reconciler.ci.workflows import pinned
from tests.deliveries.fake_slack import GOOD
from tests.folders import ROOT
from tests.goldens import rows

_BLOCK = re.compile(r"^[ ]*```(?P<language>\w*)\n(?P<text>.*?)^[ ]*```$", re.M | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block: its position and its text.

    `name` does not depend on line numbers: the page, the heading above it and, if several blocks of
    one language follow a heading, a number.
    """

    name: str
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path, root: Path) -> Iterator[Block]:
    """Yield each fenced block of a page."""
    page = path.read_text("utf-8")
    seen: Counter[tuple[str, str]] = Counter()
    for found in _BLOCK.finditer(page):
        where = path.relative_to(root).as_posix()
        heading = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page[: found.start()]), flags=re.M)[-1]
        seen[heading, found["language"]] += 1
        number = seen[heading, found["language"]]
        yield Block(
            name=f"{where}: {heading}" + (f" ({number})" if number > 1 else ""),
            page=where,
            line=page[: found.start("language")].count("\n") + 1,
            language=found["language"],
            text=dedent(found["text"]),
        )


SECRETS: Final = {"SLACK_BOT_TOKEN": GOOD, "PAGER_PASSWORD": "an example password"}
STAND_INS: Final = Path(__file__).with_name("stand_ins")
"""Programs that come first on the PATH: those that need a package index, a cluster or a system.

`pip`, `kubectl`, `podman` and `sudo` only record their calls. `cloudtruth` takes options, `run`,
then a command that receives the project's parameters as variables, and the API key only with
`--permissive`. `python` only parses the options of benchmarks.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSetup:
    """The preconditions of a block, and its effects.

    `files` are written into the folder, which with `clone` is a copy of the repository; `before` is
    committed on the branch `main` first. `live` is a webhooks file that is applied first.
    `choices` are the emulator's. `smaller` replaces parts of the block that would take too long.
    Every text in `prints` is printed, in this order; `calls` are all calls of the stand-ins.
    """

    prints: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    clone: bool = False
    before: Mapping[str, str] = field(default_factory=dict)
    live: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: SECRETS)
    smaller: Mapping[str, str] = field(default_factory=dict)
    calls: Sequence[str] = ()


def first_file_on(page: str) -> str:
    """Return the first configuration file on a page."""
    found = (each for each in blocks(ROOT / page, ROOT) if each.language == "yaml")
    return next(each.text for each in found if "\nwebhooks:" in f"\n{each.text}")


def filled(value: Any) -> Any:
    """Return a value of blocks.yaml with the texts that it names."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith("="):
        name, *edit = value[1:].split("|")
        text = first_file_on(name) if name.endswith(".md") else (ROOT / name).read_text("utf-8")
        return text.replace(*edit) if edit else text
    units = sorted((ROOT / "deploy/systemd").iterdir())
    named = " ".join(f"deploy/systemd/{path.name}" for path in units)
    source = pinned("0" * 40)[0].replace("0" * 40, "COMMIT")
    return value.replace("UNITS", named).replace("SOURCE", source)


EXAMPLE: Final = (ROOT / "examples" / "webhooks.yaml").read_text("utf-8")
README: Final = first_file_on("README.md")
SETUPS: Final[Mapping[str, BlockSetup]] = {
    name: BlockSetup(**filled(setup))
    for name, setup in rows(Path(__file__).with_name("blocks.yaml")).items()
}
"""Every block of type `sh`, and every workflow with commands, by its name."""

ELSEWHERE: Final[Mapping[str, list[str]]] = rows(Path(__file__).with_name("elsewhere.yaml"))
"""A block that another test runs: the file, a text in it, and how it is run."""
