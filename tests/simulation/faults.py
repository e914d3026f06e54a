"""Faults of single requests, and a user who edits webhooks in the web console."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.emulator.store import Store
from tests.emulated import faults
from tests.emulated.faults import Fault
from tests.emulated.variant import ReadBack
from tests.simulation.case import Case, Contradiction, can_change_type
from tests.simulation.declarations import CANARY, IGNORED, content, value_of


class SeededFaults:
    """Decides for each request whether and how it fails; the emulator's FaultSource."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._draw = random.Random(f"faults {case.seed}")
        self._left = case.max_failures
        self.active = True
        self._hollow = 0
        self.last: Fault | None = None
        self.row: Callable[[str], str | None] = lambda key: None
        """Returns the stored text of a webhook."""
        self._old_row: bytes | None = None

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        self.last = None
        if self.active and self._hollow and method == "GET" and path.endswith("/webhooks/"):
            self._hollow -= 1
            self.last = _hollow()
            return self.last
        if self.active and self._case.odd_id and path.endswith(f"/{self._case.odd_id}/"):
            self.last = self._contradiction(method)
            if self.last is not None:
                return self.last
        # There are more reads than writes, and they reveal less.
        odds = self._case.odds if method == "GET" else self._case.odds * 2
        if not self.active or not self._left or self._draw.random() >= odds:
            return None
        self._left -= 1
        self.last = self._read(path) if method == "GET" else self._write()
        return self.last

    def _contradiction(self, method: str) -> Fault | None:
        """Return the fault for a request with the id of the odd webhook."""
        match self._case.contradiction:
            case Contradiction.MISSING:
                return faults.status(404)
            case Contradiction.STALE_ROW if self._case.variant.read_back is ReadBack.PLAIN:
                if method in ("PATCH", "PUT") and self._old_row is None:
                    self._old_row = (self.row(self._case.odd_id) or "").encode() or None
                if self._old_row is not None and method != "DELETE":
                    return faults.raw(self._old_row, commit=method != "GET")
        return None

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
    """Return a first page with a count but without rows."""
    page: dict[str, Any] = {"count": 7, "next": None, "previous": None, "results": []}
    return faults.raw(json.dumps(page).encode())


class ConsoleUser:
    """Edits, retypes, deletes, renames and creates webhooks now and then.

    `touched` maps every name that this user has changed to the time of the last change: few
    guarantees hold for those.
    """

    def __init__(self, case: Case) -> None:
        self._draw = random.Random(f"person {case.seed}")
        self._odds = case.manual_edit_odds
        self._changes_type = can_change_type(case.variant)
        self._unique = case.variant.unique_names != "none"
        # A server that merges configurations may reject a change of type.
        self._names = [
            each.name
            for team in case.teams
            for each in team.desired.webhooks
            if each.type == "slack" or self._changes_type
        ]
        self.touched: dict[str, float] = {}
        self.made = 0
        self._now = 0.0

    def maybe_edit(self, store: Store, organization: str, now: float) -> str | None:
        """Maybe change a webhook; return a description of the change."""
        draw = self._draw
        if not self._odds or draw.random() >= self._odds:
            return None
        self._now = now
        rows = store.webhooks(organization)
        what = draw.choice(("edit", "edit", "delete", "rename", "create", "retype", "move", "note"))
        if what == "create" or not rows:
            self.made += 1
            name = draw.choice([f"person-{self.made}", *self._names])
            if self._unique and name in [row["name"] for row in rows]:
                return None
            token = f"xoxb-5555555555-{CANARY}person"
            row = {
                "organization": organization,
                "name": name,
                "type": "slack",
                "event_types": ["template_created"],
                "configuration": {"token": token, "channel": "#mine", "username": "me"},
            }
            return self._do(store, "creates", row)
        names = [row["name"] for row in rows]
        duplicates = [row for row in rows if names.count(row["name"]) > 1]
        row = draw.choice(duplicates or rows)
        if IGNORED in row["name"]:
            return None
        if what == "delete":
            return self._do(store, "deletes", row)
        if what == "rename":
            self.touched[row["name"]] = self._now
            self.made += 1
            return self._do(store, "renames", {**row, "name": f"person-{self.made}"})
        if what == "retype" and self._changes_type:
            kind, configuration = content(draw, "generic" if row["type"] == "slack" else "slack")
            values = {name: value_of(value) for name, value in configuration.items()}
            return self._do(store, "retypes", {**row, "type": kind, "configuration": values})
        configuration = row["configuration"]
        if what == "note":
            return self._do(
                store, "annotates", {**row, "configuration": {**configuration, "note": "by hand"}}
            )
        if what == "move" and "url" in configuration:
            moved = {**configuration, "url": f"https://moved.example.com/{CANARY}"}
            return self._do(store, "moves", {**row, "configuration": moved})
        return self._do(store, "edits", {**row, "event_types": ["project_deleted"]})

    def _do(self, store: Store, verb: str, row: Mapping[str, Any]) -> str:
        self.touched[row["name"]] = self._now
        match verb:
            case "deletes":
                store.delete(row["id"])
            case _:
                store.save(row)
        return f"person {verb} {row['name']}"
