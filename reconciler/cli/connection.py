"""Connect to CloudTruth, or to the emulator in this process, and show progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

from reconciler import workflow
from reconciler.api.origin import Pause
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.execute.workers import GRACE
from reconciler.findings import plural, shorten
from reconciler.model import Live
from reconciler.planning.names import require_matches
from reconciler.planning.plan import Create, Delete, Operation, Update
from reconciler.planning.run import OrganizationResult
from reconciler.ports import DEFAULT_PARALLELISM, Watcher
from reconciler.render.quote import quote

if TYPE_CHECKING:
    from reconciler.api.attempt import AttemptRecord
    from reconciler.report import Outcome
    from reconciler.workflow.inputs import OrganizationFiles

_VERBS: Final = {Create: "creating", Update: "updating", Delete: "deleting"}


def read_live(session: Session) -> Live:
    """Return the live webhooks of the organization of the key, without files.

    Raises the errors of `Session.settings_of` and ReconcilerError.
    """
    target = workflow.Target(workflow.Source.without_files(session.inputs))
    with connected_all(session, [target]) as connected:
        (live,) = workflow.read_all(connected)
    if isinstance(live, ReconcilerError):
        raise live
    return live


@contextmanager
def connected_all(
    session: Session,
    targets: Sequence[workflow.Target],
    *,
    progress: Progress | None = None,
    needs_key: bool = True,
    max_deadline: float = inf,
) -> Iterator[tuple[workflow.Target, ...]]:
    """Connect all organizations of a run until the end of the block.

    A key that is missing or malformed is the problem of its organization. `max_deadline`, in
    seconds, limits the deadline of the settings.
    """
    progress = progress or Progress(session)
    with _connecting(session, progress, needs_key=needs_key, max_deadline=max_deadline) as connect:
        connected = workflow.connect_all(
            targets, lambda target: connect(target.source.files), keys_of=session.keys_of
        )
        # With several organizations, the problem of each names the source of its key.
        if len(connected) == 1:
            session.key_source = connected[0].key_source
        # Profiles may select several servers.
        origins = dict.fromkeys(
            target.connection.api.origin for target in connected if target.connection is not None
        )
        progress.phase(f"reading from {' and '.join(origins)}", organizations=len(targets))
        yield workflow.select(connected)


@contextmanager
def _connecting(
    session: Session,
    progress: Progress,
    *,
    needs_key: bool = True,
    max_deadline: float = inf,
) -> Iterator[Callable[[OrganizationFiles], tuple[workflow.Connection, str | None]]]:
    """Yield a function that connects to the organization of files.

    It also returns the source of the key. With --local it connects to the emulator.
    """
    with ExitStack() as stack:
        local = None
        if session.local:
            # Imported here, because most runs use no emulator.
            from reconciler.cli.local import emulated

            local = stack.enter_context(emulated(session))
        stack.enter_context(progress)
        connector = stack.enter_context(
            workflow.Connector(
                parallelism=session.options.get("parallelism", DEFAULT_PARALLELISM),
                environment=session.process.environ,
                clock=session.process.clock,
                signaled=progress.interrupted,
                redactor=session.redactor,
            )
        )

        def connect(files: OrganizationFiles) -> tuple[workflow.Connection, str | None]:
            settings = session.settings_of(files)
            adapter = None
            key = settings.key and settings.key.value
            if local is not None:
                adapter, key_of = local
                key = key_of(files.organization)
            else:
                # `doctor` connects without a key, too, to check the network and the API schema.
                if needs_key:
                    key = settings.require_key()
                # The emulator's key is public, so only others are hidden.
                session.console.hide(filter(None, [key]))
            connection = connector(
                key,
                server_url=settings.server_url.value,
                timeout=settings.timeout.value,
                deadline=min(settings.deadline.value, max_deadline),
                watcher=progress,
                observer=partial(progress.observe, organization=files.organization),
                adapter=adapter,
            )
            return connection, settings.key_source

        yield connect


# The organizations of a run


def only_target(targets: Sequence[workflow.Target], what: str) -> workflow.Target:
    """Return the only organization of a run. Raises UsageError for several."""
    if len(targets) > 1:
        names = ", ".join(quote(target.source.name) for target in targets)
        raise UsageError(
            f"{what} works with one organization, but the files declare several: {names}",
            hint="choose one with --organization, see docs/organizations.md",
        )
    return targets[0]


def require_used(
    globs: Sequence[str],
    organizations: Iterable[tuple[workflow.Target, Live | ReconcilerError | None]],
) -> None:
    """Raise UsageError if a glob of --only matches no webhook of any organization."""
    names: set[str] = set()
    for target, live in organizations:
        # The globs may be meant for the webhooks that could not be read.
        if not isinstance(live, Live):
            return
        names |= target.checked.desired.selectable_names
        names.update(webhook.name for webhook in live.webhooks)
    require_matches(globs, names, "declared or live webhook")


def show_problems(session: Session, results: Sequence[OrganizationResult[Any]]) -> ExitCode:
    """Print the problems of organizations, and return the exit code of the first one.

    Raises that of the only organization of the run, which then has no result. As JSON, the result
    is a document that contains the problem.
    """
    failed = [result.problem for result in results if result.problem is not None]
    if not failed:
        return ExitCode.OK
    if len(results) == 1 and session.options.get("format") != "json":
        raise failed[0]
    from reconciler.render.combined import problems  # most runs have one organization

    for problem in problems(results):
        session.console.error(problem)
    return failed[0].exit_code


# Progress


class Progress(Watcher):
    """Implements the Watcher and Observer ports on a console. Use it in a `with` block.

    It shows a status line on a terminal, and lines about writes, waits and signals. A separate
    thread reports signals, because their handler may only put a message into a queue. Without a
    terminal it prints a line before each write, so that the log of a killed run shows which writes
    may have happened.
    """

    def __init__(self, session: Session) -> None:
        self._console = session.console
        self._debug = bool(session.options.get("debug"))
        self._clock = session.process.clock
        self._waits_until = self._clock.monotonic()
        self._signals: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._organizations = 1
        self._organization = ""
        self._read = 0
        self._total = 0
        self._done = 0
        self._in_flight: list[str] = []
        # A daemon, because a blocked terminal must not keep the process alive.
        self._thread = threading.Thread(target=self._wait_for_signals, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._signals.put(False)
        self._thread.join()
        # Last, because the thread could write below the status line.
        self._console.status("")

    def phase(self, doing: str, *, total: int = 0, organizations: int | None = None) -> None:
        """Set the text of the status line, empty for none.

        `total` is the number of writes that follow. `organizations` is that of the run, which
        stays in its later phases.
        """
        self._total, self._organizations = total, organizations or self._organizations
        self._console.status(doing)

    def read(self) -> None:
        """Count an organization that was read."""
        with self._lock:
            self._read += 1
            text = f"read {self._read} of {plural(self._organizations, 'organization')}"
            self._console.status(text)

    def applying(self, organization: str, number: int, count: int) -> None:
        """Show the organization, if it is one of several, before each write that follows."""
        if count > 1:
            with self._lock:
                self._organization = f"{quote(organization)} ({number} of {count}): "

    def starting(self, operation: Operation) -> None:
        """Report that an operation is about to be sent."""
        text = _progress_text(operation)
        with self._lock:
            self._in_flight.append(text)
            self._console.status(self._state())
        if not self._console.shows_progress:
            self._console.info(f"{self._organization}{text}")

    def finished(self, outcome: Outcome) -> None:
        """Count an outcome."""
        with self._lock:
            self._done += 1
            text = _progress_text(outcome.operation)
            if text in self._in_flight:  # skipped operations were not started
                self._in_flight.remove(text)
            if self._done == self._total:
                self._console.status("verifying the result")
            elif self._in_flight:
                self._console.status(self._state())

    def observe(self, event: AttemptRecord | Pause, organization: str | None = None) -> None:
        """Print a long wait, once for all threads, and with --debug each request.

        The wait names the organization of the key, if it is one of several.
        """
        if isinstance(event, Pause):
            with self._lock:
                now = self._clock.monotonic()
                # Threads that wait for the same pause are one line.
                before, end = max(self._waits_until, now), now + event.seconds
                if end - before <= 1.0:  # second
                    return
                self._waits_until = end
            name = f"{quote(organization)}: " if organization and self._organizations > 1 else ""
            wait = f"trying again in {event.seconds:.0f} s"
            self._console.info(f"{name}{event.error.message}; {wait}")
        elif self._debug:
            text = f"{event.method} {event.path} {event.status or 'no response'} "
            text += f"{event.seconds * 1000:.0f} ms {event.size} B"
            if event.attempt > 1:
                text += f" attempt {event.attempt}"
            self._console.write_stderr(text)

    def interrupted(self) -> None:
        """Report a signal. Safe in a signal handler: it takes no lock."""
        self._signals.put(True)

    def _state(self) -> str:
        """Return the status line. Print it under the lock, or an older count may follow it."""
        # Cut, because a line that wraps cannot be cleared.
        return f"{self._done}/{self._total} {self._organization}{self._in_flight[-1][:60]}"

    def _wait_for_signals(self) -> None:
        while self._signals.get():
            self._report_signal()

    def _report_signal(self) -> None:
        with self._lock:
            in_flight = shorten(self._in_flight, 3)
        text = "Interrupted: no write is in flight, stopping."
        if in_flight:
            text = (
                f"Interrupted. Waiting up to {GRACE:g} s for: {self._organization}{in_flight}.\n"
                "Interrupt again to stop immediately; "
                "writes in flight are then reported as unconfirmed."
            )
        self._console.write_stderr(text)


def _progress_text(operation: Operation) -> str:
    return f"{_VERBS[type(operation)]} {quote(operation.name)}"
