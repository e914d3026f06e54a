"""The requests of each command, how many are concurrent, and the modules that a process loads."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import File, MakeCloud, Shell
from tests.emulated.emulator import LOCAL_KEY, Emulator, Request, Response
from tests.emulated.variant import Variant
from tests.folders import python
from tests.goldens import rows
from tests.performance.sample import TOKEN, declaration, row
from tests.served import served
from tests.waiting import TIMEOUT

ORGANIZATIONS = "GET /api/v1/organizations/"
LIST = "GET /api/v1/webhooks/"
CREATE = "POST /api/v1/webhooks/"
ROWS = 35
"""The number of live webhooks, in pages of ten."""
_TAKES = 0.004  # seconds per response, so that an extra request would overlap


Of = Callable[[Request], bool]


class CountingEmulator(Emulator):
    """Counts requests; `max_in_flight` is the highest number at a time.

    Requests for which `of` is true get their responses when `meeting` of them have arrived: their
    number does not depend on speed.
    """

    def __init__(self, of: Of, meeting: int, **choices: Any) -> None:
        super().__init__(behavior=Variant(**choices))
        self.max_in_flight = self._in_flight = 0
        self._of, self._meeting = of, meeting
        self._changed = threading.Condition()

    def handle(self, request: Request) -> Response:
        with self._changed:
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
            self._changed.notify_all()
            if self._of(request) and not self._changed.wait_for(self._met, TIMEOUT):
                self._meeting = 0
        time.sleep(_TAKES)
        response = super().handle(request)
        with self._changed:
            self._in_flight -= 1
        return response

    def requests(self) -> Counter[str]:
        """Return method and path of every request, without queries."""
        return Counter(f"{each.method} {each.path}" for each in self.log)

    def _met(self) -> bool:
        return self.max_in_flight >= self._meeting


Command = Callable[..., tuple[int, CountingEmulator]]


@pytest.fixture
def command(shell: Shell, file: File) -> Command:
    """Run a command line against 35 live webhooks, the first of which the file declares."""

    def command(
        line: str,
        declared: range = range(ROWS),
        of: Of = lambda request: False,
        meeting: int = 0,
        max_page_size: int = 10,
    ) -> tuple[int, CountingEmulator]:
        file(declaration(declared))
        emulator = CountingEmulator(of, meeting, page_size=2, max_page_size=max_page_size)
        for number in range(ROWS):
            emulator.store.save(row(number, emulator.organization))
        with served(emulator) as url:
            site = {"CLOUDTRUTH_API_KEY": LOCAL_KEY, "CLOUDTRUTH_SERVER_URL": url}
            done = shell(*line.split(), TOKEN=TOKEN, **site)
        return done.code, emulator

    return command


@pytest.mark.parametrize(
    ("line", "declared", "page", "code", "listed", "created"),
    rows(Path(__file__).with_name("request_counts.yaml")),
)
def test_each_command_makes_only_these_requests(
    command: Command, line: str, declared: Any, page: int, code: int, listed: int, created: int
) -> None:
    """A command reads the organization and each page once.

    Each change takes one request more, and apply then reads all pages before the first and after
    the last.
    """
    found, seen = command(line, range(*declared), max_page_size=page)
    expected = {ORGANIZATIONS: min(listed, 1), LIST: listed, CREATE: created}
    assert (found, seen.requests()) == (code, Counter(expected))


def writes(request: Request) -> bool:
    return request.method == "POST"


def further(request: Request) -> bool:
    """Return whether a request is for a page other than the first."""
    return "&page=" in request.query and "&page=1&" not in request.query


@pytest.mark.parametrize("parallelism", [1, 3, 8])
def test_parallelism_limits_requests_in_flight(command: Command, parallelism: int) -> None:
    """No more requests are in flight than `--parallelism` allows."""
    line = f"apply --yes --parallelism {parallelism}"
    code, seen = command(line, range(ROWS + 40), of=writes, meeting=parallelism)
    assert (code, seen.requests()[CREATE], seen.max_in_flight) == (0, 40, parallelism)


def test_pages_are_read_concurrently(command: Command) -> None:
    """The first page has the count, so the others are requested at once."""
    assert command("plan", max_page_size=2, of=further, meeting=10)[1].max_in_flight == 10


HEAVY = {"yaml", "jsonschema_rs", "httpx", "deepdiff", "asyncio", "sqlite3"}
EXPLAINERS = {"deepdiff", "difflib"}.union(
    f"reconciler.source.{name}" for name in ("explain", "position")
)
_LOADED = """
import atexit, json, sys
from reconciler.__main__ import main
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
main()
"""
_COLLECTIONS = """
import atexit, gc, sys
from reconciler.__main__ import main
def show(): print(sum(each['collections'] for each in gc.get_stats()), file=sys.stderr)
gc.collect()
show()
atexit.register(show)
main()
"""


def loaded(directory: Path, line: str, **environ: str) -> tuple[int, set[str]]:
    """Run a command line in a new process; return its exit code and the loaded modules."""
    done = python(directory, "-c", _LOADED, *line.split(), HOME=str(directory), **environ)
    return done.returncode, set(json.loads(done.stderr.splitlines()[-1]))


def existing(*names: str) -> set[str]:
    """Return names of modules, which must exist: a moved one would never be loaded."""
    for name in names:
        assert find_spec(f"reconciler.{name}") is not None, name
    return {f"reconciler.{name}" for name in names}


ONE = declaration(range(1))
HELP = ("--version", "--help", "help options", "completion bash", "plan --help")


@pytest.mark.parametrize(
    ("line", "text", "code", "unneeded"),
    [
        *((line, ONE, 0, HEAVY) for line in HELP),
        # A missing key and an invalid file are reported before the HTTP library is loaded.
        *((line, ONE, 4, {"httpx", "deepdiff"}) for line in ("plan", "apply --yes", "export")),
        ("plan", "webhooks: [{}]\n", 3, {"httpx"}),
    ],
)
def test_a_run_without_requests_loads_nothing_heavy(
    file: File, tmp_path: Path, line: str, text: str, code: int, unneeded: set[str]
) -> None:
    """Help, versions and early errors appear without a delay."""
    file(text)
    found, modules = loaded(tmp_path, line)
    assert (found, modules & unneeded) == (code, set())


def test_completing_a_command_loads_no_command(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "webhooks va", "COMP_CWORD": "1"}
    code, modules = loaded(tmp_path, "", _WEBHOOKS_COMPLETE="bash_complete", **words)
    assert (code, modules & HEAVY) == (0, set())
    assert not [name for name in modules if name.startswith("reconciler.cli.commands.")]


def test_validate_loads_only_its_own_stage(file: File, tmp_path: Path) -> None:
    """A valid file loads no plans, engine, client, renderer or error messages."""
    file(declaration(range(10)))
    code, modules = loaded(tmp_path, "validate")
    others = existing("planning.plan", "report", "render.text", "execute", "api",
                  "emulator", "settings")  # fmt: skip
    assert (code, modules & (EXPLAINERS | others)) == (0, set())


@pytest.mark.parametrize(
    ("line", "renderers"), [("plan", {"text"}), ("plan --format json", {"json"}), ("status", set())]
)
def test_a_run_without_changes_loads_no_engine(
    file: File, cloud: MakeCloud, tmp_path: Path, line: str, renderers: set[str]
) -> None:
    """A run without changes loads neither the engine nor explanations."""
    file(declaration(range(10)))
    made = cloud()
    for number in range(10):
        made.emulator.store.save(row(number, made.emulator.organization))
    code, modules = loaded(tmp_path, line, **{**made.environ, "TOKEN": TOKEN})
    assert (code, "httpx" in modules) == (0, True)
    others = existing("emulator", "execute.execute", "source.saved_plan")
    others |= existing(*(f"render.{name}" for name in {"json", "markdown"} - renderers))
    assert not modules & (EXPLAINERS | others | {"sqlite3"})


def test_a_small_plan_loads_few_modules(file: File, tmp_path: Path) -> None:
    """A small plan loads at most 60 modules of the program."""
    file()
    code, modules = loaded(tmp_path, "plan --local")
    packages = {name.rpartition(".")[0] for name in modules}
    packages.add("reconciler.__main__")  # interpreter start
    own = {name for name in modules - packages if name.startswith("reconciler.")}
    assert (code, len([name for name in own if ".emulator." not in name]) <= 60) == (0, True)
    assert "asyncio" not in modules


def test_cyclic_garbage_collection_is_off(file: File, tmp_path: Path) -> None:
    """A run never stops to search for cyclic garbage."""
    file(declaration(range(200)))
    before, after = python(tmp_path, "-c", _COLLECTIONS, "validate").stderr.split()
    assert before == after
