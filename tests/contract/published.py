"""Judges requests by CloudTruth's own description, and those for webhooks by our contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import schemathesis
import yaml

from tests.emulated.emulator import LogEntry

WEBHOOKS = "/api/v1/webhooks/"


@cache
def descriptions() -> tuple[Any, Any]:
    """Return what CloudTruth publishes, and our contract."""
    contract = Path(__file__).parents[2] / "schemas" / "cloudtruth-webhooks.openapi.yaml"
    published, ours = (
        yaml.safe_load(path.read_text("utf-8"))
        for path in (Path(__file__).with_name("published.yaml"), contract)
    )
    for name in ("WebhookCreate", "WebhookPatch"):
        ours["components"]["schemas"][name]["additionalProperties"] = False
    return schemathesis.openapi.from_dict(published), schemathesis.openapi.from_dict(ours)


def operation(entry: LogEntry) -> Any:
    """Return the operation of a request, None if it is not described."""
    description = descriptions()[entry.path.startswith(WEBHOOKS)]
    return description.find_operation_by_path(entry.method, entry.path)


def _problems(entry: LogEntry) -> Iterator[str]:
    described = operation(entry)
    if described is None:
        yield "no such operation"
        return
    template = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", described.path)
    path = re.fullmatch(template, entry.path).groupdict().items()
    query = parse_qsl(entry.query, keep_blank_values=True)
    for parameters, sent in ((described.path_parameters, path), (described.query, query)):
        known = {parameter.name: parameter for parameter in parameters}
        for name, value in sent:
            if name not in known:
                yield f"unknown parameter {name}"
            else:
                is_text = known[name].definition["schema"]["type"] == "string"
                yield from _errors(known[name], value if is_text else json.loads(value))
    if bool(entry.body) != bool(len(described.body)):
        yield "a body is missing or not expected"
    elif entry.body:
        yield from _errors(next(iter(described.body)), json.loads(entry.body))


def _errors(part: Any, value: Any) -> Iterator[str]:
    return (error.message for error in part.get_validator().iter_errors(value))


def violations(log: Iterable[LogEntry]) -> list[str]:
    """Return what the descriptions do not allow, each with its request."""
    return [f"{entry.method} {entry.path}: {text}" for entry in log for text in _problems(entry)]
