"""The product as a user has it: a wheel in an environment of its own, and a server to talk to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator.store import LogEntry
from tests.emulated.emulator import Emulator
from tests.emulated.variant import Variant
from tests.installing import Release, environment
from tests.served import served
from tests.waiting import PATIENCE

SECRETS = {"SLACK_BOT_TOKEN": "xoxb-" + "0123456789-example", "PAGER_PASSWORD": "an example"}


@pytest.fixture(scope="session")
def program(
    release: Release, package_index: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The `webhooks` command of a clean environment in which only the wheel is installed."""
    home = tmp_path_factory.mktemp("installed") / "environment"
    return environment(home, f"{release.wheel}[emulator]") / "webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody with a shell in an empty directory."""

    program: Path
    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    def surroundings(self, **environ: str) -> dict[str, str]:
        """What a command of theirs finds in its environment."""
        return {
            "PATH": f"{self.program.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.directory),
            **self.environ,
            **environ,
        }

    def webhooks(
        self, *arguments: str, typed: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; standard input is empty or what is `typed`."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.directory,
            env=self.surroundings(**environ),
            input=typed or "",
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )

    def write(self, text: str, name: str = "webhooks.yaml") -> None:
        """Save a file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def user(program: Path, tmp_path: Path) -> User:
    """Somebody who has just installed the wheel."""
    return User(program=program, directory=tmp_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server in a process of its own, and the log that it writes."""

    url: str
    log: Path

    def environ(self, **more: str) -> dict[str, str]:
        return {
            "CLOUDTRUTH_SERVER_URL": self.url,
            "CLOUDTRUTH_API_KEY": "an-example-key",
            **SECRETS,
            **more,
        }

    def requests(self) -> list[dict[str, Any]]:
        """All requests so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def writes(self, *, after: int = 0) -> list[str]:
        """The methods of the writes, the first `after` left out."""
        methods = [each["method"] for each in self.requests() if each["method"] != "GET"]
        return methods[after:]


@pytest.fixture
def serve(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Run `webhooks emulator` on a free port, with more options."""
    running: list[subprocess.Popen[str]] = []

    def serve(*options: str) -> Site:
        folder = tmp_path_factory.mktemp("site")
        (folder / "log").touch()
        process = subprocess.Popen(
            [program, "emulator", "--log", "log", *options],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        return Site(url=process.stderr.readline().split()[-1], log=folder / "log")

    yield serve
    for process in running:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Serve an emulator that makes the choices given by name."""
    with ExitStack() as running:

        def other(**choices: Any) -> Site:
            path = tmp_path_factory.mktemp("site") / "log"
            log = running.enter_context(path.open("w"))

            def note(entry: LogEntry) -> None:
                print(json.dumps(asdict(entry)), file=log, flush=True)

            emulator = Emulator(behaviour=Variant(any_key=True, **choices), listener=note)
            return Site(url=running.enter_context(served(emulator)), log=path)

        yield other
