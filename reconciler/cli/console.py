"""The process as a value, and its console, which writes all output.

Everything else receives the process, so that tests can run complete commands in process. Results
go to standard output, everything else to standard error.

A closed pipe or a full disk never raises here, because it could interrupt a write to CloudTruth;
check `failed` afterwards. As a last line of defense, secrets of the run and Slack tokens are
removed from every text. `redactions` counts such texts; above 0, another module has a bug.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections import ChainMap
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn, TextIO

from reconciler.errors import SIGNALS, ExitCode, Interrupted, ReconcilerError, Terminated
from reconciler.findings import Finding
from reconciler.kinds import slack
from reconciler.model import Secret
from reconciler.ports import Clock, SystemClock
from reconciler.render import PLAIN, RENDERERS, View, paint
from reconciler.render.quote import with_options

_TOKENS: Final = re.compile(
    slack.TOKEN.pattern
    + r"|(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9/_-]{8,}"
)
_DOCUMENT: Final = '{\n  "format_version": '
_KEY: Final = re.compile(r'^( *"[a-z_]+": )', re.MULTILINE)
_LONG_ENOUGH: Final = re.compile(r".{8,}", re.DOTALL)
_WINDOWS_TERMINALS: Final = {"WT_SESSION", "TERM", "TERM_PROGRAM", "CONEMUANSI"}
"""Variables of terminals on Windows that interpret escape sequences."""


class Process(NamedTuple):
    """The process that a command runs in.

    `platform` is the value of `sys.platform`.
    """

    environ: Mapping[str, str]
    directory: Path
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    platform: str = "linux"
    clock: Clock = SystemClock()

    def __repr__(self) -> str:
        return "Process()"  # the environment may have secrets

    @property
    def interprets_escapes(self) -> bool:
        """Whether terminals interpret escape sequences.

        A dumb terminal and the old console of Windows show them as text.
        """
        if self.platform == "win32" and self.environ.keys().isdisjoint(_WINDOWS_TERMINALS):
            return False
        return self.environ.get("TERM") != "dumb"

    def columns(self, default: int) -> int:
        """Return the width of the terminal, `default` if it is unknown."""
        columns = self.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns) > 0:
            return int(columns)
        # Some terminals report a width of 0.
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or default
        except (OSError, ValueError):
            return default

    @classmethod
    def of_this_process(cls) -> Process:
        """Return the running process.

        Characters that the terminal cannot encode are escaped. On Windows, redirected output is in
        UTF-8, like input. SIGTERM and SIGHUP now raise Terminated, as SIGINT raises
        KeyboardInterrupt. SIGHUP stays ignored under `nohup`; Windows has none.
        """
        sys.unraisablehook = _repeat_signal
        signal.signal(signal.SIGTERM, _terminate)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, _terminate)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                is_redirected = sys.platform == "win32" and not stream.isatty()
                encoding = "utf-8" if is_redirected else None
                stream.reconfigure(encoding=encoding, errors="backslashreplace")
        # A program that is started without a stream has None in its place.
        return cls(
            environ=os.environ,
            directory=Path(),
            stdin=sys.stdin or open(os.devnull),
            stdout=sys.stdout or open(os.devnull, "w"),
            stderr=sys.stderr or open(os.devnull, "w"),
            platform=sys.platform,
        )


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(ExitCode(128 + number))


def _repeat_signal(unraisable: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception Python has dropped.

    It drops exceptions of callbacks, such as those of the garbage collection between two rounds.
    """
    problem = unraisable.exc_value
    if isinstance(problem, SIGNALS):
        number = getattr(problem, "exit_code", ExitCode.SIGINT) - 128
        # From another thread and later, because this function is a callback, too.
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(unraisable)


class Console:
    """The output of a process, according to its options.

    `options` has each option from the command line, and then from its variable, by name.
    `variables` are those that set an option of the command, each with the option. `connection` are
    the options of files and of the server, for suggested commands.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.command_line: dict[str, Any] = {}
        self.environment_options: dict[str, Any] = {}
        self.options = ChainMap(self.command_line, self.environment_options)
        self.variables: list[str] = []
        self.connection: tuple[str, ...] = ()
        self.redactions = 0
        self.failed = False
        self._rules: set[str] = set()
        self._secrets: list[Secret] = []
        # From the start, because an error about a path or a profile may show a pasted key.
        self.hide([Secret(process.environ.get("CLOUDTRUTH_API_KEY", "").strip())])
        # The streams that cannot be written any more, each with whether it still has a reader.
        self._lost: dict[int, bool] = {}
        self._has_status = False
        self._lock = threading.Lock()
        # Cached, because it is needed for each write and does not change.
        self._rewrites = _terminal(process.stderr) and process.interprets_escapes

    @property
    def verbosity(self) -> int:
        """-1 for errors only, 1 or more for details."""
        if self.options.get("quiet"):
            return -1
        return int(self.options.get("verbose", 0))

    def _is_colored(self, stream: TextIO) -> bool:
        """Return whether the text in a stream of the process is colored."""
        environ = self.process.environ
        if self.options.get("no_color") or environ.get("NO_COLOR"):
            return False
        # CI systems show colors in their logs, but give a job no terminal.
        if environ.get("FORCE_COLOR", "0") not in ("", "0"):
            return True
        return self.process.interprets_escapes and _terminal(stream)

    def view(self, stream: TextIO) -> View:
        """Return the view of texts in a stream of the process."""
        color, width = self._is_colored(stream), PLAIN.width
        # Elsewhere the width is fixed, so that a log has the same lines on every machine.
        if color or _terminal(stream):
            width = max(40, self.process.columns(width))
        return View(
            color, width, self.verbosity, connection=self.connection, redacted=self.redacted
        )

    @property
    def interactive(self) -> bool:
        """Whether there is a terminal to prompt on."""
        stdin = self.process.stdin
        return _terminal(stdin) and _terminal(self.process.stderr) and _in_foreground(stdin)

    @property
    def shows_progress(self) -> bool:
        """Whether standard error is a terminal that can redraw a status line."""
        return self.verbosity >= 0 and self._rewrites

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Remove `secrets` from all output, except short ones, which would match by chance."""
        long = [secret for secret in secrets if secret.matches(_LONG_ENOUGH)]
        # A secret may contain another one, which must not be replaced first.
        forms = [form for secret in long for form in secret.forms()]
        self._secrets = Secret.longest_first([*self._secrets, *forms])

    def result(self, text: str, *, essential: bool = False, required: bool = True) -> bool:
        """Write a result to standard output; return False if it was lost.

        With `--quiet` only an `essential` one: a requested document, or a failure. The run fails if
        a `required` one is lost.
        """
        is_written = True
        if essential or self.verbosity >= 0:
            is_written = self._write_lines(self.process.stdout, text)
        if required and not is_written:
            self.failed = True
        return is_written

    def info(self, text: str) -> None:
        """Write a message to standard error, unless the run is quiet."""
        if self.verbosity >= 0:
            self.write_stderr(text)

    def message(self, level: str, text: str) -> None:
        """Write an error, warning or note to standard error; with `--quiet` only errors."""
        if self.verbosity >= 0 or level == "error":
            label = paint(level, level, self.view(self.process.stderr))
            text = with_options(f"{label}: {text}", self.connection)
            self.write_stderr(self.wrapped(text, self.process.stderr))

    def wrapped(self, text: str, stream: TextIO) -> str:
        """Return a message for a stream, wrapped if that is a narrow terminal."""
        view = self.view(stream)
        if view.width >= PLAIN.width:
            return text
        # Imported here, because few terminals are so narrow.
        from reconciler.render.layout import paragraphs

        return "\n".join(paragraphs([text], view))

    def error(self, error: ReconcilerError) -> None:
        """Write an error with its findings and the next step to standard error."""
        self.record_rules(error.findings)
        view = self.view(self.process.stderr)
        self.write_stderr(RENDERERS["text"]().render_error(error, view))

    def record_rules(self, findings: Iterable[Finding]) -> None:
        """Record the rules of printed findings, for the hint at the end of the run."""
        self._rules.update(finding.rule for finding in findings)

    def rule_hint(self) -> None:
        """Print how to look up the rules of this run; not for programs."""
        if self._rules and self.options.get("format", "text") == "text":
            rule, what = min(self._rules), "explains this rule"
            if len(self._rules) > 1:
                rule, what = "RULE", "explains a rule"
            self.message("note", f"`webhooks help {rule}` {what}")

    def write_stderr(self, text: str) -> None:
        """Write lines to standard error, even if the run is quiet."""
        self._write_lines(self.process.stderr, text)

    def status(self, text: str) -> None:
        """Replace the status line until the next output; empty text clears it."""
        if self.shows_progress:
            self._write(self.process.stderr, text, is_status=True)

    def ask(self, question: str) -> str | None:
        """Ask a question and return the answer; None at the end of the input (Ctrl-D).

        Raises Interrupted for Ctrl-C.
        """
        self._write(self.process.stderr, question)
        try:
            answer = self.process.stdin.readline()
        except KeyboardInterrupt:
            self._write(self.process.stderr, "\n")
            raise Interrupted(
                "interrupted at the prompt: nothing was written", signal_exit=ExitCode.SIGINT
            ) from None
        if not answer.endswith("\n"):
            self._write(self.process.stderr, "\n")
        if not answer:  # an empty answer still has its line break
            return None
        return answer.strip()

    def redact_and_count(self, text: str) -> str:
        """Return text without the run's secrets; count it in `redactions` if it had one."""
        clean = self.redacted(text)
        self.redactions += clean != text
        return clean

    def redacted(self, text: str) -> str:
        """Redact secrets in text that may contain them, without counting."""
        clean = self._without_secrets(text)
        if clean == text or not text.startswith(_DOCUMENT):
            return clean
        # The keys of a document are ours: a secret that equals one is not in it.
        parts = _KEY.split(text)
        parts[::2] = map(self._without_secrets, parts[::2])
        return "".join(parts)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:  # first, because a secret may contain a token
            text = secret.redact(text)
        return _TOKENS.sub("***", text)

    def _write_lines(self, stream: TextIO, text: str) -> bool:
        return self._write(stream, text.removesuffix("\n") + "\n")

    def _write(self, stream: TextIO, text: str, *, is_status: bool = False) -> bool:
        text = self.redact_and_count(text)
        # Signals and waits are reported from other threads, so lines could be mixed.
        with self._lock:
            if self._has_status or (is_status and text):
                self._send(self.process.stderr, "\r\x1b[K")  # clears the line
            self._has_status = is_status and text != ""
            return self._send(stream, text)

    def _send(self, stream: TextIO, text: str) -> bool:
        """Write to a stream; return False if the text is lost, although it has a reader."""
        if id(stream) in self._lost:  # reported once
            return not self._lost[id(stream)]
        try:
            stream.write(text)
            stream.flush()
            return True
        except (OSError, ValueError) as problem:
            has_reader = not isinstance(problem, BrokenPipeError)
            self._lost[id(stream)] = has_reader
            with suppress(OSError, ValueError):  # discard what is buffered: it would raise at exit
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
            if stream is self.process.stdout and has_reader:
                why = getattr(problem, "strerror", None) or "write error"
                text = f"error[output]: the result could not be written to standard output: {why}\n"
                self._send(self.process.stderr, text)
            return not has_reader


def _in_foreground(terminal: TextIO) -> bool:
    """Return whether this process may read from a terminal; a read would stop it otherwise."""
    # A shell's `&` and `timeout` start a process in the background of the terminal.
    try:
        return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # Windows has no such groups
        return True


def _terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
