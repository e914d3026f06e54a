"""What becomes of the drift issue."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reconciler.ci.issue import Close, Edit, Issue, Leave, Open, decide

from reconciler.ci.marker import Marker, encode

FOUND = Marker(
    kind="drift", label="", file="w.yaml", organization="o", digest="sha256:" + "1" * 64, run="r2"
)


def issue(marker: Marker | None) -> Issue:
    return Issue(number=5, body=encode(marker) if marker else "edited away")


@pytest.mark.parametrize(
    ("existing", "drift", "step"),
    [
        (None, False, Leave()),
        (None, True, Open()),
        (issue(FOUND), False, Close(number=5)),
        (issue(replace(FOUND, run="r1", version="9")), True, Leave()),
        (issue(replace(FOUND, digest="sha256:" + "2" * 64)), True, Edit(number=5)),
        (issue(replace(FOUND, organization="p")), True, Edit(number=5)),
        (issue(None), True, Edit(number=5)),
    ],
)
def test_an_issue_is_open_exactly_while_there_is_drift(existing, drift, step) -> None:
    """Opened once, edited only when it says something else, closed when the drift is gone."""
    assert decide(existing, found=FOUND, drift=drift) == step
