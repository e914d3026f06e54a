"""What is known while one request is carried out.

For: handing it to the views as one value.
Promises: lives for one request; `changed` is the only thing that a view writes here.
Refuses: nothing; it is a record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.emulator.dials import Dials
from reconciler.emulator.lag import Lag
from reconciler.emulator.messages import Request
from reconciler.emulator.store import Store, User

_LOOPBACK = ("localhost", "127.", "[::1]")


@dataclass(slots=True, kw_only=True)
class Context:
    """One request and its surroundings; `changed` is the id of the webhook written, if any."""

    request: Request
    store: Store
    dials: Dials
    lag: Lag
    now: float
    randomness: Callable[[], float]
    user: User | None = None
    changed: str | None = None

    @property
    def caller(self) -> User:
        """The owner of the key; only behind authentication."""
        assert self.user is not None
        return self.user

    @property
    def role(self) -> str:
        """The caller's role, as it is shown."""
        return self.dials.role or self.caller.role

    def url(self, path: str) -> str:
        """Return an absolute URL of this server."""
        if self.dials.next_origin is not None:
            return f"{self.dials.next_origin}{path}"
        host = self.request.headers.get("host", "api.cloudtruth.io")
        scheme = "http" if host.startswith(_LOOPBACK) else "https"
        return f"{scheme}://{host}{path}"
