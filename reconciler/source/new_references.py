"""Choose the references for the secrets of live webhooks.

Fields with equal visible values share a reference. Each hidden value has a separate one, except
Slack tokens: those with the same username and equal masks are assumed to be one. The variable of a
URL that several webhooks share is named after its host; another one after the first webhook with
the value, or for a hidden token after its username.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from types import MappingProxyType
from typing import Final, NamedTuple

from reconciler.findings import in_quotes, plural
from reconciler.kinds import FIELDS, KINDS, Field, slack
from reconciler.model import LiveWebhook, Secret, SecretRef, Webhook
from reconciler.planning.readback import (
    gather_evidence,
    is_encrypted,
    is_hidden,
    nonempty,
    plausible,
)
from reconciler.source.secrets import public_url

SLACK_TOKEN: Final = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
"""The reference for the token of Slack webhooks, unless the user chooses another."""

_SLACK_TOKEN: Final = FIELDS[slack.KIND.type]["token"]
_MAX_VARIABLE: Final = 100


class SlackToken(NamedTuple):
    """A Slack token, the reference for it, and its webhooks.

    `username` is None for a token that the server shows. Hidden ones of a username are assumed to
    be one.
    """

    reference: SecretRef
    username: str | None
    webhooks: tuple[LiveWebhook, ...]


class Tokens(NamedTuple):
    """The references that a user has chosen for Slack tokens.

    `named` are those of hidden tokens by username, and `shared` is for all others; without it,
    each username has a separate one. `visible` are those of tokens that the server shows, by the
    ids of their webhooks. The `declared` usernames have references from files, not from the user.
    If there are any, `shared` is from files, too, and is not assumed for other usernames.

    `in_files` are the variables that files use, with their values so far as known. `uses` are the
    declarations of the organization that use them, as (variable, webhook, field).
    """

    shared: SecretRef | None = None
    named: Mapping[str, SecretRef] = MappingProxyType({})
    visible: Mapping[str, SecretRef] = MappingProxyType({})
    declared: frozenset[str] = frozenset()
    in_files: Mapping[str, Secret | None] = MappingProxyType({})
    uses: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def for_all(self) -> SecretRef | None:
        """The reference for hidden tokens of all other usernames, if the user chose one."""
        return None if self.declared else self.shared

    @property
    def assigned(self) -> frozenset[str]:
        """The usernames whose references are from the user."""
        return frozenset(self.named.keys() - self.declared)

    def assumptions(
        self, tokens: Iterable[SlackToken], *, without: Collection[str] = ()
    ) -> Iterator[str]:
        """Yield a line for each reference that several hidden tokens are assumed to be.

        Those of the usernames in `without` are left out. A single token has a line, too, if its
        username is named, or its reference is the usual one of several: its name does not show
        whose it is.
        """
        groups: defaultdict[SecretRef, list[SlackToken]] = defaultdict(list)
        for token in tokens:
            if token.username is not None:
                groups[token.reference].append(token)
        for reference, group in groups.items():
            assumed = [token for token in group if token.username not in without]
            number = sum(len(token.webhooks) for token in assumed)
            is_usual = reference == SLACK_TOKEN and len(groups) > 1
            is_named = any(token.username in self.named for token in assumed)
            if number > 1 or (number and (is_usual or is_named)):
                yield _assumption(reference, assumed)


def _assumption(reference: SecretRef, tokens: Sequence[SlackToken]) -> str:
    webhooks = plural(sum(len(token.webhooks) for token in tokens), "webhook")
    if len(tokens) > 1:  # usernames tell the apps of Slack apart
        webhooks += f", although they have {len(tokens)} usernames"
    users = [f"{in_quotes(token.username)} ({len(token.webhooks)})" for token in tokens]
    return f"{reference} for {webhooks}: username {', '.join(users)}"


def declared_tokens(webhooks: Iterable[Webhook]) -> Tokens:
    """Return the references that most declared Slack webhooks use, of all and by username."""
    counts: Counter[SecretRef] = Counter()
    uses: set[tuple[str, str, str]] = set()
    counts_by_username: defaultdict[str, Counter[SecretRef]] = defaultdict(Counter)
    for webhook in webhooks:
        uses |= {(reference.name, webhook.name, field) for field, reference in webhook.references}
        token = webhook.configuration.get(_SLACK_TOKEN.name)
        if (
            webhook.type == slack.KIND.type
            and isinstance(token, SecretRef)
            and not token.is_literal
        ):
            counts[token] += 1
            counts_by_username[str(webhook.configuration["username"])][token] += 1
    shared = next((token for token, _ in counts.most_common(1)), None)
    named = {name: tokens.most_common(1)[0][0] for name, tokens in counts_by_username.items()}
    return Tokens(shared, named, declared=frozenset(named), uses=frozenset(uses))


class References:
    """The `chosen` references of live webhooks, by id and field; not set or text fields have none.

    They depend on all live webhooks, so that a partial export uses the same names. Of the Slack
    tokens, the one that most of the `exported` ids share has the reference `token`. `evidence`
    has the secret fields that any webhook shows, masked or not.
    """

    def __init__(
        self, webhooks: Iterable[LiveWebhook], exported: Collection[str], tokens: Tokens
    ) -> None:
        known = [webhook for webhook in webhooks if webhook.type in KINDS]
        self.token = tokens.shared or SLACK_TOKEN
        self.evidence = gather_evidence((), known, {})
        self._tokens = tokens
        self._exported = exported
        # A new variable must not have the name of one that the user has chosen for another secret.
        answers = chain(tokens.named.values(), tokens.visible.values())
        self._chosen_names = {self.token.name, *(reference.name for reference in answers)}
        self.chosen: dict[tuple[str, str], SecretRef] = {}
        for kind in KINDS.values():
            same_type = [webhook for webhook in known if webhook.type == kind.type]
            for field in kind.fields:
                if field.secret:
                    self._choose(field, same_type)

    def hidden_token(self, webhook: LiveWebhook) -> SecretRef | None:
        """Return the reference of a Slack webhook's token that the server hides."""
        if plausible(webhook.value(_SLACK_TOKEN.name)):
            return None
        return self._slack_token(webhook)

    def slack_tokens(self, webhooks: Iterable[LiveWebhook]) -> tuple[SlackToken, ...]:
        """Group webhooks by their Slack token, the most frequent first."""
        groups: defaultdict[tuple[SecretRef, str | None], list[LiveWebhook]] = defaultdict(list)
        for webhook in webhooks:
            reference = self._slack_token(webhook)
            if reference is not None:
                user = None if self.hidden_token(webhook) is None else username(webhook)
                groups[reference, user].append(webhook)
        tokens = [SlackToken(*key, tuple(group)) for key, group in groups.items()]
        return tuple(sorted(tokens, key=lambda token: len(token.webhooks), reverse=True))

    def _slack_token(self, webhook: LiveWebhook) -> SecretRef | None:
        if webhook.type != slack.KIND.type:
            return None
        return self.chosen.get((webhook.id, _SLACK_TOKEN.name))

    def _choose(self, field: Field, webhooks: Iterable[LiveWebhook]) -> None:
        """Choose the references of a secret field, those that most webhooks share first."""
        members = [webhook for webhook in webhooks if self._refers(field, webhook)]
        # They choose first, so the names without a number belong to the most used values.
        groups = sorted(self._groups(field, members), key=len, reverse=True)
        known: dict[int, SecretRef] = {}
        if field == _SLACK_TOKEN:
            known = self._known_tokens(groups)
        for number, group in enumerate(groups):
            reference = known.get(number) or self._new_reference(field, group)
            for webhook in group:
                self.chosen[webhook.id, field.name] = reference

    def _refers(self, field: Field, webhook: LiveWebhook) -> bool:
        """Return whether a file refers to the value of a secret field, shown or hidden."""
        if nonempty(webhook.value(field.name)) is not None:
            return literal_value(field, webhook) is None
        partner = FIELDS[webhook.type].get(field.partner or "")
        has_partner = partner is not None and literal_value(partner, webhook) is not None
        # If the server shows this field of others, it would show a value here, too: there is none.
        return (field.required or has_partner) and field.name not in self.evidence.shown

    def _groups(self, field: Field, webhooks: Sequence[LiveWebhook]) -> list[list[LiveWebhook]]:
        """Return the webhooks by the value of a secret field: those that may share a reference."""
        values = [nonempty(webhook.value(field.name)) for webhook in webhooks]
        numbers = Secret.groups(value or Secret("") for value in values)
        groups: defaultdict[object, list[LiveWebhook]] = defaultdict(list)
        for webhook, value, number in zip(webhooks, values, numbers, strict=True):
            key: object = number
            if not plausible(value):
                key = webhook.id
                if field == _SLACK_TOKEN:
                    key = self._hidden_group(webhook, number)
            groups[key].append(webhook)
        return list(groups.values())

    # Slack tokens

    def _hidden_group(self, webhook: LiveWebhook, number: int) -> object:
        """Return what webhooks have in common whose hidden tokens are assumed to be equal.

        `number` is the same for equal masks.
        """
        named = self._named(webhook)
        if named is not None:
            return named
        # The same token may be encrypted differently each time.
        value = nonempty(webhook.value(_SLACK_TOKEN.name))
        mask: object = number
        if value is not None and is_encrypted(value):
            mask = "encrypted"
        return mask if self._tokens.for_all is not None else (mask, username(webhook))

    def _known_tokens(self, groups: Sequence[Sequence[LiveWebhook]]) -> dict[int, SecretRef]:
        """Return the references of groups, by index, that the user has chosen or that are usual."""
        known: dict[int, SecretRef] = {}
        exported: dict[int, int] = {}
        for index, group in enumerate(groups):
            named = self._named(group[0])
            if named is not None:
                known[index] = named
            elif self._may_share(group):
                exported[index] = sum(webhook.id in self._exported for webhook in group)
        if exported:
            known[max(exported, key=exported.__getitem__)] = self.token
        return known

    def _named(self, webhook: LiveWebhook) -> SecretRef | None:
        """Return the reference that the user has chosen for a token, or for its username."""
        if plausible(webhook.value(_SLACK_TOKEN.name)):
            return self._tokens.visible.get(webhook.id)
        return self._tokens.named.get(username(webhook))

    def _may_share(self, group: Sequence[LiveWebhook]) -> bool:
        """Return whether tokens without a chosen reference may have the shared one.

        One that others use is assumed only if the user chose it for all.
        """
        tokens = self._tokens
        if tokens.for_all is not None:
            return True
        # The name without `version`, because a variable has one value in a run.
        variable = self.token.name
        assigned = {tokens.named[name].name for name in tokens.assigned}
        assigned.update(reference.name for reference in tokens.visible.values())
        return variable not in assigned and self._is_free(variable, _SLACK_TOKEN, group)

    # New variables

    def _new_reference(self, field: Field, group: Sequence[LiveWebhook]) -> SecretRef:
        """Choose a variable that no other secret has, and return a reference to it."""
        stem = _variable(self._owner(field, group), field.name)
        # Two webhooks may have names that differ only in characters that no variable can have.
        names = chain([stem], (f"{stem}_{number}" for number in count(2)))
        free = (name for name in names if name not in self._chosen_names)
        name = next(name for name in free if self._is_free(name, field, group))
        self._chosen_names.add(name)
        return SecretRef(scheme="env", name=name)

    def _is_free(self, variable: str, field: Field, group: Sequence[LiveWebhook]) -> bool:
        """Return whether no file uses a variable for another secret, so far as it is seen."""
        uses = ((variable, webhook.name, field.name) for webhook in group)
        if variable not in self._tokens.in_files or not self._tokens.uses.isdisjoint(uses):
            return True
        secret = group[0].value(field.name)
        return plausible(secret) and secret == self._tokens.in_files[variable]

    def _owner(self, field: Field, group: Sequence[LiveWebhook]) -> str:
        """Return what the variable of a secret is named after."""
        first = group[0]
        owner, secret = first.name, nonempty(first.value(field.name))
        if field.is_url and secret is not None and len(group) > 1:
            return (secret.origin() or "").partition("://")[2] or owner
        if field == _SLACK_TOKEN and not plausible(secret) and self._tokens.for_all is None:
            return username(first) or owner
        return owner


def _variable(owner: str, field: str) -> str:
    """Return a variable's name for a field of the webhook or host `owner`.

    It begins with WEBHOOK; if `owner` is too long, its end is kept.
    """
    end = owner[-10 * _MAX_VARIABLE :]
    plain = unicodedata.normalize("NFKD", end).encode("ascii", "ignore").decode()
    words = "_".join(re.findall(r"[A-Za-z0-9]+", plain.upper()))[-_MAX_VARIABLE:].strip("_")
    return "_".join(filter(None, ["WEBHOOK", words, field.upper()]))


def username(webhook: LiveWebhook) -> str:
    """Return the username, empty without one."""
    value = webhook.value("username")
    return value if isinstance(value, str) else ""


def literal_value(field: Field, webhook: LiveWebhook) -> str | bool | None:
    """Return a value that the file has as text or flag; None if it is not set, hidden or secret."""
    value = webhook.value(field.name)
    if not field.secret and is_hidden(field, value):
        return None
    match value:
        case Secret() as url if field.is_url:
            return public_url(url)
        # Before numbers, because a bool is an int. The default is left out.
        case bool(flag):
            return flag if field.is_boolean and flag != field.default else None
        case str(text) if plausible(text) and not field.is_boolean:
            return text
        case int() | float() as number if not field.is_boolean:
            return str(number)
    return None
