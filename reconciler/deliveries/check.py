"""Check whether the messages of the declared webhooks arrive.

A pure function of the files, the live webhooks, and Slack's answers. Equal results are one check
with its webhooks: a revoked token is one failure, not one for each webhook. No request is ever sent
to the URL of a webhook, because this machine's network is not CloudTruth's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from reconciler.api.transport import Transport
from reconciler.checks import Check, Section, Subject, fail, ok, unknown, warn
from reconciler.deliveries import slack
from reconciler.deliveries.proof import Observation, Proof, Scratch, Verdict, Written
from reconciler.model import DeliveryError, Live, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.delivery import DeliveryState, delivery
from reconciler.planning.plan import Plan
from reconciler.planning.transport import transport_notes
from reconciler.ports import Workers
from reconciler.render.quote import quote
from reconciler.render.words import delivery_error, plural

_APPLY: Final = "run `webhooks plan` and `webhooks apply`"
_PROVE: Final = "then prove it: `webhooks check --deliver PROJECT`"
_NOT_READ: Final = unknown(
    "state", "not read: no API key", fix="set CLOUDTRUTH_API_KEY to see the last deliveries"
)
_STATES: Final = {
    DeliveryState.FAILED_EARLIER: ok("failed earlier", "the last run succeeded"),
    DeliveryState.NEVER_RUN: unknown("never run", "no event yet", fix=_PROVE.removeprefix("then ")),
    DeliveryState.DELIVERING: ok("delivering", "the last run succeeded"),
    DeliveryState.UNKNOWN: unknown(
        "unknown", "the server's times do not show whether the last run failed", fix=_PROVE
    ),
}

_Key = tuple[str, int]
Apps = Mapping[SecretRef, slack.App]
"""Slack's answers by the reference of the token."""


class Matched(NamedTuple):
    """The live webhooks of the declared ones, and which of them are to be updated, by `_key`."""

    live: Mapping[_Key, LiveWebhook]
    differs: frozenset[_Key]

    def of(self, webhook: Webhook) -> LiveWebhook | None:
        """Return the live webhook of a declared one."""
        return self.live.get(_key(webhook))


def match(plan: Plan, live: Live) -> Matched:
    """Return the live webhooks that a plan matches with declared ones."""
    by_id = {webhook.id: webhook for webhook in live.webhooks}
    pairs = [*plan.matched.items(), *((update.before.id, update.after) for update in plan.updates)]
    return Matched(
        live={_key(webhook): by_id[id_] for id_, webhook in pairs},
        differs=frozenset(_key(update.after) for update in plan.updates),
    )


def _key(webhook: Webhook) -> _Key:
    return webhook.file, webhook.index


def _deliveries(webhook: Webhook, matched: Matched, proof: Proof | None) -> Iterator[Check]:
    """Yield the checks of the deliveries of a declared webhook: the proof, else the last ones."""
    live = matched.of(webhook)
    if live is None:
        finding = warn if proof is None else fail
        yield finding("not live", "CloudTruth has no such webhook", fix=_APPLY)
        return
    observation = None if proof is None else proof.observations.get(live.id)
    if observation is not None:
        yield _proved(webhook, observation)
    else:
        if proof is not None:
            yield unknown("not covered", "listens to other events only: the proof cannot test it")
        yield _last_delivery(live)
    if _key(webhook) in matched.differs:
        yield warn("differs", "the live webhook is not as in the file", fix=_APPLY)


def _last_delivery(live: LiveWebhook) -> Check:
    state = delivery(live).state
    if state is DeliveryState.FAILING:
        return _failure("failing", live.type, live.last_error)
    return _STATES[state]


def _failure(name: str, type: str, error: DeliveryError | None) -> Check:
    """Return a failed check for an error of CloudTruth; Slack's codes have a meaning and a fix."""
    detail = quote(delivery_error(error))
    known = slack.cause(error.code or "") if error is not None and type == "slack" else None
    if known is not None:
        return fail(name, f"{detail}: {known[0]}", fix=f"{known[1]}, {_PROVE}")
    return fail(name, detail, fix=f"fix the receiver, or the destination in the file, {_PROVE}")


def look_up(
    tokens: Mapping[SecretRef, Secret],
    connect: Callable[[Secret], Transport] | None,
    workers: Workers,
) -> Apps:
    """Look up each distinct token once, several at a time; without `connect` only their form."""
    numbers = Secret.groups(tokens.values())
    distinct = dict(zip(numbers, tokens.values(), strict=True))
    calls = [partial(slack.look_up, token, connect) for token in distinct.values()]
    apps = dict(zip(distinct, workers.run(calls), strict=True))
    return {ref: apps[number] for ref, number in zip(tokens, numbers, strict=True)}


def slack_tokens(
    webhooks: Iterable[Webhook], secrets: Mapping[SecretRef, Secret]
) -> dict[SecretRef, Secret]:
    """Return the available Slack tokens of webhooks."""
    refs = (webhook.configuration["token"] for webhook in webhooks if webhook.type == "slack")
    return {ref: secrets[ref] for ref in refs if isinstance(ref, SecretRef) and ref in secrets}


def post(
    webhooks: Iterable[Webhook],
    tokens: Mapping[SecretRef, Secret],
    apps: Apps,
    connect: Callable[[Secret], Transport],
) -> tuple[Section, ...]:
    """Post a message for each Slack webhook whose token Slack accepts."""
    posts = []
    for webhook in webhooks:
        reference = webhook.configuration.get("token")
        if webhook.type != "slack" or not isinstance(reference, SecretRef):
            continue
        if reference in apps and apps[reference].accepted:
            check = slack.post(webhook, tokens[reference], connect)
            posts.append(("Test messages", webhook, check))
    return grouped(posts)


def check(
    webhooks: Sequence[Webhook],
    secrets: Mapping[SecretRef, Secret],
    apps: Apps,
    matched: Matched | None,
    proof: Proof | None = None,
) -> tuple[Section, ...]:
    """Return the checks of declared webhooks. `matched` is None if the live ones were not read."""
    found: list[tuple[str, Webhook, Check]] = []
    for webhook in webhooks:
        states = [_NOT_READ] if matched is None else _deliveries(webhook, matched, proof)
        found += [("Deliveries", webhook, check) for check in states]
    for webhook in webhooks:
        match webhook.type:
            case "slack":
                title, checks = _slack(webhook, apps)
            case "generic":
                title, checks = "Generic", _generic(webhook, secrets)
            case _:
                continue
        found += [(title, webhook, check) for check in checks]
    proofs = (
        () if proof is None else (Section("Proof", (_parameter(proof.scratch, proof.written),)),)
    )
    return (*grouped(found), *proofs)


def grouped(found: Iterable[tuple[str, Webhook, Check]]) -> tuple[Section, ...]:
    """Return sections with these titles; equal checks of a section are one, with its webhooks."""
    sections: dict[str, dict[Check, list[Subject]]] = {}
    for title, webhook, check in found:
        subjects = sections.setdefault(title, {}).setdefault(check, [])
        subjects.append(Subject(webhook.name, webhook.position))
    return tuple(
        Section(
            name=title,
            checks=tuple(check._replace(webhooks=tuple(named)) for check, named in checks.items()),
        )
        for title, checks in sections.items()
    )


def _slack(webhook: Webhook, apps: Apps) -> tuple[str, Iterable[Check]]:
    reference = webhook.configuration["token"]
    assert isinstance(reference, SecretRef)
    app = apps.get(reference)
    if app is None:
        detail = f"{quote(str(reference))}: not set, empty or not usable"
        fix = "set the variable in this command's environment, or put the token into the file"
        return f"Slack token {reference}", [fail("secret", detail, fix=fix)]
    same = sorted({str(ref) for ref in apps if apps[ref] is app})
    return f"Slack token {', '.join(same)}", slack.check_webhook(webhook, app)


def _generic(webhook: Webhook, secrets: Mapping[SecretRef, Secret]) -> Iterator[Check]:
    url = webhook.configuration["url"]
    notes = [*transport_notes(webhook.configuration, secrets)]
    if isinstance(url, SecretRef) and url not in secrets:
        yield unknown("url", f"{quote(str(url))}: not available here")
    elif not notes:
        yield ok("url", "an encrypted connection, or a private host")
    for finding in notes:
        yield ok(finding.rule, finding.message)  # it may be intended


def _parameter(scratch: Scratch, written: Written) -> Check:
    """Return whether all events were caused, and the parameter was deleted."""
    events = plural(len(written.events), "event")
    if written.remains:
        command = scratch.delete_command(scratch.name)
        why = "" if written.problem is None else f": {written.problem.message}"
        detail = f"{quote(scratch.name)} may still exist{why}"
        return fail("parameter", detail, fix=f"delete it: `{command}`")
    if written.problem is not None:
        detail = f"{events} only: {written.problem.message}"
        pattern = scratch.project.pattern
        if pattern and not written.events:
            detail += f"; names in this project must match {quote(pattern)}"
        return fail("parameter", detail, fix=written.problem.hint or "run again")
    return ok("parameter", f"created, changed and deleted: {events}")


def _proved(webhook: Webhook, observation: Observation) -> Check:
    match observation.verdict:
        case Verdict.DELIVERED:
            return ok("delivered", "the last run is new, and has no error")
        case Verdict.FAILED:
            assert observation.after is not None
            return _failure("failed", webhook.type, observation.after.last_error)
        case Verdict.UNCLEAR:
            detail = "the last run is new, but the last error has no time and may be new, too"
            return warn("unclear", detail, fix="look for the message at the receiver")
        case Verdict.DELETED:
            return fail("deleted", "another process deleted it", fix=_APPLY)
        case Verdict.NOT_RUN:
            fix = "run again; if it happens again, contact CloudTruth support"
            return fail("not run", "CloudTruth reports no run", fix=fix)
