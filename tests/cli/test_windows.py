"""Differences of Windows that other systems can test.

CI runs tests/e2e/test_platforms.py on Windows and macOS.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.console import Process
from tests.folders import ROOT

WITHOUT = """
import os, signal, sys
import asyncio, logging, multiprocessing, shutil, subprocess, tempfile  # these know Windows
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGALRM", "SIGPIPE", "SIGWINCH", "SIGQUIT"):
    delattr(signal, name)
for name in ("fchmod", "chown", "fork", "getuid", "geteuid", "O_NONBLOCK", "O_NOCTTY", "mkfifo",
             "umask", "killpg", "setsid", "uname"):
    delattr(os, name)
for name in ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "readline", "syslog"):
    sys.modules[name] = None
from reconciler.__main__ import main
sys.argv = ["webhooks", *sys.argv[1:]]
sys.exit(main())
"""
"""The program without the parts of the standard library that only POSIX has."""

FILE = """\
defaults: {type: slack, event_types: ["*"], configuration: {token: {env: TOKEN}, username: ct}}
webhooks:
  - {name: "Ünïcode \N{ROCKET}", configuration: {channel: "#a"}}
"""


@pytest.mark.slow
def test_first_use_without_posix(tmp_path: Path) -> None:
    """Files with CRLF are validated, planned, applied and exported, with any encoding."""
    (tmp_path / "webhooks.yaml").write_bytes(FILE.replace("\n", "\r\n").encode())
    environ = {"TOKEN": "xoxb-" + "0123456789-example", "PYTHONIOENCODING": "cp1252"}

    def webhooks(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT, *words], cwd=tmp_path, check=False,
            env={"PATH": "", "PYTHONPATH": str(ROOT), **environ}, capture_output=True,
        )  # fmt: skip
        text = (done.stdout + done.stderr).decode("cp1252")
        assert done.returncode == 0, text
        return text

    assert "Valid: 1 webhook" in webhooks("validate")
    assert r"Ünïcode \U0001f680" in webhooks("plan", "--local", "--out", "plan.json")
    assert "1 created" in webhooks("apply", "--local", "plan.json", "--yes")
    assert "No changes." in webhooks("apply", "--local", "--yes")
    webhooks("export", "--local", "--token", "env:TOKEN", "--out", "exported.yaml")
    assert "No changes." in webhooks("plan", "--local", "-f", "exported.yaml")


@pytest.mark.parametrize(
    ("terminal", "encoding"), [(True, "cp1252"), (False, "utf-8")], ids=["console", "redirected"]
)
def test_redirected_output_is_utf_8(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, encoding: str
) -> None:
    """A file that `export > FILE` writes can be read again; a console keeps its encoding."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), "cp1252") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        stream.isatty = lambda: terminal  # type: ignore[method-assign]
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    process = Process.of_this_process()
    assert (process.stdout.encoding, process.stderr.encoding) == (encoding, encoding)
    process.stdout.write("\N{ROCKET}")
