"""Everything about the real API that is not published, as one frozen value.

For: trying a client against each way the real server might behave.
Promises: the defaults are the most likely server; every dial can be set alone, and from JSON.
Refuses: dials that are unknown or of the wrong type, by name and with a hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints


class ReadBack(StrEnum):
    """How a stored secret looks when it is read."""

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


class Uniqueness(StrEnum):
    """Whether two webhooks of an organization may bear one name."""

    NONE = "none"
    EXACT = "exact"
    CASE_BLIND = "case-blind"


class ErrorShape(StrEnum):
    """The JSON form of a validation error."""

    FIELDS = "fields"
    NON_FIELD_ERRORS = "non_field_errors"
    ALL = "__all__"
    LIST = "list"
    DETAIL = "detail"


class ConfigurationPatch(StrEnum):
    """What PATCH does with the keys of `configuration` that it does not name."""

    REPLACE = "replace"
    MERGE = "merge"


class Ordering(StrEnum):
    """What the `ordering` parameter of a list does."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    """Rows come in the order of their creation."""
    UNORDERED = "unordered"
    """Rows come in a new order on each request, so that pages overlap and miss rows."""


class NextLink(StrEnum):
    """What `next` says on the last page."""

    NULL = "null"
    EMPTY = "empty"
    ENDLESS = "endless"
    """It names one more page, for ever."""


class Count(StrEnum):
    """Whether `count` can be believed."""

    TRUE = "true"
    MISSING = "missing"
    LOW = "low"
    HIGH = "high"


class EventOrder(StrEnum):
    """The order in which event types are stored."""

    KEEP = "keep"
    SORT = "sort"
    REVERSE = "reverse"


class Hash(StrEnum):
    """What happens to the leading `#` of a Slack channel."""

    KEEP = "keep"
    STRIP = "strip"
    ADD = "add"


class UnknownKeys(StrEnum):
    """What happens to configuration keys that the type does not have."""

    KEEP = "keep"
    DROP = "drop"
    REJECT = "reject"


class CurrentFlag(StrEnum):
    """What `current` says in the list of organizations."""

    TRUE = "true"
    MISSING = "missing"
    ALL_FALSE = "all-false"
    ALL_TRUE = "all-true"


EVENTS = tuple(
    f"{subject}_{verb}"
    for subject in ("parameter", "template", "project", "environment", "value")
    for verb in ("created", "updated", "deleted")
)
ROLES = ("NO_SECRETS", "VIEWER", "CONTRIB", "ADMIN", "OWNER")
"""From the least to the most powerful."""


class DialError(ValueError):
    """A dial that does not exist or a value that it does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """One possible CloudTruth."""

    read_back: ReadBack = ReadBack.PLAIN
    """How the fields named in `secret_fields` look on a read."""
    secret_fields: tuple[str, ...] = ("token", "password")
    """Configuration keys that are stored encrypted; a stricter server adds `channel`, `url`."""
    default_keys: bool = False
    """Reads show the keys of a type that were never sent (`verify: true`, `username: null`)."""

    unique_names: Uniqueness = Uniqueness.NONE
    """Whether a name can be taken."""
    unique_shape: ErrorShape = ErrorShape.FIELDS
    """How a taken name is reported."""
    unique_status: int = 400
    """The status of that report; 409 on some servers."""
    error_shape: ErrorShape = ErrorShape.FIELDS
    """How all other validation errors are reported."""
    bad_choice_status: int = 400
    """500 makes an unknown event or type crash the server, as it happened elsewhere in this API."""

    patch_allowed: bool = True
    """Without it PATCH is 405."""
    put_allowed: bool = True
    """Without it PUT is 405."""
    configuration_patch: ConfigurationPatch = ConfigurationPatch.REPLACE
    """Whether PATCH merges `configuration`."""
    type_change: bool = True
    """Whether an existing webhook can become one of another type."""
    configuration_required: bool = True
    """Without it a webhook can be created without `configuration`."""
    empty_events: bool = True
    """Whether `event_types: []` is accepted."""
    organization_required: bool = True
    """Without it a create without `organization` takes that of the key."""

    default_page_size: int = 100
    """Rows on a page when nothing is asked."""
    max_page_size: int = 1000
    """A larger `page_size` is cut down to this without a word."""
    page_honoured: bool = True
    """Without it every page is the first one."""
    ordering: Ordering = Ordering.HONOURED
    """What the `ordering` parameter does."""
    next_link: NextLink = NextLink.NULL
    """What the last page names as the next one."""
    next_origin: str | None = None
    """Scheme and host in page links instead of those of the request."""
    count: Count = Count.TRUE
    """Whether `count` is right."""

    events: tuple[str, ...] = EVENTS
    """Event types the server knows; may hold one that the client does not."""
    types: tuple[str, ...] = ("slack", "generic")
    """Webhook types the server knows; a new one takes any configuration."""
    event_order: EventOrder = EventOrder.KEEP
    """The order in which events are stored."""
    event_dedupe: bool = False
    """Whether an event sent twice is stored once."""
    trim_names: bool = True
    """Outer spaces of names are dropped (the framework's default)."""
    trim_configuration: bool = False
    """Outer spaces of texts in `configuration` are dropped."""
    channel_hash: Hash = Hash.KEEP
    """What happens to the `#` of a channel."""
    lower_names: bool = False
    """Names are stored in lower case."""
    composed_names: bool = False
    """Names are stored in Unicode's composed form (NFC)."""
    lower_channels: bool = False
    """Channels are stored in lower case."""
    name_max: int | None = None
    """The longest name, in characters."""
    unknown_keys: UnknownKeys = UnknownKeys.KEEP
    """What happens to configuration keys that the type does not have."""

    stale_list_reads: int = 0
    """A write shows in lists only after this many listings of its organization."""
    stale_list_seconds: float = 0.0
    """A write shows in lists only after this many seconds; with both set, after both."""

    any_key: bool = False
    """Any key that is not known is taken for the first user's."""
    bad_key_status: int = 401
    """The status of a missing or bad key: 401 or 403."""
    role: str | None = None
    """The role of every key, in any case of letters, instead of the stored one."""
    write_role: str = "ADMIN"
    """The least role that may change webhooks."""
    read_role: str = "NO_SECRETS"
    """The least role that may read webhooks."""
    maintenance: bool = False
    """Changes are disabled in every organization."""
    maintenance_status: int = 403
    """The status of a write during maintenance."""
    current_flag: CurrentFlag = CurrentFlag.TRUE
    """What `current` says about the key's organization."""
    membership_shown: bool = True
    """Whether the current user's `membership_id` is told."""
    cookies: tuple[str, ...] = (
        "AWSALB=emulated; Path=/",
        "sessionid=emulated; HttpOnly; Path=/; SameSite=Lax",
    )
    """Values of `set-cookie` on every answer."""

    def __post_init__(self) -> None:
        """Refuse values that no server can have."""
        if not 1 <= self.default_page_size <= self.max_page_size:
            raise DialError("dial default_page_size: must be from 1 to max_page_size")
        for name in ("role", "write_role", "read_role"):
            role = getattr(self, name)
            if role is not None and role.upper() not in ROLES:
                raise DialError(f"dial {name}: {role!r} is not one of {', '.join(ROLES)}")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Dials:
        """Build dials from plain JSON values; the ones left out keep their defaults."""
        hints = get_type_hints(cls)
        known = [item.name for item in fields(cls)]
        values: dict[str, Any] = {}
        for name, value in mapping.items():
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise DialError(f"unknown dial {name!r}{hint}")
            values[name] = _convert(name, value, hints[name])
        return cls(**values)


LOCAL_DIALS = Dials(any_key=True)
"""For trying things out: the likely server, to which any key is good."""


def _convert(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is UnionType:
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return None if value is None else _convert(name, value, kinds[0])
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise DialError(f"dial {name}: must be a list of texts")
    if issubclass(hint, StrEnum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(hint)
            raise DialError(f"dial {name}: {value!r} is not one of {choices}") from None
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise DialError(f"dial {name}: must be {hint.__name__}, not {type(value).__name__}")
    return value
