"""Check whether the messages of the declared webhooks arrive.

A pure function of the files, the live webhooks, and Slack's answers. Equal results are one check
with its webhooks: a revoked token is one failure, not one for each webhook. No request is ever sent
to the URL of a webhook, because this machine's network is not CloudTruth's. `slack.py` looks up the
apps of Slack webhooks, `proof.py` causes events and watches the webhooks run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.api.transport import Transport
from reconciler.deliveries import slack
from reconciler.deliveries.proof import Observation, Proof, Verdict, received
from reconciler.findings import Finding, plural
from reconciler.kinds import FIELDS, KINDS
from reconciler.model import Live, LiveWebhook, Secret, SecretRef, SecretValues, Webhook
from reconciler.planning.names import transport_notes
from reconciler.planning.plan import DeliveryState, Plan, delivery_state
from reconciler.ports import Workers
from reconciler.render.quote import quote
from reconciler.render.words import delivery_error
from reconciler.report import Check, CheckedWebhook, Section, Status, fail, ok, unknown, warn

_APPLY: Final = "run `webhooks plan` and `webhooks apply`"
_PROVE: Final = "test it with `webhooks check --deliver PROJECT`"
_PROVE_IN_ONE: Final = "test it with `webhooks check --organization NAME --deliver PROJECT`"
_WAIT: Final = "wait for an event of this webhook, then run `webhooks status`"
_STATES: Final = {
    DeliveryState.FAILED_EARLIER: ok("failed earlier", "the last run succeeded"),
    DeliveryState.NEVER_RUN: unknown("never run", "no event yet"),
    DeliveryState.DELIVERING: ok("delivering", "the last run succeeded"),
    DeliveryState.UNKNOWN: unknown(
        "unknown", "the server's times do not show whether the last run failed"
    ),
}


class Case(NamedTuple):
    """A declared webhook, and what is known about it.

    `organization` is None if the run has only one. `live` is the live webhook, None if there is
    none, or the check that shows why it was not read. `differs` is true if an apply would update
    it. `app` are Slack's answers about its token, None without a usable one. `wrong_values` are the
    errors of values that do not fit their fields.
    """

    webhook: Webhook
    secrets: SecretValues
    live: LiveWebhook | Check | None
    differs: bool = False
    organization: str | None = None
    app: slack.App | None = None
    wrong_values: Mapping[SecretRef, Finding] = MappingProxyType({})

    @property
    def token(self) -> Secret | None:
        """The token of a Slack webhook, None if it is not available."""
        reference = self.webhook.configuration.get("token")
        if self.webhook.type != "slack" or not isinstance(reference, SecretRef):
            return None
        return self.secrets.get(reference)


def cases(webhooks: Iterable[Webhook], secrets: SecretValues, plan: Plan, live: Live) -> list[Case]:
    """Return a case for each declared webhook, with the live webhook that the plan matches."""
    by_id = {webhook.id: webhook for webhook in live.webhooks}
    # A plan has copies of the declared webhooks, which may lack former names.
    paired = {(webhook.file, webhook.index): by_id[id_] for id_, webhook in plan.paired.items()}
    updated = {update.before.id for update in plan.updates}
    name = live.organization.name
    cases = []
    for webhook in webhooks:
        # None for a webhook that is not live yet: it had no delivery.
        live_webhook = paired.get((webhook.file, webhook.index))
        differs = live_webhook is not None and live_webhook.id in updated
        cases.append(Case(webhook, secrets, live_webhook, differs, name))
    return cases


def look_up(
    cases: Sequence[Case], connect: Callable[[Secret], Transport] | None, workers: Workers
) -> list[Case]:
    """Look up each distinct token once, several at a time.

    Without `connect`, only the form of the tokens is checked.
    """
    tokens = {number: case.token for number, case in enumerate(cases) if case.token is not None}
    # A secret does not reveal its value as a key, so equal ones have the same group.
    groups = Secret.groups(tokens.values())
    distinct = dict(zip(groups, tokens.values(), strict=True))
    calls = [partial(slack.look_up, token, connect) for token in distinct.values()]
    apps = dict(zip(distinct, workers.run(calls), strict=True))
    result = list(cases)
    for number, group in zip(tokens, groups, strict=True):
        result[number] = result[number]._replace(app=apps[group])
    return result


def check(cases: Sequence[Case], proof: Proof | None = None) -> tuple[Section, ...]:
    """Return the checks of all cases."""
    deliveries = [
        ("Deliveries", case, check) for case in cases for check in _deliveries(case, proof)
    ]
    sections = _grouped([*deliveries, *_destinations(cases)])
    if proof is None:
        return sections
    return (*sections, Section("Test delivery", (check_parameter(proof),)))


def post(cases: Iterable[Case], connect: Callable[[Secret], Transport]) -> tuple[Section, ...]:
    """Post a message for each Slack webhook whose token Slack accepts."""
    # With any other token, the message would fail for the reason that is shown already.
    return _grouped(
        ("Test messages", case, slack.post(case.webhook, case.token, connect))
        for case in cases
        if case.token is not None and case.app is not None and case.app.accepted
    )


def _deliveries(case: Case, proof: Proof | None) -> Iterator[Check]:
    """Yield the checks of the deliveries of a declared webhook: the proof, else the last ones."""
    live = case.live
    if isinstance(live, Check):
        yield live
        return
    if live is None:
        # Before an apply a new webhook is expected not to be live, but no proof can succeed.
        finding = warn if proof is None else fail
        yield finding("not live", "CloudTruth has no such webhook", fix=_APPLY)
        return
    if proof is None:
        yield _last_delivery(live, case.organization)
    elif live.id in proof.observations:
        # The proof's delivery is the last one, so only its verdict is shown.
        yield _proved(proof.observations[live.id])
    else:
        detail = "listens only to other events: not tested"
        if received(live):
            detail = "the test ended before its events"
        yield unknown("not covered", detail)
        yield _last_delivery(live, case.organization)
    if case.differs:
        yield warn("differs", "the live webhook is not as in the file", fix=_APPLY)


def _proved(observation: Observation) -> Check:
    match observation.verdict:
        case Verdict.DELIVERED:
            return ok("delivered", "the last run is new, and has no error")
        case Verdict.FAILED:
            assert observation.after is not None
            return _failure("failed", observation.after)
        case Verdict.UNCLEAR:
            detail = "the last run is new, but the last error has no time and may be new, too"
            return warn("unclear", detail, fix="look for the message at the receiver")
        case Verdict.DELETED:
            return fail("deleted", "another process deleted it", fix=_APPLY)
        case Verdict.NOT_RUN:
            fix = "run again; if it happens again, contact CloudTruth support"
            return fail("not run", "CloudTruth reports no run", fix=fix)


def _last_delivery(live: LiveWebhook, organization: str | None) -> Check:
    state = delivery_state(live.last_run, live.last_error)
    if state is DeliveryState.FAILING:
        return _failure("failing", live, organization)
    check = _STATES[state]
    if check.status is Status.UNKNOWN:
        return check._replace(fix=_next_proof(live, organization))
    return check


def _failure(name: str, live: LiveWebhook, organization: str | None = None) -> Check:
    """Return a failed check for the last error; Slack's codes have a meaning and a fix."""
    # The error is CloudTruth's own text, which may be any.
    error = live.last_error
    detail, fix = quote(delivery_error(error)), "fix the receiver, or the destination in the file"
    if error is not None and live.type == "slack":
        known = slack.cause(error.code or "")
        if known is not None:
            meaning, fix = known
            detail = f"{detail}: {meaning}"
    return fail(name, detail, fix=f"{fix}, then {_next_proof(live, organization)}")


def _next_proof(live: LiveWebhook, organization: str | None) -> str:
    """Return how to find out whether a webhook delivers."""
    if not received(live):
        return _WAIT
    # The project of a proof is in one organization; equal checks of several are shown once.
    return _PROVE if organization is None else _PROVE_IN_ONE


def _destinations(cases: Sequence[Case]) -> Iterator[tuple[str, Case, Check]]:
    """Yield the checks of Slack tokens and of connections, with the titles of their sections."""
    # One section for a token, whatever its references are: equal tokens have the same app.
    names: dict[int, set[str]] = {}
    for case in cases:
        if case.app is not None:
            names.setdefault(id(case.app), set()).add(str(case.webhook.configuration["token"]))
    for case in cases:
        title, checks = KINDS[case.webhook.type].title, _connection(case)
        if case.webhook.type == "slack":
            reference = str(case.webhook.configuration["token"])
            same = names.get(id(case.app), {reference})
            title, checks = f"Slack token {', '.join(sorted(same))}", _slack(case, reference)
        for check in chain(_wrong_values(case), checks):
            yield title, case, check


def _wrong_values(case: Case) -> Iterator[Check]:
    """Yield a failure for each value that no apply would send."""
    for _, reference in case.webhook.references:
        finding = case.wrong_values.get(reference)
        if finding is not None:
            yield fail("secret", finding.message, fix=finding.hint)


def _slack(case: Case, reference: str) -> Iterator[Check]:
    if case.app is not None:
        yield from slack.check_webhook(case.webhook, case.app)
    elif case.webhook.configuration["token"] not in case.wrong_values:
        fix = "store the token where the reference points; set a variable for this command"
        yield fail("secret", f"{quote(reference)}: not set, empty or not usable", fix=fix)


def _connection(case: Case) -> Iterator[Check]:
    """Yield the checks of the connection to a URL."""
    # No request is sent: only CloudTruth's network shows whether the host can be reached.
    fields, configuration = FIELDS[case.webhook.type], case.webhook.configuration
    notes = [finding for _, finding in transport_notes(configuration, fields, case.secrets)]
    for name, value in configuration.items():
        if not fields[name].is_url or value in case.wrong_values:
            continue
        if isinstance(value, SecretRef) and value not in case.secrets:
            yield unknown(name, f"{quote(str(value))}: not available here")
        elif not notes:
            yield ok(name, "an encrypted connection, or a private host")
    for finding in notes:
        yield warn(finding.rule, finding.message, fix=finding.hint)


def _grouped(titled: Iterable[tuple[str, Case, Check]]) -> tuple[Section, ...]:
    """Return sections with these titles; equal checks of one are a check of all their webhooks."""
    # Checks are compared without webhooks, and keep the order of their first occurrence.
    sections: dict[str, dict[Check, list[CheckedWebhook]]] = {}
    for title, case, check in titled:
        subject = CheckedWebhook(case.webhook.name, case.webhook.position, case.organization)
        sections.setdefault(title, {}).setdefault(check, []).append(subject)
    return tuple(
        Section(
            name=title,
            checks=tuple(check._replace(webhooks=tuple(named)) for check, named in checks.items()),
        )
        for title, checks in sections.items()
    )


def check_parameter(proof: Proof) -> Check:
    """Return whether all events of a proof were caused, and its parameter was deleted."""
    scratch, problem, events = proof.scratch, proof.problem, plural(len(proof.events), "event")
    if proof.remains:
        command = scratch.delete_command(scratch.name)
        detail = f"{quote(scratch.name)} may still exist"
        if problem is not None:
            detail += f": {problem.message}"
        return fail("parameter", detail, fix=f"delete it: `{command}`")
    if problem is not None:
        detail = f"{events} only: {problem.message}"
        pattern = scratch.project.pattern
        # The server's own message does not contain the pattern.
        if pattern and not proof.events:
            detail += f"; names in this project must match {quote(pattern)}"
        return fail("parameter", detail, fix=problem.hint or "run again")
    return ok("parameter", f"created, changed and deleted: {events}")
