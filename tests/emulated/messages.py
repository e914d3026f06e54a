"""Requests and answers, and faults of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from reconciler.emulator import messages
from reconciler.emulator.messages import Request
from tests.emulated.faults import Fault

__all__ = ["Answer", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(messages.Answer):
    """One HTTP answer, and the fault to apply while sending it, if any.

    `content-length` is that of the complete `body`, so a truncated answer sends fewer bytes than it
    announces.
    """

    fault: Fault | None = None

    def header(self, name: str) -> str | None:
        """Return the first header of that name (case-insensitive), or None."""
        name = name.lower()
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """Return the decoded body; ValueError if it is not JSON."""
        return json.loads(self.body)


def with_fault(answer: messages.Answer, fault: Fault) -> Answer:
    """Return the answer changed by the fault."""
    body = answer.body if fault.body is None else fault.body
    replaced = {name for name, _ in fault.headers}
    length: tuple[tuple[str, str], ...] = ()
    if fault.body is not None:
        replaced.add("content-length")
        length = (("content-length", str(len(body))),)
    kept = (pair for pair in answer.headers if pair[0] not in replaced)
    return Answer(
        status=answer.status if fault.status is None else fault.status,
        headers=(*kept, *fault.headers, *length),
        body=body,
        fault=fault,
    )
