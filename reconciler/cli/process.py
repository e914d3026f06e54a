"""The process as a value: its environment, streams, directory and clock.

Everything else receives this value, so that tests can run complete commands in process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

from reconciler.errors import ExitCode, Interrupted

if TYPE_CHECKING:
    from reconciler.ports import Clock

_WINDOWS_TERMINALS: Final = {"WT_SESSION", "TERM", "TERM_PROGRAM", "CONEMUANSI"}
"""Variables of terminals on Windows that interpret escape sequences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The process that a command runs in.

    `platform` is the value of `sys.platform`; `clock` is None for the system's.
    """

    environ: Mapping[str, str] = field(repr=False)
    directory: Path
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    platform: str = "linux"
    clock: Clock | None = None

    @property
    def interprets_escapes(self) -> bool:
        """Whether terminals interpret escape sequences.

        A dumb terminal and the old console of Windows show them as text.
        """
        if self.platform == "win32" and self.environ.keys().isdisjoint(_WINDOWS_TERMINALS):
            return False
        return self.environ.get("TERM") != "dumb"

    def columns(self, otherwise: int) -> int:
        """Return the width of the terminal, `otherwise` if it is unknown."""
        told = self.environ.get("COLUMNS", "")
        if told.isdecimal() and int(told) > 0:
            return int(told)
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or otherwise
        except (OSError, ValueError):
            return otherwise

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC) if self.clock is None else self.clock.now()

    def time(self) -> Clock:
        """Return the clock of this run."""
        from reconciler.execute.stop import SystemClock

        return self.clock or SystemClock()

    def read_stdin(self, limit: int) -> bytes:
        """Return all of standard input, or its first `limit` bytes."""
        buffer = getattr(self.stdin, "buffer", None)
        if buffer is None:
            return self.stdin.read().encode()
        data: bytes = buffer.read(limit)
        return data

    @classmethod
    def of_this_process(cls) -> Process:
        """Return the running process.

        Characters missing from the terminal's encoding are escaped; Windows writes files and pipes
        in UTF-8, as it reads them. SIGTERM and SIGHUP now raise Interrupted, as SIGINT raises
        KeyboardInterrupt. SIGHUP stays ignored under `nohup`; Windows has none.
        """
        signal.signal(signal.SIGTERM, _terminate)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, _terminate)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                redirected = sys.platform == "win32" and not stream.isatty()
                encoding = "utf-8" if redirected else None
                stream.reconfigure(encoding=encoding, errors="backslashreplace")
        return cls(
            environ=os.environ,
            directory=Path(),
            stdin=sys.stdin or open(os.devnull),
            stdout=sys.stdout or open(os.devnull, "w"),
            stderr=sys.stderr or open(os.devnull, "w"),
            platform=sys.platform,
        )


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted("stopped by a signal", signal_exit=ExitCode(128 + number))
