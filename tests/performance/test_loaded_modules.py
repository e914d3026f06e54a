"""What a process loads, named by name: loading is most of what a small run costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.test_imports import loaded, surroundings
from tests.emulated.emulator import LOCAL_KEY, Emulator
from tests.emulated.variant import Variant
from tests.performance.counting import counting
from tests.performance.sample import TOKEN, declaration, row

EXPLAINERS = {"deepdiff", "reconciler.source.explain"}


def ours(*names: str) -> set[str]:
    """Return names of modules, which must exist: one that has moved is never loaded."""
    for name in names:
        assert find_spec(name) is not None, name
    return set(names)


def test_no_search_for_cycles(tmp_path: Path) -> None:
    """From its first line on, a run never stops to look for cyclic garbage."""
    count = "print(sum(each['collections'] for each in gc.get_stats()), file=sys.stderr)"
    program = "import atexit, gc, sys\nfrom reconciler.__main__ import main\n"
    program += f"gc.collect()\n{count}\natexit.register(lambda: {count})\nmain()"
    (tmp_path / "webhooks.yaml").write_text(declaration(range(200)))
    done = subprocess.run(
        [sys.executable, "-c", program, "validate"],
        cwd=tmp_path,
        env=surroundings(),
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = done.stderr.split()
    assert before == after


def test_validate_loads_its_own_stage_only(tmp_path: Path) -> None:
    """Checking a good file loads no plans, engine, client, renderer or words about mistakes."""
    (tmp_path / "webhooks.yaml").write_text(declaration(range(10)))
    code, modules = loaded(tmp_path, "validate")
    assert code == 0
    assert not modules & EXPLAINERS
    assert "difflib" not in modules
    assert not modules & ours(
        "reconciler.source.position",
        "reconciler.source.position",
        "reconciler.source.syntax",
        "reconciler.planning.plan",
        "reconciler.report",
        "reconciler.render.text",
        "reconciler.execute",
        "reconciler.api",
        "reconciler.emulator",
        "reconciler.settings",
    )


@pytest.mark.parametrize(
    ("arguments", "renderer"),
    [(("plan",), "text"), (("plan", "--format", "json"), "json"), (("status",), None)],
)
def test_plan_over_http_without_differences(
    tmp_path: Path, arguments: tuple[str, ...], renderer: str | None
) -> None:
    """A run over HTTP that finds nothing to do explains nothing, and loads no engine."""
    (tmp_path / "webhooks.yaml").write_text(declaration(range(10)))
    emulator = Emulator(behaviour=Variant(), seed=1)
    for number in range(10):
        emulator.store.insert(row(number, emulator.organization))
    with counting(emulator) as server:
        code, modules = loaded(
            tmp_path,
            *arguments,
            TOKEN=TOKEN,
            CLOUDTRUTH_API_KEY=LOCAL_KEY,
            CLOUDTRUTH_SERVER_URL=server.url,
        )
    assert code == 0
    assert "httpx" in modules
    assert not modules & EXPLAINERS
    assert "sqlite3" not in modules
    assert not modules & ours(
        "reconciler.emulator",
        "reconciler.execute.execute",
        "reconciler.source.position",
        "reconciler.source.saved_plan",
    )
    others = {"json", "markdown", "github"} - {renderer}
    assert not modules & ours(*(f"reconciler.render.{name}" for name in others))


@pytest.mark.parametrize(
    "arguments",
    [("plan",), ("apply", "--yes"), ("status",), ("export",)],
)
def test_without_a_key_no_http(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Who has no key yet is told so before the HTTP library is loaded."""
    (tmp_path / "webhooks.yaml").write_text(declaration(range(1)))
    environ = {"HOME": str(tmp_path), "CLOUDTRUTH_API_KEY": "", "XDG_CONFIG_HOME": str(tmp_path)}
    code, modules = loaded(tmp_path, *arguments, **environ)
    assert code == 4
    assert not modules & {"httpx", "deepdiff"}
