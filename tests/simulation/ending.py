"""What must hold when an apply has ended, and when everything is calm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from reconciler.errors import ConfigurationError, ExitCode
from reconciler.kinds import KINDS
from reconciler.model import Live, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.plan import Create, Delete, Operation, Plan, SecretChange, Update
from reconciler.planning.planner import plan as make_plan
from reconciler.render import PLAIN, RENDERERS
from reconciler.report import NOT_REVIEWED, Applied, Failed, Outcome, Report, Skipped
from tests.emulated.variant import ReadBack
from tests.simulation.case import Case, Way
from tests.simulation.declarations import CANARY, Row, secrets, value_of
from tests.simulation.judge import Judge, Violation
from tests.simulation.process import Process
from tests.simulation.team import Team

_CLEAN = (1, 3, 4, 5, 6, 8)
_LATE = ("does-not-converge", "vanished", "conflict")


def _unreviewed(outcome: Outcome) -> bool:
    return isinstance(outcome, Skipped) and outcome.code == NOT_REVIEWED


class Ending:
    """Judges reports against what is stored. `touched` holds what a person had in hand."""

    def __init__(self, case: Case, judge: Judge, touched: Set[str]) -> None:
        self._case = case
        self._judge = judge
        self._touched = touched

    def ended(self, process: Process, code: ExitCode) -> None:
        """Compare an exit code with what the server knows."""
        if process.deeds.committed and code in _CLEAN:
            raise Violation(f"exit {int(code)} says that nothing was written, and something was")

    def reported(self, process: Process, report: Report) -> None:
        """An apply has ended: is its report honest and complete?"""
        if CANARY in repr(report) or (self._case.seed % 8 == 0 and CANARY in _shown(report)):
            raise Violation("a secret is in the report")
        if [each.operation for each in report.outcomes] != list(report.plan.operations):
            raise Violation("the report does not tell of every change")
        if process.deeds.committed and not report.writes:
            raise Violation("the report says that nothing was written")
        self.ended(process, report.exit_code)
        if report.exit_code is ExitCode.OK and report.plan.unapplied:
            raise Violation("success, and a declaration is not applied")
        for each in report.outcomes:
            if _unreviewed(each) and process.deeds.began(each.operation):
                raise Violation(f"{each.operation.name} was not reviewed, and was sent")
            unsent = isinstance(each, Skipped) and each.code in ("interrupted", "run-ended")
            if unsent and process.deeds.began(each.operation):
                raise Violation(f"{each.operation.name} was sent, and is reported as not begun")
            if isinstance(each, Failed) and _unsent(each):
                raise Violation(
                    f"{each.operation.name} has failed for a secret that it did not send"
                )
            # That something is gone may be hearsay, until the last look.
            sure = report.verified or not isinstance(each.operation, Delete)
            if isinstance(each, Applied) and sure and self._case.calm:
                self._true(process.team, each)
        if report.complete and report.writes and not self._case.stale:
            self._seen(process, report.plan)
        firm = [each for each in report.outcomes if not isinstance(each.operation, Delete)]
        undone = [each for each in firm if not isinstance(each, Applied) and not _unreviewed(each)]
        # What the last look alone found to be undone was done when deletes began.
        early = [each for each in undone if not (isinstance(each, Failed) and each.code in _LATE)]
        if early and process.deeds.deleting:
            raise Violation(f"deletes were sent although {early[0].operation.name} is not done")

    def _seen(self, process: Process, plan: Plan) -> None:
        """Success means that the last listing showed it, whoever else is at work."""
        now = self._judge.names()
        shown = self._to_do(process, plan, process.seen)
        # What has gone or was renamed since the listing may have been asked for in between.
        still = [each for each in process.seen if now.get(each.id) == each.name]
        there = self._to_do(process, plan, still)
        if left := sorted(shown & there):
            raise Violation(f"success, and the last listing shows {', '.join(left)} to be done")

    def _to_do(self, process: Process, plan: Plan, seen: Sequence[LiveWebhook]) -> set[str]:
        """Return what a plan made of such a listing would have left to do by names of the plan."""
        team = process.team
        live = Live(origin=plan.origin, organization=plan.organization, webhooks=tuple(seen))
        options = replace(team.options, previous=None, resend=(), resend_all=False)
        try:
            again = make_plan(team.desired, live, self._at_hand(plan), options)
        except ConfigurationError:
            # A webhook that a person has renamed to an earlier name is for the next plan.
            return set() if self._touched else {"what does not fit"}
        deleted = {each.before.id for each in plan.deletes}
        written = {each.before.id for each in plan.updates}
        matched = {each.id for each in plan.matched}
        made = {each.name for each in plan.creates}
        sent = made | {each.name for each in plan.updates if each.after.id is None}
        unvouched = {each.name for each in plan.updates if "configuration" not in each.sends}

        def answered_for(change: Operation) -> bool:
            """What others did to a webhook that was not written is for the next plan.

            So are declarations of one name, of which each apply creates one.
            """
            if change.name in {each.name for each in plan.unapplied}:
                return False
            if isinstance(change, Update):
                new = change.name in made and change.before.id not in matched
                return new or change.before.id in written
            if isinstance(change, Create):
                return change.name in sent - team.shared
            return change.before.id in deleted

        left = [
            each
            for each in again.operations
            if answered_for(each) and not (each.name in unvouched and _only_secrets(each))
        ]
        doing = set[str]() if self._case.way is Way.BLIND else {_names([each]) for each in left}
        # What was kept from the start still is.
        kept = sent - team.shared - {each.name for each in plan.kept}
        return doing | {f"copies of {each.name}" for each in again.kept if each.name in kept}

    def _at_hand(self, plan: Plan) -> Mapping[SecretRef, Secret]:
        """Return the secrets that an apply has: of a saved plan no others than it sends."""
        if self._case.way in (Way.DIRECT, Way.DIGEST):
            return secrets()
        sent = {each.reference for each in plan.secrets}
        return {ref: secret for ref, secret in secrets().items() if ref in sent}

    def _true(self, team: Team, outcome: Applied) -> None:
        """What is reported as done is stored so, secrets included."""
        change = outcome.operation
        rows = {row["id"]: row for row in self._judge.rows()}
        if isinstance(change, Delete):
            if change.before.id in rows:
                raise Violation(f"{change.name} is reported as deleted, and is there")
            return
        row = rows.get(outcome.id or "")
        if row is None or row["name"] != change.name:
            raise Violation(f"{change.name} is reported as done, and is not there")
        sent = isinstance(change, Create) or "configuration" in change.sends
        self._same(team, change.after, row, sent=sent)

    def as_declared(self, team: Team, plan: Plan, again: Plan) -> None:
        """After a success: the next plan is empty, and the store agrees."""
        left = [each for each in again.operations if not revealed(plan, each)]
        if left:
            raise Violation(f"success, and the next plan has {_names(left)}")
        self._stored(team, plan)

    def as_near_as_can_be(self, team: Team, again: Plan) -> None:
        """After a failure that nothing can help: all else is as declared."""
        left = [
            each
            for each in again.operations
            if not isinstance(each, Delete) and each.name not in team.stubborn
        ]
        if left:
            raise Violation(f"an undisturbed apply leaves {_names(left)}")

    def _stored(self, team: Team, plan: Plan) -> None:
        """Look into the store itself: one of each, and what was sent is whole."""
        created = {each.name for each in plan.creates}
        # Where rivals meet, copies differ. Several of one name that may each be what a gone id
        # meant are kept and reported.
        differing = {
            each.name
            for each in plan.kept
            if self._case.rivals or (each.unapplied and each.name in team.shared)
        }
        rows = self._judge.rows()
        for webhook in team.desired.webhooks:
            name = webhook.name
            if name in team.held or name in differing or not team.selects(name):
                continue
            if self._touched and self._touched & team.kin(webhook):
                continue
            found = [row for row in rows if row["name"] == name]
            if name in team.shared:
                entries = [each for each in team.desired.webhooks if each.name == name]
                if len(found) != len(entries):
                    raise Violation(f"{name}: {len(found)} live, {len(entries)} declared")
                continue
            if len(found) != 1:
                raise Violation(f"{name}: {len(found)} copies")
            for row in found:
                self._same(team, webhook, row, sent=name in created)
                if not self._case.rivals and row["id"] != team.same.get(name, row["id"]):
                    raise Violation(f"{name} is another webhook than it was")
        for entry in team.desired.absent:
            there = any(row["name"] == entry.name for row in rows)
            if there and team.selects(entry.name) and entry.name not in self._touched:
                raise Violation(f"{entry.name} is declared absent, and is there")

    def _same(self, team: Team, webhook: Webhook, row: Mapping[str, Any], *, sent: bool) -> None:
        """Compare what is stored: secrets if they were `sent`, or are asked to be.

        Plain fields are compared, too, where the server shows a configuration, and no other field
        may be set.
        """
        if set(row["event_types"]) != webhook.event_types or row["type"] != webhook.type:
            raise Violation(f"{webhook.name} is not as declared")
        for name, value in webhook.configuration.items():
            kind = KINDS[webhook.type].field(name)
            found, wanted = row["configuration"].get(name), value_of(value)
            if isinstance(value, SecretRef):
                other = (sent or _asked(team, value)) and found != wanted
            else:
                shown = kind is not None and not kind.secret and self._shows(row)
                other = (sent or shown) and webhook.name not in team.stubborn and kind is not None
                other = other and kind.normal(str(found)) != kind.normal(str(wanted))
            if other:
                raise Violation(f"{webhook.name} has another {name} than was sent")
        if webhook.name in team.stubborn:
            return
        for field in KINDS[webhook.type].fields:
            shown = not field.secret and self._shows(row)
            found = row["configuration"].get(field.name)
            unset = found in (None, "", field.default) or field.name in webhook.configuration
            if (sent or shown) and not unset:
                raise Violation(f"{webhook.name} has a {field.name}, which is not declared")

    def _shows(self, row: Mapping[str, Any]) -> bool:
        """Return whether the server shows anything of the configuration of a webhook."""
        variant = self._case.variant
        if variant.read_back is ReadBack.OMITTED and not variant.default_keys:
            return not row["configuration"].keys() <= set(variant.secret_fields)
        return not variant.read_back.startswith("configuration")

    def side_by_side(self, processes: Sequence[Process], team: Team) -> None:
        """Two have run at once: if copies that differ are left, not both say that all is done."""
        names = [row["name"] for row in self._judge.rows()]
        doubled = (
            {each for each in names if names.count(each) > 1}
            - team.held
            - team.shared
            - self._touched
        )
        declared = {each.name for each in team.desired.webhooks if each.name not in team.was}
        done = all(each.code is ExitCode.OK for each in processes)
        if done and not self._case.stale and not self._case.late and doubled & declared:
            raise Violation(f"both say that all is done, and there are copies of {doubled}")

    def left_alone(self, began: Sequence[Row]) -> None:
        """At the very end: what nobody may touch is what it was."""
        now = {row["id"]: row for row in self._judge.rows()}
        for row in began:
            if row["id"] in self._case.left and row["name"] not in self._touched:
                there = now.get(row["id"])
                if there is None or any(there[key] != value for key, value in row.items()):
                    raise Violation(f"{row['name']} ({row['id']}) is not what it was")


def revealed(plan: Plan, change: Operation) -> bool:
    """Return whether a change is only of secrets that could not be read before the plan."""
    return _only_secrets(change) and all(
        (change.name, each.path[-1]) in plan.unreadable for each in change.fields
    )


def _unsent(outcome: Failed) -> bool:
    """Return whether only secrets differ, of a change that sends none."""
    change = outcome.operation
    if outcome.code != "does-not-converge" or not isinstance(change, Update):
        return False
    if "configuration" in change.sends:
        return False
    secret = KINDS[change.after.type].secret_fields
    return bool(outcome.fields) and all(each.path[-1] in secret for each in outcome.fields)


def _only_secrets(change: Operation) -> bool:
    """Return whether secrets are all that is to be changed."""
    return isinstance(change, Update) and all(
        isinstance(each, SecretChange) for each in change.fields
    )


def _asked(team: Team, value: SecretRef) -> bool:
    options = team.options
    return options.resend_all or f"{value.scheme}:{value.name}" in options.resend


def _shown(report: Report) -> str:
    """Show a report in every form there is."""
    return "".join(make().render_report(report, PLAIN) for make in RENDERERS.values())


def _names(changes: Sequence[Operation]) -> str:
    return ", ".join(f"{type(each).__name__.lower()} {each.name}" for each in changes)
