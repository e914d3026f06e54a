"""Judges requests by what CloudTruth and GitHub publish, and those for webhooks by our contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import schemathesis
import yaml

from tests.emulated.emulator import LogEntry
from tests.goldens import rows

WEBHOOKS = "/api/v1/webhooks/"
_CONTRACT = "../../schemas/cloudtruth-webhooks.openapi.yaml"
FILES = {WEBHOOKS: _CONTRACT, "/api/": "published.yaml", "/repos/": "github.yaml"}
"""The description of paths with a prefix, the longest first."""
_BRANCH = re.compile(r"(?<=/matching-refs/).+|(?<=/compare/).+")


@cache
def description(prefix: str) -> Any:
    """Return a description, in which the contract allows no unknown fields, either."""
    document = rows(Path(__file__).parent / FILES[prefix])
    for name in ("WebhookCreate", "WebhookPatch") if prefix == WEBHOOKS else ():
        document["components"]["schemas"][name]["additionalProperties"] = False
    return schemathesis.openapi.from_dict(document)


def operation(entry: LogEntry) -> Any:
    """Return the operation of a request, None if it is not described."""
    prefix = next(prefix for prefix in FILES if entry.path.startswith(prefix))
    return description(prefix).find_operation_by_path(entry.method, entry.path)


def _problems(entry: LogEntry) -> Iterator[str]:
    # Slashes in these parameters of GitHub belong to the name of a branch.
    path = _BRANCH.sub(lambda part: quote(part[0], safe=""), entry.path)
    entry = entry._replace(path=path)
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
                yield from _errors(known[name], value if is_text else yaml.safe_load(value))
    if bool(entry.body) != bool(len(described.body)):
        yield "a body is missing or not expected"
    elif entry.body:
        yield from _errors(next(iter(described.body)), json.loads(entry.body))


def _errors(part: Any, value: Any) -> Iterator[str]:
    return (error.message for error in part.get_validator().iter_errors(value))


def violations(log: Iterable[LogEntry]) -> list[str]:
    """Return what the descriptions do not allow, each with its request."""
    return [f"{entry.method} {entry.path}: {text}" for entry in log for text in _problems(entry)]
