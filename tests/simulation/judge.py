"""What must hold whatever happens, checked at every request."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from reconciler.emulator.store import Store
from reconciler.planning.plan import Delete, Plan, Reason
from tests.emulated.faults import Fault, Wire
from tests.emulated.variant import ReadBack
from tests.simulation.case import Case
from tests.simulation.habits import kept_as
from tests.simulation.misfortune import Person
from tests.simulation.process import Deeds, Process
from tests.simulation.team import Team


class Violation(BaseException):
    """A promise was broken. Not an Exception: the client turns those into its errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenery:
    """What is there at one moment: names by id, and which declared names are among them."""

    names: dict[str, str] = field(default_factory=dict)
    present: Set[str] = frozenset()


class Judge:
    """Knows the case; is told of everything; raises Violation."""

    def __init__(self, case: Case, store: Store, organization: str, person: Person) -> None:
        self._case = case
        self._store = store
        self._organization = organization
        self._person = person
        declared = [{each.name for each in team.desired.webhooks} for team in case.teams]
        self._agreed = (set.intersection if case.rivals else set.union)(*declared)

    def rows(self) -> list[dict[str, Any]]:
        """Return what is stored, secrets in plain."""
        return self._store.webhooks(self._organization)

    def names(self) -> dict[str, str]:
        """Return the name of each live webhook, by its id."""
        return {row.id: row.name for row in self._store.rows(self._organization)}

    def copies(self, team: Team) -> bool:
        """Return whether a declared webhook is there more than once."""
        names = [*self.names().values()]
        return any(names.count(each.name) > 1 for each in team.desired.webhooks)

    def scenery(self, team: Team) -> Scenery:
        """Look before a write, to know afterwards what is gone."""
        names = self.names()
        found = set(names.values())
        present = {
            each.name
            for each in team.desired.webhooks
            if found & {each.name, *each.previously} or team.same.get(each.name) in names
        }
        return Scenery(names=names, present=present)

    def sent(self, process: Process, method: str, path: str, body: bytes) -> None:
        """A request of an apply arrives: may it be sent at all?"""
        deeds = process.deeds
        if method == "GET":
            if path.endswith("/webhooks/"):
                for name in deeds.looks:
                    deeds.looks[name] += 1
            return
        plan = deeds.plan
        if plan is None:
            raise Violation(f"{method} before there was a plan")
        if process.team.refused:
            raise Violation(f"{method} for declarations that do not fit what is live")
        if plan.blocked and process.team.options.allow_deletes is None:
            raise Violation(f"{method} of a plan that a guard holds back")
        self._several(process, plan)
        key = path.split("/")[-2]
        if (
            deeds.removes_copy(method, path)
            and not deeds.asked - {key}
            and not self._misfiled(key, deeds, plan)
        ):
            raise Violation(f"DELETE {path}: nobody asked for the copy that stays")
        if method == "POST":
            self._post(deeds, plan, json.loads(body)["name"])
        elif method in ("PATCH", "PUT"):
            updates = [each for each in plan.updates if each.before.id == key]
            if not updates:
                raise Violation(f"{method} {path}: the plan names no such update")
            if not deeds.fits(updates[0]):
                raise Violation(f"{method} {updates[0].name}: somebody has changed it since")
            if not deeds.is_clear(updates[0]):
                raise Violation(f"{method} {updates[0].name}: another one of the name is there")
        else:
            self._delete(deeds, plan, key)
        if method != "DELETE" and deeds.deleting:
            raise Violation(f"{method} after a delete of the plan")

    def _post(self, deeds: Deeds, plan: Plan, name: str) -> None:
        if name not in {each.name for each in plan.creates}:
            raise Violation(f"POST {name}: the plan names no such create")
        if name in deeds.looks and deeds.looks[name] < 3:
            raise Violation(f"POST {name} again after {deeds.looks[name]} listings")

    def _delete(self, deeds: Deeds, plan: Plan, id: str) -> None:
        planned = {each.before.id: each for each in plan.deletes}
        row = self._store.row(id)
        if id in planned:
            if not deeds.fits(planned[id]):
                raise Violation(f"DELETE {planned[id].name}: somebody has changed it since")
            if planned[id].reason is not Reason.DUPLICATE:
                deeds.deleting = True
                return
            self._duplicate(planned[id])
            return
        # A list that is behind may have hidden it from the apply.
        if id in deeds.ids_before and not self._case.stale:
            raise Violation(f"DELETE {id}: neither planned nor new")
        if row is not None and row.name not in self._made(plan) | self._person.touched.keys():
            raise Violation(f"DELETE {id}: neither planned nor a copy of what was created")

    def _duplicate(self, change: Delete) -> None:
        """Where secrets are shown, a duplicate has those of the webhook that stays."""
        found, keeper = self._store.row(change.before.id), self._store.row(change.keeps or "")
        if found is None or keeper is None or self._case.variant.read_back is not ReadBack.PLAIN:
            return
        if found.name in self._person.touched:
            return
        rows = {row["id"]: row["configuration"] for row in self.rows()}
        token, other = (rows[each.id].get("token") for each in (found, keeper))
        if token != other:
            raise Violation(f"DELETE {found.name}: its token differs from that of {keeper.id}")

    def _several(self, process: Process, plan: Plan) -> None:
        """Raise if a plan deletes more than its limit, several duplicates of a name included."""
        limit = process.team.desired.policy.max_deletes
        if limit is None or process.team.options.allow_deletes is not None:
            return
        copies = [each.name for each in plan.deletes if each.reason is Reason.DUPLICATE]
        single = sum(copies.count(name) == 1 for name in copies)
        if len(plan.deletes) - single > limit:
            raise Violation(f"{len(plan.deletes)} deletes are planned, {limit} are allowed")

    def _misfiled(self, id: str, deeds: Deeds, plan: Plan) -> bool:
        """Return whether a webhook bears a name that the server made of the one that was sent.

        Or did when the apply last looked: a person may have renamed or deleted it since.
        """
        row = self._store.row(id)
        if row is None or self._person.touched.get(row.name, -1.0) >= deeds.looked:
            return True
        return row.name not in {each.name for each in plan.creates} and row.name in self._made(plan)

    def _made(self, plan: Plan) -> set[str | None]:
        """Return the names that what is created may have."""
        names = {each.name for each in plan.creates}
        return names | {kept_as(name, self._case.variant) for name in names}

    def answered(self, deeds: Deeds, method: str, body: bytes, fault: Fault | None) -> None:
        """Note which creates are in doubt, so that none is repeated blindly."""
        if method != "POST":
            return
        name = json.loads(body)["name"]
        surely_not = fault is not None and not fault.commit and fault.commit_after is None
        if fault is None or (surely_not and (fault.wire is Wire.REFUSE or _refuses(fault.status))):
            deeds.looks.pop(name, None)
        elif fault.label not in ("delay", "content type"):
            deeds.looks[name] = 0

    def wrote(self, process: Process, id: str, name: str | None) -> None:
        """A write to a webhook of that name was carried out: was it the apply's to make?"""
        if name is None or name in self._person.touched:
            return
        if id in self._case.left:
            raise Violation(f"{name} ({id}) is not to be touched, and was written")
        plan = process.deeds.plan
        new = id not in process.deeds.ids_before or self._case.stale
        if new and plan is not None and name in self._made(plan):
            return
        if self._case.rivals and plan is not None:  # the other one may have renamed it since
            name = {each.before.id: each.before.name for each in plan.deletes}.get(id, name)
        misnamed = {
            kept_as(each.name, self._case.variant) for each in process.team.desired.webhooks
        }
        if name not in misnamed and not process.team.may_touch(name):
            raise Violation(f"{name} is not for this apply to touch, and was written")

    def lost(self, team: Team, before: Scenery, spared: Set[str]) -> None:
        """Compare with what was there before a write: is any declared webhook gone?"""
        now = self.scenery(team)
        for webhook in team.desired.webhooks:
            name = webhook.name
            if name not in self._agreed:  # the other team may delete it
                continue
            if spared and spared & team.kin(webhook):
                continue
            # Of copies that a person has made, another one may have the smallest id.
            same = None if self._person.touched.keys() & team.kin(webhook) else team.same.get(name)
            if name in before.present - now.present or (same in before.names.keys() - now.names):
                raise Violation(f"{name}: no copy is left")


def _refuses(status: int | None) -> bool:
    return status is not None and 400 <= status < 500
