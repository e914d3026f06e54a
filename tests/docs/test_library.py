"""The public functions: the page that explains them, and the program that uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import reconciler.workflow
from reconciler.workflow import (
    ReconcilerError,
    Secret,
    connect,
)
from tests.cli.conftest import Cloud
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text("utf-8")
TOKEN = "xoxb-" + "0123456789-abcdef"
SLACK = {"ACME_SLACK_TOKEN": TOKEN, "GLOBEX_SLACK_TOKEN": TOKEN}
MakeCloud = Callable[..., Cloud]


@pytest.fixture
def both(cloud: MakeCloud) -> Cloud:
    """One CloudTruth with two organizations, and a key for each."""
    made = cloud()
    store = made.emulator.store
    for name, key in (("Acme", "acme-example-key"), ("Globex", "globex-example-key")):
        organizations = {each.name: each.id for each in store.organizations()}
        if name not in organizations:
            organizations[name] = store.add_organization(name).id
        store.add_user(organizations[name], key=key, role="ADMIN")
    return made


def run_example(**environ: str) -> subprocess.CompletedProcess[str]:
    surroundings = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "library.py"],
        env={**surroundings, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_page_names_all_that_is_public() -> None:
    """The table on the page and `__all__` are the same, and nobody is told of anything else."""
    section = PAGE.partition("## Everything public")[2]
    named = re.findall(r"^\| `(\w+)` \|", section, flags=re.M)
    assert sorted(named) == sorted(reconciler.workflow.__all__)
    imported = re.findall(r"from (reconciler[\w.]*) import", PAGE)
    assert set(imported) == {"reconciler.workflow"}


def test_two_organizations_side_by_side(both: Cloud) -> None:
    """The example shows the plan of each organization and writes nothing."""
    keys = {"ACME_API_KEY": "acme-example-key", "GLOBEX_API_KEY": "globex-example-key"}
    done = run_example(**keys, **SLACK, CLOUDTRUTH_SERVER_URL=both.environ["CLOUDTRUTH_SERVER_URL"])
    assert done.returncode == 2, done.stderr
    acme, globex = done.stdout.index("of Acme"), done.stdout.index("of Globex")
    assert acme < done.stdout.index("Plan: 2 to create") < globex
    assert "Plan: 1 to create" in done.stdout[globex:]
    assert both.writes() == []


def test_keys_that_are_mixed_up(both: Cloud) -> None:
    """A key of the other organization ends the example with a sentence."""
    keys = {"ACME_API_KEY": "globex-example-key", "GLOBEX_API_KEY": "acme-example-key"}
    done = run_example(**keys, **SLACK, CLOUDTRUTH_SERVER_URL=both.environ["CLOUDTRUTH_SERVER_URL"])
    assert done.returncode == 1
    assert "belongs to organization 'Globex', not to 'Acme'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_must_not_be_used() -> None:
    """An address without TLS is refused before the key goes anywhere."""
    with (
        pytest.raises(ReconcilerError, match="plain http"),
        connect(Secret("k" * 20), server_url="http://example.com"),
    ):
        pass
