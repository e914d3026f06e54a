"""Projects, parameters and values: only the requests of `webhooks check --deliver`.

A name is compared here, too, because a server may ignore a filter that it does not know. Writes
raise AmbiguousWriteError if they may have been processed; none is repeated.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from reconciler.api import wire
from reconciler.api.attempt import Reply
from reconciler.api.responses import http_date
from reconciler.api.transport import Transport

_PROJECTS: Final = "/api/v1/projects/"


class Project(NamedTuple):
    """A project. `role` is the key's role in it, None unless access to it is controlled.

    `pattern` is the regular expression for the names of its parameters, empty for any. `time` is
    the server's time of the response, None if the server does not send it.
    """

    id: str
    name: str
    role: str | None
    pattern: str
    time: datetime | None


class Parameter(NamedTuple):
    """A parameter. `value_id` is the id of one of its values, None if it has none."""

    id: str
    name: str
    value_id: str | None


class Parameters:
    """The client of parameters. `transport` sends its requests."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def project(self, name: str) -> Project | None:
        """Return the project of this name, None if there is none or the key cannot see it."""
        reply = self._list(_PROJECTS, name=name)
        row = next((row for row in _rows(reply) if row.get("name") == name), None)
        if row is None:
            return None
        return Project(
            id=row["id"],
            name=name,
            role=wire.text_of(row, "role"),
            pattern=wire.text_of(row, "parameter_name_pattern") or "",
            # The server dates its deliveries, and its clock may differ from this machine's.
            time=http_date(reply.headers.get("date", "")),
        )

    def environment(self, name: str) -> str | None:
        """Return the URL of the environment of this name, which identifies it in a request."""
        # Requests name an environment by its URL, and no other object by one.
        rows = _rows(self._list("/api/v1/environments/", name=name))
        urls = [row.get("url") for row in rows if row.get("name") == name]
        return next((url for url in urls if isinstance(url, str)), None)

    def named(self, project: str, name: str) -> Parameter | None:
        """Return the parameter of this name in a project."""
        parameters = self._parameters(project, name=name)
        return next((parameter for parameter in parameters if parameter.name == name), None)

    def starting_with(self, project: str, prefix: str) -> list[Parameter]:
        """Return the parameters of a project whose names start with `prefix`."""
        parameters = self._parameters(project, name__startswith=prefix)
        return [parameter for parameter in parameters if parameter.name.startswith(prefix)]

    def create(self, project: str, name: str, description: str) -> str:
        """Create a parameter that is not secret, and return its id."""
        body = {"name": name, "description": description, "secret": False}
        return self._write("POST", _path(project), body)

    def describe(self, project: str, parameter: str, description: str) -> None:
        """Change the description of a parameter."""
        self._write("PATCH", _path(project, parameter), {"description": description})

    def create_value(self, project: str, parameter: str, environment: str, value: str) -> str:
        """Set the value of a parameter in an environment, and return the value's id."""
        body = {"environment": environment, "internal_value": value}
        return self._write("POST", f"{_path(project, parameter)}values/", body)

    def change_value(self, project: str, parameter: str, id: str, value: str) -> None:
        """Change a value."""
        self._write("PATCH", _path(project, parameter, id), {"internal_value": value})

    def delete(self, project: str, parameter: str, value: str | None = None) -> None:
        """Delete a parameter, or one of its values. Raises NotFoundError if it does not exist."""
        self._transport.request("DELETE", _path(project, parameter, value), expect=204)

    def _parameters(self, project: str, **filters: str) -> list[Parameter]:
        rows = _rows(self._list(_path(project), **filters))
        for row in rows:
            # A server that ignores the filters shows values of other parameters.
            values = wire.wrapped(row.get("values"), f"parameter {row['id']} with values")
            self._transport.redactor.add(values, None)
        return [
            Parameter(row["id"], str(row.get("name")), _value_id(row.get("values"))) for row in rows
        ]

    def _list(self, path: str, **filters: str) -> Reply:
        """Return a page. Its filters match one object, or a few, so there is no second page."""
        return self._transport.request(
            "GET", path, params={**filters, "page_size": 100}, expect=200, accept=_is_page
        )

    def _write(self, method: str, path: str, body: dict[str, Any]) -> str:
        """Send an object, and return the id in the response."""
        status = 201 if method == "POST" else 200
        reply = self._transport.request(
            method, path, json=body, expect=status, accept=wire.usable_id
        )
        return str(reply.data["id"])


def _path(project: str, parameter: str | None = None, value: str | None = None) -> str:
    # No character is safe: an id with a slash must stay one part of the path.
    path = f"{_PROJECTS}{quote(project, safe='')}/parameters/"
    if parameter is not None:
        path += f"{quote(parameter, safe='')}/"
    if value is not None:
        path += f"values/{quote(value, safe='')}/"
    return path


def _is_page(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("results"), list)


def _rows(reply: Reply) -> list[dict[str, Any]]:
    """Return the objects of a page with a usable id."""
    # An id becomes a part of the next request's path.
    return [row for row in reply.data["results"] if wire.usable_id(row) is not None]


def _value_id(values: Any) -> str | None:
    """Return the id of one of a parameter's values, which are an object by environment."""
    rows = values.values() if isinstance(values, dict) else ()
    return next(filter(None, map(wire.usable_id, rows)), None)
