"""Secrets that exist nowhere else, and the search for them in whatever a run leaves behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

MARK: Final = "Canary"
"""What most of them hold; written apart from the rest wherever one stands in a file."""


def canary(name: str, before: str = "", after: str = "") -> str:
    """Make one; `name` tells it apart. `+`, `/` and `"` would be written otherwise in each form."""
    return f'{before}{MARK}-{name}-7Q"zT+0k/9vB{after}'


def slack(name: str, kind: str = "xoxb") -> str:
    """Make one with the shape of a Slack token."""
    return f"{kind}-" + f"20260101-{MARK}{name}7QzT0k9vB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A secret, where it is put, and the part of it that must not be seen."""

    place: str
    value: str
    core: str


def _of(place: str, value: str, core: str | None = None) -> Canary:
    return Canary(place=place, value=value, core=core or value)


KEY: Final = _of("API key", f"ct.{MARK}-key-7QzT0k9vB")
OTHER_KEY: Final = _of("API key of another profile", f"ct.{MARK}-profile-7QzT0k9vB")
GITHUB: Final = _of("GitHub token", f"ghs_{MARK}Github7QzT0k9vB")
PROXY: Final = _of("proxy password", f"{MARK}-proxy-7QzT0k9vB")
ENV_TOKEN: Final = _of("token in the environment", slack("Env"))
FILE_TOKEN: Final = _of("token in a file", slack("File"))
ENV_PASSWORD: Final = _of("password in the environment", canary("password"))
ENV_URL: Final = _of(
    "url in the environment", f"https://hooks.example.com/in/{MARK}-url-7QzT0k9vB",
    f"{MARK}-url-7QzT0k9vB",
)  # fmt: skip
LIVE_TOKEN: Final = _of("live token", slack("Live"))
OLD_TOKEN: Final = _of("old token, still live", slack("Old"))
LIVE_PASSWORD: Final = _of("live password", canary("live"))
LIVE_BEARER: Final = _of("live bearer token", canary("bearer"))
LIVE_URL: Final = _of(
    "live url", f"https://ann:{MARK}-user-7QzT0k9vB@hooks.example.net:8443/{MARK}-path-7QzT0k9vB",
    f"{MARK}-path-7QzT0k9vB",
)  # fmt: skip
LIVE_USER: Final = _of("user in the live url", f"{MARK}-user-7QzT0k9vB")
OTHER_TYPE: Final = _of("configuration of an unknown type", canary("other"))
OTHER_FIELD: Final = _of("unknown field of a known type", canary("field"))
LITERAL: Final = _of("literal in YAML", f"{MARK}-literal-7QzT0k9vB")
LITERAL_URL: Final = _of(
    "literal url in YAML", f"https://hooks.slack.com/services/T0/B0/{MARK}lit7QzT0k9vB",
    f"{MARK}lit7QzT0k9vB",
)  # fmt: skip
ECHO: Final = _of("token echoed in an error", slack("Echo"))
ECHO_URL: Final = _of(
    "address echoed in an error", f"https://hooks.example.org/{MARK}-echo-7QzT0k9vB?k=1",
    f"{MARK}-echo-7QzT0k9vB",
)  # fmt: skip
COOKIE: Final = _of("cookie", f"{MARK}-cookie-7QzT0k9vB")
LOCATION: Final = _of("redirect", f"{MARK}-location-7QzT0k9vB")
BODY: Final = _of("page of a proxy", f"{MARK}-page-7QzT0k9vB")

CANARIES: Final = tuple(each for each in globals().values() if isinstance(each, Canary))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A canary that was seen."""

    place: str
    form: str
    where: str

    def __str__(self) -> str:
        return f"{self.place}, {self.form}, in {self.where}"


def find(data: bytes, where: str) -> Iterator[Hit]:
    """Yield each canary that `data` holds in any form."""
    for place, form, needle in _needles():
        if needle in data:
            yield Hit(place=place, form=form, where=where)


@lru_cache(maxsize=1)
def _needles() -> tuple[tuple[str, str, bytes], ...]:
    found: dict[bytes, tuple[str, str]] = {}
    for each in CANARIES:
        for form, needle in forms(each.core):
            found.setdefault(needle, (each.place, form))
    return tuple((*told, needle) for needle, told in found.items())


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield every way in which a value may be written, with the name of the way."""
    raw = text.encode()
    yield "raw", raw
    yield "a part", raw[len(raw) // 2 - 6 : len(raw) // 2 + 6]
    yield "reversed", raw[::-1]
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    yield "JSON", json.dumps(text)[1:-1].encode()
    yield "YAML or repr", repr(text)[1:-1].encode()
    yield "URL", quote(text, safe="").encode()
    yield "URL path", quote(text).encode()
    for offset in range(3):
        # Only what does not depend on its neighbours.
        encoded = base64.b64encode(b"\0" * offset + raw)
        start = (0, 2, 3)[offset]
        inner = encoded[start : (offset + len(raw)) * 8 // 6]
        yield f"base64 at {offset}", inner
        yield f"base64url at {offset}", inner.translate(bytes.maketrans(b"+/", b"-_"))
