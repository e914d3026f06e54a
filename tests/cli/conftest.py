"""Runs whole commands inside the test, in a folder of their own."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.cli.process import Process


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Shell = Callable[..., Done]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Run `webhooks` with arguments; `terminal` makes all three streams one, `keys` is typed."""

    def shell(*arguments: str, keys: str = "", terminal: bool = False, **environ: str) -> Done:
        stream = Terminal if terminal else io.StringIO
        out, err = stream(), stream()
        process = Process(
            environ={"HOME": str(tmp_path), **environ},
            directory=tmp_path,
            stdin=stream(keys),
            stdout=out,
            stderr=err,
        )
        code = run(arguments, process)
        return Done(code=code, out=out.getvalue(), err=err.getvalue())

    yield shell
    gc.enable()
