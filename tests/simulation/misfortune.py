"""What goes wrong with single requests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from tests.emulated import faults
from tests.emulated.faults import Fault
from tests.simulation.case import Case


class Misfortune:
    """Decides for each request whether and how it fails; the emulator asks it (a FaultSource)."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._draw = random.Random(f"faults {case.seed}")
        self._left = case.most
        self.active = True
        self._hollow = 0
        self.last: Fault | None = None

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        self.last = None
        if self.active and self._hollow and method == "GET" and path.endswith("/webhooks/"):
            self._hollow -= 1
            self.last = _hollow()
            return self.last
        # There are more reads than writes, and less to be learnt from them.
        odds = self._case.odds if method == "GET" else self._case.odds * 2
        if not self.active or not self._left or self._draw.random() >= odds:
            return None
        self._left -= 1
        self.last = self._read(path) if method == "GET" else self._write()
        return self.last

    def _read(self, path: str) -> Fault:
        draw = self._draw
        kinds: list[Callable[[], Fault]] = [
            faults.refuse,
            faults.drop,
            faults.hang,
            faults.truncate,
            faults.reset,
            faults.html,
            lambda: faults.html(502),
            lambda: faults.status(draw.choice((500, 503, 504))),
            lambda: faults.status(429, retry_after=draw.choice((0, 1, 7, "soon"))),
            lambda: faults.delay(draw.uniform(0, 5)),
            lambda: faults.redirect("https://elsewhere.example.com/"),
        ]
        if path.endswith("/webhooks/"):
            kinds += [_hollow] * 3
        chosen = draw.choice(kinds)
        if chosen is _hollow:
            self._hollow = draw.randrange(4)
        return chosen()

    def _write(self) -> Fault:
        draw = self._draw
        commit, late = draw.random() < 0.5, None
        if not commit and self._case.late and draw.random() < 0.5:
            late = draw.uniform(0.0, self._case.late)
        kinds: list[Callable[[], Fault]] = [
            faults.refuse,
            faults.truncate,
            faults.reset,
            lambda: faults.html(200, commit=commit),
            lambda: faults.html(502, commit=commit),
            lambda: faults.drop(commit=commit, commit_after=late),
            lambda: faults.drop(commit=commit, commit_after=late),
            lambda: faults.hang(commit=commit, commit_after=late),
            lambda: faults.status(
                draw.choice((500, 502, 503, 504)), commit=commit, commit_after=late
            ),
            lambda: faults.status(429, retry_after=draw.choice((0, 1, 7, "soon"))),
            lambda: faults.status(409),
            lambda: faults.status(404),
            lambda: faults.redirect("https://elsewhere.example.com/", commit=commit),
            lambda: faults.delay(draw.uniform(0, 5)),
            lambda: faults.content_type("text/plain"),
        ]
        if draw.random() < 0.05:
            return faults.status(draw.choice((401, 403)))
        return draw.choice(kinds)()


def _hollow() -> Fault:
    """A first page that counts rows and shows none."""
    page = {"count": 7, "next": None, "previous": None, "results": []}
    return faults.raw(json.dumps(page).encode())
