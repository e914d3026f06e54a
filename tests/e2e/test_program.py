"""The installed command: a new user's first steps, and a server on a port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.folders import ROOT
from tests.installing import Release, environment
from tests.served import closed_port
from tests.waiting import TIMEOUT

pytestmark = pytest.mark.slow

SECRETS = {"SLACK_BOT_TOKEN": "xoxb-" + "0123456789-example", "PAGER_PASSWORD": "an example"}
EXAMPLE = (ROOT / "examples/webhooks.yaml").read_text()


@pytest.fixture(scope="session")
def program(
    release: Release, package_index: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The `webhooks` command of an environment with only the wheel."""
    home = tmp_path_factory.mktemp("installed") / "environment"
    return environment(home, f"{release.wheel}[emulator]") / "webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user with a shell in an empty directory."""

    program: Path
    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    def environment(self, **environ: str) -> dict[str, str]:
        """Return the environment of the user's commands."""
        return {
            "PATH": f"{self.program.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.directory),
            **self.environ,
            **environ,
        }

    def webhooks(
        self, *arguments: str, typed: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; standard input is empty or `typed`."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.directory,
            env=self.environment(**environ),
            input=typed or "",
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )

    def write(self, text: str, name: str = "webhooks.yaml") -> None:
        """Save a file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def user(program: Path, tmp_path: Path) -> User:
    """A user who has just installed the wheel."""
    return User(program=program, directory=tmp_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A server process and its log."""

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
        """Return all requests so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def writes(self, *, after: int = 0) -> list[str]:
        """Return the methods of the writes, without the first `after`."""
        methods = [each["method"] for each in self.requests() if each["method"] != "GET"]
        return methods[after:]


Serve = Callable[..., Site]


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
        process.communicate(timeout=TIMEOUT)


@pytest.fixture
def new_user(user: User) -> User:
    """A user with the example and its variables."""
    shutil.copytree(ROOT / "examples", user.directory / "examples")
    user.environ.update(SECRETS)
    return user


LOCAL = ("-f", "examples/webhooks.yaml", "--local")


@pytest.mark.parametrize("redirected", ["/dev/full", "closed"])
def test_unwritable_output_does_not_change_the_result(new_user: User, redirected: str) -> None:
    """A full disk or a closed pipe keeps the exit code, and everything is applied."""
    target = f"> {redirected}" if redirected.startswith("/") else "| true"
    line = f"set -o pipefail; webhooks apply {' '.join(LOCAL)} --yes {target}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=new_user.directory, env=new_user.environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert ("error: applied 3 of 3 changes: 3 created" in done.stderr) is (redirected != "closed")
    assert "Exception" not in done.stderr
    assert new_user.webhooks("plan", *LOCAL, "--detailed-exitcode").returncode == 0


def test_everyday_changes(user: User, serve: Serve) -> None:
    """Each change of events, channel, name or presence makes exactly the necessary writes."""
    site = serve()
    user.environ.update(site.environ())
    user.write(EXAMPLE)

    def apply(*more: str) -> list[str]:
        before = len(site.writes())
        done = user.webhooks("apply", "--yes", *more)
        assert done.returncode == 0, done.stderr + done.stdout
        assert user.webhooks("plan", "--detailed-exitcode").returncode == 0
        return site.writes(after=before)

    assert apply() == ["POST", "POST", "POST"]
    reads = len(site.requests())
    done = user.webhooks("apply", "--yes")
    assert "No changes. 3 webhooks match." in done.stdout
    assert len(site.requests()) - reads == 2
    text = EXAMPLE
    for old, new in (
        ("value_updated, ", ""),
        ('"#deploys"', '"#releases"'),
        ("name: Deploys", "name: Releases\n    previously: [Deploys]"),
    ):
        assert old in text
        text = text.replace(old, new)
        user.write(text)
        assert apply() == ["PATCH"], old
    start = text.index("  - name: Audit")
    user.write(text[:start] + text[text.index("  - name: prod-pager") :])
    assert apply() == ["DELETE"]


def test_exit_codes(user: User, serve: Serve) -> None:
    """Each result has the documented exit code."""
    site = serve()
    user.write(EXAMPLE)

    def code(*arguments: str, **environ: str) -> int:
        return user.webhooks(*arguments, **site.environ(**environ)).returncode

    assert code("plan") == 0
    with closed_port() as url:
        assert code("plan", "--deadline", "1", CLOUDTRUTH_SERVER_URL=url) == 1
    assert code("plan", "--detailed-exitcode") == 2
    assert code("plan", "-f", "missing.yaml") == 3
    assert code("apply", "--yes", SLACK_BOT_TOKEN="") == 3
    assert code("plan", CLOUDTRUTH_API_KEY="") == 4
    assert code("plan", "--organization", "Other") == 4
    assert code("apply") == 8
    assert code("apply", "--yes", "--expect-digest", "sha256:" + "0" * 64) == 6
    assert site.writes() == []
    assert code("apply", "--yes") == 0
    user.write("webhooks: []\n")
    assert code("apply", "--yes") == 5
    assert code("plan", "--server-url", "http://example.com") == 64


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_before_the_first_write(user: User, number: int, code: int) -> None:
    """The run ends with the signal's exit code and a message."""
    user.write(EXAMPLE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            [user.program, "apply", "--yes"],
            cwd=user.directory,
            env=user.environment(
                CLOUDTRUTH_SERVER_URL=url, CLOUDTRUTH_API_KEY="an-example-key", **SECRETS
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        server.settimeout(TIMEOUT)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(1000)
            process.send_signal(number)
            _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code
    assert "stopped by a signal" in said
