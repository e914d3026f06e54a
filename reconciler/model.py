"""The values of all stages: desired and live webhooks.

All values are frozen. Desired and live webhooks are distinct types: a *desired* webhook holds
references to secrets (`SecretRef`), a *live* one holds secrets that were read (`Secret`). Only the
API client sends the value of a reference.

A `Draft` (ports.py) is a webhook to send, with the values of its references, and a `Snapshot`
(planning/plan.py) one to show, without secrets. The four have no common base, so that none passes
for another: a masked secret that was read is never sent, and a secret never gets into a plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, TypeVar, dataclass_transform
from urllib.parse import urlsplit

from reconciler.findings import Position

_Class = TypeVar("_Class")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[_Class]) -> type[_Class]:
    """Make a class an immutable dataclass whose fields are passed by name."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


class Unknown(Enum):
    """A value that the server does not show: neither equal to anything nor different from it."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


class Secret:
    """A value that must not be shown.

    It is deliberately a plain slotted class: `dataclasses.asdict`, `vars`, JSON and pickle cannot
    access the value, and `str` and `repr` are `***`. Only `reveal` returns the value.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value. Only `reconciler.api` and `source.secrets.public_url` may call this."""
        return self.__value

    def matches(self, pattern: re.Pattern[str]) -> bool:
        """Return whether the whole value matches `pattern`."""
        return pattern.fullmatch(self.__value) is not None

    def origin(self) -> str | None:
        """Return scheme and host of a URL, without user, port, path or query; None for other text.

        A reviewer needs the host to know the destination of deliveries. The rest of the URL may be
        the credential.
        """
        return origin_of(self.__value)

    def shown_url(self) -> str:
        """Return the part of a URL that may be shown: its scheme and host."""
        origin = self.origin()
        if origin is None:
            return "***"
        return f"{origin}/***"

    def differing_parts(self, other: Secret) -> tuple[str, ...]:
        """Return the names of the parts in which two URLs differ, except scheme and host."""
        return _differing_parts(self.__value, other.__value)

    def contains(self, other: Secret) -> bool:
        """Return whether `other` equals this value or, with 8 or more characters, is part of it."""
        # A short value is a part of many texts by chance.
        if len(other.__value) < 8:
            return self == other
        return other.__value in self.__value

    @staticmethod
    def groups(secrets: Iterable[Secret]) -> tuple[int, ...]:
        """Number `secrets` so that only equal ones have the same number."""
        # Numbers by order of occurrence say nothing about the values; hashes would.
        numbers: dict[str, int] = {}
        return tuple(numbers.setdefault(secret.__value, len(numbers)) for secret in secrets)

    @staticmethod
    def longest_first(secrets: Iterable[Secret]) -> list[Secret]:
        """Return the distinct `secrets` in the order for `redact`: one may be part of another."""
        values = {secret.__value for secret in secrets}
        return [Secret(value) for value in sorted(values, key=len, reverse=True)]

    def forms(self) -> Iterator[Secret]:
        """Yield the value, as it is and as YAML escapes it, and both as output formats do."""
        escaped = self.__value.replace("\\", "\\\\").replace('"', '\\"')
        for text in (self.__value, escaped):
            yield Secret(text)
            yield Secret(json.dumps(text)[1:-1])
            yield Secret(text.replace("|", r"\|"))  # in a table of Markdown
            yield Secret(text.replace("'", "'\"'\"'"))  # in a command
            yield Secret(text.replace("%", "%25"))  # in an annotation

    def redact(self, text: str) -> str:
        """Return `text` with `***` in place of this value, also if it is wrapped."""
        if " " in self.__value.strip():
            words = map(re.escape, self.__value.split())
            return re.sub(r"(?:\s|\\n)+".join(words), "***", text)
        # An empty text is found between all characters.
        return text.replace(self.__value, "***") if self.__value else text

    def __eq__(self, other: object) -> bool:
        """Return whether both are secrets with equal values, in constant time."""
        import hmac  # imports hashlib, and most runs end before the first comparison

        if not isinstance(other, Secret):
            return False
        # JSON can contain half of a surrogate pair, which plain UTF-8 rejects.
        mine = self.__value.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(mine, other.__value.encode("utf-8", "surrogatepass"))

    __hash__ = None  # type: ignore[assignment] # a hash would be a fingerprint of the value

    def __repr__(self) -> str:
        return "***"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be serialized")

    # By default both copy with `__reduce_ex__`, which raises.
    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


LITERAL: Final = "literal"
"""The scheme of a secret that is written into a file."""


class SecretRef(NamedTuple):
    """A reference to a secret: data that may be shown, planned, saved and compared.

    `scheme` is the place that keeps it, a key of `SCHEMES` in `source/schemes.py`. `name` is its
    name there, for a file the path relative to the working directory (with forward slashes); for a
    LITERAL the webhook and field that contain it (`Deploys/token`). Users raise `version` to resend
    a changed value.
    """

    scheme: str
    name: str
    version: int | None = None

    @property
    def is_literal(self) -> bool:
        """Return whether the secret is written into a file."""
        return self.scheme == LITERAL

    @property
    def argument(self) -> str:
        """Return the reference as options of the command line take it."""
        return f"{self.scheme}:{self.name}"

    @property
    def unversioned(self) -> SecretRef:
        """Return what all versions of the secret have in common."""
        return self._replace(version=None)

    def __str__(self) -> str:
        name = self.name
        # A file may have a name that looks like one with a version.
        if " (version " in name or '"' in name:
            name = json.dumps(name, ensure_ascii=False)
        shown = f"{self.scheme} {name}"
        if self.version is None:
            return shown
        return f"{shown} (version {self.version})"

    def __hash__(self) -> int:
        return hash(self.name)  # a str caches its hash; the default would hash a tuple each time

    def tree(self) -> dict[str, Any]:
        """Return the reference in the form used in files. A literal appears by name only."""
        shown: dict[str, Any] = {self.scheme: self.name}
        if self.version is not None:
            shown["version"] = self.version
        return shown


Value: TypeAlias = str | bool | SecretRef
"""The type of a declared configuration field."""


SecretValues: TypeAlias = Mapping[SecretRef, Secret]
"""The values that are available, by their references."""


def declared_secret(value: Value, secrets: SecretValues) -> Secret | None:
    """Return the declared value, or None if it is not available."""
    if isinstance(value, SecretRef):
        return secrets.get(value)
    if isinstance(value, str):
        return Secret(value)
    return None


LiveValue: TypeAlias = (
    "str | bool | int | float | Secret | list[Any] | dict[str, Any] | Unknown | None"
)
"""The type of a live configuration field: JSON, with strings that may be secrets as `Secret`."""

DataPath: TypeAlias = tuple[str | int, ...]
"""The path of a value in data, as in `("configuration", "channel")`."""


@frozen
class Pattern:
    """A case-sensitive glob over names, its position, and the file that it applies to."""

    glob: str
    position: Position | None = field(default=None, compare=False)
    file: str = field(default="", compare=False)


WEBHOOK_FIELDS: Final = ("name", "type", "event_types", "configuration")
"""The fields of a webhook that are compared and sent, in the order in which a plan shows them."""


@frozen
class Webhook:
    """A webhook as a file declares it, defaults merged and event globs expanded."""

    name: str
    type: str
    event_types: frozenset[str]
    configuration: Mapping[str, Value]
    """Only the declared fields."""
    id: str | None = None
    previously: tuple[str, ...] = ()
    adopt: bool = False
    """Whether `id` and `previously` may match a webhook outside the scope of the file."""
    position: Position | None = field(default=None, compare=False)
    """Its first line, possibly in a parent file."""
    index: int = field(default=-1, compare=False)
    """Its index in the `webhooks` list of `file`, to look up the positions of its fields."""
    file: str = field(default="", compare=False)
    """The file that declares the webhook, and whose scope applies."""

    @property
    def references(self) -> list[tuple[str, SecretRef]]:
        """Return the fields that are references to secrets, with the references."""
        return [
            (name, value)
            for name, value in self.configuration.items()
            if isinstance(value, SecretRef)
        ]


@frozen
class Absent:
    """A declaration that a webhook must not exist."""

    name: str
    id: str | None = None
    position: Position | None = field(default=None, compare=False)
    index: int = field(default=-1, compare=False)
    file: str = field(default="", compare=False)


class FileScope(NamedTuple):
    """The scope of one file: the names that match a glob of `globs`."""

    file: str
    globs: tuple[str, ...] = ("*",)
    prune: bool = True


class Policy(NamedTuple):
    """Which webhooks may be changed and deleted, across all files.

    `max_deletes` is None if no file sets a limit; the built-in limit then applies.
    """

    scopes: tuple[FileScope, ...] = ()
    ignore: tuple[Pattern, ...] = ()
    protect: tuple[Pattern, ...] = ()
    max_deletes: int | None = None


class Desired(NamedTuple):
    """The configuration that the files declare."""

    webhooks: tuple[Webhook, ...] = ()
    absent: tuple[Absent, ...] = ()
    policy: Policy = Policy()
    organization: str | None = None
    """A guard: the name or id of the organization that the API key must belong to."""
    literals: SecretValues = MappingProxyType({})
    """The secrets that are written into the files, by their references."""
    committed: SecretValues = MappingProxyType({})
    """For an earlier revision in git, the secrets in files at that revision."""
    environment: str | None = None
    """The GitHub environment in which it is applied, None for that of the workflow."""

    @property
    def names(self) -> set[str]:
        """Return the names of all entries."""
        absent = (entry.name for entry in self.absent)
        return {webhook.name for webhook in self.webhooks}.union(absent)

    @property
    def selectable_names(self) -> set[str]:
        """Return the names that `--only` may mean: those of all entries, and former ones."""
        return self.names.union(*(webhook.previously for webhook in self.webhooks))


class Organization(NamedTuple):
    """The organization an API key belongs to."""

    id: str
    name: str
    role: str | None = None
    """For display and diagnosis: what it permits is decided by the server."""
    maintenance: bool = False

    @property
    def has_writing_role(self) -> bool:
        """Whether the role is known to be one that changes webhooks."""
        return (self.role or "").upper() in ("OWNER", "ADMIN")


class DeliveryError(NamedTuple):
    """The error of the last delivery, as the server reports it (untrusted text)."""

    timestamp: str | None = None
    code: str | None = None
    text: str | None = None


@frozen
class LiveWebhook:
    """A webhook as CloudTruth reports it.

    `configuration` is UNKNOWN if the server does not show it. `last_run` (RFC 3339) and
    `last_error` are for display only: never compared and never sent.
    """

    id: str
    name: str
    type: str
    event_types: frozenset[str]
    configuration: Mapping[str, LiveValue] | Unknown
    # Who owns it and how it was delivered is not a difference from a declaration.
    organization: str | None = field(default=None, compare=False)
    last_run: str | None = field(default=None, compare=False)
    last_error: DeliveryError | None = field(default=None, compare=False)

    def value(self, name: str) -> LiveValue:
        """Return a field of the configuration: None if not set, UNKNOWN if not shown."""
        shown = self.configuration
        if isinstance(shown, Unknown):
            return UNKNOWN
        return shown.get(name)


class Live(NamedTuple):
    """One complete listing. `origin` is the scheme and host of its server."""

    origin: str
    organization: Organization
    webhooks: tuple[LiveWebhook, ...] = ()


# The host of a URL is read the same way for every finding, policy, plan and comment. Programs
# disagree about a host that is not standard: some decode its `%2f`, some read its `\` as `/`. A URL
# with such a host has no origin here.

_AUTHORITY: Final = re.compile(r"(?:[^@\\]*@)?(\[[0-9A-Fa-f:.]+\]|[^@\\:\[\]%]+)(:[0-9]{0,5})?")
"""An optional user, which is never shown, the host, and an optional port."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def origin_of(url: str) -> str | None:
    """Return scheme and host of an http or https URL; None for other text.

    The host is in ASCII: an address, or labels of letters, digits, hyphens and underscores. A URL
    with an impossible port has no origin.
    """
    try:
        parts = urlsplit(url)
        match = _AUTHORITY.fullmatch(parts.netloc)
        # `port` raises ValueError if it is too large.
        if parts.scheme in ("http", "https") and match is not None and parts.port != 0:
            return f"{parts.scheme}://{_ascii_host(match[1])}"
    except ValueError:
        pass
    return None


def with_ascii_host(url: str) -> str:
    """Return a URL that has an origin, with its host as `origin_of` returns it."""
    origin, parts = origin_of(url), urlsplit(url)
    match = _AUTHORITY.fullmatch(parts.netloc)
    if url.isascii() or origin is None or match is None:
        return url
    host = origin.partition("://")[2]
    authority = f"{parts.netloc[: match.start(1)]}{host}{match[2] or ''}"
    return parts._replace(netloc=authority).geturl()


def _differing_parts(one: str, other: str) -> tuple[str, ...]:
    """Return the names of the parts in which two URLs differ, without those that plans show.

    They may be shown, because they do not contain any of the URL. None for a URL without an origin.
    """
    if origin_of(one) is None or origin_of(other) is None:
        return ()
    parts, others = _parts(one), _parts(other)
    return tuple(name for name in parts if parts[name] != others[name])


def _parts(url: str) -> dict[str, str | None]:
    """Return the parts of a URL that has an origin, except scheme and host, by name."""
    parts = urlsplit(url)
    authority = _AUTHORITY.fullmatch(parts.netloc)
    return {
        "user": parts.netloc.rpartition("@")[0],
        "port": authority and authority[2],
        "path": parts.path,
        "query": parts.query,
        "fragment": parts.fragment,
    }


def is_international(origin: str) -> bool:
    """Return whether a host may look like another one, because it is not written in ASCII."""
    return "//xn--" in origin or ".xn--" in origin


def _ascii_host(host: str) -> str:
    """Return a host in ASCII. Raises ValueError if it is invalid."""
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1])}]"
    # The longest name of DNS has 253 characters, and may end with a dot.
    if len(host) > 254:
        raise ValueError
    if not host.isascii():
        import idna  # most hosts are ASCII, and its tables take several milliseconds

        host = idna.encode(host, uts46=True, std3_rules=True).decode("ascii")
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError
    # Some programs read every host that ends in a number as an address.
    if _NUMBER.fullmatch(labels[-1]):
        return str(IPv4Address(host))
    return host
