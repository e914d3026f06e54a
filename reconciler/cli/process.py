"""The process as one value: its environment, streams and directory.

Everything else is handed these, so that a whole command can run inside a test as it runs in a
shell.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What a command may know of its surroundings.

    `platform` is as `sys.platform` names it.
    """

    environ: Mapping[str, str]
    directory: Path
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    platform: str = "linux"

    def read_stdin(self) -> bytes:
        """Return all of standard input, or just more than any file may hold."""
        from reconciler.source.files import MAX_FILE_BYTES

        buffer = getattr(self.stdin, "buffer", None)
        if buffer is None:
            return self.stdin.read().encode()
        data: bytes = buffer.read(MAX_FILE_BYTES + 1)
        return data

    @classmethod
    def of_this_process(cls) -> Process:
        """Return the surroundings of the running process.

        Output never fails for want of a character: what a terminal's encoding lacks is escaped.
        From here on SIGTERM ends the run with an Interrupted, as SIGINT does with a
        KeyboardInterrupt.
        """
        signal.signal(signal.SIGTERM, _terminate)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return cls(
            environ=dict(os.environ),
            directory=Path(),
            stdin=sys.stdin or open(os.devnull),
            stdout=sys.stdout or open(os.devnull, "w"),
            stderr=sys.stderr or open(os.devnull, "w"),
            platform=sys.platform,
        )


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    from reconciler.errors import ExitCode, Interrupted

    raise Interrupted("stopped by a signal", signal_exit=ExitCode.SIGTERM)
