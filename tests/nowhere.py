"""Addresses at which nobody is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nowhere() -> Iterator[str]:
    """Yield the address of a port that refuses connections.

    The port is taken and not listened on, so that nobody else can begin to serve there meanwhile.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
