"""Bugs that the simulation must find, as edits to a copy of the package."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.folders import ProgramCopy, replacing

SEEDS = 600
"""The number of histories per change, and the maximum number to find a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A bug: in `file` of the package, `old` becomes `new`.

    The first history to reveal it comes soon after the seed `start`.
    """

    name: str
    file: str
    old: str
    new: str
    start: int = 0


BUGS = (
    Bug(
        name="blind POST retry",
        file="api/attempt.py",
        old="    AMBIGUOUS = (Action.REPEAT, Action.RESOLVE)\n",
        new="    AMBIGUOUS = (Action.REPEAT, Action.REPEAT)\n",
    ),
    Bug(
        name="no read-back",
        file="execute/operation.py",
        old="            outcome = _confirm(operation, run, answers)\n",
        new="            outcome = None\n",
    ),
    Bug(
        name="keep-mine heal",
        file="execute/operation.py",
        old="        keeper = min(same, key=lambda each: each.id, default=None)\n",
        new="""        mine = [getattr(each, "id", "") for _, each in run.ledger.settled()]
        keeper = min(same, key=lambda each: (each.id not in mine, each.id), default=None)
""",
        start=180,
    ),
    Bug(
        name="delete before create",
        file="execute/execute.py",
        old="            return _LAST if operation.keeps is None else 0\n",
        new="            return 1 if operation.keeps is None else 0\n",
    ),
    Bug(
        name="trusting an empty page",
        file="api/paging.py",
        old="    first = read(1)\n",
        new="    first = read(1)\n    if not first.rows:\n        return [_Page(count=0)]\n",
        start=70,
    ),
    Bug(
        name="success without verification",
        file="execute/verify.py",
        old="    tried: dict[str, Duplicate] = {}\n",
        new="    return Verification(verified=True)\n",
    ),
    Bug(
        name="a delete that does not read the webhook to keep",
        file="execute/operation.py",
        old="                keeper = run.api.get(operation.keeps)\n"
        "                if keeper is None or keeper.name != before.name:\n",
        new="                if False:\n",
    ),
    Bug(
        name="a saved plan that is applied to changed webhooks",
        file="planning/check.py",
        old="    if snapshot(live, operation.after) == operation.before:\n",
        new="    if True:\n",
        start=145,
    ),
    Bug(
        name="delete before create in a change of type",
        file="execute/operation.py",
        old="        case Update(before=before, after=after):\n            try:\n",
        new="""        case Update(before=before, after=after):
            if before.type != after.type:
                run.api.delete(before.id)
                run.api.create(draft(after, run.secrets), run.plan.organization.id)
            try:
""",
    ),
    Bug(
        name="a rename that takes the first of several duplicates",
        file="planning/match.py",
        old="        found = found or earlier\n",
        new="        found = found or earlier[:1]\n",
        start=50,
    ),
    Bug(
        name="--only that reads part of the declarations",
        file="planning/match.py",
        old="        self._webhooks = list(desired.webhooks)\n",
        new="        self._webhooks = [w for w in desired.webhooks if self._selects(w.name)]\n",
        start=2125,
    ),
    Bug(
        name="--no-prune that prunes",
        file="planning/match.py",
        old="            if not (self._prune and any(within)):\n",
        new="            if not any(within):\n",
        start=185,
    ),
    Bug(
        name="a resend that is not sent",
        file="planning/resend.py",
        old="self._everything or not self._named.isdisjoint(",
        new="False and self._named.isdisjoint(",
        start=85,
    ),
    Bug(
        name="a differing duplicate of another user ignored",
        file="execute/verify.py",
        old="if each.id != outcome.id]",
        new="if False]",
        start=1100,
    ),
    Bug(
        name="an unfinished write that is not counted",
        file="execute/ledger.py",
        old="            self._writes += len(self._started - self._outcomes.keys())\n",
        new="",
        start=275,
    ),
    Bug(
        name="a create stored under another name is kept",
        file="execute/operation.py",
        old="            run.api.delete(made.id)\n",
        new="",
        start=85,
    ),
    Bug(
        name="a review that approves every change of a reviewed webhook",
        file="planning/review.py",
        old="            stale.append(operation)\n",
        new="            agreed.add(index)\n",
    ),
    Bug(
        name="a guard that does not block",
        file="workflow/applying.py",
        old="    _refuse_blocked(made, command)\n",
        new="",
    ),
    Bug(
        name="a lost write that is not counted",
        file="execute/ledger.py",
        old="            self._writes += 1\n",
        new="            self._writes += 0\n",
    ),
    Bug(
        name="secrets that differ are not compared",
        file="planning/readback.py",
        old="        return Reading.UNKNOWN if encrypted else Reading.DIFFERENT\n",
        new="        return Reading.UNKNOWN\n",
        start=95,
    ),
    Bug(
        name="another webhook of the name ignored before the first write",
        file="planning/check.py",
        old="                others = self.strangers(*sorted(names))\n",
        new="                others = []\n",
        start=1450,
    ),
    Bug(
        name="a scope that is not enforced",
        file="planning/match.py",
        old="        if self._is_outside(webhook, found):\n",
        new="        if False:\n",
    ),
    Bug(
        name="webhooks that share a name taken for duplicates",
        file="execute/operation.py",
        old="in listing.named(operation.name) if each.id not in pinned]\n",
        new="in listing.named(operation.name)]\n",
        start=355,
    ),
    Bug(
        name="several duplicates without a guard",
        file="planning/plan.py",
        old="not each.hidden and of_name[each.name] == 1",
        new="True",
        start=375,
    ),
)


def run_with_bug(bug: Bug, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the simulation on a copy of the package with the bug."""
    parts = ("tests/simulation", "tests/emulated", "tests/__init__.py", "tests/loading.py")
    copy = ProgramCopy(folder, *parts)
    copy.add({f"reconciler/{bug.file}": replacing(bug.old, bug.new)})
    return copy.python("-m", "tests.simulation", "--start", str(bug.start), "--seeds", str(SEEDS))
