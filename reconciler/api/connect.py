"""The way in: CloudTruth from plain settings.

Everything comes as an argument: the environment, too, of which only the variables that name
certificates are looked at here. (Proxies are found by the HTTP library as it documents them.)
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.api.calls import Observer
from reconciler.api.client import Client
from reconciler.api.connections import Adapter
from reconciler.api.origin import Credential, Origin
from reconciler.api.transport import Transport
from reconciler.model import Secret
from reconciler.ports import Clock, Workers


def connect(
    *,
    server_url: str,
    key: Secret,
    clock: Clock,
    workers: Workers,
    timeout: float = 30.0,
    deadline: float = 600.0,
    environment: Mapping[str, str] | None = None,
    adapter: Adapter | None = None,
    observer: Observer | None = None,
) -> Client:
    """Return a client. No request is made yet.

    `timeout` is for a request and `deadline` for the run that begins now, in seconds. With an
    `adapter` (see `in_process`) nothing goes to the network.

    Raises UsageError for a URL that must not be used, CredentialError for an impossible key.
    """
    transport = Transport(
        origin=Origin.parse(server_url),
        credential=Credential.api_key(key),
        clock=clock,
        timeout=timeout,
        deadline=deadline,
        environment=environment,
        adapter=adapter,
        observer=observer,
    )
    return Client(transport, workers)
