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
    Inputs,
    PlanOptions,
    ReconcilerError,
    Secret,
    apply,
    connect,
    load,
    plan,
    show,
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


def test_every_public_function_is_explained_and_typed() -> None:
    """Each public name has a docstring, each function a type for everything."""
    for name in reconciler.workflow.__all__:
        found = getattr(reconciler.workflow, name)
        assert found.__doc__, name
        if callable(found) and not isinstance(found, type):
            wrapped = getattr(found, "__wrapped__", found)
            names = wrapped.__code__.co_varnames[: wrapped.__code__.co_argcount]
            assert {*names, "return"} <= set(wrapped.__annotations__), name


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


def test_a_program_applies(both: Cloud) -> None:
    """Applied through the public functions, live is as declared, and a second plan is empty."""
    inputs = Inputs(
        directory=ROOT / "examples/organizations", environ=SLACK, stdin=bytes, paths=("acme.yaml",)
    )
    checked = load(inputs)
    key = Secret("acme-example-key")
    options = PlanOptions()
    with connect(key, server_url=both.environ["CLOUDTRUTH_SERVER_URL"]) as connection:
        report = apply(
            checked, connection, options=options, confirm=lambda plan: len(plan.deletes) == 0
        )  # fmt: skip
        again = plan(checked, connection.api, options=options, api_key=key).plan
    assert both.names() == ["Audit", "Deploys"]
    assert "2 created" in show(report)
    assert (again.changes, show(again, "json")[:1]) == ((), "{")


def test_a_server_that_must_not_be_used() -> None:
    """An address without TLS is refused before the key goes anywhere."""
    with (
        pytest.raises(ReconcilerError, match="plain http"),
        connect(Secret("k" * 20), server_url="http://example.com"),
    ):
        pass
