"""Bugs that the simulation must find, as edits to a copy of the package."""

from __future__ import annotations

from typing import NamedTuple

SEEDS = 600
"""The number of histories per change, and the maximum number to find a bug."""


class Bug(NamedTuple):
    """A bug: in `file` of the package, `old` becomes `new`.

    The first history to reveal it comes soon after the seed `start`.
    """

    file: str
    old: str
    new: str
    start: int = 0


BUGS = {
    "blind POST retry": Bug(
        "api/attempt.py", "(Action.REPEAT, Action.RESOLVE)", "(Action.REPEAT, Action.REPEAT)"
    ),
    "no read-back": Bug("execute/operation.py", "_confirm(operation, run, errors)\n", "None\n"),
    "a run that keeps its own duplicate": Bug(
        "execute/verify.py",
        "    keeper = min(named, key=lambda webhook: webhook.id, default=None)\n",
        """    mine = [getattr(outcome, "id", "") for _, outcome in run.ledger.recorded()]
    keeper = min(
        named, key=lambda webhook: (webhook.id not in mine, webhook.id), default=None
    )
""",
        180,
    ),
    "delete before create": Bug("planning/plan.py", "return 3 if", "return 1 if"),
    "trusting an empty page": Bug(
        "api/client.py",
        "    first = read(1)\n",
        "    first = read(1)\n    if not first.rows:\n        return [_Page(total=0)]\n",
        70,
    ),
    "success without verification": Bug(
        "execute/verify.py",
        "    tried: dict[str, RemovedDuplicate] = {}\n",
        "    return Report(run.plan, verified=True)\n",
    ),
    "a delete that does not read the webhook to keep": Bug(
        "execute/operation.py",
        "                keeper = run.api.get(operation.kept_id)\n"
        "                if keeper is None or keeper.name != before.name:\n",
        "                if False:\n",
    ),
    "a saved plan that is applied to changed webhooks": Bug(
        "planning/check.py",
        "if is_left and self._is_unchanged(operation, live):",
        "if is_left:",
        145,
    ),
    "delete before create in a change of type": Bug(
        "execute/operation.py",
        "        case Update(before=before, after=after):\n            try:\n",
        """        case Update(before=before, after=after):
            if before.type != after.type:
                run.api.delete(before.id)
                run.api.create(draft(after, run.secrets), run.plan.organization.id)
            try:
""",
    ),
    "a rename that takes the first of several duplicates": Bug(
        "planning/match.py",
        "return self._free(entry.name), self._free(*_former_names(entry))",
        "return self._free(entry.name), self._free(*_former_names(entry))[:1]",
        50,
    ),
    "--only that reads part of the declarations": Bug(
        "planning/match.py",
        "list(desired.webhooks)",
        "[w for w in desired.webhooks if self._selects(w.name)]",
        2125,
    ),
    "--no-prune that prunes": Bug(
        "planning/match.py", "if not (self._prune and any(prunes)):", "if not any(prunes):", 185
    ),
    "a resend that is not sent": Bug(
        "planning/resend.py",
        "requested = name in secret_fields and not self._named.isdisjoint(",
        "requested = False and not self._named.isdisjoint(",
        85,
    ),
    "a differing duplicate of another user ignored": Bug(
        "execute/verify.py", "if webhook.id != outcome.id]", "if False]", 1100
    ),
    "an unfinished write that is not counted": Bug(
        "execute/ledger.py", "len(self._started - self._outcomes.keys())", "0", 275
    ),
    "a create stored under another name is kept": Bug(
        "execute/operation.py", "            run.api.delete(created.id)\n", "", 85
    ),
    "a review that approves every change of a reviewed webhook": Bug(
        "planning/review.py", "stale.append(operation)", "reviewed.add(index)"
    ),
    "a guard that does not block": Bug(
        "workflow/applying.py", "if part.plan.blocked:", "if False:"
    ),
    "a lost write that is not counted": Bug(
        "execute/ledger.py", "self.writes += 1", "self.writes += 0"
    ),
    "secrets that differ are not compared": Bug(
        "planning/readback.py",
        "Reading.UNKNOWN if encrypted else Reading.DIFFERENT",
        "Reading.UNKNOWN",
        95,
    ),
    "another webhook of the name ignored before the first write": Bug(
        "planning/check.py", "self.not_in_plan(*sorted(names))", "[]", 8025
    ),
    "a scope that is not enforced": Bug(
        "planning/match.py", "if self._is_outside(webhook, keeper):", "if False:"
    ),
    "webhooks that share a name taken for duplicates": Bug(
        "execute/verify.py",
        "{update.before.id for update in run.plan.updates} | run.plan.matched.keys()\n",
        "set[str]()\n",
        355,
    ),
    "a row by id that is believed against the listing": Bug(
        "execute/verify.py", "extra, waiting, settled)", "extra, waiting, False)"
    ),
    "a host that the check before the first write does not compare": Bug(
        "planning/readback.py", "        destination=destination(webhook),\n", ""
    ),
    "several duplicates without a guard": Bug(
        "planning/plan.py",
        "not duplicate.may_differ and count_by_name[duplicate.name] == 1",
        "True",
        375,
    ),
}
