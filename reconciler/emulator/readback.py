"""How a stored webhook looks when it is read.

For: each way in which the real API might show, or not show, what is stored encrypted.
Promises: pure but for the random numbers it is given, and those only for ciphertexts that differ
on each read.
Refuses: to change what is stored.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from reconciler.emulator.answers import dump
from reconciler.emulator.dials import ROLES, Dials, ReadBack
from reconciler.emulator.rules import DEFAULTS

MASK = "*****"


def is_verbatim(dials: Dials) -> bool:
    """Tell whether reads show exactly what is stored."""
    return dials.read_back is ReadBack.PLAIN and not dials.default_keys


def shown(
    data: str, dials: Dials, *, role: str, wrote: bool, randomness: Callable[[], float]
) -> str:
    """Return the JSON text to show for the stored one; `wrote` marks the answer to a write."""
    if is_verbatim(dials):
        return data
    record: dict[str, Any] = json.loads(data)
    form = dials.read_back
    if form is ReadBack.PLAIN_ON_WRITE:
        form = ReadBack.PLAIN if wrote else ReadBack.MASK
    elif form is ReadBack.BY_ROLE:
        powerful = ROLES.index(role.upper()) >= ROLES.index("ADMIN")
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
            if dials.default_keys:
                configuration = {**DEFAULTS.get(record["type"], {}), **configuration}
            record["configuration"] = _hidden(configuration, form, dials, randomness)
    return dump(record)


def _hidden(
    configuration: dict[str, Any],
    form: ReadBack,
    dials: Dials,
    randomness: Callable[[], float],
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in configuration.items():
        if key not in dials.secret_fields or value is None:
            out[key] = value
        elif form is not ReadBack.OMITTED:
            out[key] = _form(str(value), form, randomness)
    return out


def _form(value: str, form: ReadBack, randomness: Callable[[], float]) -> str | None:
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
