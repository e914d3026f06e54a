"""The way in: CloudTruth from plain settings.

Everything comes as an argument: the environment, too, of which only the variables that name
certificates are looked at here. (Proxies are found by the HTTP library as it documents them.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Required, TypedDict, Unpack

from reconciler.api.calls import Observer
from reconciler.api.client import Client, Reader
from reconciler.api.connections import Adapter
from reconciler.api.origin import Credential, Origin
from reconciler.api.transport import Transport
from reconciler.model import Secret
from reconciler.ports import Clock, Workers


class Options(TypedDict, total=False):
    """How to connect.

    `timeout` is for a request (30 unless given) and `deadline` for the run that begins now (600),
    in seconds. With an `adapter` (see `in_process`) nothing goes to the network.
    """

    server_url: Required[str]
    key: Required[Secret]
    clock: Required[Clock]
    workers: Required[Workers]
    timeout: float
    deadline: float
    environment: Mapping[str, str]
    adapter: Adapter | None
    observer: Observer | None


def connect(**options: Unpack[Options]) -> Client:
    """Return a client that can read and write. No request is made yet.

    Raises UsageError for a URL that must not be used, CredentialError for an impossible key.
    """
    return Client(_transport(options), options["workers"])


def connect_reader(**options: Unpack[Options]) -> Reader:
    """Return a client that can only read. Otherwise as `connect`."""
    return Reader(_transport(options), options["workers"])


def _transport(options: Options) -> Transport:
    return Transport(
        origin=Origin.parse(options["server_url"]),
        credential=Credential.api_key(options["key"]),
        clock=options["clock"],
        timeout=options.get("timeout", 30.0),
        deadline=options.get("deadline", 600.0),
        environment=options.get("environment"),
        adapter=options.get("adapter"),
        observer=options.get("observer"),
    )
