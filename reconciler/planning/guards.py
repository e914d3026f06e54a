"""Guards that block a plan, edits that unblock it, and warnings about a policy that permits more.

Guards apply to the computed plan and use `Plan.counted_deletes`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from glob import escape
from typing import Final

from reconciler.findings import Finding, error, plural, warning
from reconciler.model import Desired, FileScope, Pattern
from reconciler.planning.names import MAX_GLOB
from reconciler.planning.plan import DeclaredElsewhere, FileState, Plan, Reason

ELSEWHERE: Final = frozenset(("declared-elsewhere", "file-gone"))
"""The rules about files that were not read and declare webhooks to delete."""
_ALLOW_DELETES_DIFFERS: Final = "allow-deletes-differs"
"""The rule of `--allow-deletes` with another number than the plan has."""
_MAX_DELETES: Final = 5
"""The maximum number of deletes if no file sets a limit.

Deleting more than half of the webhooks in scope is blocked, too.
"""
_MAX_RUN_DELETES: Final = 20
"""The maximum number of deletes of a run, unless one that deletes has a higher limit in a file."""
_MAX_NAMES: Final = 25
"""Names in a suggested edit."""


def guard_all(
    plans: Sequence[Plan],
    allow_deletes: int | None = None,
    *,
    later_deletes: int = 0,
    keep_going: bool = False,
    has_option: bool = True,
) -> list[tuple[Finding, ...]]:
    """Return the findings that block each plan of a run.

    `allow_deletes` is the number of all deletes of the run that a user has allowed. It overrides
    every guard, but must be exact; fewer deletes than that are judged as without it. Without it,
    each organization is limited, and all of them together.
    `later_deletes` is the sum of `max_later_deletes` of the organizations that are not applied now.
    With `keep_going`, plans that are not blocked are applied, so only the others' deletes are left.
    Hints name only edits of files where no command `has_option` --allow-deletes.
    """
    total = sum(plan.counted_deletes for plan in plans)
    if allow_deletes == total:
        return [()] * len(plans)
    option = f"add --allow-deletes {total}" if has_option else ""
    blocked = _guarded(plans, option, later_deletes)
    if allow_deletes is not None:
        # What an incomplete apply left may need no permission.
        if any(blocked) or allow_deletes < total:
            return _other_number(plans, allow_deletes, total)
        return blocked
    if keep_going:
        left = sum(plan.counted_deletes for plan, why in zip(plans, blocked, strict=True) if why)
        option = f"add --allow-deletes {left}" if has_option else ""
        blocked = _guarded(plans, option, later_deletes)
    return blocked


def _guarded(plans: Sequence[Plan], option: str, later_deletes: int) -> list[tuple[Finding, ...]]:
    """Return what blocks each plan without permission; hints name the `option`, if any."""
    together: tuple[Finding, ...] = ()
    # The guard of one organization alone is never less strict.
    if len(plans) > 1 or later_deletes:
        together = tuple(_too_many_together(plans, option, later_deletes))
    blocked = []
    for plan in plans:
        others = together if plan.counted_deletes else ()
        blocked.append((*_guard(plan, option), *others))
    return blocked


def max_later_deletes(max_deletes: int | None, plan: Plan | None = None) -> int:
    """Return how many later deletes of an organization that this run leaves out count, at most 5.

    `max_deletes` is the limit in its files, `plan` its plan if it is known.
    """
    # Organizations that fail now and are applied one after another later would otherwise add up to
    # any number. A higher limit permits deletes only in its own organization, which may have none:
    # counted here, it would block all others.
    limit = _MAX_DELETES if max_deletes is None else min(max_deletes, _MAX_DELETES)
    return limit if plan is None else min(plan.counted_deletes, limit)


def _other_number(
    plans: Sequence[Plan], allow_deletes: int, total: int
) -> list[tuple[Finding, ...]]:
    """Block each plan that deletes, if not exactly `total` deletes are allowed."""
    what = "the plan deletes" if len(plans) == 1 else "all organizations together delete"
    differs = error(
        _ALLOW_DELETES_DIFFERS,
        f"--allow-deletes is {allow_deletes}, but {what} {total}",
        f"review the deletes, then use --allow-deletes {total}",
    )
    # A plan without deletes needs no permission, so a wrong number does not stop it.
    return [(differs,) if plan.counted_deletes else () for plan in plans]


def _too_many_together(plans: Sequence[Plan], option: str, later_deletes: int) -> Iterator[Finding]:
    """Yield a finding if all organizations have too many deletes together."""
    deleting = [plan for plan in plans if plan.counted_deletes]
    if not deleting:
        return
    # A limit in files holds for one organization: in sixty, a small one adds up to a large number.
    # But who allows 50 deletes of one organization does not expect that 21 of the run are blocked.
    limit = max(_MAX_RUN_DELETES, *(plan.counts.max_deletes or 0 for plan in deleting))
    deletes = sum(plan.counted_deletes for plan in deleting)
    total = deletes + later_deletes
    if total <= limit:
        return
    organizations = plural(len(deleting), "organization")
    message = f"{plural(deletes, 'webhook')} would be deleted in {organizations}"
    edit = f"set `limits: {{max_deletes: {total}}}` in the file of one that deletes"
    hint = f"if this is intended, {option or edit}"
    if later_deletes:
        message += f", and up to {later_deletes} in organizations that failed or are waiting"
        hint = f"run again once they succeed; {hint}"
    yield error("too-many-deletes", f"{message}, more than {limit}", hint)


def _guard(plan: Plan, option: str) -> Iterator[Finding]:
    """Yield a finding for each guard that blocks the plan."""
    deletes, in_scope = plan.counted_deletes, plan.counts.in_scope
    override_hint = f"if this is intended, {option or 'declare the webhooks `state: absent`'}"
    yield from _declared_elsewhere(plan, override_hint)
    yield from _too_many_deletes(plan, option)
    # A wrong path or a broken generator gives an empty configuration, too.
    if not plan.counts.any_declared and in_scope:
        verb = "is" if in_scope == 1 else "are"
        yield error(
            "nothing-declared",
            f"no webhooks are declared, but {in_scope} {verb} live in scope",
            f"check that the right file was read; {override_hint}",
        )
    # The files of another organization declare webhooks, but none of them is live.
    elif not plan.counts.any_declared_live and deletes:
        yield error(
            "no-declared-live",
            f"no declared webhook is live, but {plural(deletes, 'webhook')} would be deleted",
            f"check that the key belongs to the right organization; {override_hint}",
        )


def _too_many_deletes(plan: Plan, option: str) -> Iterator[Finding]:
    """Yield a finding if the deletes exceed the limit in the files, else the built-in limits."""
    deletes, max_deletes = plan.counted_deletes, plan.counts.max_deletes
    message = f"{plural(deletes, 'webhook')} would be deleted"
    # Where no command has the option, nothing else shows the number.
    edit = f"set `limits: {{max_deletes: {deletes}}}` in the file"
    if max_deletes is not None:
        if deletes > max_deletes:
            limit = f"limits.max_deletes is {max_deletes}"
            hint = f"if this is intended, {option or edit}"
            yield error("too-many-deletes", f"{message}; {limit}", hint)
        return
    if deletes > _MAX_DELETES:
        limit = f"more than {_MAX_DELETES}"
    # A small organization may have fewer webhooks than the limit.
    elif deletes * 2 > plan.counts.in_scope:
        limit = f"more than half of the {plan.counts.in_scope} in scope"
    else:
        return
    if option:
        edit = f"{option}, or set limits.max_deletes in the file"
    yield error("too-many-deletes", f"{message}, {limit}", f"if this is intended, {edit}")


def _declared_elsewhere(plan: Plan, override_hint: str) -> Iterator[Finding]:
    """Yield a finding for each file that was not read and declares webhooks to delete."""
    for other in plan.elsewhere:
        count = len(plan.undeclared.intersection(other.names))
        # The commit that removed a file was reviewed: the plan only notes it.
        if count and other.state is not FileState.REMOVED:
            message, step = _not_read(plan, other, count)
            finding = error("declared-elsewhere", message, f"{step}; {override_hint}")
            if other.state is FileState.GONE:
                finding = finding._replace(rule="file-gone")
            yield finding


def _not_read(plan: Plan, other: DeclaredElsewhere, count: int) -> tuple[str, str]:
    """Return why a file that declares `count` deleted webhooks was not read, and what to do."""
    deleted = f"{plural(count, 'webhook')} that this plan deletes"
    match other.state:
        case FileState.NOT_READ:
            return f"{other.file} was not read, and declares {deleted}", _reading_too(plan)
        case FileState.NOT_SELECTED:
            message = f"{other.file} names this organization otherwise, and declares {deleted}"
            return message, "set the same `organization` in all its files"
        case FileState.NOT_SEARCHED:
            message = f"git cannot read this repository: another file may declare {deleted}"
            return message, "`git status` or `git grep webhooks HEAD` shows the reason"
        case FileState.OTHER_REPOSITORY:
            message = f"the files are in the repository {other.file}, where another one may declare"
            return f"{message} {deleted}", f"run the command in {other.file}"
        case FileState.SAVED:
            message = "the plan was saved although another file declares webhooks that it deletes, "
            return f"{message}or may declare them", "plan again"
    message = f"{other.file} is gone from the working tree without a commit; it declares {deleted}"
    return message, f"restore it: `{_restore([other.file])}`"


def edits(plan: Plan, connection: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield purpose and text of each edit that would unblock a plan, the smallest first.

    The text is one line of a file, or a command; `connection` are the options of its connection.
    """
    # A wrong number of --allow-deletes blocks whatever the files say: only the number helps.
    if any(finding.rule == _ALLOW_DELETES_DIFFERS for finding in plan.blocked):
        return
    alone = {finding.message for finding in guard_all([plan])[0]}
    is_blocked_by_run = any(finding.message not in alone for finding in plan.blocked)
    for purpose, text, edited in _edits(plan, connection):
        # Only without its deletes does a plan not count among those of the run.
        if is_blocked_by_run and edited.counted_deletes:
            continue
        if not any(guard_all([edited])):
            yield purpose, text


def _edits(plan: Plan, connection: Sequence[str]) -> Iterator[tuple[str, str, Plan]]:
    """Yield purpose and text of edits, with the plan they lead to so far as guards check it."""
    yield from _file_edits(plan)
    undeclared = [delete for delete in plan.deletes if delete.reason is Reason.NOT_DECLARED]
    without = _without(plan, plan.undeclared)
    yield (
        "keep undeclared webhooks (in each file that prunes, replacing its `prune` if it has one)",
        "prune: false",
        without,
    )
    # Names may contain the characters of globs.
    globs = list(dict.fromkeys(escape(delete.name) for delete in undeclared))
    if 0 < len(globs) <= _MAX_NAMES and all(0 < len(glob) <= MAX_GLOB for glob in globs):
        ignored = len(undeclared) + sum(kept.name in plan.undeclared for kept in plan.kept)
        numbers = plan.counts._replace(in_scope=plan.counts.in_scope - ignored)
        yield (
            "ignore undeclared webhooks (in the file; add them to its `ignore` if it has one)",
            f"ignore: {json.dumps(globs, ensure_ascii=False)}",
            without._replace(counts=numbers),
        )
        only = [word for glob in globs for word in ("--only", glob)]
        numbers = plan.counts._replace(any_declared=True, any_declared_live=True)
        yield (
            "declare undeclared webhooks (then copy its entries into your file)",
            shlex.join(["webhooks", "export", *connection, *only, "-o", "undeclared.yaml"]),
            without._replace(counts=numbers),
        )
    deletes = plan.counted_deletes
    yield (
        "raise the limit (in the file, replacing its `limits`)",
        f"limits: {{max_deletes: {deletes}}}",
        plan._replace(counts=plan.counts._replace(max_deletes=deletes)),
    )


def _file_edits(plan: Plan) -> Iterator[tuple[str, str, Plan]]:
    """Yield how to read the files that declare webhooks to delete."""
    declared = {
        name
        for other in plan.elsewhere
        if other.state in (FileState.NOT_READ, FileState.GONE, FileState.REMOVED)
        for name in other.names
    }
    without = _without(plan, declared)
    if plan.read_both and any(other.state is FileState.NOT_READ for other in plan.elsewhere):
        yield "read the other files, too", plan.read_both, without
    # A file that a commit removed is no mistake of this working tree.
    gone = [other.file for other in plan.elsewhere if other.state is FileState.GONE]
    if gone:
        yield "restore the files", _restore(gone), without


def _reading_too(plan: Plan) -> str:
    """Return how to read a file that was not read, with the command if it can be shown."""
    step = "read it, too"
    return f"{step}: `{plan.read_both}`" if plan.read_both else step


def _restore(files: Sequence[str]) -> str:
    """Return the command that restores files of the last commit."""
    return shlex.join(["git", "checkout", "HEAD", "--", *files])


def _without(plan: Plan, names: Collection[str]) -> Plan:
    """Return the plan without the deletes of undeclared webhooks with these names."""
    operations = [
        operation
        for operation in plan.operations
        if operation.reason is not Reason.NOT_DECLARED or operation.name not in names
    ]
    return plan._replace(operations=tuple(operations))


def relaxed(previous: Desired | None, now: Desired) -> Iterator[Finding]:
    """Yield a warning for each policy setting that permits more than before."""
    if previous is None:
        return
    old, new = previous.policy, now.policy
    for name in _lost(old.protect, new.protect):
        yield warning("relaxed-protect", f"protect no longer covers {name!r}")
    for name in _lost(old.ignore, new.ignore):
        yield warning("relaxed-ignore", f"ignore no longer covers {name!r}")
    yield from _relaxed_scopes(old.scopes, new.scopes)
    yield from _relaxed_limit(old.max_deletes, new.max_deletes)
    # For a new file, any environment is the first one.
    is_new = previous.organization is None and not previous.webhooks
    if previous.environment != now.environment and not is_new:
        before, after = map(_shown_environment, (previous.environment, now.environment))
        message = f"the GitHub environment changes from {before} to {after}"
        yield warning("changed-environment", message)
    if previous.organization is not None and now.organization is None:
        yield warning("relaxed-organization", "`organization` was removed: any key is accepted")


def _shown_environment(name: str | None) -> str:
    return "the workflow's default" if name is None else repr(name)


def _relaxed_limit(before: int | None, now: int | None) -> Iterator[Finding]:
    """Yield a warning about another limit of deletes, unless it is lower than before."""
    is_lower = before is not None and now is not None and now < before
    if before == now or is_lower:
        return
    # Without a limit in the files, the number of webhooks decides, which may permit more.
    old, new = ("the built-in limit" if limit is None else limit for limit in (before, now))
    yield warning("relaxed-limits", f"limits.max_deletes changes from {old} to {new}")


def _lost(before: Iterable[Pattern], now: Iterable[Pattern]) -> list[str]:
    """Return the globs that are no longer in a list of the policy, sorted."""
    return sorted({pattern.glob for pattern in before} - {pattern.glob for pattern in now})


def _relaxed_scopes(before: Iterable[FileScope], now: Iterable[FileScope]) -> Iterator[Finding]:
    """Yield a warning for each file that now prunes, and for each glob added to its scope."""
    old_scopes = {scope.file: scope for scope in before}
    for scope in now:
        old = old_scopes.get(scope.file, scope)  # a new file relaxes nothing
        if scope.prune and not old.prune:
            yield warning("relaxed-prune", f"{scope.file} now deletes undeclared webhooks")
        for glob in sorted(set(scope.globs) - set(old.globs)):
            yield warning("relaxed-scope", f"the scope of {scope.file} now includes {glob!r}")
