"""Shared by the rows: environments, files, servers, and the commands."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import TOKEN
from benchmarks.measure import Command

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, with an identity for commits."""
    identity = ("-c", "user.name=benchmarks", "-c", "user.email=benchmarks@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@dataclass(frozen=True, slots=True)
class Server:
    """A running latency server."""

    url: str

    def counts(self) -> dict[str, int]:
        """Return the requests since the last call, by method, and the maximum in flight."""
        with urllib.request.urlopen(f"{self.url}/counts") as response:
            found: dict[str, int] = json.load(response)
        return found

    def set_head(self, commit: str) -> None:
        """Set the newest commit of the pull request."""
        urllib.request.urlopen(f"{self.url}/head?{commit}").close()


class Workspace:
    """A folder with everything that the benchmarks need; existing parts are reused."""

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.directory = directory.resolve()
        self.quick = quick
        self.empty = self._folder("empty")
        self._product: Path | None = None

    def rounds(self, many: int) -> int:
        return max(1, many // 4) if self.quick else many

    def python(self) -> str:
        """Return the interpreter of an environment with the product as users install it.

        The current one has developer packages that make the HTTP library slower.
        """
        if self._product is None:
            self._product = self._environment("product")
            python = str(self._product / "bin" / "python")
            _call(python, "-m", "pip", "install", "-q", str(ROOT))
            again = ("--force-reinstall", "--no-deps", "--no-cache-dir")
            _call(python, "-m", "pip", "install", "-q", *again, str(ROOT))
        return str(self._product / "bin" / "python")

    def wheel(self) -> Path:
        """Return the wheel of the product."""
        folder = self._folder("wheel")
        _call(self.python(), "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT))
        return next(folder.glob("*.whl"))

    def peer(self, package: str, program: str) -> str:
        """Return a program of a package in its own environment."""
        found = self.directory / "environments" / package / "bin" / program
        if not found.exists():
            made = self._environment(package)
            _call(str(made / "bin" / "python"), "-m", "pip", "install", "-q", package)
        return str(found)

    def file(self, count: int) -> Path:
        """Return a folder with a `webhooks.yaml` of this many webhooks."""
        folder = self._folder(f"webhooks-{count}")
        if not (folder / "webhooks.yaml").exists():
            self._write("file", folder / "webhooks.yaml", count)
        return folder

    def zone(self, count: int) -> Path:
        """Return a folder with an octoDNS configuration of this many records."""
        folder = self.directory / "data" / f"records-{count}"
        if not folder.exists():
            self._write("dns", folder, count)
        return folder

    def webhooks(self, folder: Path, *arguments: str, server: Server | None = None) -> Command:
        """Return the command `webhooks`, run in a folder."""
        program = str(Path(self.python()).parent / "webhooks")
        return self.command(folder, program, *arguments, server=server)

    def script(self, folder: Path, name: str, *arguments: str, server: Server | None) -> Command:
        """Return a script of peers/, in the product's environment."""
        return self.command(folder, self.python(), str(PEERS / name), *arguments, server=server)

    def command(self, folder: Path, *arguments: str, server: Server | None = None) -> Command:
        environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.empty),
            "LANG": "C.UTF-8",
            "SLACK_BOT_TOKEN": TOKEN,
            "CLOUDTRUTH_API_KEY": "benchmark-key",
            **{f"KEY_{number}": f"benchmark-key-{number}" for number in range(1, 61)},
        }
        if server is not None:
            environ["CLOUDTRUTH_SERVER_URL"] = server.url
        return Command(arguments=arguments, directory=folder, environ=environ)

    def _environment(self, name: str) -> Path:
        place = self.directory / "environments" / name
        if not (place / "bin" / "python").exists():
            venv.create(place, with_pip=True, symlinks=True)
        return place

    def _folder(self, name: str) -> Path:
        folder = self.directory / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _write(self, kind: str, place: Path, count: int) -> None:
        _call(sys.executable, "-m", "benchmarks.data", kind, str(place), str(count))


@contextmanager
def serving(webhooks: int, latency: float = 0.0, organizations: int = 1) -> Iterator[Server]:
    """Serve this many webhooks in each organization during a block.

    Each response comes after `latency` milliseconds.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server",
         "--webhooks", str(webhooks), "--latency", str(latency),
         "--organizations", str(organizations)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def _call(*arguments: str) -> None:
    subprocess.run(arguments, cwd=ROOT, check=True)
