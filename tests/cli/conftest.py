"""Run complete commands in the test process, each in a separate folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.console import Process
from reconciler.cli.main import run
from reconciler.ports import Clock
from tests.contract.published import violations
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.faults import FaultSource
from tests.emulated.variant import Variant
from tests.folders import write
from tests.ports import SkippingClock
from tests.served import served


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class Keyboard(io.TextIOWrapper):
    """A stream of typed or piped text."""

    def __init__(self, keys: str, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(keys.encode()), "utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str


def expect(done: Done, code: int, *texts: str, without: tuple[str, ...] = ()) -> None:
    """Check that a command ended with `code` and printed all `texts`, and none of `without`."""
    printed = done.out + done.err
    found = [each for each in texts if each in printed]
    assert (done.code, found) == (code, list(texts)), printed
    assert [each for each in without if each in printed] == []


Shell = Callable[..., Done]
File = Callable[..., Path]


def make_process(
    environ: Mapping[str, str],
    directory: Path,
    keys: str = "",
    *,
    terminal: bool = False,
    clock: Clock | None = None,
) -> tuple[Process, io.StringIO, io.StringIO]:
    """Return a process, its output and its errors.

    `terminal` makes all streams a terminal, where `keys` is typed.
    """
    stream = Terminal if terminal else io.StringIO
    out, err = stream(), stream()
    process = Process(
        environ=environ,
        directory=directory,
        stdin=Keyboard(keys, terminal=terminal),
        stdout=out,
        stderr=err,
        clock=clock or SkippingClock(),
    )
    return process, out, err


def perform(
    *arguments: str,
    directory: Path,
    keys: str = "",
    terminal: bool = False,
    clock: Clock | None = None,
    **environ: str,
) -> Done:
    """Run `webhooks` with arguments in a process, see `make_process`."""
    process, out, err = make_process(environ, directory, keys, terminal=terminal, clock=clock)
    code = run(arguments, process)
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run `webhooks` as `perform` does, in the test's folder."""
    return partial(perform, directory=tmp_path, HOME=str(tmp_path))


GOOD = Path(__file__).with_name("good.yaml").read_text("utf-8")
SECRETS = {"TOKEN": "xoxb-" + "0123456789-abcdef", "PASSWORD": "correct horse battery"}


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file, `webhooks.yaml` by default, with some strings replaced."""

    def file(text: str = GOOD, name: str = "webhooks.yaml", **replaced: str) -> Path:
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        (path,) = write(tmp_path, {name: text})
        return path

    return file


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """An emulated CloudTruth on a port, and the environment that selects it."""

    emulator: Emulator
    environ: dict[str, str]

    def writes(self) -> list[str]:
        """Return the methods of all requests that change something, in order."""
        return [each.method for each in self.emulator.log if each.method != "GET"]

    def names(self) -> list[str]:
        return sorted(each["name"] for each in self.emulator.store.webhooks())


MakeCloud = Callable[..., Cloud]


@pytest.fixture
def cloud() -> Iterator[Callable[..., Cloud]]:
    """Serve an emulator with the variant's choices given by name until the test ends."""
    emulators: list[Emulator] = []
    with ExitStack() as running:

        def cloud(*, faults: FaultSource | None = None, **choices: Any) -> Cloud:
            emulator = Emulator(behavior=Variant(**choices), faults=faults)
            emulators.append(emulator)
            url = running.enter_context(served(emulator))
            environ = {"CLOUDTRUTH_SERVER_URL": url, "CLOUDTRUTH_API_KEY": LOCAL_KEY}
            return Cloud(emulator=emulator, environ={**environ, **SECRETS})

        yield cloud
    for emulator in emulators:
        assert violations(emulator.log) == []


@pytest.fixture
def server(cloud: MakeCloud, file: File) -> Cloud:
    """An emulated CloudTruth without webhooks, and the default file."""
    file()
    return cloud()
