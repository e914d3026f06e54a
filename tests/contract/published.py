"""Judges requests by CloudTruth's own description, and those for webhooks by our contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from jsonschema_rs import Draft202012Validator

from tests.emulated.emulator import LogEntry

_PUBLISHED = Path(__file__).with_name("published.yaml")
_CONTRACT = Path(__file__).parents[2] / "schemas" / "cloudtruth-webhooks.openapi.yaml"


class Operation:
    """A method of a path, and what its requests may contain."""

    def __init__(self, method: str, path: str, item: dict[str, Any], components: Any) -> None:
        self.name = f"{method.upper()} {path}"
        self.pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.name))
        self._components = _as_json_schema(components)
        known = map(self._resolved, item.get("parameters", []) + item[method].get("parameters", []))
        self._parameters = {(row["in"], row["name"]): row["schema"] for row in known}
        body = item[method].get("requestBody")
        self._body = body and self._resolved(body["content"]["application/json"]["schema"])

    def problems(self, entry: LogEntry) -> Iterator[str]:
        """Yield what is not allowed in one of its requests."""
        path = self.pattern.fullmatch(f"{entry.method} {entry.path}").groupdict()
        query = parse_qsl(entry.query, keep_blank_values=True)
        for place, pairs in (("path", path.items()), ("query", query)):
            for name, value in pairs:
                schema = self._parameters.get((place, name))
                if schema is None:
                    yield f"unknown {place} parameter {name}"
                else:
                    is_text = schema["type"] == "string"
                    yield from self._errors(schema, value if is_text else json.loads(value))
        if (entry.body == "") != (self._body is None):
            yield "a body is missing or not expected"
        elif self._body is not None:
            body, known = json.loads(entry.body), self._body["properties"]
            # A server ignores these, so a wrong name would have no effect.
            for name in body:
                if name not in known or known[name].get("readOnly"):
                    yield f"unknown or read-only {name}"
            yield from self._errors(self._body, body)

    def _errors(self, schema: dict[str, Any], value: Any) -> Iterator[str]:
        complete = {**schema, "components": self._components}
        for error in Draft202012Validator(complete, validate_formats=True).iter_errors(value):
            yield error.message

    def _resolved(self, part: Any) -> Any:
        """Follow a reference, which names one of the components."""
        if "$ref" not in part:
            return _as_json_schema(part)
        _, _, kind, name = part["$ref"].split("/")
        return self._components[kind][name]


def _as_json_schema(part: Any) -> Any:
    """Replace `nullable` of OpenAPI 3.0, the only word that JSON Schema lacks."""
    if isinstance(part, list):
        return [_as_json_schema(item) for item in part]
    if not isinstance(part, dict):
        return part
    inner = {key: _as_json_schema(value) for key, value in part.items()}
    if inner.pop("nullable", False) is True and "type" in inner:
        inner["type"] = [inner["type"], "null"]
    return inner


def _operations() -> Iterator[Operation]:
    published, contract = (yaml.safe_load(file.read_text()) for file in (_PUBLISHED, _CONTRACT))
    ours = {path: item for path, item in contract["paths"].items() if "/webhooks/" in path}
    for paths, document in ((published["paths"], published), (ours, contract)):
        for path, item in paths.items():
            for method in ("get", "post", "put", "patch", "delete"):
                if method in item:
                    yield Operation(method, path, item, document["components"])


OPERATIONS = tuple(_operations())


def operation(request: str) -> Operation | None:
    """Return the operation of a method and path."""
    return next((each for each in OPERATIONS if each.pattern.fullmatch(request)), None)


def violations(log: Iterable[LogEntry]) -> list[str]:
    """Return what the descriptions do not allow, each with its request."""
    found = []
    for entry in log:
        request = f"{entry.method} {entry.path}"
        described = operation(request)
        problems = ["no such operation"] if described is None else described.problems(entry)
        found += [f"{request}: {text}" for text in problems]
    return found
