"""A run over the organizations that files declare. One organization is a run with one element.

    load_all -> connect_all -> plan_all -> apply_all

All files are checked before anything else: an invalid one stops the run, because it may belong to
any organization. After that, a problem of one organization, such as a missing key, is its result,
and the others are still planned.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

from reconciler.errors import (
    AuthenticationError,
    OrganizationError,
    PermissionDeniedError,
    ReconcilerError,
    RunConfigurationError,
    UsageError,
)
from reconciler.findings import (
    Finding,
    Position,
    in_quotes,
    masked,
    note,
    shorten,
    sort_key,
)
from reconciler.model import Live, Organization, Secret, Webhook
from reconciler.planning.guards import guard_all, max_later_deletes
from reconciler.planning.names import ONLY_MATCHES_NOTHING, UNUSED, Globs, refuse_unmatched
from reconciler.planning.plan import Delete, Plan, Reason
from reconciler.planning.planner import PlanOptions
from reconciler.planning.resend import not_selected, requestable
from reconciler.planning.review import Review
from reconciler.planning.run import OrganizationResult
from reconciler.settings import LOCAL_SERVER
from reconciler.workflow.connection import Connection
from reconciler.workflow.inputs import Checked, Gathered, OrganizationFiles, Source, gather
from reconciler.workflow.planning import plan_of_live, read_live, with_owner

_T = TypeVar("_T")

_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""The id of an organization."""
_CONCURRENT: Final = 8
"""The number of organizations that are read at once."""


class Target(NamedTuple):
    """An organization of a run: its files, its connection, and how it is planned.

    Without a connection, `problem` is the reason. One that has it from the start is not read, but
    its key is protected and its deletes count. `key_source` is where the API key came from, for
    messages. `review` limits what is applied, `plan_file` is the path of the saved plan that has
    it. `organization` is that of the key, if it was read to select targets.
    """

    source: Source
    connection: Connection | None = None
    problem: ReconcilerError | None = None
    key_source: str | None = None
    options: PlanOptions = PlanOptions()
    review: Review | None = None
    plan_file: str | None = None
    organization: Organization | None = None

    @property
    def checked(self) -> Checked:
        """Return the files."""
        return self.source.checked

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the files."""
        return self.source.files.paths

    @property
    def has_options(self) -> bool:
        """Return whether messages may name options of `webhooks apply`."""
        return self.checked.inputs.apply_options is not None

    @property
    def key(self) -> Secret | None:
        """Return the API key, None without a connection or a key."""
        return self.connection.key if self.connection is not None else None


class Planned(NamedTuple):
    """The plan of a target and the live webhooks, or why it cannot be planned, or not applied."""

    target: Target
    gathered: Gathered | None = None
    plan: Plan | None = None
    live: Live | None = None
    problem: ReconcilerError | None = None

    @property
    def result(self) -> OrganizationResult[Plan]:
        """Return the result without what it was made from."""
        name = self.target.source.name if self.plan is None else self.plan.organization.name
        plan = self.plan if self.problem is None else None
        return OrganizationResult(name, self.target.paths, plan, self.problem)


class Move(NamedTuple):
    """The delete of a webhook that another organization declares and may not have yet.

    `source` and `target` are the indexes of both in the run, `name` is the one that the target
    declares.
    """

    source: int
    delete: Delete
    target: int
    name: str


def connect_all(
    targets: Sequence[Target],
    connect: Callable[[Target], tuple[Connection, str | None]],
    *,
    keys_of: Callable[[OrganizationFiles], Iterable[Secret | None]] = lambda files: [files.key()],
) -> tuple[Target, ...]:
    """Connect each target without a problem. An error of `connect` is the problem of its target.

    `connect` returns a connection and the source of its key, and sends no request; `keys_of` yields
    the keys that files name, if that fails. Afterwards no webhook of any organization may contain
    the key of any of them.
    """
    connected: list[Target] = []
    keys: list[Secret] = []
    for target in targets:
        try:
            connection, source = connect(target)
        except ReconcilerError as problem:
            connected.append(target._replace(problem=target.problem or problem))
            # A wrong server or profile makes the key of the files no less secret.
            with suppress(ReconcilerError):
                keys += filter(None, keys_of(target.source.files))
            continue
        keys += filter(None, [connection.key])
        if target.problem is None:
            target = target._replace(connection=connection, key_source=source)
        connected.append(target)
    # Only now are the keys of all organizations known.
    return tuple(_in_run(target, api_keys=tuple(keys)) for target in connected)


def _in_run(target: Target, **changed: Any) -> Target:
    """Return the target with other values of `RunInputs`."""
    checked = target.checked.in_run(**changed)
    return target._replace(source=target.source._replace(checked=checked))


def identify(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Read the organization of each key, which planning then does not read again."""

    def read(number: int, connection: Connection) -> Organization:
        return targets[number].organization or connection.api.organization()

    identified = []
    for target, result in zip(targets, call_all(targets, read), strict=True):
        if isinstance(result, Organization):
            identified.append(target._replace(organization=result))
        else:
            # Without a connection, no later step repeats the request that failed.
            identified.append(target._replace(connection=None, problem=result))
    return tuple(identified)


def select(targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return the targets that the run selects with names, ids or globs of organizations.

    An exact name or id comes first. A file may declare the id of an organization that is selected
    by its name, which only the key can tell: then the organizations of the keys are read. Files
    that name no organization are selected if their key belongs to a selected one.

    Raises UsageError for a name, id or glob that matches nothing.
    """
    if not targets:  # on GitHub a change may concern no organization
        return ()
    patterns = targets[0].checked.inputs.selected
    if not patterns or _accepts_any(targets):
        return tuple(targets)
    return _selected(targets, patterns)


def _selected(targets: Sequence[Target], patterns: Sequence[str]) -> tuple[Target, ...]:
    """Return the targets that match. Raises UsageError for a pattern that matches nothing."""
    declared = {target.source.files.organization for target in targets}
    # What the files do not name may be the name behind an id, or a glob.
    open_patterns = [pattern for pattern in patterns if pattern not in declared]
    if open_patterns:
        targets = _identified(targets, patterns, open_patterns)
    matches = [_matching(target, patterns, open_patterns) for target in targets]
    # Files that name no organization may belong to any: their key decides later.
    if None not in declared:
        _require_matched(patterns, set().union(*matches), targets)
    chosen: list[Target] = []
    others: list[Target] = []
    for target, matching in zip(targets, matches, strict=True):
        # Without a declared organization, the requirement on the key is checked with the plan.
        is_chosen = matching or target.source.files.organization is None
        (chosen if is_chosen else others).append(target)
    _require_no_changes(others)
    unselected = tuple(target.checked for target in others)
    return tuple(_in_run(target, unselected=unselected) for target in chosen)


def _require_matched(
    patterns: Sequence[str], matched: Collection[str], targets: Iterable[Target]
) -> None:
    missing = [pattern for pattern in patterns if pattern not in matched]
    if missing:
        known = ", ".join(target.source.name for target in targets)
        raise UsageError(
            f"--organization {in_quotes(missing[0])} matches no organization of the files",
            hint=f"use a name, an id or a glob of: {known}",
        )


def _require_no_changes(unselected: Iterable[Target]) -> None:
    """Raise UsageError if a saved plan changes organizations that are not selected.

    Of a webhook that moves, only the delete could be selected.
    """
    changed = [target for target in unselected if target.review and target.review.digest]
    if changed:
        names = shorten([in_quotes(target.source.name) for target in changed], 5)
        raise UsageError(
            f"--organization leaves out {names}, which the saved plan changes",
            hint="apply it without --organization and WEBHOOKS_ORGANIZATION, or save a plan of the "
            "selected organizations with `webhooks plan --organization NAME --out FILE`",
        )


def _accepts_any(targets: Sequence[Target]) -> bool:
    """Return whether the emulator has any organization for files that name none."""
    return all(
        target.source.files.organization is None
        and target.connection is not None
        and target.connection.api.origin == LOCAL_SERVER
        for target in targets
    )


def _identified(
    targets: Sequence[Target], patterns: Sequence[str], open_patterns: Sequence[str]
) -> list[Target]:
    """Return the targets with the organizations of the keys, unless the files decide."""
    unknown = [target for target in targets if not _matching(target, patterns, patterns)]
    matched = set[str]().union(*(_matching(target, (), open_patterns) for target in targets))
    if matched.issuperset(open_patterns):
        # Globs over names: the key of an organization whose name is written need not be asked.
        unknown = [
            target for target in unknown if _ID.match(target.source.files.organization or "")
        ]
    identified = {target.paths: target for target in identify(unknown)}
    return [identified.get(target.paths, target) for target in targets]


def _matching(target: Target, patterns: Sequence[str], globs: Sequence[str]) -> set[str]:
    """Return the patterns that match a target, by the text in its files, by id or by name."""
    names = {target.source.files.organization}
    if target.organization is not None:
        names |= {target.organization.id, target.organization.name}
    # An exact name or id comes first: it may contain characters of globs.
    exact = {pattern for pattern in patterns if pattern in names}
    return exact | {
        glob for glob in globs if any(name and Globs((glob,)).match(name) for name in names)
    }


def plan_all(
    targets: Sequence[Target],
    *,
    allow_deletes: int | None = None,
    writing: bool = False,
    reviewed: bool = False,
) -> tuple[Planned, ...]:
    """Plan all targets, up to eight at once; the result has their order.

    `allow_deletes` is the number of all deletes of the run that a user allows. `writing` is as for
    `gather`. Unless the plan is `reviewed`, a glob of --only must match a name in an organization,
    and a request of --resend-secret a webhook that --only selects.

    Raises OrganizationError if two keys belong to one organization: each file would delete what the
    other declares. Raises UsageError for a glob or a request that matches nothing.
    """
    targets = _with_first_contact(with_own_resends(targets))
    # Before threads start, so that each secret is hidden from output before anything uses it.
    ready = [_gathered(target, writing=writing) for target in targets]

    def plan_one(number: int, connection: Connection) -> tuple[Plan, Live]:
        gathered, target = ready[number], targets[number]
        if isinstance(gathered, ReconcilerError):
            raise gathered
        return plan_of_live(
            gathered,
            connection.api,
            options=target.options,
            review=target.review,
            organization=target.organization,
        )

    planned = list(map(_as_planned, targets, ready, call_all(targets, plan_one)))
    _require_distinct(targets, [part.live for part in planned])
    # Without the names of an organization that failed, a glob may only seem to match nothing.
    plans = [part.plan for part in planned if part.plan is not None]
    if not reviewed and plans and len(plans) == len(targets):
        _require_selected_resends(targets, plans)
        planned = [
            part._replace(plan=plan)
            for part, plan in zip(planned, _with_matching_globs(plans), strict=True)
        ]
    planned = _with_waiting(_with_owners(_with_shared_lines(planned)))
    return judged(planned, allow_deletes)


def _as_planned(
    target: Target,
    gathered: Gathered | ReconcilerError,
    result: tuple[Plan, Live] | ReconcilerError,
) -> Planned:
    values = None if isinstance(gathered, ReconcilerError) else gathered
    if isinstance(result, ReconcilerError):
        return Planned(target, values, problem=result)
    plan, live = result
    return Planned(target, values, plan, live)


def _with_owners(planned: Sequence[Planned]) -> list[Planned]:
    """Return the organizations, each without an offer to send the secret of another one."""
    listings = [part.live for part in planned if part.live is not None]
    result = []
    for part in planned:
        if part.plan is not None and part.gathered is not None:
            part = part._replace(plan=with_owner(part.plan, part.gathered, listings))
        result.append(part)
    return result


def _with_shared_lines(planned: Sequence[Planned]) -> list[Planned]:
    """Return the organizations, without advice to remove what another one uses of a shared file."""
    notes = chain.from_iterable(part.plan.notes for part in planned if part.plan is not None)
    unused = {finding.position for finding in notes if finding.rule in UNUSED}
    if not unused:
        return list(planned)  # most runs
    used = set(chain.from_iterable(_used_lines(part, unused) for part in planned))
    result = []
    for part in planned:
        if part.plan is not None:
            parents = part.target.checked.loaded.parents
            kept = tuple(_shared_advice(part.plan.notes, used, parents))
            part = part._replace(plan=part.plan._replace(notes=kept))
        result.append(part)
    return result


def _used_lines(part: Planned, lines: Set[Position | None]) -> Iterator[Position | None]:
    """Yield those of `lines` whose pattern an organization uses."""
    if part.plan is None or part.live is None:
        return
    desired = part.target.checked.desired
    patterns = (*desired.policy.protect, *desired.policy.ignore)
    shared = [pattern for pattern in patterns if pattern.position in lines]
    names = desired.names.union(webhook.name for webhook in part.live.webhooks)
    used = Globs(pattern.glob for pattern in shared).used_by(names)
    yield from (pattern.position for pattern in shared if pattern.glob in used)


def _shared_advice(
    notes: Iterable[Finding], used: Set[Position | None], parents: Collection[str]
) -> Iterator[Finding]:
    """Yield the notes of an organization, without those about patterns that another one uses.

    A former name without effect is always noted, because it may explain a delete.
    """
    for finding in notes:
        position = finding.position
        if finding.rule in UNUSED and position is not None:
            if position in used:
                continue
            # This run may not have planned all that share the file.
            if position.file in parents:
                finding = finding._replace(hint=f"if no other organization uses it: {finding.hint}")
        yield finding


def _with_waiting(planned: Sequence[Planned]) -> list[Planned]:
    """Return the organizations, with notes about deletes that this run does not apply."""
    moved = list(moves(planned))
    place = {index: number for number, index in enumerate(in_order(moved, len(planned)))}
    names: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for move in moved:
        is_failed = planned[move.target].plan is None
        if is_failed or place[move.target] > place[move.source]:
            names[move.source, move.target].append(in_quotes(move.delete.name))
    result = list(planned)
    for (source, target), waiting in names.items():
        plan = result[source].plan
        assert plan is not None
        name = in_quotes(planned[target].result.name)
        listed = shorten(waiting, 5)
        if planned[target].plan is None:
            message = f"{name} failed, and may not have created {listed}, which it declares"
            hint = "an apply of the others deletes none of these"
        else:
            message = f"{name} also moves webhooks here, so it creates {listed} afterwards"
            hint = "this apply deletes none of these: apply again"
        notes = (*plan.notes, note("declared-elsewhere", message, hint))
        result[source] = result[source]._replace(plan=plan._replace(notes=notes))
    return result


def in_order(moved: Iterable[Move], count: int) -> list[int]:
    """Return the indexes of `count` organizations, each after those to which its webhooks move.

    In a circle of moves, this is not so for some of them.
    """
    targets: defaultdict[int, list[int]] = defaultdict(list)
    for move in moved:
        targets[move.source].append(move.target)
    order: list[int] = []
    visited: set[int] = set()

    def visit(index: int) -> None:
        if index in visited:
            return
        visited.add(index)
        for target in targets[index]:
            visit(target)
        order.append(index)

    for index in range(count):
        visit(index)
    return order


def moves(planned: Sequence[Planned]) -> Iterator[Move]:
    """Yield the deletes of webhooks that may move to another organization of the run."""
    declared: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for target, webhook in _not_live(planned):
        for name in (webhook.name, *webhook.previously):
            declared[name].append((target, webhook.name))
    for source, part in enumerate(planned):
        for delete in () if part.plan is None else part.plan.deletes:
            if delete.reason is Reason.DUPLICATE:
                continue
            # Also whoever declares a webhook absent may move it.
            for target, name in declared[delete.name]:
                yield Move(source, delete, target, name)


def _not_live(planned: Sequence[Planned]) -> Iterator[tuple[int, Webhook]]:
    """Yield the declared webhooks that an organization, by its index, does not have, or may not."""
    live = {declaration for part in planned for declaration in _live_declarations(part)}
    for index, part in enumerate(planned):
        if part.plan is not None:
            yield from ((index, create.after) for create in part.plan.creates)
            continue
        for webhook in part.target.checked.desired.webhooks:
            # What the others have of a shared file, this one probably has, too.
            if _declaration(webhook) not in live:
                yield index, webhook


def _live_declarations(part: Planned) -> Iterator[tuple[str, str]]:
    """Yield what an organization declares and has, so far as its plan is known."""
    if part.plan is None:
        return
    created = {create.name for create in part.plan.creates}
    for webhook in part.target.checked.desired.webhooks:
        if webhook.name not in created:
            yield _declaration(webhook)


def _declaration(webhook: Webhook) -> tuple[str, str]:
    """Return the name and the file that declares it, which may be shared."""
    return webhook.name, webhook.position.file if webhook.position else webhook.file


def judged(
    planned: Sequence[Planned], allow_deletes: int | None, *, keep_going: bool = False
) -> tuple[Planned, ...]:
    """Return the organizations, with what the guards of the run find in their plans.

    Those with a problem are left out, and their deletes count as later ones. `keep_going` is as for
    `guard_all`.
    """
    later_deletes = 0
    plans: list[Plan] = []
    for part in planned:
        if part.problem is not None:
            limit = part.target.checked.desired.policy.max_deletes
            later_deletes += max_later_deletes(limit, part.plan)
        elif part.plan is not None:
            plans.append(part.plan)
    findings = guard_all(
        plans,
        allow_deletes,
        later_deletes=later_deletes,
        keep_going=keep_going,
        has_option=all(part.target.has_options for part in planned),
    )
    blocked = iter(findings)
    result = []
    for part in planned:
        if part.plan is not None and part.problem is None:
            part = part._replace(plan=part.plan._replace(blocked=next(blocked)))
        result.append(part)
    return tuple(result)


def with_own_resends(targets: Sequence[Target]) -> Sequence[Target]:
    """Return the targets, each only with the resends that its files have.

    A request of --resend-secret must belong to one organization of the run, not to all of them.
    """
    names_by_request = [
        own_resends(target.options.resend, target, len(targets)) for target in targets
    ]
    somewhere = set[str]().union(*names_by_request)
    result = []
    for target, names in zip(targets, names_by_request, strict=True):
        resend = [
            names.get(request, request)
            for request in target.options.resend
            # What no organization has stays, and is an error of each.
            if request in names or request not in somewhere
        ]
        options = target.options._replace(resend=tuple(resend))
        result.append(target._replace(options=options))
    return result


def own_resends(requests: Collection[str], target: Target, count: int) -> dict[str, str]:
    """Return the secrets and webhooks that one of `count` organizations resends, by request.

    A request may begin with the name of its organization, as in `Acme EU: Audit`; another one
    belongs to each organization that declares it.
    """
    if not requests:
        return {}  # most plans
    organizations = {target.source.name}
    if target.organization is not None:
        organizations.add(target.organization.name)
    known = requestable(target.checked.desired.webhooks)
    names_by_request: dict[str, str] = {}
    for request in requests:
        names = {request, *(request.removeprefix(f"{name}: ") for name in organizations)}
        # Alone, a prefix is rather part of the webhook's name.
        for name in sorted(names, key=len, reverse=count == 1):
            if name in known:
                names_by_request[request] = name
                break
    return names_by_request


def _with_matching_globs(plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans without warnings about globs of --only that match in another organization.

    Raises UsageError if a glob matches nowhere.
    """
    idle = [{note for note in plan.notes if note.rule == ONLY_MATCHES_NOTHING} for plan in plans]
    refuse_unmatched(sorted(set.intersection(*idle), key=sort_key))
    return [
        plan._replace(notes=tuple(note for note in plan.notes if note not in warnings))
        for plan, warnings in zip(plans, idle, strict=True)
    ]


def _require_selected_resends(targets: Sequence[Target], plans: Sequence[Plan]) -> None:
    """Raise UsageError for a request of --resend-secret that --only selects in no organization."""
    selected: set[str] = set()
    unselected: set[str] = set()
    for target, plan in zip(targets, plans, strict=True):
        for request in target.options.resend:
            is_idle = not_selected(request) in plan.notes
            (unselected if is_idle else selected).add(request)
    refuse_unmatched([*map(not_selected, sorted(unselected - selected))])


def read_all(targets: Sequence[Target]) -> tuple[Live | ReconcilerError, ...]:
    """Read the live webhooks of all targets, up to eight at once, or why they cannot be read.

    Raises OrganizationError if two keys belong to one organization.
    """
    targets = _with_first_contact(targets)

    def read(number: int, connection: Connection) -> Live:
        target = targets[number]
        return read_live(
            connection.api,
            target.checked.inputs.selected,
            target.organization,
            target.checked.desired.organization,
        )

    results = call_all(targets, read)
    _require_distinct(targets, results)
    return tuple(results)


def _gathered(target: Target, *, writing: bool) -> Gathered | ReconcilerError:
    try:
        return gather(target.checked, target.key, writing=writing)
    except RunConfigurationError:  # a mistake in the settings of the run, not of its files
        raise
    except ReconcilerError as problem:
        return problem


def call_all(
    targets: Sequence[Target], action: Callable[[int, Connection], _T]
) -> list[_T | ReconcilerError]:
    """Call `action` with the index of each target and its connection, concurrently.

    The problem of a target takes the place of its result.
    """
    results: dict[int, _T | ReconcilerError] = {}
    waiting = deque(range(len(targets)))

    def work() -> None:
        while True:
            # A deque needs no lock between the threads.
            try:
                number = waiting.popleft()
            except IndexError:
                return
            target = targets[number]
            results[number] = _attempt(target, partial(action, number))
            if target.connection is not None and len(targets) > 1:
                # Idle connections of hundreds of organizations would exceed the limit of files.
                target.connection.disconnect()
                target.connection.watcher.read()

    workers = [target.connection.workers for target in targets if target.connection is not None]
    if len(targets) == 1 or not workers:
        work()
    else:
        # All connections share their threads, and so the limit of requests in flight.
        workers[0].run([work] * min(_CONCURRENT, len(targets)))
    return [results[number] for number in range(len(targets))]


def _with_first_contact(targets: Sequence[Target]) -> Sequence[Target]:
    """Read one organization of each server before all others.

    It finds out if the server cannot be reached: then no request is sent for the others.
    """
    if len(targets) == 1:
        return targets
    origins: set[str] = set()
    result = list(targets)
    # The answer is kept, so that this costs no request.
    for number, target in enumerate(targets):
        if target.connection is None or target.connection.api.origin in origins:
            continue
        origins.add(target.connection.api.origin)
        if target.organization is None:
            result[number : number + 1] = identify([target])
    return result


def _attempt(target: Target, action: Callable[[Connection], _T]) -> _T | ReconcilerError:
    connection = target.connection
    if connection is None:
        assert target.problem is not None
        return target.problem
    unreachable = connection.unreachable()
    if unreachable is not None:  # found out by another organization of this server
        return unreachable
    try:
        return action(connection)
    except RunConfigurationError:
        raise
    except ReconcilerError as problem:
        return with_key_source(problem, target)


def with_key_source(problem: ReconcilerError, target: Target) -> ReconcilerError:
    """Add the source of the key to the message of an error about the key."""
    about_key = isinstance(problem, AuthenticationError | PermissionDeniedError | OrganizationError)
    source = key_source_of(target)
    if about_key and source is not None:
        problem.message += f" (key from {source})"
    return problem


def key_source_of(target: Target) -> str | None:
    """Return where the key of a target came from: each organization may have another one."""
    reference = target.source.files.api_key
    return target.key_source if reference is None else masked(str(reference))


def _require_distinct(targets: Iterable[Target], listings: Iterable[object]) -> None:
    """Raise OrganizationError if two targets are the same organization of a server."""
    known: dict[tuple[str, str], Target] = {}
    for target, live in zip(targets, listings, strict=True):
        if not isinstance(live, Live):  # it could not be read
            continue
        organization = live.organization
        other = known.setdefault((live.origin, organization.id), target)
        if other is not target:
            first, second = other.paths[0], target.paths[0]
            raise OrganizationError(
                f"{first} and {second} use keys of the same organization, {organization.name!r}",
                hint="set the same `organization` in both, or use another key for one of them",
            )
