"""The number of requests of each command, and how many are concurrent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import File, Shell
from tests.emulated.emulator import LOCAL_KEY, Emulator, Request, Response
from tests.emulated.variant import Variant
from tests.performance.sample import TOKEN, declaration, row
from tests.served import served
from tests.waiting import TIMEOUT

ORGANIZATIONS = "GET /api/v1/organizations/"
LIST = "GET /api/v1/webhooks/"
CREATE = "POST /api/v1/webhooks/"
ROWS = 35
"""The number of live webhooks, in pages of ten."""
PAGES = 4
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
    [
        ("validate", range(ROWS), 10, 0, 0, 0),
        ("plan", range(ROWS), 10, 0, PAGES, 0),
        ("plan", range(ROWS), 1000, 0, 1, 0),
        ("plan --detailed-exitcode", range(ROWS, 2 * ROWS), 10, 5, PAGES, 0),  # blocked
        ("apply --yes", range(ROWS), 10, 0, PAGES, 0),
        ("apply --yes", range(ROWS + 5), 1000, 0, 3, 5),
        ("apply --yes", range(ROWS + 10), 10, 0, 3 * PAGES + 1, 10),
        ("status", range(ROWS), 10, 0, PAGES, 0),
        ("export", range(ROWS), 10, 0, PAGES, 0),
    ],
)
def test_each_command_makes_only_these_requests(
    command: Command, line: str, declared: range, page: int, code: int, listed: int, created: int
) -> None:
    """A command reads the organization and each page once.

    Each change takes one request more, and apply then reads all pages before the first and after
    the last.
    """
    found, seen = command(line, declared, max_page_size=page)
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
