"""Whether Slack will take what the declared webhooks send: looked at webhook by webhook.

Each distinct token is asked about once. Nothing is posted unless `send` says so. A value that
does not look like a Slack token is never sent to Slack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from reconciler.checks import Check, Checklist, Section, Status, fail, ok, unknown
from reconciler.errors import ApiError, CredentialError
from reconciler.findings import Position
from reconciler.kinds.slack import channel as bare
from reconciler.model import Scheme, Secret, SecretRef, Webhook
from reconciler.render.quote import quote
from reconciler.render.words import plural, reference
from reconciler.slack import verdicts
from reconciler.slack.web import MOST_PAGES, Answer

Channels: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Channels by name, as Slack describes them."""

_ID: Final = re.compile(r"[CG][A-Z0-9]{8,}")
_ELSEWHERE: Final = re.compile(r"[DUW][A-Z0-9]{8,}|@.*", re.DOTALL)


class SlackApi(Protocol):
    """Slack, seen with one token. Every method raises ApiError if Slack gives no answer."""

    def identity(self) -> Answer:
        """Ask whose token this is."""
        ...

    def channel(self, id: str) -> Answer:
        """Ask about one channel."""
        ...

    def channels(self, types: str, cursor: str) -> Answer:
        """Ask for a page of channels."""
        ...

    def post(self, channel: str, *, username: str, text: str) -> Answer:
        """Post a message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A declared Slack webhook. `token` is None where its value is not at hand."""

    name: str
    position: Position | None
    reference: SecretRef | None
    token: Secret | None = field(repr=False)
    channel: str
    username: str


def subjects(
    webhooks: Sequence[Webhook], secrets: Mapping[SecretRef, Secret]
) -> tuple[Subject, ...]:
    """Return the Slack webhooks among `webhooks`, with the tokens at hand."""
    return tuple(_subject(each, secrets) for each in webhooks if each.type == "slack")


def check(
    found: Sequence[Subject],
    connect: Callable[[Secret], SlackApi],
    *,
    send: bool = False,
    others: int = 0,
) -> Checklist:
    """Look at every subject; with `send` post one message for each that can.

    `connect` may raise CredentialError. `others` counts webhooks of other types, to be mentioned.
    """
    tokens: list[_Token] = []
    sections = []
    for each in found:
        checks = [_at_hand(each)]
        if each.token is not None:
            token = next((known for known in tokens if known.secret.same_as(each.token)), None)
            if token is None:
                token = _Token(each.token, connect)
                tokens.append(token)
            checks += _with_token(each, token, send=send)
        sections.append(Section(name=each.name, position=each.position, checks=tuple(checks)))
    remarks = []
    if not found:
        remarks.append("No Slack webhook is declared.")
    if others:
        remarks.append(f"{plural(others, 'webhook')} of other types left out.")
    return Checklist(command="slack check", sections=tuple(sections), remarks=tuple(remarks))


def _subject(webhook: Webhook, secrets: Mapping[SecretRef, Secret]) -> Subject:
    token = webhook.configuration["token"]
    ref = token if isinstance(token, SecretRef) else None
    return Subject(
        name=webhook.name,
        position=webhook.position,
        reference=ref,
        token=secrets.get(ref) if ref is not None else Secret(str(token)),
        channel=str(webhook.configuration["channel"]),
        username=str(webhook.configuration["username"]),
    )


def _at_hand(subject: Subject) -> Check:
    ref = subject.reference
    shown = "written into the file" if ref is None else reference(ref)
    if subject.token is not None:
        return ok("secret", shown)
    where = "in this command's environment"
    if ref is not None and ref.scheme is Scheme.FILE:
        return fail("secret", f"{shown}: no usable value", fix="create the file, one line of text")
    name = quote(ref.name) if ref is not None else "it"
    return fail("secret", f"{shown}: not set, or empty", fix=f"set {name} {where}")


def _with_token(subject: Subject, token: _Token, *, send: bool) -> list[Check]:
    checks = [token.kind, *token.identity]
    if token.api is None:
        return checks
    checks.append(verdicts.of_scopes(token.scopes, subject.username))
    checks.append(_channel(subject.channel, token, token.api))
    if send:
        checks.append(_send(subject, token.api))
    return checks


class _Token:
    """A token, what Slack says of it, and the channels that it can see.

    `api` is None once it is clear that Slack does not take the token.
    """

    def __init__(self, secret: Secret, connect: Callable[[Secret], SlackApi]) -> None:
        self.secret = secret
        self.kind = verdicts.of_token(secret)
        self.identity: tuple[Check, ...] = ()
        self.api: SlackApi | None = None
        self.scopes: frozenset[str] | None = None
        self._asked = False
        self._listed: Channels | None = None
        if self.kind.status is Status.FAIL:
            return
        try:
            api = connect(secret)
            answer = api.identity()
        except CredentialError as problem:
            self.identity = (fail("slack", problem.message, fix=problem.hint or "store it anew"),)
        except ApiError as problem:
            self.identity = (verdicts.of_silence("slack", problem),)
        else:
            self.identity = (verdicts.of_identity(answer),)
            self.scopes = answer.scopes
            self.api = api if answer.error is None else None

    def listed(self, api: SlackApi, types: str) -> Channels | None:
        """Return the channels of `types` by name, None if there are too many or Slack refuses.

        Slack is asked once, be the answer a refusal. Raises ApiError.
        """
        if not self._asked:
            self._listed = _channels(api, types)
            self._asked = True
        return self._listed


def _channels(api: SlackApi, types: str) -> Channels | None:
    found: dict[str, Mapping[str, Any]] = {}
    cursor = ""
    for _ in range(MOST_PAGES):
        answer = api.channels(types, cursor)
        if answer.error is not None:
            return None
        found |= {str(each.get("name")): each for each in _rows(answer.data)}
        cursor = _cursor(answer.data)
        if not cursor:
            return found
    return None


def _channel(channel: str, token: _Token, api: SlackApi) -> Check:
    types = verdicts.types_to_see(token.scopes)
    if _ELSEWHERE.fullmatch(channel):
        return unknown("channel", f"{quote(channel)}: a person, not a channel")
    if not types:
        return verdicts.of_unseen_channel(channel, token.scopes)
    try:
        if _ID.fullmatch(channel):
            answer = api.channel(channel)
            if answer.error is not None:
                return verdicts.of_refused_channel(channel, answer, token.scopes)
            described = answer.data.get("channel")
            found = described if isinstance(described, Mapping) else {}
            return verdicts.of_channel(channel, found, token.scopes)
        listed = token.listed(api, types)
    except ApiError as problem:
        return unknown("channel", f"{quote(channel)}: {problem.message}", fix=problem.hint)
    if listed is None:
        return unknown("channel", f"{quote(channel)}: Slack does not list its channels")
    known = listed.get(bare(channel))
    if known is None:
        return verdicts.of_missing_channel(channel, token.scopes)
    return verdicts.of_channel(channel, known, token.scopes)


def _send(subject: Subject, api: SlackApi) -> Check:
    text = (
        f"Messages of the CloudTruth webhook {_plain(subject.name)} arrive here. "
        "(Sent by webhooks slack check.)"
    )
    try:
        answer = api.post(subject.channel, username=subject.username, text=text)
    except ApiError as problem:
        return verdicts.of_silence("send", problem)
    return verdicts.of_post(subject.channel, subject.username, answer)


def _plain(text: str) -> str:
    """Return text that Slack shows as it is: no mention and no link is made without these."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rows(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = data.get("channels")
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []


def _cursor(data: Mapping[str, Any]) -> str:
    after = data.get("response_metadata")
    cursor = after.get("next_cursor") if isinstance(after, dict) else None
    return cursor if isinstance(cursor, str) else ""
