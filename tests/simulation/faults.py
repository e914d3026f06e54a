"""Faults of single requests, and a user who edits webhooks in the web console."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Set
from typing import Any

from reconciler.emulator.store import Store
from reconciler.model import SecretRef, Webhook
from reconciler.planning.plan import Create, Delete, Plan
from tests.emulated import faults
from tests.emulated.faults import Fault
from tests.emulated.variant import ReadBack
from tests.simulation.case import Case, Contradiction, can_change_type, hides
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


_BY_HAND = {
    "token": f"xoxb-5555555555-{CANARY}person",
    "channel": "#mine",
    "url": f"https://hooks.example.com/{CANARY}person",
    "username": "me",
    "password": f"{CANARY}person",
}


def hidden_fields(case: Case, webhook: Webhook) -> Set[str]:
    """Return the fields of a declaration that are secret, or that the server hides."""
    return {
        name
        for name, value in webhook.configuration.items()
        if isinstance(value, SecretRef) or hides(case.variant, name)
    }


class ConsoleUser:
    """Edits, retypes, deletes, renames and creates webhooks now and then.

    `touched` maps every name that this user has changed to the time of the last change: few
    guarantees hold for those. `edited` are those that were not only changed to what a plan shows.
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
        self._case = case
        self._copy = random.Random(f"copy {case.seed}")
        self.touched: dict[str, float] = {}
        self.edited: set[str] = set()
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
            self.edited.add(row["name"])
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
        if verb != "copies":
            self.edited.add(row["name"])
        match verb:
            case "deletes":
                store.delete(row["id"])
            case _:
                store.save(row)
        return f"person {verb} {row['name']}"

    def maybe_copy(
        self, store: Store, organization: str, plan: Plan, written: Set[str], now: float
    ) -> str | None:
        """Maybe make a visible part of a planned operation; return a description of the change.

        The hidden values of webhooks that no apply has `written` may become other ones.
        """
        draw = self._copy
        if not self._case.copy_odds or draw.random() >= self._case.copy_odds:
            return None
        self._now = now
        operations = [each for each in plan.operations if not isinstance(each, Delete)]
        if not operations:
            return None
        operation = draw.choice(operations)
        after, rows = operation.after, store.webhooks(organization)
        hidden = hidden_fields(self._case, after)
        shown = {name: value for name, value in after.configuration.items() if name not in hidden}
        values = {name: _BY_HAND[name] for name in hidden}
        copy = {"name": after.name, "type": after.type, "event_types": sorted(after.event_types)}
        if isinstance(operation, Create):
            if after.name in [row["name"] for row in rows]:
                return None
            row = {**copy, "organization": organization, "configuration": {**values, **shown}}
            return self._do(store, "copies", row)
        row = next((row for row in rows if row["id"] == operation.before.id), {})
        if row.get("type") != after.type:
            return None
        self.touched[row["name"]] = now
        before = row["configuration"]
        if row["id"] in written or draw.random() < 0.5:
            values |= {name: before[name] for name in hidden & before.keys()}
        if draw.random() < 0.5:
            values = {**before, **values}  # fields that are not declared stay
        copy["configuration"] = {**values, **shown}
        if draw.random() < 0.4:
            part = draw.choice(("name", "event_types", "configuration"))
            copy = {part: copy[part]}
        return self._do(store, "copies", {**row, **copy})
