"""The modules that a process loads, which is most of the cost of a small run."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.conftest import File, MakeCloud
from tests.folders import python
from tests.performance.sample import TOKEN, declaration, row

HEAVY = {"yaml", "jsonschema_rs", "httpx", "deepdiff", "asyncio", "sqlite3"}
EXPLAINERS = {"deepdiff", "difflib"}.union(
    f"reconciler.source.{name}" for name in ("explain", "position")
)
_LOADED = """
import atexit, json, sys
from reconciler.__main__ import main
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
main()
"""
_COLLECTIONS = """
import atexit, gc, sys
from reconciler.__main__ import main
def show(): print(sum(each['collections'] for each in gc.get_stats()), file=sys.stderr)
gc.collect()
show()
atexit.register(show)
main()
"""


def loaded(directory: Path, line: str, **environ: str) -> tuple[int, set[str]]:
    """Run a command line in a new process; return its exit code and the loaded modules."""
    done = python(directory, "-c", _LOADED, *line.split(), HOME=str(directory), **environ)
    return done.returncode, set(json.loads(done.stderr.splitlines()[-1]))


def existing(*names: str) -> set[str]:
    """Return names of modules, which must exist: a moved one would never be loaded."""
    for name in names:
        assert find_spec(f"reconciler.{name}") is not None, name
    return {f"reconciler.{name}" for name in names}


ONE = declaration(range(1))
HELP = ("--version", "--help", "help options", "completion bash", "plan --help")


@pytest.mark.parametrize(
    ("line", "text", "code", "unneeded"),
    [
        *((line, ONE, 0, HEAVY) for line in HELP),
        # A missing key and an invalid file are reported before the HTTP library is loaded.
        *((line, ONE, 4, {"httpx", "deepdiff"}) for line in ("plan", "apply --yes", "export")),
        ("plan", "webhooks: [{}]\n", 3, {"httpx"}),
    ],
)
def test_a_run_without_requests_loads_nothing_heavy(
    file: File, tmp_path: Path, line: str, text: str, code: int, unneeded: set[str]
) -> None:
    """Help, versions and early errors appear without a delay."""
    file(text)
    found, modules = loaded(tmp_path, line)
    assert (found, modules & unneeded) == (code, set())


def test_completing_a_command_loads_no_command(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "webhooks va", "COMP_CWORD": "1"}
    code, modules = loaded(tmp_path, "", _WEBHOOKS_COMPLETE="bash_complete", **words)
    assert (code, modules & HEAVY) == (0, set())
    assert not [name for name in modules if name.startswith("reconciler.cli.commands.")]


def test_validate_loads_only_its_own_stage(file: File, tmp_path: Path) -> None:
    """A valid file loads no plans, engine, client, renderer or error messages."""
    file(declaration(range(10)))
    code, modules = loaded(tmp_path, "validate")
    others = existing("planning.plan", "report", "render.text", "execute", "api",
                  "emulator", "settings")  # fmt: skip
    assert (code, modules & (EXPLAINERS | others)) == (0, set())


@pytest.mark.parametrize(
    ("line", "renderers"), [("plan", {"text"}), ("plan --format json", {"json"}), ("status", set())]
)
def test_a_run_without_changes_loads_no_engine(
    file: File, cloud: MakeCloud, tmp_path: Path, line: str, renderers: set[str]
) -> None:
    """A run without changes loads neither the engine nor explanations."""
    file(declaration(range(10)))
    made = cloud()
    for number in range(10):
        made.emulator.store.save(row(number, made.emulator.organization))
    code, modules = loaded(tmp_path, line, **{**made.environ, "TOKEN": TOKEN})
    assert (code, "httpx" in modules) == (0, True)
    others = existing("emulator", "execute.execute", "source.saved_plan")
    others |= existing(*(f"render.{name}" for name in {"json", "markdown", "github"} - renderers))
    assert not modules & (EXPLAINERS | others | {"sqlite3"})


def test_a_small_plan_loads_few_modules(file: File, tmp_path: Path) -> None:
    """A small plan loads at most 55 modules of the program."""
    file()
    code, modules = loaded(tmp_path, "plan --local")
    packages = {name.rpartition(".")[0] for name in modules}
    packages.add("reconciler.__main__")  # interpreter start
    own = {name for name in modules - packages if name.startswith("reconciler.")}
    assert (code, len([name for name in own if ".emulator." not in name]) <= 55) == (0, True)
    assert "asyncio" not in modules


def test_cyclic_garbage_collection_is_off(file: File, tmp_path: Path) -> None:
    """A run never stops to search for cyclic garbage."""
    file(declaration(range(200)))
    before, after = python(tmp_path, "-c", _COLLECTIONS, "validate").stderr.split()
    assert before == after
