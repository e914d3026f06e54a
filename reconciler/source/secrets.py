"""Recognize values of secrets, and fetch them.

`apply` resolves references before its first write, and checks again which ones are allowed, because
a saved plan can contain references that no file of this run declares. Messages never contain a
value or part of one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler.findings import Finding, Place, error, has_errors, masked, note, warning
from reconciler.kinds import FIELDS, KINDS, Field, slack
from reconciler.model import Secret, SecretRef, Value, Webhook, declared_secret, origin_of
from reconciler.source.schemes import (
    KEYS,
    OF_CLOUDTRUTH,
    SCHEMES,
    Machine,
    UnresolvedError,
    forbidden,
    forbidden_variable,
    refusal,
    target_refusal,
    unresolved,
)

PLACEHOLDER: Final = re.compile(
    r"\$(?:[A-Z_][A-Z0-9_]*|[a-z]+(?:_[a-z0-9]+)+)|%\w+%|<[\w .:-]+>|\*+"
    rf"|\{{\s*(?:{KEYS})\s*:.*\}}|(?:{KEYS}):\s*[\w./-]+"
    r"|.*(?:\$\{[^{}]*\}|\{\{[^{}]*\}\}).*|https?://.*(?:\$[A-Z][A-Z0-9_]+\b|\*\*\*).*",
    re.DOTALL,
)
"""Placeholders that other programs replace: `$NAME`, `${NAME}`, `<token>`, `env:NAME`.

In a URL, `$NAME` and `***` (a masked part) are placeholders anywhere; in a token they may occur by
chance.
"""

_VARIABLE: Final = re.compile(r"\$[A-Z][A-Z0-9_]+\b")

_AROUND: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""Characters that pasting may add around a value: spaces, line breaks, a byte order mark."""

# Hosts whose URLs are credentials: anyone who knows the URL can post.
_CAPABILITY_HOSTS: Final = (
    ".hooks.slack.com", ".hooks.slack-gov.com",
    ".discord.com", ".discordapp.com",
    ".webhook.office.com", ".webhook.office365.com",
    ".outlook.office.com", ".outlook.office365.com",
    ".logic.azure.com", ".powerplatform.com",
    ".chat.googleapis.com",
    ".hooks.zapier.com", ".make.com", ".integromat.com", ".maker.ifttt.com", ".pipedream.net",
    ".api.telegram.org", ".webhook.site", ".events.pagerduty.com", ".hooks.mattermost.com",
)  # fmt: skip

_PLAIN_WORD: Final = re.compile(
    r"(?=.{1,28}$)(?:(?:[A-Z]?[a-z]+){1,4}|[A-Z]+)[0-9]{0,4}|[0-9]{1,12}"
)
"""A word of a path, in any case and with or without a number, or a number."""

_USABLE_URL: Final = re.compile(r"https?://[^\s/?#<>][^\s<>]*")
_SLACK_URL: Final = r"(?is)https://(?:[a-z0-9-]+\.)*slack(?:-gov)?\.com(?::443)?(?:[/?#][^\\]*)?"
"""A URL of Slack, the only server except CloudTruth that may receive a Slack token."""

_CONTROL: Final = re.compile(r".*[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff].*", re.DOTALL)


def bare(text: str) -> str:
    """Return a pasted value without surrounding spaces, line breaks and byte order marks."""
    return text.strip(_AROUND)


def is_padded(text: str) -> bool:
    """Return whether `bare` removes more than the one line break that editors and `echo` add."""
    return bare(text) != text.removesuffix("\n").removesuffix("\r")


def wrap(value: str) -> Secret:
    """Return `value` as a secret, without surrounding spaces, line breaks and byte order marks."""
    return Secret(bare(value))


def flaw(secret: Secret) -> str | None:
    """Return why a value cannot be sent, worded to follow its name; None if it can."""
    if secret.matches(re.compile(r"\s*")):
        return "is empty"
    if secret.matches(_CONTROL):
        return "contains a line break or another control character"
    return None


def holds_token(text: str) -> bool:
    """Return whether a text contains a Slack token."""
    # Nearly every text has neither, so the pattern is rarely searched.
    return ("xox" in text or "xapp" in text) and slack.TOKEN.search(text) is not None


def is_placeholder(text: str) -> bool:
    """Return whether visible text is or contains a placeholder of another program."""
    return PLACEHOLDER.fullmatch(text) is not None or _VARIABLE.search(text) is not None


def is_url(url: str) -> bool:
    """Return whether a text is an absolute http or https URL, possibly with an invalid host."""
    return _USABLE_URL.fullmatch(url) is not None


def url_credential(url: str) -> str | None:
    """Return why a URL is a secret, worded to follow "the URL"; None if it is not."""
    origin = origin_of(url)
    if origin is None:
        return "cannot be parsed, so it may contain a credential"
    parts, host = urlsplit(url), origin.partition("://")[2]
    # From the certain signs to the probable ones: the first is the clearest reason.
    if "@" in parts.netloc:
        return "contains credentials"
    # Parameters have no common names, so any query counts.
    if parts.query:
        return "has a query, which often contains a key"
    if f".{host}".endswith(_CAPABILITY_HOSTS):
        return f"lets anyone post to {host}"
    if holds_token(url):
        return "contains a Slack token"
    words = re.findall(r"[^\W_]+", unquote(f"{parts.path} {parts.fragment}"))
    random_words = [word for word in words if _PLAIN_WORD.fullmatch(word) is None]
    if sum(map(len, random_words)) >= 10:
        return "has a long random part, which is often a key"
    return None


def public_url(secret: Secret) -> str | None:
    """Return a live URL that a file may contain as text; None if it may be a credential."""
    url = secret.reveal()
    ordinary = is_url(url) and url.isprintable() and not is_placeholder(url)
    return url if ordinary and url_credential(url) is None else None


def fits(field: Field, secret: Secret) -> bool:
    """Return whether a value can be sent as `field`."""
    if field.is_url:
        is_usable = secret.matches(_USABLE_URL) and secret.origin() is not None
        # No type has a pattern for its URL yet, but a new one may.
        return is_usable and secret.matches(re.compile(field.schema_pattern or ".*", re.DOTALL))
    return field.secret_pattern is None or secret.matches(field.secret_pattern)


# Fetching


def references(webhooks: Iterable[Webhook]) -> tuple[SecretRef, ...]:
    """Return every reference of `webhooks`, each once."""
    named = (reference for webhook in webhooks for _, reference in webhook.references)
    return tuple(dict.fromkeys(named))


def fetch(
    webhooks: Sequence[Webhook],
    machine: Machine,
    *,
    literals: Mapping[SecretRef, Secret],
    api_keys: Sequence[Secret] = (),
    allow: Sequence[str] = (),
) -> tuple[dict[SecretRef, Secret], dict[SecretRef, tuple[Finding, ...]]]:
    """Return the values of references of `webhooks`, and the problems of each; raise nothing.

    A reference with an error has no value. A value that contains one of `api_keys`, equals the
    value of a forbidden variable or does not fit its field is refused. `allow` has the patterns of
    `--allow-secret`; () allows everything that is not forbidden.
    """
    # Values, because another variable may have a copy of a forbidden one.
    kept_back = {
        name: wrap(value) for name, value in machine.environ.items() if forbidden_variable(name)
    }
    problems: dict[SecretRef, list[Finding]] = defaultdict(list)
    fetched: dict[SecretRef, Secret] = {}
    for ref in sorted(references(webhooks), key=str):
        try:
            # Before reading: what may not be sent is not even read.
            _raise(refusal(ref, allow))
            secret, padded = _value(ref, machine, literals, allow)
        except UnresolvedError as problem:
            problems[ref].append(problem.finding)
            continue
        problems[ref] += _unsuitable(_subject(ref), secret, padded, api_keys, kept_back)
        if not has_errors(problems[ref]):
            fetched[ref] = secret
    # The field matters only for values that may be sent at all.
    for ref, misuse in _misuses(webhooks, fetched):
        # Many webhooks use a value in the same way; a problem is shown at the first of them.
        if all(known.message != misuse.message for known in problems[ref]):
            problems[ref].append(misuse)
    return (
        {ref: secret for ref, secret in fetched.items() if not has_errors(problems[ref])},
        {ref: tuple(findings) for ref, findings in problems.items() if findings},
    )


def _misuses(
    webhooks: Iterable[Webhook], fetched: Mapping[SecretRef, Secret]
) -> Iterator[tuple[SecretRef, Finding]]:
    """Yield the problems of values in their fields, each way to use a value once."""
    uses: dict[tuple[str, str, SecretRef, Value | None], Webhook] = {}
    for webhook in webhooks:
        destination = webhook.configuration.get(KINDS[webhook.type].destination_field)
        for name, ref in webhook.references:
            if ref in fetched:
                uses.setdefault((webhook.type, name, ref, destination), webhook)
    for (kind, name, ref, destination), webhook in uses.items():
        problem = _field_problem(FIELDS[kind][name], ref, destination, fetched)
        if problem is not None:
            place = Place(webhook.file, ("webhooks", webhook.index, "configuration", name))
            yield ref, problem._replace(place=place)


def _value(
    ref: SecretRef,
    machine: Machine,
    literals: Mapping[SecretRef, Secret],
    allow: Sequence[str],
) -> tuple[Secret, bool]:
    """Return a value, and whether more than one line break was removed around it.

    Raises UnresolvedError.
    """
    if ref.is_literal:
        return literals[ref], False

    # The name was allowed, but links in its path are known only when the file is read.
    def check(target: Path) -> None:
        _raise(target_refusal(ref, target, allow, machine.directory))

    text = SCHEMES[ref.scheme].read(ref.name, machine, check)
    return wrap(text), is_padded(text)


def _raise(refused: Finding | None) -> None:
    if refused is not None:
        raise UnresolvedError(refused)


def _unsuitable(
    subject: str,
    secret: Secret,
    padded: bool,
    api_keys: Sequence[Secret],
    kept_back: Mapping[str, Secret],
) -> Iterator[Finding]:
    """Yield the problems of a value that are independent of its field."""
    problem = flaw(secret)
    if problem is not None:
        yield unresolved(f"{subject} {problem}", "store only the value, without line breaks")
        return
    # Before placeholders: that the value is a credential is more urgent.
    owner = _owner(secret, api_keys, kept_back)
    if owner is not None:
        yield error(
            "forbidden-secret",
            f"{subject} {owner}, which is never sent to a webhook",
            "use this webhook's own secret",
        )
    elif secret.matches(PLACEHOLDER):
        yield error(
            "unreplaced-placeholder",
            f"{subject} is a placeholder that was not expanded",
            "store the value itself; check the step that writes the variable or the file",
        )
    elif padded:
        what = "surrounding whitespace or a byte order mark, which is not sent"
        yield note("trimmed-secret", f"{subject} has {what}", "remove the whitespace")


def _owner(
    secret: Secret, api_keys: Sequence[Secret], kept_back: Mapping[str, Secret]
) -> str | None:
    """Return which credential of the run a value is, worded to follow its name."""
    if any(secret.contains(key) for key in api_keys):
        return "contains a CloudTruth API key"
    # A short value may be equal by chance.
    if secret.matches(re.compile(r"(?s).{8,}")):
        for name in sorted(kept_back):
            if secret == kept_back[name]:
                return f"is also the value of {name}"
    return None


def _field_problem(
    field: Field, ref: SecretRef, destination: Value | None, fetched: Mapping[SecretRef, Secret]
) -> Finding | None:
    """Return the problem of a value as `field` of webhooks with this destination, if any."""
    secret = fetched[ref]
    if not fits(field, secret):
        return error(
            "malformed-secret",
            f"{_subject(ref)} is not {field.noun}",
            "store only the value there, without quotes or other text",
        )
    if field.secret_pattern is slack.TOKEN:
        meaning = slack.non_bot_description(secret)
        if meaning is not None:
            return warning("not-a-bot-token", f"{_subject(ref)} is {meaning}", slack.USE_A_BOT)
    # In a field for another secret, a Slack token would leave Slack.
    elif secret.matches(re.compile(f"(?s).*(?:{slack.TOKEN.pattern}).*")):
        url = declared_secret(destination or "", fetched)
        if url is not None and not url.matches(re.compile(_SLACK_URL)):
            what = "contains a Slack token, but this webhook is not for Slack"
            return error(
                "slack-token-elsewhere",
                f"{_subject(ref)} {what}",
                "use `type: slack`; a Slack token is only sent to hosts under slack.com",
            )
    return None


def key_refusal(ref: SecretRef) -> Finding | None:
    """Return why a file must not refer to an API key with this reference, None if it may."""
    owner = SCHEMES[ref.scheme].forbidden(ref.name)
    # CloudTruth's variables hold its keys: forbidden for a webhook, but meant for this.
    if owner in (None, OF_CLOUDTRUTH):
        return None
    return forbidden(ref, owner, "used as an API key")


def fetch_key(ref: SecretRef, machine: Machine) -> Secret | Finding:
    """Return the API key that a file refers to, or the error.

    The key is not checked against the list of allowed secrets, because only CloudTruth receives it.
    Keep it off the list, so that no webhook can reference it.
    """
    scheme = SCHEMES[ref.scheme]
    if scheme.bad_name is not None and not scheme.accepts(ref.name):
        return scheme.bad_name
    refusal = key_refusal(ref)
    if refusal is not None:
        return refusal
    try:
        key, _ = _value(ref, machine, {}, ())
    except UnresolvedError as problem:
        return problem.finding
    reason = flaw(key)
    if reason is not None:
        return unresolved(f"the API key in {masked(ref.name)} {reason}", "store only the key there")
    return key


def _subject(ref: SecretRef) -> str:
    return f"the value of {ref.scheme} {masked(ref.name)}"
