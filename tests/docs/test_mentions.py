"""Links, files and commands in the text of pages exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
import yaml

from reconciler.cli.console import Console
from reconciler.cli.main import program
from reconciler.cli.options import Group
from reconciler.errors import ExitCode
from tests.cli.conftest import make_process
from tests.docs.test_code_blocks import PAGES
from tests.folders import ROOT

FENCED = re.compile(r"^[ ]*```.*?^[ ]*```$", re.M | re.S)
FOLDERS = {each.name for each in ROOT.iterdir() if each.is_dir() and each.name[0] not in "._"}


def spans() -> Iterator[tuple[str, str]]:
    """Yield the name of each page with each code span in its sentences."""
    for page in PAGES:
        text = FENCED.sub("", page.read_text("utf-8"))
        for span in re.findall(r"`([^`]+)`", text):
            yield page.relative_to(ROOT).as_posix(), " ".join(span.split())


SPANS = sorted(set(spans()))
COMMANDS = [each for each in SPANS if each[1].startswith(("webhooks ", "exec webhooks "))]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_exists(page: str, line: str) -> None:
    """The program has the command and every option in the span."""
    words = shlex.split(line.partition(" > ")[0].removeprefix("exec "))[1:]
    command: click.Command = program()
    context = click.Context(command, info_name="webhooks")
    while isinstance(command, Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    # A sentence may omit required options.
    with suppress(click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        console = Console(make_process({}, ROOT)[0])
        command.make_context(command.name, words, parent=context.parent, obj=console)


def test_a_file_exists() -> None:
    """A path below a folder of the repository exists."""
    for page, span in SPANS:
        if re.fullmatch(r"[\w.-]+(/[\w.-]*)+", span) and span.partition("/")[0] in FOLDERS:
            assert "NAME" in span or (ROOT / span).exists(), f"{page}: {span}"


def test_links_have_targets() -> None:
    """Every internal link has an existing file, and an existing heading if it has an anchor."""
    for page in PAGES:
        text = page.read_text("utf-8") if page.exists() else ""
        text = re.sub(r"```.*?```", "", text, flags=re.S)
        for name, anchor in re.findall(r"\]\((?![a-z]+:)([^)\s#]*)#?([^)\s]*)\)", text):
            path = (page.parent / name) if name else page
            assert path.exists(), f"{page}: {name}"
            assert not anchor or anchor in headings(path), f"{page}: {name}#{anchor}"


def test_decisions_are_numbered() -> None:
    """Each decision has its own number, in its file name and its title, without gaps."""
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(page.name.partition("-")[0]) for page in pages]
    titles = [int(page.read_text("utf-8")[2:].partition(".")[0]) for page in pages]
    assert numbers == titles == [*range(1, len(pages) + 1)]


def test_the_readme_links_to_every_page() -> None:
    """Each page is listed once, under tasks, reference or why."""
    index = (ROOT / "README.md").read_text("utf-8").partition("## Documentation")[2]
    pages = sorted(each.relative_to(ROOT).as_posix() for each in ROOT.glob("docs/*.md"))
    assert [index.count(f"]({page})") for page in pages] == [1] * len(pages)


def test_a_guarantee_has_its_test() -> None:
    """Each guarantee links to a file that has the test it mentions."""
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    section = text.partition("## In short")[2].partition("\n## ")[0]
    promises = re.split(r"^\d+\. ", section, flags=re.M)[1:]
    assert len(promises) >= 10
    for promise in promises:
        named = re.search(r"\[(`?)([^]`]+)\1\]\(\.\./(tests/[^)]+)\)\s*$", promise)
        assert named, promise
        if named[1]:
            assert f"\ndef {named[2]}(" in (ROOT / named[3]).read_text("utf-8"), promise


def test_the_tables_are_complete() -> None:
    """The help, the page of commands and the README list exit codes, that of GitHub its inputs."""
    readme = (ROOT / "README.md").read_text("utf-8").partition("`apply` exits with ")[2]
    of_apply = readme.partition(" [")[0].replace("1 to 6", "1 2 3 4 5 6")
    page = cells("docs/commands.md", "| code | meaning |")
    without_bugs = [code for code in ExitCode if code < ExitCode.BUG]
    everywhere = {page: [*ExitCode], str(program().epilog): [*ExitCode], of_apply: without_bugs}
    for text, codes in everywhere.items():
        assert sorted(map(int, re.findall(r"\d+", text))) == sorted(codes), text
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    for kind in ("input", "output"):
        named = re.findall(r"`([a-z-]+)`", cells("docs/github.md", f"| {kind} |"))
        assert sorted(named) == sorted(action[f"{kind}s"])


def cells(page: str, head: str) -> str:
    """Return the first column of the table whose header begins with `head`."""
    table = (ROOT / page).read_text("utf-8").partition(head)[2].partition("\n\n")[0]
    return "\n".join(line.split("|")[1] for line in table.splitlines()[2:])


def headings(path: Path) -> set[str]:
    """Return GitHub's anchors of the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in titles}
