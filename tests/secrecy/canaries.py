"""Unique test secrets, and the search for them in everything that a run leaves."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import quote

MARK: Final = "Canary"
"""Part of most canaries; split, so that no source file contains it."""


def canary(name: str, before: str = "", after: str = "") -> str:
    """Make a canary with a unique `name`. `+`, `/` and `"` look different in each encoding."""
    return f'{before}{MARK}-{name}-7Q"zT+0k/9vB{after}'


def slack(name: str, kind: str = "xoxb") -> str:
    """Make a canary in the format of a Slack token."""
    return f"{kind}-" + f"20260101-{MARK}{name}7QzT0k9vB"


class Canary(NamedTuple):
    """A secret, where it is used, and the part of it that must not appear."""

    place: str
    value: str
    part: str = ""

    @property
    def core(self) -> str:
        return self.part or self.value


KEY: Final = Canary("API key", f"ct.{MARK}-key-7QzT0k9vB")
OTHER_KEY: Final = Canary("API key of another profile", f"ct.{MARK}-profile-7QzT0k9vB")
GITHUB: Final = Canary("GitHub token", f"ghs_{MARK}Github7QzT0k9vB")
PROXY: Final = Canary("proxy password", f"{MARK}-proxy-7QzT0k9vB")
ENV_TOKEN: Final = Canary("token in the environment", slack("Env"))
FILE_TOKEN: Final = Canary("token in a file", slack("File"))
ENV_PASSWORD: Final = Canary("password in the environment", canary("password"))
ENV_URL: Final = Canary(
    "url in the environment", f"https://hooks.example.com/in/{MARK}-url-7QzT0k9vB",
    f"{MARK}-url-7QzT0k9vB",
)  # fmt: skip
LIVE_TOKEN: Final = Canary("live token", slack("Live"))
OLD_TOKEN: Final = Canary("old token, still live", slack("Old"))
LIVE_PASSWORD: Final = Canary("live password", canary("live"))
LIVE_BEARER: Final = Canary("live bearer token", canary("bearer"))
LIVE_URL: Final = Canary(
    "live url", f"https://ann:{MARK}-user-7QzT0k9vB@hooks.example.net:8443/{MARK}-path-7QzT0k9vB",
    f"{MARK}-path-7QzT0k9vB",
)  # fmt: skip
LIVE_USER: Final = Canary("user in the live url", f"{MARK}-user-7QzT0k9vB")
OTHER_TYPE: Final = Canary("configuration of an unknown type", canary("other"))
OTHER_FIELD: Final = Canary("unknown field of a known type", canary("field"))
LITERAL: Final = Canary("literal in YAML", f"{MARK}-literal-7QzT0k9vB")
LITERAL_URL: Final = Canary(
    "literal url in YAML", f"https://hooks.slack.com/services/T0/B0/{MARK}lit7QzT0k9vB",
    f"{MARK}lit7QzT0k9vB",
)  # fmt: skip
ECHO: Final = Canary("token echoed in an error", slack("Echo"))
ECHO_URL: Final = Canary(
    "address echoed in an error", f"https://hooks.example.org/{MARK}-echo-7QzT0k9vB?k=1",
    f"{MARK}-echo-7QzT0k9vB",
)  # fmt: skip
COOKIE: Final = Canary("cookie", f"{MARK}-cookie-7QzT0k9vB")
LOCATION: Final = Canary("redirect", f"{MARK}-location-7QzT0k9vB")
BODY: Final = Canary("page of a proxy", f"{MARK}-page-7QzT0k9vB")

LIVE: Final = (
    LIVE_TOKEN, OLD_TOKEN, LIVE_PASSWORD, LIVE_BEARER, LIVE_URL, OTHER_TYPE, OTHER_FIELD,
)  # fmt: skip
"""The secrets of live webhooks that no file declares."""

CANARIES: Final = tuple(each for each in globals().values() if isinstance(each, Canary))


def find(data: bytes, where: str) -> Iterator[str]:
    """Yield each canary that `data` contains in any encoding, and `where`."""
    for needle, description in _needles().items():
        if needle in data:
            yield f"{description}, in {where}"


@cache
def _needles() -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for each in CANARIES:
        for form, needle in forms(each.core):
            found.setdefault(needle, f"{each.place}, {form}")
    return found


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield every encoding of a value with its name."""
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
        # Only the part that does not depend on surrounding bytes.
        encoded = base64.b64encode(b"\0" * offset + raw)
        start = (0, 2, 3)[offset]
        inner = encoded[start : (offset + len(raw)) * 8 // 6]
        yield f"base64 at {offset}", inner
        yield f"base64url at {offset}", inner.translate(bytes.maketrans(b"+/", b"-_"))
