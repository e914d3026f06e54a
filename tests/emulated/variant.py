"""Server variants: every undocumented choice of the real API.

They test a client against each plausible behavior of the real server. The defaults are those of the
emulator; all choices are independent.
"""

from __future__ import annotations

import json
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import urlsplit

from reconciler.emulator.messages import Behavior, RejectedError, dump, json_value
from reconciler.kinds import KINDS

MASK = "*****"

_ROLES = ("NO_SECRETS", "VIEWER", "CONTRIB", "ADMIN", "OWNER")
"""From the least to the most privileged."""


class ReadBack(StrEnum):
    """How a stored secret is read back."""

    PLAIN = "plain"
    MASK = "mask"
    PARTIAL = "partial"
    OMITTED = "omitted"
    NULL = "null"
    EMPTY = "empty"
    CIPHERTEXT = "ciphertext"
    FRESH_CIPHERTEXT = "fresh-ciphertext"
    CONFIGURATION_MISSING = "configuration-missing"
    CONFIGURATION_NULL = "configuration-null"
    CONFIGURATION_EMPTY = "configuration-empty"
    PLAIN_ON_WRITE = "plain-on-write"
    BY_ROLE = "by-role"


Uniqueness = Literal["none", "exact", "case-blind"]
"""Whether two webhooks of an organization may have the same name."""

ErrorShape = Literal["fields", "non_field_errors", "__all__", "list", "detail"]
"""The JSON form of a validation error."""

EventOrder = Literal["keep", "sort", "reverse"]
"""The order in which event types are stored."""

HashSign = Literal["keep", "strip", "add"]
"""What is stored for the leading `#` of a Slack channel."""

CurrentFlag = Literal["true", "missing", "all-false", "all-true"]
"""The value of `current` in the list of organizations."""

_KEYS = {
    "slack": ("token", "channel", "username"),
    "generic": ("url", "verify", "username", "password", "token"),
}
_DEFAULTS = {"generic": {"verify": True, "username": None, "password": None, "token": None}}


@dataclass(kw_only=True, eq=False)
class Variant(Behavior):
    """One possible behavior of the CloudTruth API, by default with the types of this version."""

    types: tuple[str, ...] = tuple(KINDS)
    cookies: tuple[str, ...] = (
        "AWSALB=emulated; Path=/",
        "sessionid=emulated; HttpOnly; Path=/; SameSite=Lax",
    )
    """Values of `set-cookie` in every response."""
    masked_fields: tuple[str, ...] = ("token", "password")
    """Configuration keys whose values are secret."""
    read_back: str = "plain"
    """How these keys read back, a `ReadBack`."""
    default_keys: bool = False
    """Reads show keys of the type that were never sent (`verify: true`, `username: null`)."""
    unique_names: Uniqueness = "none"
    """Whether names are unique."""
    unique_shape: ErrorShape = "fields"
    """How a duplicate name is reported."""
    unique_status: int = 400
    """The status of that report; 409 on some servers."""
    error_shape: ErrorShape = "fields"
    """How all other validation errors are reported."""
    merges: bool = False
    """Whether PATCH keeps the keys of `configuration` that the body omits."""
    type_change: bool = True
    """Whether the type of an existing webhook can change."""
    organization_required: bool = True
    """If False, a create without `organization` uses that of the key."""
    ordered: bool = True
    """Whether `ordering` has an effect; otherwise rows come in order of creation."""
    empty_next: bool = False
    """The value of `next` on the last page is an empty text."""
    event_order: EventOrder = "keep"
    """The order in which events are stored."""
    event_dedupe: bool = False
    """Whether a repeated event is stored once."""
    trim_names: bool = True
    """Leading and trailing spaces of names are removed (the framework's default)."""
    lower_names: bool = False
    """Names are stored in lower case."""
    composed_names: bool = False
    """Names are stored in Unicode's composed form (NFC)."""
    name_max: int | None = None
    """The length limit of names, in characters."""
    channel_hash: HashSign = "keep"
    """What is stored for the `#` of a channel."""
    lower_channels: bool = False
    """Channels are stored in lower case."""
    drop_unknown_keys: bool = False
    """Unknown configuration keys are not stored."""
    stale_list_reads: int = 0
    """A write appears in lists only after this many listings of its organization."""
    stale_list_seconds: float = 0.0
    """A write appears in lists only after this many seconds; with both set, after both."""
    shown_role: str | None = None
    """The role of every key (in upper or lower case), instead of the stored one."""
    read_role: str = "NO_SECRETS"
    """The lowest role that may read webhooks."""
    current_flag: CurrentFlag = "true"
    """The value of `current` for the key's organization."""
    membership_shown: bool = True
    """Whether the current user's `membership_id` is shown."""
    server_time: Callable[[], datetime] | None = None
    """The server's clock, instead of the machine's."""
    delivered_events: tuple[str, ...] | None = None
    """The events whose deliveries change a webhook; None for all."""
    failing: tuple[str, ...] = ()
    """Hosts, channels and events whose deliveries fail."""

    @property
    def stale(self) -> bool:
        """Whether lists are stale."""
        return self.stale_list_reads > 0 or self.stale_list_seconds > 0

    @property
    def allows_patch(self) -> bool:
        """Whether PATCH is allowed."""
        return "PATCH" in self.methods

    def delivers(self, event: str) -> bool:
        return self.delivered_events is None or event in self.delivered_events

    def fails(self, configuration: Mapping[str, Any], event: str) -> bool:
        host = urlsplit(configuration.get("url", "")).hostname
        names = {event, configuration.get("channel"), host}
        return not names.isdisjoint(self.failing) or super().fails(configuration, event)

    def role(self, stored: str) -> str:
        return self.shown_role or stored

    def allows(self, role: str, *, write: bool) -> bool:
        return _power(role) >= _power("ADMIN" if write else self.read_role)

    def now(self) -> datetime:
        return super().now() if self.server_time is None else self.server_time()

    def account(self, row: dict[str, Any]) -> dict[str, Any]:
        if "membership_id" in row and not self.membership_shown:
            row["membership_id"] = None
        if "current" in row:
            match self.current_flag:
                case "missing":
                    del row["current"]
                case "all-false":
                    row["current"] = False
                case "all-true":
                    row["current"] = True
        return row

    def required(self, field: str) -> bool:
        return field != "organization" or self.organization_required

    def name(self, text: str) -> str:
        if self.trim_names:
            text = text.strip()
        if self.lower_names:
            text = text.lower()
        return unicodedata.normalize("NFC", text) if self.composed_names else text

    def event_types(self, sent: list[str]) -> list[str]:
        events = list(dict.fromkeys(sent)) if self.event_dedupe else list(sent)
        match self.event_order:
            case "sort":
                events.sort()
            case "reverse":
                events.reverse()
        return events

    def configuration(
        self, kind: str, sent: dict[str, Any], patched: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        if patched is not None and self.merges:
            sent = {**patched, **sent}
        if self.drop_unknown_keys and kind in _KEYS:
            sent = {key: value for key, value in sent.items() if key in _KEYS[kind]}
        if kind == "slack" and isinstance(sent.get("channel"), str) and sent["channel"].strip():
            sent["channel"] = self._channel(sent["channel"])
        return sent

    def error_body(self, errors: Any) -> Any:
        return _shaped(errors, self.error_shape)

    def check(
        self, exchange: Any, record: Mapping[str, Any], stored: Mapping[str, Any] | None
    ) -> None:
        errors: dict[str, Any] = {}
        before = stored or {"id": None, "name": "", "type": record["type"]}
        name = record["name"]
        if self.name_max is not None and len(name) > self.name_max and name != before["name"]:
            text = f"Ensure this field has no more than {self.name_max} characters."
            errors["name"] = [text]
        if record["type"] != before["type"] and not self.type_change:
            errors["type"] = ["The type of an existing webhook cannot be changed."]
        if errors:
            raise RejectedError(json_value(self.error_body(errors), status=400))
        if self.unique_names == "none":
            return
        form: Callable[[str], str] = str
        if self.unique_names == "case-blind":
            form = str.casefold
        others = exchange.store.webhooks(record["organization"])
        names = {form(each["name"]) for each in others if each["id"] != before["id"]}
        if form(name) not in names:
            return
        texts = {
            "fields": "web hooks with this name already exists.",
            "__all__": "Web hooks with this Organization and Name already exists.",
        }
        text = texts.get(self.unique_shape, "The fields organization, name must make a unique set.")
        body = _shaped({"name": [text]}, self.unique_shape)
        raise RejectedError(json_value(body, status=self.unique_status))

    def listed(self, exchange: Any, ordering: str) -> list[str]:
        organization = exchange.caller.organization
        if exchange.query_params.get("page", "1") == "1":
            exchange.lag.begin_listing(organization, exchange.now)
        if exchange.lag.hides(organization):
            shown = exchange.lag.overlay(organization, exchange.store.rows(organization))
            if ordering == "name" and self.ordered:
                shown.sort(key=lambda row: row.name)
            return [row.data for row in shown]
        texts: list[str] = exchange.store.texts(organization, ordering if self.ordered else "")
        return texts

    def page_head(self, head: dict[str, Any]) -> dict[str, Any]:
        if head["next"] is None and self.empty_next:
            head["next"] = ""
        return head

    def shown(self, exchange: Any, data: str, *, wrote: bool) -> str:
        form = ReadBack(self.read_back)
        if form == ReadBack.PLAIN and not self.default_keys:
            return data
        record = json.loads(data)
        if form == ReadBack.PLAIN_ON_WRITE:
            form = ReadBack.PLAIN if wrote else ReadBack.MASK
        elif form == ReadBack.BY_ROLE:
            powerful = _power(exchange.role) >= _power("ADMIN")
            form = ReadBack.PLAIN if powerful else ReadBack.MASK
        match form:
            case ReadBack.CONFIGURATION_MISSING:
                del record["configuration"]
            case ReadBack.CONFIGURATION_NULL:
                record["configuration"] = None
            case ReadBack.CONFIGURATION_EMPTY:
                record["configuration"] = {}
            case _:
                configuration = record["configuration"]
                if self.default_keys:
                    configuration = {**_DEFAULTS.get(record["type"], {}), **configuration}
                record["configuration"] = self._hidden(configuration, form, exchange.randomness)
        return dump(record)

    def _channel(self, channel: str) -> str:
        if self.lower_channels:
            channel = channel.lower()
        match self.channel_hash:
            case "strip":
                return channel.removeprefix("#") or channel
            case "add":
                return channel if channel.startswith("#") else f"#{channel}"
            case _:
                return channel

    def _hidden(
        self, configuration: dict[str, Any], form: ReadBack, randomness: Callable[[], float]
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in configuration.items():
            if key not in self.masked_fields or value is None:
                out[key] = value
            elif form != ReadBack.OMITTED:
                out[key] = _secret(str(value), form, randomness)
        return out


def _power(role: str) -> int:
    return _ROLES.index(role.upper())


def _shaped(errors: Any, shape: ErrorShape) -> Any:
    match shape:
        case "fields":
            return errors
        case "list":
            return _texts(errors)
        case "detail":
            return {"detail": " ".join(_texts(errors))}
        case _:
            return {shape: _texts(errors)}


def _texts(errors: Any) -> list[str]:
    if isinstance(errors, str):
        return [errors]
    items = errors.values() if isinstance(errors, dict) else errors
    return [text for item in items for text in _texts(item)]


def _secret(value: str, form: ReadBack, randomness: Callable[[], float]) -> str | None:
    match form:
        case ReadBack.MASK:
            return MASK
        case ReadBack.PARTIAL:
            return f"{value[:4]}{MASK}{value[-4:]}" if len(value) > 12 else f"{value[:1]}{MASK}"
        case ReadBack.NULL:
            return None
        case ReadBack.EMPTY:
            return ""
        case ReadBack.CIPHERTEXT:
            return _cipher(value)
        case ReadBack.FRESH_CIPHERTEXT:
            return _cipher(f"{value}{randomness()!r}")
        case _:
            return value


def _cipher(text: str) -> str:
    digest = blake2b(text.encode(), digest_size=48, person=b"emulated").digest()
    # The prefix is that of Fernet, the usual choice in Django.
    return f"gAAAAA{urlsafe_b64encode(digest).decode()}"
