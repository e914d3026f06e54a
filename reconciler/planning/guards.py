"""Guards that block a plan, and what a review must notice in a change of the configuration.

Guards apply to the computed plan and use `Plan.counted_deletes`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.findings import Finding, error, warning
from reconciler.kinds import KINDS
from reconciler.model import Desired, Webhook, declared_secret
from reconciler.planning.names import international_host
from reconciler.planning.plan import FileState, Plan
from reconciler.urls import is_international

_MAX_DELETES: Final = 5
"""The maximum number of deletes if no file sets a limit.

Deleting more than half of the webhooks in scope is blocked, too.
"""


_MAX_RUN_DELETES: Final = 20
"""The maximum number of deletes of all organizations without a limit in their files."""


def guard_all(plans: Sequence[Plan], allow_deletes: int | None = None) -> list[tuple[Finding, ...]]:
    """Return the findings that block each plan of a run.

    `allow_deletes` is the number of all deletes of the run that a user has allowed. Without it,
    each organization is limited, and all of those together whose files have no limit.
    """
    if len(plans) == 1:
        return [tuple(guard(plans[0], allow_deletes))]
    total = sum(plan.counted_deletes for plan in plans)
    if allow_deletes is not None:
        differs = error(
            "allow-deletes-differs",
            f"--allow-deletes is {allow_deletes}, but all organizations together delete {total}",
            f"review the deletes, then use --allow-deletes {total}",
        )
        is_wrong = total != allow_deletes
        return [(differs,) if is_wrong and plan.counted_deletes else () for plan in plans]
    unlimited = [plan for plan in plans if plan.max_deletes is None and plan.counted_deletes]
    number = sum(plan.counted_deletes for plan in unlimited)
    together: tuple[Finding, ...] = ()
    if number > _MAX_RUN_DELETES:
        most = max(plan.counted_deletes for plan in unlimited)
        together = (
            error(
                "too-many-deletes",
                f"{_webhooks(number)} would be deleted in {len(unlimited)} organizations, more "
                f"than {_MAX_RUN_DELETES}",
                f"if this is intended, add --allow-deletes {total}, or set `limits: "
                f"{{max_deletes: {most}}}` in a file that they extend",
            ),
        )
    return [(*guard(plan, total=total), *(together if plan in unlimited else ())) for plan in plans]


def guard(
    plan: Plan, allow_deletes: int | None = None, *, total: int | None = None
) -> Iterator[Finding]:
    """Yield a finding for each guard that blocks the plan.

    `allow_deletes` is the number of deletes that a user has allowed. It overrides every guard. A
    number other than the planned one blocks the plan, unless the plan has no deletes. `total` is
    the number of deletes of the run, if it has several organizations.
    """
    deletes, in_scope, max_deletes = plan.counted_deletes, plan.in_scope_count, plan.max_deletes
    if allow_deletes is not None:
        if deletes and allow_deletes != deletes:
            yield error(
                "allow-deletes-differs",
                f"--allow-deletes is {allow_deletes}, but the plan deletes {deletes}",
                f"review the deletes, then use --allow-deletes {deletes}",
            )
        return
    override_hint = (
        f"if this is intended, add --allow-deletes {deletes if total is None else total}"
    )
    yield from _declared_elsewhere(plan, override_hint)
    limit: str | None = None
    if max_deletes is not None:
        if deletes > max_deletes:
            limit = f"; limits.max_deletes is {max_deletes}"
    elif deletes > _MAX_DELETES:
        limit = f", more than {_MAX_DELETES}"
    elif deletes * 2 > in_scope:
        limit = f", more than half of the {in_scope} in scope"
    if limit is not None:
        or_set = "" if max_deletes is not None else ", or set limits.max_deletes in the file"
        message = f"{_webhooks(deletes)} would be deleted{limit}"
        yield error("too-many-deletes", message, f"{override_hint}{or_set}")
    if not plan.any_declared and in_scope:
        verb = "is" if in_scope == 1 else "are"
        yield error(
            "nothing-declared",
            f"no webhooks are declared, but {in_scope} {verb} live in scope",
            f"check that the right file was read; {override_hint}",
        )
    elif not plan.any_declared_live and deletes:
        yield error(
            "no-declared-live",
            f"no declared webhook is live, but {_webhooks(deletes)} would be deleted",
            f"check that the key belongs to the right organization; {override_hint}",
        )


def _declared_elsewhere(plan: Plan, override_hint: str) -> Iterator[Finding]:
    """Yield a finding for each file that was not read and declares webhooks to delete."""
    for other in plan.elsewhere:
        names = plan.undeclared.intersection(other.names)
        if not names or other.state is FileState.REMOVED:
            continue
        declares = f"declares {_webhooks(len(names))} that this plan deletes"
        if other.state is FileState.NOT_READ:
            message = f"{other.file} was not read, and {declares}"
            hint = f"read it, too: `{plan.read_both}`; {override_hint}"
            yield error("declared-elsewhere", message, hint)
        else:
            message = f"{other.file} is gone from the working tree without a commit; it {declares}"
            command = shlex.join(["git", "checkout", "HEAD", "--", other.file])
            yield error("file-gone", message, f"restore it: `{command}`; {override_hint}")


def _webhooks(number: int) -> str:
    return "1 webhook" if number == 1 else f"{number} webhooks"


def relaxed(previous: Desired, now: Desired) -> Iterator[Finding]:
    """Yield a warning for each policy setting that permits more than before."""
    old, new = previous.policy, now.policy
    lost = {pattern.glob for pattern in old.protect} - {pattern.glob for pattern in new.protect}
    for name in sorted(lost):
        yield warning("relaxed-protect", f"protect no longer covers {name!r}")
    lost = {pattern.glob for pattern in old.ignore} - {pattern.glob for pattern in new.ignore}
    for name in sorted(lost):
        yield warning("relaxed-ignore", f"ignore no longer covers {name!r}")
    old_scopes = {scope.file: scope for scope in old.scopes}
    for scope in new.scopes:
        was = old_scopes.get(scope.file, scope)  # a new file relaxes nothing
        if scope.prune and not was.prune:
            yield warning("relaxed-prune", f"{scope.file} now deletes undeclared webhooks")
        for glob in sorted(set(scope.globs) - set(was.globs)):
            yield warning("relaxed-scope", f"the scope of {scope.file} now includes {glob!r}")
    before, limit = old.max_deletes, new.max_deletes
    if before != limit and not (before is not None and limit is not None and limit < before):
        first, last = ("the built-in limit" if each is None else each for each in (before, limit))
        yield warning("relaxed-limits", f"limits.max_deletes changes from {first} to {last}")
    if previous.organization is not None and now.organization is None:
        yield warning("relaxed-organization", "`organization` was removed: any key is accepted")


def new_hosts(previous: Desired, now: Desired) -> Iterator[Finding]:
    """Yield a note for each host that is not ASCII and that no file named before."""
    known = _international_hosts(previous)
    for origin, webhook in _international_hosts(now).items():
        if origin not in known:
            yield international_host(repr(webhook.name), origin, webhook.position)


def _international_hosts(desired: Desired) -> dict[str, Webhook]:
    """Return the first webhook for each origin whose host is not ASCII."""
    hosts: dict[str, Webhook] = {}
    for webhook in desired.webhooks:
        url = webhook.configuration.get(KINDS[webhook.type].destination_field, "")
        secret = declared_secret(url, desired.literals)
        origin = None if secret is None else secret.origin()
        if origin is not None and is_international(origin):
            hosts.setdefault(origin, webhook)
    return hosts
