"""What must hold whatever happens, checked at every request and at the end of every apply."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from reconciler.emulator.faults import Fault, Wire
from reconciler.emulator.store import Store
from reconciler.errors import ExitCode
from reconciler.kinds import KINDS
from reconciler.model import SecretRef, Webhook
from reconciler.planning.changes import Delete, Reason
from reconciler.planning.plan import Plan
from reconciler.report import Applied, Failed, Report
from tests.simulation.case import CANARY, IGNORED, PROTECTED, VALUES, Case


class Violation(BaseException):
    """A promise was broken. Not an Exception: the client turns those into errors of its own."""


@dataclass(slots=True)
class Deeds:
    """What one apply has sent, as the server saw it."""

    plan: Plan | None = None
    committed: int = 0
    ids_before: frozenset[str] = frozenset()
    deleting: bool = False
    looks: dict[str, int] = field(default_factory=dict)
    looked: float = 0.0
    asked: set[str] = field(default_factory=set)

    def removes_copy(self, method: str, path: str) -> bool:
        """Say whether a request deletes a copy of a webhook that is to stay."""
        if method != "DELETE" or self.plan is None:
            return False
        planned = {each.before.id: each.reason for each in self.plan.deletes}
        return planned.get(path.split("/")[-2], Reason.DUPLICATE) is Reason.DUPLICATE


_LINKS = frozenset({"link-a"})


class Judge:
    """Knows the case; is told of everything; raises Violation."""

    def __init__(self, case: Case, store: Store, organization: str) -> None:
        self._case = case
        self._store = store
        self._organization = organization
        self._declared = {each.name for each in case.desired.webhooks}
        self._absent = {each.name for each in case.desired.absent}
        self._prunes = case.desired.policy.scopes[0].prune
        self._old = {name for each in case.desired.webhooks for name in each.previously}
        self._pinned = {each.id for each in case.desired.webhooks if each.id}

    def rows(self) -> list[dict[str, Any]]:
        return self._store.webhooks(self._organization)

    def names(self) -> dict[str, str]:
        """Return the name of each live webhook, by its id."""
        return {row.id: row.name for row in self._store.rows(self._organization)}

    def present(self) -> set[str]:
        """Return which declared webhooks are there in some form, by their declared name."""
        found = self.names()
        names, ids = set(found.values()), found.keys()
        return {
            each.name
            for each in self._case.desired.webhooks
            if names & {each.name, *each.previously} or each.id in ids
        }

    def sent(self, deeds: Deeds, method: str, path: str, body: bytes, touched: Set[str]) -> None:
        """A request of an apply arrives: may it be sent at all?"""
        if method == "GET":
            if path.endswith("/webhooks/"):
                for name in deeds.looks:
                    deeds.looks[name] += 1
            return
        plan = deeds.plan
        if plan is None:
            raise Violation(f"{method} before there was a plan")
        if deeds.removes_copy(method, path) and not deeds.asked - {path.split("/")[-2]}:
            raise Violation(f"DELETE {path}: nobody asked for the copy that stays")
        if method == "POST":
            self._post(deeds, plan, json.loads(body)["name"])
        elif method in ("PATCH", "PUT"):
            if path.split("/")[-2] not in {each.before.id for each in plan.updates}:
                raise Violation(f"{method} {path}: the plan names no such update")
        else:
            self._delete(deeds, plan, path.split("/")[-2], touched)
        if method != "DELETE" and deeds.deleting:
            raise Violation(f"{method} after a delete of the plan")

    def _post(self, deeds: Deeds, plan: Plan, name: str) -> None:
        if name not in {each.name for each in plan.creates}:
            raise Violation(f"POST {name}: the plan names no such create")
        if name in deeds.looks and deeds.looks[name] < 3:
            raise Violation(f"POST {name} again after {deeds.looks[name]} listings")

    def _delete(self, deeds: Deeds, plan: Plan, id: str, touched: Set[str]) -> None:
        planned = {each.before.id: each for each in plan.deletes}
        row = self._store.row(id)
        if id in planned:
            if planned[id].reason is not Reason.DUPLICATE:
                deeds.deleting = True
            return
        # A list that is behind may have hidden it from the apply.
        if id in deeds.ids_before and not self._case.stale:
            raise Violation(f"DELETE {id}: neither planned nor new")
        made = {each.name for each in plan.creates} | touched
        if row is not None and row.name not in made:
            raise Violation(f"DELETE {id}: neither planned nor a copy of what was created")

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

    def lost(self, there: set[str], spared: Set[str]) -> None:
        """Compare with what was there before a write: is any declared webhook gone?"""
        gone = {
            each.name
            for each in self._case.desired.webhooks
            if each.name in there and not spared & {each.name, *each.previously}
        } - self.present()
        if gone:
            raise Violation(f"{', '.join(sorted(gone))}: no copy is left")

    def touched(self, name: str | None) -> None:
        """A webhook of this name was written: was it the apply's to touch?"""
        if name is None or name in self._declared | self._absent | self._old | _LINKS:
            return
        if name.startswith(IGNORED):
            raise Violation(f"{name} is ignored, and was written")
        if name.startswith(PROTECTED) or not self._prunes:
            raise Violation(f"{name} is not this file's to touch, and was written")

    def reported(self, deeds: Deeds, report: Report) -> None:
        """An apply has ended: is its report honest?"""
        if CANARY in repr(report):
            raise Violation("a secret is in the report")
        if len(report.outcomes) != len(report.plan.changes):
            raise Violation("the report does not tell of every change")
        if deeds.committed and not report.writes:
            raise Violation("the report says that nothing was written")
        self.ended(deeds, report.exit_code)
        firm = [each for each in report.outcomes if not isinstance(each.change, Delete)]
        undone = [each for each in firm if not isinstance(each, Applied)]
        # What the last look alone found to be undone was done when deletes began.
        late = ("does-not-converge", "vanished")
        early = [each for each in undone if not (isinstance(each, Failed) and each.code in late)]
        if early and deeds.deleting:
            raise Violation(f"deletes were sent although {early[0].change.name} is not done")

    def ended(self, deeds: Deeds, code: ExitCode) -> None:
        clean = (1, 3, 4, 5, 6, 8)
        if deeds.committed and code in clean:
            raise Violation(f"exit {int(code)} says that nothing was written, and something was")

    def as_declared(self, plan: Plan, again: Plan, touched: Set[str]) -> None:
        """After a success: the next plan is empty, and the store agrees."""
        if again.changes:
            raise Violation(f"success, and the next plan has {_names(again)}")
        self.stored(plan, touched)

    def stored(self, plan: Plan, touched: Set[str]) -> None:
        """Look into the store itself: one of each, and what was created is whole."""
        created = {each.name for each in plan.creates}
        spared = set(touched) | {kept.name for kept in plan.kept}
        for webhook in self._case.desired.webhooks:
            if {webhook.name, *webhook.previously} & spared:
                continue
            found = [row for row in self.rows() if row["name"] == webhook.name]
            if len(found) != 1:
                raise Violation(f"{webhook.name}: {len(found)} copies")
            self._same(webhook, found[0], whole=webhook.name in created)
        for name in self._absent - spared:
            if any(row["name"] == name for row in self.rows()):
                raise Violation(f"{name} is declared absent, and is there")

    def _same(self, webhook: Webhook, row: Mapping[str, Any], *, whole: bool) -> None:
        if set(row["event_types"]) != webhook.event_types or row["type"] != webhook.type:
            raise Violation(f"{webhook.name} is not as declared")
        for name, value in webhook.configuration.items():
            kind = KINDS[webhook.type].field(name)
            found = row["configuration"].get(name)
            if isinstance(value, SecretRef):
                if whole and found != VALUES[value]:
                    raise Violation(f"{webhook.name} was created with another {name}")
                continue
            if whole and kind is not None and isinstance(found, str) and isinstance(value, str):
                same = kind.normal(found) == kind.normal(value)
                if not same:
                    raise Violation(f"{webhook.name} was created with another {name}")


def _refuses(status: int | None) -> bool:
    return status is not None and 400 <= status < 500


def _names(plan: Plan) -> str:
    return ", ".join(f"{type(each).__name__.lower()} {each.name}" for each in plan.changes)
