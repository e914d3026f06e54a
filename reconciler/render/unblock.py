"""Suggest how to unblock a plan: edits of the file and commands, each ready to paste.

The guards check the plan that each edit leads to, so only edits that unblock it are shown.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from glob import escape
from typing import Final

from reconciler.planning.guards import guard
from reconciler.planning.names import MAX_GLOB
from reconciler.planning.plan import Plan, Reason
from reconciler.render import View
from reconciler.render.quote import prose
from reconciler.render.words import plural

_MOST_NAMES: Final = 100


def unblocking(plan: Plan, view: View) -> Iterator[tuple[str, str]]:
    """Yield the edits that each unblock a plan: purpose and place, then the text, one line."""
    if not plan.blocked:
        return
    number = plan.counted_deletes
    if all(each.rule != "allow-deletes-differs" for each in plan.blocked):
        for purpose, text, changed in _edits(plan, view):
            if prose(text) == text and not any(guard(changed)):
                yield purpose, text
    words = list(view.again or ())
    if "--allow-deletes" in words:  # with another number
        del words[(place := words.index("--allow-deletes")) : place + 2]
    saved = [] if view.plan_file is None else [view.plan_file]
    command = ["webhooks", "apply", *saved, *words, "--allow-deletes", str(number)]
    yield f"allow {plural(number, 'delete')} once", prose(shlex.join(command))


def _edits(plan: Plan, view: View) -> Iterator[tuple[str, str, Plan]]:
    """Yield edits, each with its purpose and the guards' view of the plan that it leads to."""
    undeclared = [each for each in plan.deletes if each.reason is Reason.NOT_DECLARED]
    others = tuple(each for each in plan.operations if each not in undeclared)
    without = replace(plan, operations=others)
    where = "in the file" if plan.files == 1 else "in each file that prunes"
    yield f"keep undeclared webhooks ({where}, in place of `prune: true`)", "prune: false", without
    globs = list(dict.fromkeys(escape(each.name) for each in undeclared))
    if 0 < len(globs) <= _MOST_NAMES and all(0 < len(each) <= MAX_GLOB for each in globs):
        names = {each.name for each in undeclared}
        ignored = len(undeclared) + sum(each.name in names for each in plan.kept)
        listed = ", ".join(json.dumps(each, ensure_ascii=False) for each in globs)
        yield (
            "ignore undeclared webhooks (in the file; add them to its `ignore` if it has one)",
            f"ignore: [{listed}]",
            replace(without, in_scope=plan.in_scope - ignored),
        )
        command = ["webhooks", "export", *view.connection]
        command += [word for each in globs for word in ("--only", each)]
        yield (
            "declare undeclared webhooks (in a new file; add it with --file)",
            shlex.join([*command, "-o", "undeclared.yaml"]),
            replace(without, declared=True, found=True),
        )
    number = plan.counted_deletes
    yield (
        "raise the limit (in the file, in place of its `limits`)",
        f"limits: {{max_deletes: {number}}}",
        replace(plan, max_deletes=number),
    )
