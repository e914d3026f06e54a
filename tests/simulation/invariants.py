"""Invariants that are checked at every request, and what they know of a run of the program."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.api.client import Client
from reconciler.errors import ExitCode
from reconciler.model import LiveWebhook, Secret, Unknown
from reconciler.planning.plan import Create, Delete, Operation, Plan, Reason, Update
from reconciler.report import Report
from tests.emulated.emulator import SeededStore
from tests.emulated.faults import Fault, Wire
from tests.emulated.variant import ReadBack
from tests.simulation.case import Case, Team, hides, stored_name
from tests.simulation.declarations import value_of
from tests.simulation.faults import ConsoleUser
from tests.simulation.scheduler import ProcessState, Signal


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a seed: `violation` is the guarantee that was broken, None if none was."""

    seed: int
    violation: str | None
    trace: tuple[str, ...]
    requests: int
    crashed: bool


@dataclass(slots=True)
class Activity:
    """The writes and reads of one run, and its plan.

    `sent` holds every write that was sent and may have been committed, as method and name (for a
    POST) or id. `listings` counts the listings since the outcome of a create of that name was
    unknown; `lost` has the names of creates that failed in any way. `read_ids` holds the ids that
    were read one by one. `last_read` is when the last read began. `compared` maps ids to what was
    read between confirmation and the first write: the listing, and webhooks that it did not show.
    """

    plan: Plan | None = None
    committed: int = 0
    ids_before: frozenset[str] = frozenset()
    deleting: bool = False
    sent: set[tuple[str, str]] = field(default_factory=set)
    listings: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    last_read: float = 0.0
    read_ids: set[str] = field(default_factory=set)
    compared: dict[str, LiveWebhook] | None = None

    def knew(self, id: str) -> bool:
        """Return whether a webhook existed when the plan was confirmed and was listed since.

        A stale list can hide one, and so can pages that shift while another process writes.
        """
        return id in self.ids_before and (self.compared is None or id in self.compared)

    def fits(self, change: Update | Delete) -> bool:
        """Return whether an operation matched the live webhook just before the first write."""
        found = (self.compared or {}).get(change.before.id)
        if found is None:
            return False
        before = change.before
        was = (before.name, before.type, before.event_types)
        now = (found.name, found.type, found.event_types)
        configuration = {} if isinstance(found.configuration, Unknown) else found.configuration
        url = configuration.get("url")
        is_moved = (
            isinstance(url, Secret)
            and before.type == "generic"
            and before.destination != f"generic {url.shown_url()}"
        )
        if isinstance(change, Update):
            after = change.after
            # What is shown of it may be done already, and the rest not.
            wanted = value_of(after.configuration.get("url"))
            is_moved = is_moved and url != Secret(str(wanted))
            if now == (after.name, after.type, after.event_types):
                was = now
        return now == was and not (found.type == "generic" and is_moved)

    def knows_every_namesake(self, change: Update) -> bool:
        """Return whether the plan had every webhook of the name just before the first write."""
        plan = self.plan
        if plan is None or change.after.id is not None:
            return True
        known = {each.before.id for each in (*plan.updates, *plan.deletes, *plan.left_out)}
        known |= plan.matched.keys()
        known |= {each.id for kept in plan.kept for each in kept.webhooks}
        there = {k for k, each in (self.compared or {}).items() if each.name == change.before.name}
        return there <= known

    def deletes_duplicate(self, method: str, path: str) -> bool:
        """Return whether a request deletes a duplicate of a webhook that is kept."""
        if method != "DELETE" or self.plan is None:
            return False
        planned = {each.before.id: each.reason for each in self.plan.deletes}
        return planned.get(path.split("/")[-2], Reason.DUPLICATE) is Reason.DUPLICATE

    def was_sent(self, change: Operation) -> bool:
        """Return whether a write of an operation was sent."""
        if isinstance(change, Create):
            return ("POST", change.name) in self.sent
        return any((method, change.before.id) in self.sent for method in ("PATCH", "PUT", "DELETE"))


class WatchedClient:
    """A client that records what it read last."""

    def __init__(self, api: Client, process: Process) -> None:
        self._api = api
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def list(self) -> tuple[LiveWebhook, ...]:
        process = self._process
        process.seen = self._api.list()
        if process.activity.plan is not None and process.activity.compared is None:
            process.activity.compared = {each.id: each for each in process.seen}
        return process.seen

    def get(self, id: str) -> LiveWebhook | None:
        found = self._api.get(id)
        activity = self._process.activity
        if found is not None and activity.compared is not None and not activity.sent:
            activity.compared.setdefault(id, found)
        return found


@dataclass(slots=True)
class Process(Signal):
    """One run of the program for a team, and its result.

    `needs_review` means that only unreviewed operations were not applied. A signal comes `stop`
    steps after the first write was sent, a second one `halt` steps later. `seen` is the last
    complete listing.
    """

    name: str
    team: Team
    stop: int | None = None
    halt: int | None = None
    state: ProcessState = field(default_factory=ProcessState)
    activity: Activity = field(default_factory=Activity)
    steps: int = 0
    needs_review: bool = False
    writing: int = 0
    report: Report | None = None
    code: ExitCode | None = None
    seen: tuple[LiveWebhook, ...] = ()

    def step(self) -> None:
        """Count one more request; a signal may come with it."""
        self.steps += 1
        self.writing += bool(self.writing or self.activity.sent)
        if self.stop is not None and self.writing > self.stop:
            self.come()

    def halted(self) -> bool:
        """Return whether a second signal has come or the grace period is over."""
        if self._since is None or self.stop is None:
            return False
        again = self.halt is not None and self.writing > self.stop + self.halt
        return again or Signal.halted(self)


class Violation(BaseException):
    """A broken guarantee. Not an Exception, which the client would turn into its own errors."""


class Snapshot(NamedTuple):
    """The live webhooks at one moment: names by id, and the declared names among them."""

    names: dict[str, str]
    present: Set[str]


class Invariants:
    """Checks every request and write of a case; raises Violation."""

    def __init__(
        self, case: Case, store: SeededStore, organization: str, console_user: ConsoleUser
    ) -> None:
        self._case = case
        self._store = store
        self._organization = organization
        self._console_user = console_user
        declared = [{each.name for each in team.desired.webhooks} for team in case.teams]
        self._agreed = (set.intersection if case.conflicting else set.union)(*declared)

    def rows(self) -> list[dict[str, Any]]:
        """Return the stored webhooks, with secrets in plain text."""
        return self._store.webhooks(self._organization)

    def names(self) -> dict[str, str]:
        """Return the name of each live webhook by its id."""
        return {row.id: row.name for row in self._store.rows(self._organization)}

    def has_duplicates(self, team: Team) -> bool:
        """Return whether a declared webhook has duplicates."""
        names = [*self.names().values()]
        return any(names.count(each.name) > 1 for each in team.desired.webhooks)

    def snapshot(self, team: Team) -> Snapshot:
        """Return the state before a write, to compare with the state after it."""
        names = self.names()
        found = set(names.values())
        present = {
            each.name
            for each in team.desired.webhooks
            if found & {each.name, *each.previously} or team.expected_ids.get(each.name) in names
        }
        return Snapshot(names=names, present=present)

    def check_request(self, process: Process, method: str, path: str, body: bytes) -> None:
        """Check that an apply may send a request."""
        activity = process.activity
        if method == "GET":
            if path.endswith("/webhooks/"):
                for name in activity.listings:
                    activity.listings[name] += 1
            return
        plan = activity.plan
        if plan is None:
            raise Violation(f"{method} before a plan was made")
        if process.team.invalid:
            raise Violation(f"{method} for declarations that contradict the live webhooks")
        if plan.blocked and process.team.options.allow_deletes is None:
            raise Violation(f"{method} of a plan that a guard blocks")
        self._check_delete_limit(process, plan)
        key = path.split("/")[-2]
        if (
            activity.deletes_duplicate(method, path)
            and not activity.read_ids - {key}
            and not self._has_rewritten_name(key, activity, plan)
        ):
            raise Violation(f"DELETE {path}: the duplicate to keep was not read")
        if method == "POST":
            name = json.loads(body)["name"]
            if name not in {each.name for each in plan.creates}:
                raise Violation(f"POST {name}: the plan names no such create")
            if activity.listings.get(name, 3) < 3:
                raise Violation(f"POST {name} again after {activity.listings[name]} listings")
        elif method in ("PATCH", "PUT"):
            updates = [each for each in plan.updates if each.before.id == key]
            if not updates and self._confirms_lost_create(activity, plan, key):
                return
            if not updates:
                raise Violation(f"{method} {path}: the plan names no such update")
            if not activity.fits(updates[0]):
                raise Violation(f"{method} {updates[0].name}: it has changed since the plan")
            if not activity.knows_every_namesake(updates[0]):
                raise Violation(f"{method} {updates[0].name}: another webhook has the name")
        else:
            self._delete(activity, plan, key)
        if method != "DELETE" and activity.deleting:
            raise Violation(f"{method} after a delete of the plan")

    def _confirms_lost_create(self, activity: Activity, plan: Plan, id: str) -> bool:
        """Return whether a write repeats the hidden configuration of a create with a lost response.

        No other process may have written the webhook, and it is written once.
        """
        row = self._store.row(id)
        if activity.knew(id):
            return False
        # The console user may delete or rename a webhook between the listing that finds it and the
        # write, which is harmless. It may equal a created one that is gone.
        has_created = bool(activity.lost) or any(sent[0] == "POST" for sent in activity.sent)
        if row is None:
            return has_created
        is_renamed = self._console_user.touched.get(row.name, -1.0) >= activity.last_read
        if is_renamed:
            return has_created
        if row.name not in self._created_names(plan):
            return False
        # One of several equal webhooks, which stays, may be another user's.
        posted = {name for method, name in activity.sent if method == "POST"} | activity.lost
        sent = row.name in posted | {stored_name(name, self._case.variant) for name in posted}
        hidden = any(
            hides(self._case.variant, name) for name in json.loads(row.data)["configuration"]
        )
        return sent and (hidden or row.name in self._console_user.touched)

    def _delete(self, activity: Activity, plan: Plan, id: str) -> None:
        planned = {each.before.id: each for each in plan.deletes}
        row = self._store.row(id)
        if id in planned:
            if not activity.fits(planned[id]):
                raise Violation(f"DELETE {planned[id].name}: it has changed since the plan")
            if planned[id].reason is not Reason.DUPLICATE:
                activity.deleting = True
                return
            self._duplicate(planned[id])
            return
        if activity.knew(id):
            raise Violation(f"DELETE {id}: neither planned nor new")
        if (
            row is not None
            and row.name not in self._created_names(plan) | self._console_user.touched.keys()
        ):
            raise Violation(f"DELETE {id}: neither planned nor a duplicate of a create")

    def _duplicate(self, change: Delete) -> None:
        """Check that a duplicate has the same secrets as the webhook that is kept."""
        found, keeper = self._store.row(change.before.id), self._store.row(change.kept_id or "")
        if found is None or keeper is None or self._case.variant.read_back is not ReadBack.PLAIN:
            return
        if found.name in self._console_user.touched:
            return
        rows = {row["id"]: row["configuration"] for row in self.rows()}
        token, other = (rows[each.id].get("token") for each in (found, keeper))
        if token != other:
            raise Violation(f"DELETE {found.name}: its token differs from that of {keeper.id}")

    def _check_delete_limit(self, process: Process, plan: Plan) -> None:
        """Check that the deletes of a plan do not exceed its limit.

        Two or more duplicates of a name count.
        """
        limit = process.team.desired.policy.max_deletes
        if limit is None or process.team.options.allow_deletes is not None:
            return
        duplicates = [each.name for each in plan.deletes if each.reason is Reason.DUPLICATE]
        single = sum(duplicates.count(name) == 1 for name in duplicates)
        if len(plan.deletes) - single > limit:
            raise Violation(f"{len(plan.deletes)} deletes are planned, {limit} are allowed")

    def _has_rewritten_name(self, id: str, activity: Activity, plan: Plan) -> bool:
        """Return whether the server changed the name that was sent for a webhook.

        Also true if the console user has renamed or deleted it since the last read.
        """
        row = self._store.row(id)
        if row is None or self._console_user.touched.get(row.name, -1.0) >= activity.last_read:
            return True
        return row.name not in {
            each.name for each in plan.creates
        } and row.name in self._created_names(plan)

    def _created_names(self, plan: Plan) -> set[str | None]:
        """Return the names under which the planned creates may be stored."""
        names = {each.name for each in plan.creates}
        return names | {stored_name(name, self._case.variant) for name in names}

    def note_response(
        self, activity: Activity, method: str, body: bytes, fault: Fault | None
    ) -> None:
        """Record creates with an unknown result, so that none is repeated without reading."""
        if method != "POST":
            return
        name = json.loads(body)["name"]
        if fault is not None and fault.label != "delay":
            activity.lost.add(name)
        not_committed = fault is not None and not fault.commit and fault.commit_after is None
        rejected = fault is not None and 400 <= (fault.status or 0) < 500
        if fault is None or (not_committed and (fault.wire is Wire.REFUSE or rejected)):
            activity.listings.pop(name, None)
        elif fault.label not in ("delay", "content type"):
            activity.listings[name] = 0

    def check_write(self, process: Process, id: str, name: str | None) -> None:
        """Check that an apply was allowed to write to the webhook of that name."""
        if name is None or name in self._console_user.touched:
            return
        if self._case.is_untouchable(id, name, self._console_user.touched.keys()):
            raise Violation(f"{name} ({id}) must not be written, and was")
        plan = process.activity.plan
        if not process.activity.knew(id) and plan is not None and name in self._created_names(plan):
            return
        # The other team may have renamed it since the plan, or may have adopted a webhook that a
        # user had renamed into the scope of this apply.
        planned = {each.before.id: each.before.name for each in plan.deletes} if plan else {}
        if planned.get(id) in self._console_user.touched:
            return
        if self._case.conflicting:
            name = planned.get(id, name)
        misnamed = {
            stored_name(each.name, self._case.variant) for each in process.team.desired.webhooks
        }
        if name not in misnamed and not process.team.may_touch(name):
            raise Violation(f"{name} is not in scope of this apply, and was written")

    def check_present(self, team: Team, before: Snapshot, exempt: Set[str]) -> None:
        """Check that no declared webhook was lost by a write."""
        now = self.snapshot(team)
        for webhook in team.desired.webhooks:
            name = webhook.name
            if name not in self._agreed:  # the other team may delete it
                continue
            if exempt and exempt & team.related_names(webhook):
                continue
            # Of duplicates that the console user has created, another may have the smallest id.
            same = (
                None
                if self._console_user.touched.keys() & team.related_names(webhook)
                else team.expected_ids.get(name)
            )
            if name in before.present - now.present or (same in before.names.keys() - now.names):
                raise Violation(f"{name}: no webhook is left")
