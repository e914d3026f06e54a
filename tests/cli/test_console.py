"""The one place where output leaves."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import TextIO

import pytest

from reconciler.cli.console import Console
from reconciler.cli.process import Process
from reconciler.errors import Interrupted
from reconciler.model import Secret
from tests.cli.conftest import Terminal

TOKEN = "xoxb-" + "0123456789-abcdef"


class Broken(io.StringIO):
    """A stream on which every write fails."""

    def __init__(self, problem: OSError) -> None:
        super().__init__()
        self._problem = problem

    def write(self, text: str) -> int:
        raise self._problem


def console(*, environ: dict[str, str] | None = None, **streams: TextIO) -> Console:
    """A console whose other streams nobody looks at."""
    all_streams = {name: io.StringIO() for name in ("stdin", "stdout", "stderr")}
    return Console(Process(environ=environ or {}, directory=Path(), **{**all_streams, **streams}))


def test_quiet_and_verbose() -> None:
    """Quiet leaves errors, and what is essential; details are for the verbose."""
    out, err = io.StringIO(), io.StringIO()
    shown = console(stdout=out, stderr=err)
    shown.detail("detail")
    shown.verbosity = -1
    shown.note("note")
    shown.message("warning", "careful")
    shown.message("error", "wrong")
    shown.result("result")
    shown.result("document", essential=True)
    shown.verbosity = 1
    shown.detail("seen")
    shown.block("block")
    assert err.getvalue() == "error: wrong\nseen\nblock\n"
    assert out.getvalue() == "document\n"


def test_secrets_are_caught() -> None:
    """A known secret, a Slack token or the path of a Slack address never gets out."""
    out, err = io.StringIO(), io.StringIO()
    shown = console(stdout=out, stderr=err)
    shown.hide([Secret("hunter2hunter2"), Secret("short")])
    shown.result(f"a hunter2hunter2 b {TOKEN} c")
    shown.block("https://hooks.slack.com/services/T0/B0/abcdefgh short")
    assert out.getvalue() == "a *** b *** c\n"
    assert err.getvalue() == "https://hooks.slack.com/*** short\n"
    assert shown.caught == 2


def test_full_disk_is_remembered() -> None:
    """A result that could not be written raises nothing, is a failure, and is said once."""
    err = io.StringIO()
    shown = console(stdout=Broken(OSError(errno.ENOSPC, "full")), stderr=err)
    shown.result("one")
    shown.result("two")
    assert shown.failed
    assert err.getvalue() == (
        "error[output]: the result could not be written to standard output: the disk is full\n"
    )


def test_messages_may_be_lost() -> None:
    """A standard error that cannot be written to does not make the run a failure."""
    shown = console(stderr=Broken(OSError(errno.EIO, "gone")))
    shown.block("text")
    assert not shown.failed


def test_a_reader_may_leave() -> None:
    """Whoever closes the pipe has seen enough: no failure, and no complaint at exit."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        shown = console(stdout=pipe)
        shown.result("text")
        shown.result("more")
    assert not shown.failed


def test_closed_streams() -> None:
    """A stream that is closed already counts as one that nobody watches."""
    closed = io.StringIO()
    closed.close()
    shown = console(stdout=closed, stdin=closed, stderr=closed)
    assert not shown.interactive
    shown.result("text")
    assert shown.failed


@pytest.mark.parametrize(
    ("stdin", "stderr", "interactive"),
    [
        (Terminal(), Terminal(), True),
        (io.StringIO(), Terminal(), False),
        (Terminal(), io.StringIO(), False),
    ],
)
def test_interactive(stdin: io.StringIO, stderr: io.StringIO, interactive: bool) -> None:
    """A question needs a person who sees it and can answer."""
    assert console(stdin=stdin, stderr=stderr).interactive is interactive


def test_status_only_on_a_terminal() -> None:
    """The status line gives way to other output on a terminal that can, and is nowhere else."""
    terminal, plain, dumb = Terminal(), io.StringIO(), Terminal()
    shown = console(stderr=terminal)
    shown.status("reading")
    console(stderr=plain).status("reading")
    console(stderr=dumb, environ={"TERM": "dumb"}).status("reading")
    shown.note("done")
    shown.note("more")
    assert terminal.getvalue() == "\r\x1b[Kreading\r\x1b[Kdone\nmore\n"
    assert plain.getvalue() == dumb.getvalue() == ""


def test_answers() -> None:
    """An answer loses its line end; no answer is an empty one, and the line is ended."""
    err = Terminal()
    shown = console(stdin=Terminal("yes\n"), stderr=err)
    assert shown.ask("sure? ") == "yes"
    assert shown.ask("sure? ") == ""
    assert err.getvalue() == "sure? sure? \n"


class Stopped(io.StringIO):
    """A person who presses Ctrl-C instead of answering."""

    def readline(self, size: int | None = -1, /) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_at_the_question_says_that_nothing_was_written() -> None:
    """Who stops at the question need not wonder."""
    with pytest.raises(Interrupted, match="nothing was written") as caught:
        console(stdin=Stopped()).ask("Do this? ")
    assert caught.value.exit_code == 130


@pytest.mark.parametrize(
    ("no_color", "environ", "terminal", "colored"),
    [
        (False, {}, True, True),
        (False, {}, False, False),
        (True, {"FORCE_COLOR": "1"}, True, False),
        (False, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        (False, {"NO_COLOR": "0"}, True, False),
        (False, {"NO_COLOR": ""}, True, True),
        (False, {"FORCE_COLOR": "1"}, False, True),
        (False, {"FORCE_COLOR": "0"}, False, False),
        (False, {"TERM": "dumb"}, True, False),
        (False, {"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
def test_precedence_of_colors(
    no_color: bool, environ: dict[str, str], terminal: bool, colored: bool
) -> None:
    """--no-color beats NO_COLOR beats FORCE_COLOR beats a dumb terminal."""
    shown = console(stdout=Terminal() if terminal else io.StringIO(), environ=environ)
    shown.no_color = no_color
    assert shown.color_results is colored
    err = Terminal()
    console(stderr=err).message("error", "wrong")
    assert err.getvalue() == "\x1b[1;31merror\x1b[0m: wrong\n"
