"""What all histories speak of: secrets with a canary in them, and names that mean something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.model import Scheme, Secret, SecretRef

CANARY = "canary"
"""Part of every secret there is, declared or live: where it shows, a secret shows."""

TOKEN = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")
URL = SecretRef(scheme=Scheme.ENV, name="PAGER_URL")
PASSWORD = SecretRef(scheme=Scheme.ENV, name="PAGER_PASSWORD")
VALUES = {
    TOKEN: f"xoxb-1234567890-{CANARY}token",
    URL: f"https://hooks.example.com/{CANARY}url",
    PASSWORD: f"{CANARY}password",
}
ENVIRONMENT = {reference.name: value for reference, value in VALUES.items()}
OLD_TOKEN = f"xoxb-9999999999-{CANARY}old"
OLD_URL = f"https://older.example.com/{CANARY}"

IGNORED, PROTECTED, STRAY = "manual-", "prod-", "stray-"


def value_of(declared: object) -> object:
    """Return what is sent for a declared value."""
    return VALUES[replace(declared, version=None)] if isinstance(declared, SecretRef) else declared


def secrets() -> Mapping[SecretRef, Secret]:
    """Return the secrets as the program holds them, for every version that may be asked for."""
    return {
        replace(reference, version=version): Secret(value)
        for reference, value in VALUES.items()
        for version in (None, 2)
    }


Row = Mapping[str, Any]
"""A webhook as the server stores it."""
