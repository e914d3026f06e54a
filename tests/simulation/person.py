"""The person who edits webhooks by hand while the program works."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from reconciler.emulator.store import Store
from tests.emulated.variant import Uniqueness
from tests.simulation.case import Case
from tests.simulation.declarations import content
from tests.simulation.habits import retypes
from tests.simulation.words import CANARY, IGNORED, value_of


class Person:
    """Edits, retypes, deletes, renames and creates webhooks, now and then.

    `touched` holds every name that passed through these hands, and when it last did: of those
    little is promised.
    """

    def __init__(self, case: Case) -> None:
        self._draw = random.Random(f"person {case.seed}")
        self._odds = case.meddling
        self._retypes = retypes(case.variant)
        self._unique = case.variant.unique_names is not Uniqueness.NONE
        # A server that merges configurations may refuse to turn one type into another.
        self._names = [
            each.name
            for team in case.teams
            for each in team.desired.webhooks
            if each.type == "slack" or self._retypes
        ]
        self.touched: dict[str, float] = {}
        self.deleted: set[str] = set()
        self.made = 0
        self._now = 0.0

    def maybe(self, store: Store, organization: str, now: float) -> str | None:
        """Do something, or nothing; return what was done."""
        draw = self._draw
        if not self._odds or draw.random() >= self._odds:
            return None
        self._now = now
        rows = store.webhooks(organization)
        what = draw.choice(("edit", "edit", "delete", "rename", "create", "retype"))
        if what == "create" or not rows:
            self.made += 1
            name = draw.choice([f"person-{self.made}", *self._names])
            if self._unique and name in [row["name"] for row in rows]:
                return None
            return self._do(store, "creates", _new(organization, name))
        names = [row["name"] for row in rows]
        copies = [row for row in rows if names.count(row["name"]) > 1]
        row: Mapping[str, Any] = draw.choice(copies or rows)
        if IGNORED in row["name"]:
            return None
        if what == "delete":
            return self._do(store, "deletes", row)
        if what == "rename":
            self.touched[row["name"]] = self._now
            self.made += 1
            return self._do(store, "renames", {**row, "name": f"person-{self.made}"})
        if what == "retype" and self._retypes:
            kind, configuration = content(draw, "generic" if row["type"] == "slack" else "slack")
            values = {name: value_of(value) for name, value in configuration.items()}
            return self._do(store, "retypes", {**row, "type": kind, "configuration": values})
        return self._do(store, "edits", {**row, "event_types": ["project_deleted"]})

    def _do(self, store: Store, verb: str, row: Mapping[str, Any]) -> str:
        self.touched[row["name"]] = self._now
        match verb:
            case "creates":
                store.insert(row)
            case "deletes":
                store.delete(row["id"])
                self.deleted.add(row["id"])
            case _:
                store.update(row["id"], row)
        return f"person {verb} {row['name']}"


def _new(organization: str, name: str) -> dict[str, Any]:
    return {
        "organization": organization,
        "name": name,
        "type": "slack",
        "event_types": ["template_created"],
        "configuration": {
            "token": f"xoxb-5555555555-{CANARY}person",
            "channel": "#mine",
            "username": "me",
        },
    }
