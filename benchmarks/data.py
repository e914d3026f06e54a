"""The same webhooks as a file, as rows of the API and as records of a DNS zone.

Everything depends only on a webhook's number, so the server and the file agree. Run as a program it
writes the files: the measuring process must stay small, because a child's peak memory starts at its
parent's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOKEN = "xoxb-" + "0000000000-benchmark"
_EVENTS = [
    f"{subject}_{verb}"
    for subject in ("environment", "parameter", "project", "template", "value")
    for verb in ("created", "deleted", "updated")
]


def name(number: int) -> str:
    return f"team-{number % 97:02}-webhook-{number:06}"


def events(number: int) -> list[str]:
    return sorted({_EVENTS[(number + step * 4) % 15] for step in range(3)})


def row(number: int, id: str | None = None) -> dict[str, Any]:
    """Return a webhook as the API lists it."""
    return {
        "id": id or f"00000000-0000-4000-8000-{number:012}",
        "url": None,
        "name": name(number),
        "organization": "org-1",
        "type": "slack",
        "event_types": events(number),
        "configuration": {
            "token": TOKEN,
            "channel": f"#channel-{number % 50}",
            "username": "CloudTruth",
        },
        "last_run": "2026-01-01T00:00:00Z",
        "last_error": None,
    }


def body(number: int) -> dict[str, Any]:
    """Return the body of the request that creates a webhook."""
    wanted = ("name", "organization", "type", "event_types", "configuration")
    return {key: value for key, value in row(number).items() if key in wanted}


def declaration(count: int, first: int = 0) -> Iterator[str]:
    """Yield the lines of a webhooks file."""
    yield "webhooks:\n"
    for number in range(first, first + count):
        yield (
            f"  - name: {name(number)}\n"
            "    type: slack\n"
            f"    event_types: [{', '.join(events(number))}]\n"
            "    configuration:\n"
            "      token: {env: SLACK_BOT_TOKEN}\n"
            f"      channel: '#channel-{number % 50}'\n"
            "      username: CloudTruth\n"
        )


def zone(count: int) -> Iterator[str]:
    """Yield the lines of a zone with `count` records."""
    yield "---\n"
    for number in range(count):
        yield (
            f"record-{number:06}:\n"
            "  ttl: 300\n"
            "  type: A\n"
            f"  value: 10.{number // 65536}.{number // 256 % 256}.{number % 256}\n"
        )


def dns(directory: Path, count: int) -> None:
    """Write an octoDNS configuration with one zone, the same on both sides."""
    for side in ("source", "live"):
        (directory / side).mkdir(parents=True, exist_ok=True)
        with (directory / side / "example.com.yaml").open("w") as file:
            file.writelines(zone(count))
    provider = "class: octodns.provider.yaml.YamlProvider, enforce_order: false"
    (directory / "config.yaml").write_text(
        "providers:\n"
        f"  source: {{{provider}, directory: {directory}/source}}\n"
        f"  live: {{{provider}, directory: {directory}/live}}\n"
        "zones:\n"
        "  example.com.:\n"
        "    sources: [source]\n"
        "    targets: [live]\n"
    )


if __name__ == "__main__":
    kind, place, amount = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if kind == "dns":
        dns(place, amount)
    else:
        with place.open("w") as out:
            out.writelines(declaration(amount))
