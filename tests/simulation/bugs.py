"""Mistakes that the simulation must find, as changes to the text of a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One mistake: in `file`, `old` becomes `new`. It shows within so many `seeds`."""

    name: str
    file: str
    old: str
    new: str
    seeds: int = 300


BUGS = (
    Bug(
        name="blind POST retry",
        file="reconciler/api/failures.py",
        old="""    Failure.AMBIGUOUS: {
        Use.READ: Action.REPEAT,
        Use.BY_ID: Action.READ_BACK,
        Use.CREATE: Action.RESOLVE,
""",
        new="""    Failure.AMBIGUOUS: {
        Use.READ: Action.REPEAT,
        Use.BY_ID: Action.READ_BACK,
        Use.CREATE: Action.REPEAT,
""",
    ),
    Bug(
        name="no read-back",
        file="reconciler/execute/create_once.py",
        old="            found = _look(change, context)\n",
        new="            found = None\n",
    ),
    Bug(
        name="keep-mine heal",
        file="reconciler/execute/heal.py",
        old="            keeper = min(copies, key=lambda each: each.id)\n",
        new="""            mine = [getattr(each, "id", "") for _, each in context.ledger.settled()]
            keeper = min(copies, key=lambda each: (each.id not in mine, each.id))
""",
        seeds=1000,
    ),
    Bug(
        name="delete before create",
        file="reconciler/execute/executor.py",
        old="    creates = [i for i, change in enumerate(changes) if isinstance(change, Create)]\n",
        new="""    early = [i for i, change in enumerate(changes) if isinstance(change, Delete)]
    workers.run([_in_turn(context, [index]) for index in early])
    creates = [i for i, change in enumerate(changes) if isinstance(change, Create)]
""",
    ),
    Bug(
        name="trusting an empty page",
        file="reconciler/api/paging.py",
        old="    if first.count is None:\n",
        new="    if not first.rows:\n        return ()\n    if first.count is None:\n",
        seeds=600,
    ),
    Bug(
        name="success without a look",
        file="reconciler/execute/verify.py",
        old="    tried: list[Surplus] = []\n    try:\n",
        new="    return Verification(verified=True)\n    tried: list[Surplus] = []\n    try:\n",
        seeds=600,
    ),
    Bug(
        name="a delete whose keeper is not asked for",
        file="reconciler/execute/write_once.py",
        old="change.reason is Reason.DUPLICATE and not _keeper_lives(change, context)",
        new="change.reason is Reason.DUPLICATE and False",
        seeds=300,
    ),
    Bug(
        name="a lost write that counts as none",
        file="reconciler/execute/ledger.py",
        old="            self._writes += 1\n",
        new="            self._writes += 0\n",
    ),
)


def patched(bug: Bug, folder: Path) -> Path:
    """Copy the package and the simulation into `folder`, with the mistake."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_ROOT / "reconciler", folder / "reconciler", ignore=leave)
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()
    shutil.copytree(_ROOT / "tests" / "simulation", folder / "tests" / "simulation", ignore=leave)
    file = folder / bug.file
    text = file.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise LookupError(f"{bug.name}: the text to change is not there once in {bug.file}")
    file.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    return folder


def hunt(bug: Bug, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the simulation on a copy with the mistake until it is found."""
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", str(bug.seeds)],
        cwd=patched(bug, folder),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
