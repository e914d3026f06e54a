"""The console, through which all output goes."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
from pathlib import Path
from typing import TextIO

import pytest

from reconciler.cli.console import Console, Process
from reconciler.errors import Interrupted
from reconciler.model import Secret
from reconciler.planning.tree import write_json
from reconciler.source.writer import scalar
from tests.cli.conftest import Terminal
from tests.goldens import rows


class Broken(io.StringIO):
    """A stream on which reading and writing fail."""

    def __init__(self, problem: BaseException) -> None:
        super().__init__()
        self._problem = problem

    def write(self, text: str) -> int:
        raise self._problem

    def readline(self, size: int | None = -1, /) -> str:
        raise self._problem


def console(
    *,
    environ: dict[str, str] | None = None,
    no_color: bool = False,
    platform: str = "linux",
    **streams: TextIO,
) -> Console:
    """Make a console whose other streams are discarded."""
    streams = {**{name: io.StringIO() for name in ("stdin", "stdout", "stderr")}, **streams}
    environ = environ or {}
    process = Process(environ=environ, directory=Path(), platform=platform, **streams)
    made = Console(process)
    made.options["no_color"] = no_color
    return made


def test_secrets_are_masked() -> None:
    """A known secret, a Slack token or the path of a Slack URL is never printed.

    It is recognized as JSON, YAML, a shell and a table escape it, also if it is wrapped.
    """
    out, err = io.StringIO(), io.StringIO()
    shown, odd = console(stdout=out, stderr=err), 'it\'s "\\ü" 50%, a|b'
    shown.hide([Secret("hunter2hunter2"), Secret("short"), Secret(odd)])
    forms = [json.dumps(odd), scalar(odd), shlex.quote(odd), odd.replace("|", "\\|")]
    shown.write_stderr("".join(forms).replace(" ", "\n  "))
    shown.result("a hunter2hunter2 b xoxb-" + "0123456789-abcdef c")
    shown.write_stderr("https://hooks.slack.com/services/T0/B0/abcdefgh short")
    assert (out.getvalue(), shown.redactions) == ("a *** b *** c\n", 3)
    assert err.getvalue() == '"***""***"\'***\'***\nhttps://hooks.slack.com/*** short\n'


def test_a_secret_that_equals_a_key_of_a_document_leaves_the_key() -> None:
    """Only values of a JSON document are masked, because its keys are ours."""
    out = io.StringIO()
    shown = console(stdout=out)
    shown.hide([Secret("operations")])
    shown.result(write_json({"format_version": "3", "operations": ["operations"]}))
    assert json.loads(out.getvalue()) == {"format_version": "3", "operations": ["***"]}
    shown.result('  "operations": text')
    assert out.getvalue().endswith('  "***": text\n')


def test_a_secret_that_contains_another_is_masked_completely() -> None:
    """Neither a shorter secret nor a Slack token in it leaves the rest of a secret visible."""
    out = io.StringIO()
    shown = console(stdout=out)
    url = "https://example.com/in?token=xoxb-0123456789-abcdef&sig=SIGNATURE"
    shown.hide([Secret("hunter2hunter2")])
    shown.hide([Secret("hunter2hunter2-long"), Secret(url)])
    shown.result(f"a hunter2hunter2-long b {url} c")
    assert out.getvalue() == "a *** b *** c\n"


@pytest.mark.parametrize(
    ("problem", "why"),
    [(OSError(errno.ENOSPC, "full"), "full"), (ValueError("closed"), "write error")],
)
def test_an_unwritable_result_is_a_failure(problem: Exception, why: str) -> None:
    """An unwritable result is reported once, without a traceback; lost messages are ignored."""
    err = io.StringIO()
    shown = console(stdout=Broken(problem), stderr=err)
    for text in ("one", "two"):
        shown.result(text)
    assert shown.failed
    assert err.getvalue() == (
        f"error[output]: the result could not be written to standard output: {why}\n"
    )
    shown = console(stderr=Broken(problem))
    shown.write_stderr("text")
    assert not shown.failed


def test_a_closed_pipe_is_not_a_failure() -> None:
    """A closed pipe causes no error, not even at exit."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        shown = console(stdout=pipe)
        shown.result("text")
        shown.result("more")
    assert not shown.failed


def test_status_only_on_a_terminal() -> None:
    """The status line is cleared before other output, and appears only on a suitable terminal."""
    terminal, plain, dumb = Terminal(), io.StringIO(), Terminal()
    shown = console(stderr=terminal)
    shown.status("reading")
    console(stderr=plain).status("reading")
    console(stderr=dumb, environ={"TERM": "dumb"}).status("reading")
    shown.info("done")
    shown.info("more")
    assert terminal.getvalue() == "\r\x1b[Kreading\r\x1b[Kdone\nmore\n"
    assert plain.getvalue() == dumb.getvalue() == ""


def test_prompts() -> None:
    """An answer has no newline; the end of the input is None; Ctrl-C ends the run."""
    err = Terminal()
    shown = console(stdin=Terminal("yes\n"), stderr=err)
    assert (shown.ask("sure? "), shown.ask("sure? ")) == ("yes", None)
    assert err.getvalue() == "sure? sure? \n"
    with pytest.raises(Interrupted, match="nothing was written") as redactions:
        console(stdin=Broken(KeyboardInterrupt()), stderr=err).ask("sure? ")
    assert err.getvalue().endswith("sure? \n")
    assert redactions.value.exit_code == 130


@pytest.mark.parametrize(
    ("no_color", "environ", "terminal", "platform", "colored"),
    rows(Path(__file__).with_name("colors.yaml")),
)
def test_precedence_of_colors(
    no_color: bool, environ: dict[str, str], terminal: bool, platform: str, colored: bool
) -> None:
    """The order is --no-color, NO_COLOR, FORCE_COLOR, a terminal without colors.

    The old console of Windows shows escape sequences as text, so it gets none.
    """
    out = Terminal() if terminal else io.StringIO()
    shown = console(stdout=out, environ=environ, no_color=no_color, platform=platform)
    assert shown.view(out).color is colored
    err = Terminal()
    console(stderr=err).message("error", "wrong")
    assert err.getvalue() == "\x1b[1;31merror\x1b[0m: wrong\n"
