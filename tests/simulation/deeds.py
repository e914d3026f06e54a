"""What one apply has sent, as the server saw it."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model import LiveWebhook
from reconciler.planning.plan import Create, Delete, Operation, Plan, Reason, Update


@dataclass(slots=True)
class Deeds:
    """The writes and looks of one run, and the plan that allows them.

    `begun` holds every write that was sent and may have been carried out, as method and name (of
    a POST) or id; `looks` how often all webhooks were listed since a create of that name was left
    in doubt; `asked` the ids that were read one by one; `looked` when something was last read;
    `compared` is what was read, by id, between consent and the first write: the listing, and what
    that did not show.
    """

    plan: Plan | None = None
    committed: int = 0
    ids_before: frozenset[str] = frozenset()
    deleting: bool = False
    begun: set[tuple[str, str]] = field(default_factory=set)
    looks: dict[str, int] = field(default_factory=dict)
    looked: float = 0.0
    asked: set[str] = field(default_factory=set)
    compared: dict[str, LiveWebhook] | None = None

    def fits(self, change: Update | Delete) -> bool:
        """Say whether a change fitted what was live just before the first write."""
        found = (self.compared or {}).get(change.before.id)
        if found is None:
            return False
        before = change.before
        was = (before.name, before.type, before.event_types)
        return (found.name, found.type, found.event_types) == was

    def is_clear(self, change: Update) -> bool:
        """Return whether the plan knew every webhook of the name just before the first write."""
        plan = self.plan
        if plan is None or change.after.id is not None:
            return True
        known = {each.before.id for each in (*plan.updates, *plan.deletes, *plan.left_out)}
        known |= {each.id for each in plan.matched}
        known |= {each.id for kept in plan.kept for each in kept.webhooks}
        there = {k for k, each in (self.compared or {}).items() if each.name == change.before.name}
        return there <= known

    def removes_copy(self, method: str, path: str) -> bool:
        """Say whether a request deletes a copy of a webhook that is to stay."""
        if method != "DELETE" or self.plan is None:
            return False
        planned = {each.before.id: each.reason for each in self.plan.deletes}
        return planned.get(path.split("/")[-2], Reason.DUPLICATE) is Reason.DUPLICATE

    def began(self, change: Operation) -> bool:
        """Say whether a write of a change was sent."""
        if isinstance(change, Create):
            return ("POST", change.name) in self.begun
        return any((method, change.before.id) in self.begun for method in _BY_ID)


_BY_ID = ("PATCH", "PUT", "DELETE")
