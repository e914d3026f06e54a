"""Check whether the messages of the declared webhooks arrive.

A pure function of the files, the live webhooks, and Slack's answers. Equal results are one check
with its webhooks: a revoked token is one failure, not one for each webhook. No request is ever sent
to the URL of a webhook, because this machine's network is not CloudTruth's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.api.transport import Transport
from reconciler.checks import Check, Section, Subject, fail, ok, unknown, warn
from reconciler.deliveries import slack
from reconciler.deliveries.proof import Observation, Proof, Verdict
from reconciler.model import DeliveryError, Live, LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.delivery import DeliveryState, delivery
from reconciler.planning.plan import Plan
from reconciler.planning.transport import transport_notes
from reconciler.ports import Workers
from reconciler.render.quote import quote
from reconciler.render.words import delivery_error, plural

_APPLY: Final = "run `webhooks plan` and `webhooks apply`"
_PROVE: Final = "then prove it: `webhooks check --deliver PROJECT`"
_STATES: Final = {
    DeliveryState.FAILED_EARLIER: ok("failed earlier", "the last run succeeded"),
    DeliveryState.NEVER_RUN: unknown("never run", "no event yet", fix=_PROVE.removeprefix("then ")),
    DeliveryState.DELIVERING: ok("delivering", "the last run succeeded"),
    DeliveryState.UNKNOWN: unknown(
        "unknown", "the server's times do not show whether the last run failed", fix=_PROVE
    ),
}

_Key = tuple[str, int]


class Part(NamedTuple):
    """The declared webhooks of an organization, and what is known about them.

    `matched` are the live webhooks, or the check that shows why they were not read. `name` is None
    if the run has only one organization. `apps` are Slack's answers by the reference of the token.
    """

    webhooks: tuple[Webhook, ...]
    secrets: Mapping[SecretRef, Secret]
    matched: Matched | Check
    name: str | None = None
    apps: Mapping[SecretRef, slack.App] = MappingProxyType({})

    @property
    def live(self) -> list[LiveWebhook]:
        """Return the live webhooks of the declared ones."""
        if isinstance(self.matched, Check):
            return []
        pairs = map(self.matched.of, self.webhooks)
        return [webhook for webhook in pairs if webhook is not None]

    @property
    def tokens(self) -> dict[SecretRef, Secret]:
        """Return the available Slack tokens."""
        refs = [webhook.configuration["token"] for webhook in self.webhooks if _is_slack(webhook)]
        secrets = self.secrets
        return {ref: secrets[ref] for ref in refs if isinstance(ref, SecretRef) and ref in secrets}


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


def _deliveries(webhook: Webhook, matched: Matched | Check, proof: Proof | None) -> Iterator[Check]:
    """Yield the checks of the deliveries of a declared webhook: the proof, else the last ones."""
    if isinstance(matched, Check):
        yield matched
        return
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
    parts: Sequence[Part], connect: Callable[[Secret], Transport] | None, workers: Workers
) -> list[Part]:
    """Look up each distinct token of all organizations once, several at a time.

    Without `connect`, only the form of the tokens is checked.
    """
    tokens = [token for part in parts for token in part.tokens.values()]
    numbers = Secret.groups(tokens)
    distinct = dict(zip(numbers, tokens, strict=True))
    calls = [partial(slack.look_up, token, connect) for token in distinct.values()]
    apps = dict(zip(distinct, workers.run(calls), strict=True))
    left = iter(numbers)
    return [part._replace(apps={ref: apps[next(left)] for ref in part.tokens}) for part in parts]


def post(parts: Iterable[Part], connect: Callable[[Secret], Transport]) -> tuple[Section, ...]:
    """Post a message for each Slack webhook whose token Slack accepts."""
    return _grouped(
        ("Test messages", slack.post(webhook, part.secrets[ref], connect), _subject(webhook, part))
        for part in parts
        for webhook, ref in _with_tokens(part)
        if part.apps[ref].accepted
    )


def _with_tokens(part: Part) -> Iterator[tuple[Webhook, SecretRef]]:
    for webhook in part.webhooks:
        ref = webhook.configuration.get("token")
        if _is_slack(webhook) and isinstance(ref, SecretRef) and ref in part.apps:
            yield webhook, ref


def _is_slack(webhook: Webhook) -> bool:
    return webhook.type == "slack"


def check(parts: Sequence[Part], proof: Proof | None = None) -> tuple[Section, ...]:
    """Return the checks of all declared webhooks. A proof is of the only organization."""
    found: list[_Found] = []
    for part in parts:
        for webhook in part.webhooks:
            checks = _deliveries(webhook, part.matched, proof)
            found += [("Deliveries", check, _subject(webhook, part)) for check in checks]
    # One section for a token, whatever its references in the organizations are.
    names: dict[int, set[str]] = {}
    for part in parts:
        for ref, app in part.apps.items():
            names.setdefault(id(app), set()).add(str(ref))
    for part in parts:
        for webhook in part.webhooks:
            title, checks = "Generic", _generic(webhook, part.secrets)
            if _is_slack(webhook):
                ref, checks = _slack(webhook, part)
                shown = names[id(part.apps[ref])] if ref in part.apps else {str(ref)}
                title = f"Slack token {', '.join(sorted(shown))}"
            found += [(title, check, _subject(webhook, part)) for check in checks]
    sections = _grouped(found)
    if proof is None:
        return sections
    return (*sections, Section("Proof", (check_parameter(proof),)))


_Found = tuple[str, Check, Subject]
"""The title of a section, a check in it, and a webhook with this result."""


def _subject(webhook: Webhook, part: Part) -> Subject:
    return Subject(webhook.name, webhook.position, part.name)


def _grouped(found: Iterable[_Found]) -> tuple[Section, ...]:
    """Return the sections; equal checks of a section are one, with all their webhooks."""
    sections: dict[str, dict[Check, list[Subject]]] = {}
    for title, check, webhook in found:
        sections.setdefault(title, {}).setdefault(check, []).append(webhook)
    return tuple(
        Section(
            name=title,
            checks=tuple(check._replace(webhooks=tuple(named)) for check, named in checks.items()),
        )
        for title, checks in sections.items()
    )


def _slack(webhook: Webhook, part: Part) -> tuple[SecretRef, Iterator[Check]]:
    """Return the reference of the token of a Slack webhook, and its checks."""
    reference = webhook.configuration["token"]
    assert isinstance(reference, SecretRef)
    if reference in part.apps:
        return reference, slack.check_webhook(webhook, part.apps[reference])
    detail = f"{quote(str(reference))}: not set, empty or not usable"
    fix = "set the variable in this command's environment, or put the token into the file"
    return reference, iter([fail("secret", detail, fix=fix)])


def _generic(webhook: Webhook, secrets: Mapping[SecretRef, Secret]) -> Iterator[Check]:
    url = webhook.configuration.get("url")
    notes = [*transport_notes(webhook.configuration, secrets)]
    if isinstance(url, SecretRef) and url not in secrets:
        yield unknown("url", f"{quote(str(url))}: not available here")
    elif url is not None and not notes:
        yield ok("url", "an encrypted connection, or a private host")
    for finding in notes:
        yield ok(finding.rule, finding.message)  # it may be intended


def check_parameter(proof: Proof) -> Check:
    """Return whether all events of a proof were caused, and its parameter was deleted."""
    scratch, written = proof.scratch, proof.written
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
