"""A failing renderer neither prevents nor interrupts an apply, and changes no exit code."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from reconciler.render import RENDERERS
from reconciler.render.json import render_error
from tests.cli.conftest import Cloud, File, MakeCloud, Shell, expect
from tests.emulated.faults import Rule, Script, status


class Broken:
    """A renderer that fails for every plan and report."""

    render_error = staticmethod(render_error)

    @staticmethod
    def render_run(*_: object) -> NoReturn:
        raise AttributeError("'dict' object has no attribute 'isprintable'")

    render_run_report = render_run


@pytest.fixture(params=list(RENDERERS))
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(RENDERERS, request.param, Broken)  # type: ignore[arg-type]
    return str(request.param)


def test_an_apply_completes(shell: Shell, server: Cloud, broken: str, tmp_path: Path) -> None:
    """Everything is written, the exit code is that of the result, and one line has the outcome."""
    done = shell("apply", "--yes", "--format", broken, "--report", "report.json", **server.environ)
    line = (
        "error: applied 2 of 2 changes: 2 created; the report cannot be "
        "shown: internal error (AttributeError)\n"
    )
    expect(done, 0 if broken != "json" else 7, line)
    assert server.names() == ["Deploys", "Pager"]
    assert (tmp_path / "report.json").exists() is (broken != "json")


def test_a_failure_keeps_its_exit_code(
    shell: Shell, file: File, cloud: MakeCloud, broken: str
) -> None:
    """Some operations failed, and the line has their number."""
    file()
    server = cloud(faults=Script([Rule(fault=status(400), method="POST", name="Pager")]))
    done = shell("apply", "--yes", "--format", broken, **server.environ)
    expect(done, 7, "error: applied 1 of 2 changes: 1 created, 1 failed;")
    assert server.names() == ["Deploys"]


def test_a_plan_that_cannot_be_shown_is_not_confirmed(
    shell: Shell, server: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --yes nothing is written."""
    monkeypatch.setitem(RENDERERS, "text", Broken)  # type: ignore[arg-type]
    assert shell("apply", keys="yes\n", terminal=True, **server.environ).code == 70
    assert server.writes() == []
