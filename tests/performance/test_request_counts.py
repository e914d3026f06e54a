"""The requests and connections of each command, and how many are concurrent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cli.conftest import File, Shell
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.variant import Variant
from tests.performance.counting import Of, counting
from tests.performance.sample import TOKEN, declaration, row

ORGANIZATIONS = "GET /api/v1/organizations/"
LIST = "GET /api/v1/webhooks/"
CREATE = "POST /api/v1/webhooks/"
ROWS = 35
"""The number of live webhooks, in pages of ten."""
PAGES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """What the server received from one command."""

    code: int
    requests: Counter[str]
    connections: int
    most: int


Command = Callable[..., Requests]


@pytest.fixture
def command(shell: Shell, file: File) -> Command:
    """Run a command line against 35 live webhooks; `declared` are the numbers in the file."""

    def command(
        *arguments: str,
        declared: range = range(ROWS),
        of: Of = lambda requested: False,
        meeting: int = 0,
        **choices: Any,
    ) -> Requests:
        file(declaration(declared))
        emulator = Emulator(behaviour=Variant(**{"page_size": 2, "max_page_size": 10, **choices}))
        for number in range(ROWS):
            emulator.store.insert(row(number, emulator.organization))
        with counting(emulator, of=of, meeting=meeting) as server:
            site = {"CLOUDTRUTH_API_KEY": LOCAL_KEY, "CLOUDTRUTH_SERVER_URL": server.url}
            done = shell(*arguments, TOKEN=TOKEN, **site)
        return Requests(
            code=done.code,
            requests=Counter(server.requested()),
            connections=server.connections - server.idle,
            most=server.most,
        )

    return command


def test_validate_makes_no_request(command: Command) -> None:
    """It only reads files."""
    seen = command("validate")
    assert (seen.code, seen.requests, seen.connections) == (0, {}, 0)


@pytest.mark.parametrize("arguments", [("plan",), ("apply", "--yes"), ("status",), ("export",)])
def test_commands_without_writes_read_once(command: Command, arguments: tuple[str, ...]) -> None:
    """They request the organization and each page once."""
    seen = command(*arguments)
    assert (seen.code, seen.requests) == (0, {ORGANIZATIONS: 1, LIST: PAGES})


def test_plan_of_changes_reads_once(command: Command) -> None:
    """A plan with changes makes the same requests as one without."""
    seen = command("plan", "--detailed-exitcode", declared=range(ROWS, 2 * ROWS))
    assert (seen.code, seen.requests) == (5, {ORGANIZATIONS: 1, LIST: PAGES})  # blocked


def test_large_pages_need_one_request(command: Command) -> None:
    """A server that allows large pages gets one request."""
    assert command("plan", max_page_size=1000).requests == {ORGANIZATIONS: 1, LIST: 1}


def test_apply_makes_two_more_listings(command: Command) -> None:
    """Changes cost their writes, a listing before the first and one after the last."""
    seen = command("apply", "--yes", declared=range(ROWS + 5), max_page_size=1000)
    assert seen.code == 0
    assert seen.requests == {ORGANIZATIONS: 1, LIST: 3, CREATE: 5}


def test_the_listings_around_writes_are_complete(command: Command) -> None:
    """Each of the two reads every page."""
    seen = command("apply", "--yes", declared=range(ROWS + 10))
    assert seen.requests == {ORGANIZATIONS: 1, LIST: PAGES + PAGES + PAGES + 1, CREATE: 10}


def writes(requested: str) -> bool:
    return requested.startswith("POST ")


def further(requested: str) -> bool:
    """Return whether a request is for a page other than the first."""
    return "&page=" in requested and "&page=1&" not in requested


@pytest.mark.parametrize("parallelism", [1, 3, 8])
def test_parallelism_limits_requests_in_flight(command: Command, parallelism: int) -> None:
    """At most as many requests at a time as allowed, with one connection per worker."""
    arguments = ("apply", "--yes", "--parallelism", str(parallelism))
    seen = command(*arguments, declared=range(ROWS + 40), of=writes, meeting=parallelism)
    assert seen.code == 0
    assert seen.requests[CREATE] == 40
    assert seen.most == parallelism
    # One more for the requests between the batches of parallel work.
    assert seen.connections <= parallelism + 1


def test_pages_are_read_concurrently(command: Command) -> None:
    """After the first page has the count, the others are read at once."""
    assert command("plan", max_page_size=2, of=further, meeting=10).most == 10
