"""Mistakes that the simulation must find, as changes to the text of a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SEEDS = 600
"""How many histories run on each change; nearly every mistake shows in one of them."""

_ENOUGH = 600
"""How many histories from a mistake's `start` on are run to find it."""

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One mistake: in `file`, `old` becomes `new`.

    The first history to show it comes soon after `start`.
    """

    name: str
    file: str
    old: str
    new: str
    start: int = 0


BUGS = (
    Bug(
        name="blind POST retry",
        file="reconciler/api/attempt.py",
        old="    Failure.AMBIGUOUS: (Action.REPEAT, Action.RESOLVE),\n",
        new="    Failure.AMBIGUOUS: (Action.REPEAT, Action.REPEAT),\n",
    ),
    Bug(
        name="no read-back",
        file="reconciler/execute/operation.py",
        old="            outcome = _confirm(operation, run, answers)\n",
        new="            outcome = None\n",
    ),
    Bug(
        name="keep-mine heal",
        file="reconciler/execute/operation.py",
        old="        keeper = min(same, key=lambda each: each.id, default=None)\n",
        new="""        mine = [getattr(each, "id", "") for _, each in run.ledger.settled()]
        keeper = min(same, key=lambda each: (each.id not in mine, each.id), default=None)
""",
        start=180,
    ),
    Bug(
        name="delete before create",
        file="reconciler/execute/execute.py",
        old="            return _LAST if operation.keeps is None else 0\n",
        new="            return 1 if operation.keeps is None else 0\n",
    ),
    Bug(
        name="trusting an empty page",
        file="reconciler/api/paging.py",
        old="    first = read(1)\n",
        new="    first = read(1)\n    if not first.rows:\n        return [_Page(count=0)]\n",
        start=70,
    ),
    Bug(
        name="success without a look",
        file="reconciler/execute/verify.py",
        old="    tried: list[Duplicate] = []\n",
        new="    return Verification(verified=True)\n",
    ),
    Bug(
        name="a delete whose keeper is not asked for",
        file="reconciler/execute/operation.py",
        old="                keeper = run.api.get(operation.keeps)\n"
        "                if keeper is None or keeper.name != before.name:\n",
        new="                if False:\n",
    ),
    Bug(
        name="a saved plan that is applied to whatever is there",
        file="reconciler/planning/check.py",
        old="    if snapshot(live, operation.after) == operation.before:\n",
        new="    if True:\n",
        start=145,
    ),
    Bug(
        name="delete before create in a change of type",
        file="reconciler/execute/operation.py",
        old="        case Update(before=before, after=after):\n            try:\n",
        new="""        case Update(before=before, after=after):
            if before.type != after.type:
                run.api.delete(before.id)
                run.api.create(draft(after, run.secrets), run.plan.organization.id)
            try:
""",
    ),
    Bug(
        name="a rename that takes the first of several copies",
        file="reconciler/planning/match.py",
        old="        if len(sources) == 1:\n",
        new="        if sources:\n",
        start=50,
    ),
    Bug(
        name="--only that looks at a part of the declarations",
        file="reconciler/planning/match.py",
        old="        self.webhooks = list(desired.webhooks)\n",
        new="        self.webhooks = [w for w in desired.webhooks if self.selects(w.name)]\n",
        start=2125,
    ),
    Bug(
        name="--no-prune that prunes",
        file="reconciler/planning/match.py",
        old="            elif not self.prune or not any(within):\n",
        new="            elif not any(within):\n",
        start=185,
    ),
    Bug(
        name="a resend that nobody sends",
        file="reconciler/planning/resend.py",
        old="        asked = not self._requests.named.isdisjoint(_names(webhook, reference))\n",
        new="        return False\n",
        start=85,
    ),
    Bug(
        name="another's copy that differs passed over",
        file="reconciler/execute/verify.py",
        old="if each.id != outcome.id]",
        new="if False]",
        start=1100,
    ),
    Bug(
        name="a write left in flight that counts as none",
        file="reconciler/execute/ledger.py",
        old="            self._writes += len(self._started - self._outcomes.keys())\n",
        new="",
        start=275,
    ),
    Bug(
        name="what was created under another name stays",
        file="reconciler/execute/operation.py",
        old="            run.api.delete(made.id)\n",
        new="",
        start=85,
    ),
    Bug(
        name="a review that lets all of a mentioned webhook through",
        file="reconciler/planning/review.py",
        old="            stale.append(change)\n",
        new="            agreed.add(index)\n",
    ),
    Bug(
        name="a guard that does not hold a plan back",
        file="reconciler/workflow/applying.py",
        old="    _refuse_blocked(made)\n",
        new="",
    ),
    Bug(
        name="a lost write that counts as none",
        file="reconciler/execute/ledger.py",
        old="            self._writes += 1\n",
        new="            self._writes += 0\n",
    ),
    Bug(
        name="secrets that differ do not count",
        file="reconciler/planning/readback.py",
        old="        return Reading.UNKNOWN if encrypted else Reading.DIFFERENT\n",
        new="        return Reading.UNKNOWN\n",
        start=95,
    ),
    Bug(
        name="another webhook of the name passed over before the first write",
        file="reconciler/planning/check.py",
        old="                if others := self.strangers(*sorted(names)):\n",
        new="                if others := []:\n",
        start=1450,
    ),
    Bug(
        name="a scope that is no fence",
        file="reconciler/planning/match.py",
        old="        if not self.is_outside(webhook, found):\n",
        new="        if True:\n",
    ),
    Bug(
        name="webhooks that share a name taken for duplicates",
        file="reconciler/execute/operation.py",
        old="in listing.named(operation.name) if each.id not in pinned]\n",
        new="in listing.named(operation.name)]\n",
        start=355,
    ),
    Bug(
        name="several duplicates without a guard",
        file="reconciler/planning/plan.py",
        old="not each.hidden and of_name[each.name] == 1",
        new="True",
        start=375,
    ),
)


def patched(bug: Bug, folder: Path) -> Path:
    """Copy the package and the simulation into `folder`, with the mistake."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_ROOT / "reconciler", folder / "reconciler", ignore=leave)
    shutil.copytree(_ROOT / "schemas", folder / "schemas")
    (folder / "tests").mkdir()
    for name in ("__init__.py", "loading.py"):
        shutil.copy(_ROOT / "tests" / name, folder / "tests" / name)
    for name in ("simulation", "emulated"):
        shutil.copytree(_ROOT / "tests" / name, folder / "tests" / name, ignore=leave)
    file = folder / bug.file
    text = file.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise LookupError(f"{bug.name}: the text to change is not there once in {bug.file}")
    file.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    return folder


def hunt(bug: Bug, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the simulation on a copy with the mistake until it is found."""
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = ("--start", str(bug.start), "--seeds", str(_ENOUGH))
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *asked],
        cwd=patched(bug, folder),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
