"""The program as a process: its output, its signals, and a user's everyday changes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.docs.block_setups import EXAMPLE, SECRETS
from tests.folders import python, running, write
from tests.waiting import TIMEOUT

PROGRAM = (sys.executable, "-m", "reconciler")
FULL = Path("/dev/full")  # not on macOS


@pytest.mark.slow
@pytest.mark.parametrize("redirected", [*(["> /dev/full"] if FULL.exists() else []), "| true"])
def test_unwritable_output_does_not_change_the_result(
    shell: Shell, tmp_path: Path, redirected: str
) -> None:
    """A full disk or a closed pipe keeps the exit code, and everything is applied."""
    write(tmp_path, {"webhooks.yaml": EXAMPLE})
    line = f"set -o pipefail; {' '.join(PROGRAM)} apply --local --yes {redirected}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env={**os.environ, **SECRETS},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    is_full = redirected.startswith(">")
    assert ("error: applied 3 of 3 changes: 3 created" in done.stderr) is is_full
    assert "Exception" not in done.stderr
    assert shell("plan", "--local", "--detailed-exitcode").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")
def test_a_run_in_the_background_of_a_terminal_asks_nothing(tmp_path: Path) -> None:
    """A read from the terminal would stop the process for good, as under `timeout`."""
    write(tmp_path, {"webhooks.yaml": EXAMPLE})
    line = f"set -m; {' '.join(PROGRAM)} apply --local & wait $!"
    done = python(tmp_path, "-c", f"import pty; pty.spawn(['bash', '-c', {line!r}])", **SECRETS)
    assert "no terminal to confirm on: nothing was written" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_before_the_first_write(tmp_path: Path, number: int, code: int) -> None:
    """The run ends with the signal's exit code and a message."""
    write(tmp_path, {"webhooks.yaml": EXAMPLE})
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        site = {"CLOUDTRUTH_SERVER_URL": url, "CLOUDTRUTH_API_KEY": "an-example-key"}
        program = running(tmp_path, *PROGRAM, "apply", "--yes", **site, **SECRETS)
        server.settimeout(TIMEOUT)
        with program as process, server.accept()[0] as connection:
            assert connection.recv(1000)
            process.send_signal(number)
            output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code
    assert "stopped by a signal" in output
