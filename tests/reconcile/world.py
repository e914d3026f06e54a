"""A git repository, a server and reconcilers in virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.api.client import connect
from reconciler.api.origin import Network
from reconciler.model import Secret
from reconciler.reconcile import Round, Schedule, rounds
from reconciler.source.history import commit_at
from reconciler.workflow import Connection, Inputs, Target, connect_all
from tests.emulated.emulator import LOCAL_KEY, Emulator, LogEntry, Request, Response
from tests.emulated.faults import Script
from tests.emulated.in_process import InProcess
from tests.emulated.variant import Variant
from tests.ports import InlineWorkers
from tests.simulation.scheduler import Crash, ProcessState, Scheduler, SeededClock

FOLDER = Path("clone")
ENVIRON = {"TOK": "xoxb-1111111111-golden"}


class Repository:
    """The Git port over commits in memory, each a dict of files.

    A clone has its own refs, and the newest commit of `origin` that is `lag` seconds old.
    """

    def __init__(
        self,
        now: Callable[[], float] = lambda: 0.0,
        *,
        origin: Repository | None = None,
        lag: float = 0.0,
    ) -> None:
        self.commits: dict[str, dict[str, str]] = origin.commits if origin else {}
        self.refs: dict[str, str] = {}
        self.read_only = False
        self._now, self._origin, self._lag = now, origin, lag
        self._heads: list[tuple[float, str]] = []

    def clone(self, lag: float) -> Repository:
        return Repository(self._now, origin=self, lag=lag)

    def commit(self, files: dict[str, str], ref: str = "HEAD") -> str:
        """Store a commit, and let a ref point to it."""
        text = f"{len(self.commits)}"
        commit = hashlib.sha1(text.encode()).hexdigest()[:12]
        self.commits[commit] = files
        self.refs[ref] = commit
        self._heads.append((self._now(), commit))
        return commit

    def _fetch(self) -> None:
        """Follow the origin: the first commit is there at once."""
        if self._origin is not None:
            heads, newest = self._origin._heads, self._now() - self._lag
            known = [commit for when, commit in heads if when <= newest]
            self.refs["HEAD"] = known[-1] if known else heads[0][1]

    def __call__(self, arguments: Sequence[str]) -> bytes | None:
        self._fetch()
        words = [word for word in arguments if word != "--literal-pathspecs"]
        match words:
            case ["rev-parse", "--verify", *_, revision]:
                name = revision.removesuffix("^{commit}")
                commit = self.refs.get(name, name)
                return commit.encode() if commit in self.commits else None
            case ["ls-tree", *_]:  # the reader ignores what it did not ask for
                options = words[: words.index("--")] if "--" in words else words
                return self._listing(options[-1])
            case ["cat-file", "blob", blob]:
                texts = (text for files in self.commits.values() for text in files.values())
                return next((text.encode() for text in texts if _blob(text) == blob), None)
            case ["grep", *_]:  # no file but those that are read
                return b""
            case ["update-ref", ref, commit] if not self.read_only:
                self.refs[ref] = commit
                return b""
        return None

    def _listing(self, commit: str) -> bytes | None:
        if commit not in self.commits:
            return None
        texts = sorted(self.commits[commit].items())
        lines = [f"100644 blob {_blob(text)}\t{name}\0" for name, text in texts]
        return "".join(lines).encode()


def _blob(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


class World:
    """One server and one repository; processes run as tasks of a scheduler."""

    def __init__(self, *, seed: int = 1, variant: Variant | None = None) -> None:
        self.scheduler = Scheduler()
        self.repository = Repository(lambda: self.scheduler.now)
        self.wall_clock_error = 0.0
        self.seed = seed
        self.writes: list[tuple[float, LogEntry]] = []
        self.check: Callable[[Process, Request, int], None] = lambda process, request, when: None
        self.faults = Script()
        self.emulator = Emulator(
            faults=self.faults,
            seed=seed,
            behavior=variant,
            clock=lambda: self.scheduler.now,
            listener=self._record,
        )
        self.organization = self.emulator.organization
        self.keys = {"Acme": LOCAL_KEY}
        self.key: Callable[[str], str] = lambda name: self.keys.get(name, LOCAL_KEY)
        self.unreachable: set[str] = set()

    def add_organization(self, name: str) -> str:
        """Add an organization with a key, and return its id."""
        organization = self.emulator.store.add_organization(name).id
        self.keys[name] = f"{LOCAL_KEY}-{name}"
        self.emulator.store.add_user(organization, key=self.keys[name], role="OWNER")
        return organization

    def live(self) -> list[dict[str, Any]]:
        """Return the live webhooks."""
        return [*self.emulator.store.webhooks(self.organization)]

    def _record(self, entry: LogEntry) -> None:
        if entry.method != "GET":
            self.writes.append((self.scheduler.now, entry))

    def serve(self, process: Process, request: Request) -> Response:
        """Pass a request of a process; it may be killed before and after it arrives."""
        self.scheduler.sleep(0.05)
        process.requests += 1
        if request.method != "GET":
            self.check(process, request, 0)
            process.maybe_kill(after=False)
        if any(self.keys[name] in request.headers["authorization"] for name in self.unreachable):
            return Response(status=503, headers=(("content-length", "0"),))
        response = self.emulator.handle(request)
        if request.method != "GET":
            self.check(process, request, 1)
            process.maybe_kill(after=True)
        self.scheduler.sleep(0.05)
        return response


class JumpingClock(SeededClock):
    """A clock whose date is wrong by the world's error."""

    def __init__(self, world: World, seed: str) -> None:
        super().__init__(world.scheduler, seed)
        self._world = world

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._world.wall_clock_error)


class Process:
    """One reconciler process: its rounds, until it is killed.

    `starts` and `spent` have the time and the number of requests of each round.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        every: float | None,
        apply: bool = True,
        ref: str = "HEAD",
        prune: bool = True,
        git: Repository | None = None,
    ) -> None:
        self.world, self.name, self.ref = world, name, ref
        self.git = git or world.repository
        self.apply = apply
        self.state = ProcessState()
        self.clock = JumpingClock(world, f"{name} {world.seed}")
        self.starts: list[float] = []
        self.spent: list[int] = []
        self.commits: list[str] = []
        self.rounds: list[tuple[float, Round]] = []
        self.paths = ("webhooks.yaml",)
        self.environ = dict(ENVIRON)
        self.requests = 0
        self.kill_at: tuple[int, bool] | None = None
        self._settings = Schedule(
            read=self._inputs,
            connected=self._connected,
            clock=self.clock,
            every=every,
            apply=apply,
            prune=prune,
        )

    def run(self) -> None:
        """Run rounds until the process is killed."""
        before = 0
        for result in rounds(self._settings):
            self.rounds.append((self.world.scheduler.now, result))
            self.spent.append(self.requests - before)
            before = self.requests

    def start(self) -> None:
        """Run the process as a task."""
        self.world.scheduler.spawn(self.state, self.run)

    def next_rounds(self, count: int) -> list[Round]:
        """Run a number of rounds in this task, and return them; the process then goes on."""
        if not hasattr(self, "_iterator"):
            self._iterator = rounds(self._settings)
        for _ in range(count):
            result = next(self._iterator)
            self.rounds.append((self.world.scheduler.now, result))
        return [result for _, result in self.rounds[-count:]]

    def maybe_kill(self, *, after: bool) -> None:
        """End the process at the chosen write."""
        if self.kill_at is not None:
            left, wanted = self.kill_at
            self.kill_at = (left - after, wanted)
            if left <= 0 and after is wanted:
                self.state.killed = True
        if self.state.killed:
            raise Crash

    def _inputs(self) -> Inputs:
        commit = commit_at(self.ref, FOLDER, self.git)
        assert commit is not None
        self.starts.append(self.world.scheduler.now)
        self.commits.append(commit.id)
        return Inputs(FOLDER, self.environ, bytes, self.paths, git=self.git, commit=commit)

    @contextmanager
    def _connected(self, targets: Sequence[Target]) -> Iterator[tuple[Target, ...]]:
        workers = InlineWorkers()
        adapter = InProcess(lambda request: self.world.serve(self, request), clock=self.clock)
        with ExitStack() as stack:

            def connect_one(target: Target) -> tuple[Connection, None]:
                key = Secret(self.world.key(target.source.name))
                client = connect(
                    server_url="https://api.cloudtruth.io",
                    key=key,
                    workers=workers,
                    network=Network(clock=self.clock, adapter=adapter),
                )
                api = stack.enter_context(closing(client))
                return Connection(api=api, workers=workers, key=key, clock=self.clock), None

            yield connect_all(targets, connect_one)


def configuration(*webhooks: str, organization: str = "Acme", head: str = "") -> dict[str, str]:
    """Return the files of a commit: a YAML document with entries."""
    text = f"organization: {organization}\n{head}" if organization else head
    defaults = (
        "defaults:\n  type: slack\n  event_types: [parameter_created]\n"
        "  configuration: {token: {env: TOK}, username: CT}\n"
    )
    entries = "".join(f"- {webhook}\n" for webhook in webhooks)
    return {"webhooks.yaml": f"{text}{defaults}webhooks:{' []' if not entries else ''}\n{entries}"}


def slack(name: str, channel: str, **more: str) -> str:
    """Return an entry in flow style."""
    fields = "".join(f", {key}: {value}" for key, value in more.items())
    return f'{{name: {name}, configuration: {{channel: "#{channel}"}}{fields}}}'
