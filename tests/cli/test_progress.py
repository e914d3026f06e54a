"""The output during a long run: waits and signals."""

from __future__ import annotations

import io
from pathlib import Path

from reconciler.api.origin import Pause
from reconciler.cli.connection import Progress
from reconciler.cli.console import Console, Process
from reconciler.cli.session import Session
from reconciler.errors import RateLimitedError
from reconciler.report import Applied
from tests.cli.conftest import File, MakeCloud, Shell
from tests.emulated.faults import Rule, Script, status
from tests.render.cases import CREATE


def progress(err: io.StringIO) -> Progress:
    streams = {"stdin": io.StringIO(), "stdout": io.StringIO(), "stderr": err}
    return Progress(Session(Console(Process(environ={}, directory=Path(), **streams))))


def test_a_signal_names_the_writes_in_flight() -> None:
    """Confirmed operations are no longer in flight; others are named with the organization.

    test_signals.py has a real signal.
    """
    err = io.StringIO()
    with progress(err) as shown:
        shown.starting(CREATE)
        shown.finished(Applied(operation=CREATE, id="1"))
        shown.interrupted()
    assert err.getvalue().endswith("\nInterrupted: no write is in flight, stopping.\n")
    with progress(err) as shown:
        shown.applying("Globex", 2, 3)
        shown.starting(CREATE)
        shown.interrupted()
    assert " s for: Globex (2 of 3): creating " in err.getvalue()


def test_a_long_wait_is_reported_once(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A wait of 6 s after HTTP 429 is one line on standard error, and none with -q."""
    file()
    rule = Rule(fault=status(429, retry_after=6), method="GET", times=1)
    done = shell("plan", **cloud(faults=Script([rule])).environ)
    assert done.code == 0
    assert done.err.count(": rate limit exceeded (HTTP 429); trying again in 6 s\n") == 1
    assert shell("plan", "-q", **cloud(faults=Script([rule])).environ).err == ""


def test_a_wait_of_one_of_several_organizations_has_its_name() -> None:
    """Also after the phase in which all are read."""
    for count, line in ((1, "limit; trying"), (2, "Globex: limit; trying")):
        err = io.StringIO()
        with progress(err) as shown:
            shown.phase("reading", organizations=count)
            shown.phase("")
            shown.observe(Pause(6.0, RateLimitedError("limit")), organization="Globex")
        assert err.getvalue() == f"{line} again in 6 s\n"
