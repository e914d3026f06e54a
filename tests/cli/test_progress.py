"""What a run shows while it takes long: waits, and what a signal does."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from reconciler.cli.connection import Progress
from reconciler.cli.console import Console
from reconciler.cli.process import Process
from reconciler.report import Applied
from tests.cli.conftest import Cloud, Shell, Terminal
from tests.emulated.faults import Rule, Script, status
from tests.render.cases import CREATE


def progress(err: io.StringIO) -> Progress:
    streams = {"stdin": io.StringIO(), "stdout": io.StringIO(), "stderr": err}
    return Progress(Console(Process(environ={}, directory=Path(), **streams)))


def test_a_signal_is_answered_with_what_is_in_flight() -> None:
    """The operation, when the run stops, and what a second signal does."""
    err = io.StringIO()
    with progress(err) as shown:
        shown.starting(CREATE)
        shown.interrupted()
    assert err.getvalue() == (
        "creating Deploys\n"
        "Interrupted: creating Deploys. The run stops when this is confirmed, after 6 s at most.\n"
        "Press Ctrl-C again to stop at once; what is in flight is then reported as unconfirmed.\n"
    )


def test_a_signal_between_writes_says_that_there_is_none() -> None:
    """What is confirmed is no longer in flight."""
    err = io.StringIO()
    with progress(err) as shown:
        shown.starting(CREATE)
        shown.finished(Applied(operation=CREATE, id="1"))
        shown.interrupted()
    assert err.getvalue().endswith("\nInterrupted: no write is in flight. The run stops.\n")


def test_a_status_line_is_gone_at_the_end() -> None:
    """On a terminal the line of an operation gives way to the result."""
    err = Terminal()
    with progress(err) as shown:
        shown.starting(CREATE)
    assert err.getvalue() == "\r\x1b[K0/0 creating Deploys\r\x1b[K"


def test_a_long_wait_is_reported_once(
    shell: Shell, file: Callable[..., Path], cloud: Callable[..., Cloud]
) -> None:
    """A wait of 6 s for HTTP 429 is one line on standard error; -q has none."""
    file()
    rule = Rule(fault=status(429, retry_after=6), method="GET", times=1)
    done = shell("plan", **cloud(faults=Script([rule])).environ)
    assert done.code == 0
    assert done.err.count("limits the request rate (HTTP 429); trying again in 6 s\n") == 1
    assert shell("plan", "-q", **cloud(faults=Script([rule])).environ).err == ""
