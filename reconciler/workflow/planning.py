"""Plan: compare the files with one complete listing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from reconciler.errors import (
    ConfigurationError,
    OrganizationError,
    StalePlanError,
)
from reconciler.findings import (
    Finding,
    Place,
    Position,
    has_errors,
    in_quotes,
    note,
    plural,
    shorten,
    sort_key,
    warning,
)
from reconciler.kinds import KINDS
from reconciler.model import (
    Absent,
    Desired,
    Live,
    LiveWebhook,
    Organization,
    SecretRef,
    Webhook,
)
from reconciler.planning import planner, resend
from reconciler.planning.guards import guard_all
from reconciler.planning.names import ONLY_MATCHES_NOTHING, missed_organization
from reconciler.planning.plan import DeclaredElsewhere, FileState, Plan, Reason, Update
from reconciler.planning.planner import PlanOptions
from reconciler.planning.review import Review
from reconciler.planning.run import RunPlan
from reconciler.ports import WebhookReader
from reconciler.render import RENDERERS, View
from reconciler.render.quote import command_line, repeated, without_option
from reconciler.report import Report, RunReport
from reconciler.settings import LOCAL_SERVER
from reconciler.source.files import default_path
from reconciler.source.history import tracked
from reconciler.source.load import Loaded
from reconciler.source.schemes import is_file, paths
from reconciler.workflow.inputs import Checked, Gathered, judge
from reconciler.workflow.revisions import notes_on_unsent


def plan(
    gathered: Gathered,
    reader: WebhookReader,
    *,
    options: PlanOptions,
    review: Review | None = None,
) -> Plan:
    """Return the plan of an apply, without writing.

    With `review`, its resends are planned, too. Raises OrganizationError, StalePlanError for a
    review of another organization, ApiError, ConfigurationError.
    """
    return plan_of_live(gathered, reader, options=options, review=review)[0]


def plan_of_live(
    gathered: Gathered,
    reader: WebhookReader,
    *,
    options: PlanOptions,
    review: Review | None,
    organization: Organization | None = None,
) -> tuple[Plan, Live]:
    """Return the plan, and the listing from which it was made; raises the errors of `plan`.

    `organization` is that of the key, if it was read before.
    """
    checked = gathered.checked
    organization = organization or reader.organization()
    _check_organization(reader, organization, checked.desired.organization, checked.inputs.selected)
    # A review for another server or organization approves nothing here.
    if review is not None:
        _check_review_target(review, reader.origin, organization)
        options = options._replace(reviewed=review.resends)
    # `validate` has judged the files with the name that they write, which may be an id.
    if reader.origin != LOCAL_SERVER:
        _check_policies(checked, organization)
    webhooks = _with_pinned(checked.desired, reader)
    live = Live(origin=reader.origin, organization=organization, webhooks=webhooks)
    plan = _with_other_files(plan_listed(gathered, live, options), gathered, options, review)
    # Without overlays, all values are in the file that the webhook's position shows.
    if checked.loaded.parents:
        plan = _with_positions(plan, checked.loaded)
    notes = [*plan.notes, *gathered.warnings, *_may_move(plan, checked)]
    notes += _not_searched(plan, checked)
    if review is None:
        notes += notes_on_unsent(gathered, plan)
    plan = plan._replace(notes=tuple(sorted(notes, key=sort_key)))
    # A glob of --only that matches nothing is an error of the run, see `workflow.run`.
    shown = (finding for finding in plan.notes if finding.rule != ONLY_MATCHES_NOTHING)
    graded = checked.inputs.graded(shown)
    if has_errors(graded):
        raise ConfigurationError("warnings are treated as errors (--strict)", findings=graded)
    return plan, live


def with_owner(plan: Plan, gathered: Gathered, listings: Iterable[Live]) -> Plan:
    """Name another organization in whose listing a secret is live that is not live in this one.

    Sending it, which the warning suggests otherwise, would replace a secret that no variable has.
    """
    offered = plan.offered
    messages: dict[str, str] = {}
    others = [live for live in listings if live.organization.id != plan.organization.id]
    for (reference, field), uses in resend.by_reference(plan.not_equal).items():
        secret = gathered.secrets[reference]
        owners = [
            in_quotes(live.organization.name)
            for live in others
            if any(webhook.value(field) == secret for webhook in live.webhooks)
        ]
        if owners:
            offered -= {reference}
            owned = f"that is the live {field} of organization {owners[0]}"
            messages[resend.unequal_message(uses)] = resend.unequal_message(uses, owned)
    hint = "give it another variable; only to replace it, increment `version`"
    notes = []
    for finding in plan.notes:
        if finding.message in messages:
            finding = finding._replace(message=messages[finding.message], hint=hint)
        notes.append(finding)
    return plan._replace(notes=tuple(notes), offered=offered)


def _with_positions(plan: Plan, loaded: Loaded) -> Plan:
    """Return a plan in which each update has the position of what changed.

    If all fields that an update sends are written in other files than the webhook, the position of
    the webhook does not explain the update.
    """
    # Imported here, because few files have parents.
    from reconciler.source.position import positions

    # By the id of the live webhook, of which a plan has at most one update.
    places: dict[str, Place] = {}
    for update in plan.updates:
        webhook = update.after
        document = loaded.documents[webhook.file]
        path = ("webhooks", webhook.index)
        written = [document.written_at((*path, *change.path)) for change in update.fields]
        here = webhook.position.file if webhook.position is not None else None
        if here not in {place.file for place in written}:
            places[update.before.id] = written[0]
    known = positions(loaded.files, places.values())
    operations = []
    for operation in plan.operations:
        if isinstance(operation, Update) and operation.before.id in places:
            place = places[operation.before.id]
            position = Position(place.file, known[place].line)
            operation = replace(operation, after=replace(operation.after, position=position))
        operations.append(operation)
    return plan._replace(operations=tuple(operations))


def plan_listed(gathered: Gathered, live: Live, options: PlanOptions) -> Plan:
    """Return the plan for a listing, without notes about other files and revisions."""
    checked = gathered.checked
    options = options._replace(
        committed_hosts=committed_hosts(gathered),
        apply_options=checked.inputs.apply_options,
        redacted=checked.inputs.redacted,
    )
    return planner.plan(checked.desired, live, gathered.secrets, options)


def _check_policies(checked: Checked, organization: Organization) -> None:
    """Judge the files again, now with the name and id of the organization that the key belongs to.

    Raises ConfigurationError for violations that the files do not show.
    """
    judged = judge(checked.loaded, checked.inputs, (), checked.loaded.policies, organization)
    if judged.desired is None:
        message = f"the configuration of organization {organization.name!r} violates a policy"
        findings = tuple(finding for finding in judged.findings if has_errors([finding]))
        raise ConfigurationError(message, findings=findings)


def _with_other_files(
    plan: Plan, gathered: Gathered, options: PlanOptions, review: Review | None
) -> Plan:
    """Add the files that declare webhooks which the plan deletes as undeclared.

    Only such a plan looks at other files and previous revisions.
    """
    if not plan.undeclared:
        return plan
    # Imported here, because few plans delete.
    from reconciler.source.elsewhere import Owner, declared_elsewhere, keys_of

    inputs, loaded = gathered.checked.inputs, gathered.checked.loaded
    organization = plan.organization
    elsewhere = declared_elsewhere(
        plan.undeclared,
        (*loaded.documents, *loaded.parents),
        Owner(
            gathered.checked.desired.organization,
            (organization.id, organization.name),
            keys_of(loaded.documents.values()),
        ),
        directory=inputs.directory,
        git=inputs.git,
        base=options.base,
        commit=inputs.commit,
        run_files=inputs.run.files,
    )
    # Of a file that the run has read, but as another organization's, the command to read it differs
    # in nothing.
    elsewhere = tuple(
        other._replace(state=FileState.NOT_SELECTED) if other.file in inputs.run.files else other
        for other in elsewhere
    )
    is_found = any(other.state is not FileState.REMOVED for other in elsewhere)
    # A saved plan may be applied where none of its files is.
    if review is not None and review.elsewhere and not is_found:
        names = tuple(sorted(plan.undeclared))
        elsewhere = (*elsewhere, DeclaredElsewhere("", names, FileState.SAVED))
    removed = [_removed(other) for other in elsewhere if other.state is FileState.REMOVED]
    plan = plan._replace(
        notes=(*plan.notes, *removed),
        elsewhere=elsewhere,
        read_both=_command_with(elsewhere, gathered.checked, organization),
    )
    return plan._replace(blocked=guard_all([plan], options.allow_deletes)[0])


def _may_move(plan: Plan, checked: Checked) -> Iterator[Finding]:
    """Yield a warning about webhooks that may move to organizations that are not selected.

    Whether these have them is not known, so nothing waits for them.
    """
    deleted = {delete.name for delete in plan.deletes if delete.reason is not Reason.DUPLICATE}
    # What the organization excludes of a shared file does not move.
    deleted -= _inherited(checked)
    if not deleted:
        return
    undeclared = deleted & plan.undeclared
    blocking = {other.file for other in plan.elsewhere}
    declarations = [
        (name, file)
        for other in checked.inputs.run.unselected
        for name, file in _declarations(other, deleted, undeclared)
        if file not in blocking
    ]
    if declarations:
        names, files = map(set, zip(*declarations, strict=True))
        shown = shorten([in_quotes(name) for name in sorted(names)], 5)
        yield warning(
            "declared-elsewhere",
            f"this plan deletes {shown}, declared in files of organizations that are not selected: "
            f"{shorten(sorted(files), 3)}",
            "if this is a move, plan the organizations together: the create is then first",
        )


def _not_searched(plan: Plan, checked: Checked) -> Iterator[Finding]:
    """Yield a warning about repositories of which the run has files, and git searches no others."""
    if not plan.undeclared or checked.other_repository:  # which blocks the plan
        return
    repositories = checked.further_repositories
    if repositories:
        deleted = plural(len(plan.undeclared), "webhook")
        yield warning(
            "declared-elsewhere",
            f"other files in {shorten(repositories, 3)} are not searched, and may declare "
            f"{deleted} that this plan deletes",
            "pass all files of the organization with -f",
        )


def _declarations(
    checked: Checked, deleted: set[str], undeclared: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield which of the names of `deleted` webhooks the files declare, each with its file."""
    shared = _inherited(checked)
    for webhook in checked.desired.webhooks:
        # An organization that is removed declares absent what the others still inherit.
        names = undeclared if webhook.name in shared else deleted
        for name in names.intersection((webhook.name, *webhook.previously)):
            yield name, webhook.file


def _inherited(checked: Checked) -> set[str | None]:
    """Return the names that the parents of the files declare."""
    parents = checked.loaded.parents.values()
    return {entry.name for parent in parents for entry in parent.written}


def _command_with(
    elsewhere: Iterable[DeclaredElsewhere], checked: Checked, organization: Organization
) -> str:
    """Return the command that also reads the files that were not read, empty if none is shown."""
    inputs = checked.inputs
    options = without_option("-f", inputs.apply_options or ())
    if checked.desired.organization is None and "--organization" not in options:
        # Another file may name it; files that do not are then refused without the option.
        options += ["--organization", organization.name]
    others = [other.file for other in elsewhere if other.state is FileState.NOT_READ]
    names = [*(inputs.paths or (default_path(inputs.directory),)), *others]
    words = ["webhooks", "plan", *repeated("-f", names), *options]
    return command_line(words, inputs.redacted)


def _removed(other: DeclaredElsewhere) -> Finding:
    names = shorten([in_quotes(name) for name in other.names], 5)
    message = f"commit {other.commit} removed {other.file}, so this plan deletes {names}"
    return note("file-removed", message, "if they must stay, restore the file or declare them")


def read_live(
    reader: WebhookReader,
    selected: Sequence[str] = (),
    organization: Organization | None = None,
    declared: str | None = None,
) -> Live:
    """Return the live webhooks of the key's organization.

    It must be the `declared` one, and match one of `selected`: names, ids or globs; () for any.
    `organization` is that of the key, if it was read before. Raises OrganizationError, ApiError.
    """
    organization = organization or reader.organization()
    _check_organization(reader, organization, declared, selected)
    return Live(origin=reader.origin, organization=organization, webhooks=reader.list())


def _with_pinned(desired: Desired, reader: WebhookReader) -> tuple[LiveWebhook, ...]:
    """List the live webhooks, and read each declared id that the list does not show.

    A pinned webhook may be missing because it was deleted, or moved between pages while listing.
    """
    listing = reader.list()
    # A declared id must not look deleted because of a listing that moved while it was read.
    listed = {webhook.id for webhook in listing}
    entries: tuple[Webhook | Absent, ...] = (*desired.webhooks, *desired.absent)
    pinned = {entry.id for entry in entries if entry.id is not None}
    read = [reader.get(id_) for id_ in sorted(pinned - listed)]
    return (*listing, *filter(None, read))


def _check_organization(
    reader: WebhookReader, organization: Organization, declared: str | None, selected: Sequence[str]
) -> None:
    """Raise OrganizationError unless the key's organization is that of the files and options."""
    expected = missed_organization(organization, declared, selected)
    # The emulator accepts any organization.
    if expected is None or reader.origin == LOCAL_SERVER:
        return
    otherwise = "set another one with --organization or WEBHOOKS_ORGANIZATION"
    if expected == declared:
        otherwise = "correct `organization`"
    raise OrganizationError(
        f"the API key belongs to organization {organization.name!r}, not to {in_quotes(expected)}",
        hint="use a key of that organization, with `api_key` in its file if there are several, or "
        f"{otherwise}",
    )


def _check_review_target(review: Review, origin: str, organization: Organization) -> None:
    if (review.origin, review.organization) != (origin, organization.id):
        raise StalePlanError(
            "the plan was made for another server or organization",
            differences=(
                f"plan  {review.organization} at {review.origin}",
                f"now   {organization.id} at {origin}",
            ),
            hint="plan again with the intended key and server",
        )


def committed_hosts(gathered: Gathered) -> dict[SecretRef, str]:
    """Return scheme and host of literal URLs, and of those in secret files that git tracks.

    Reviewers see them in the commit anyway.
    """
    inputs, secrets = gathered.checked.inputs, gathered.secrets
    hosts: dict[SecretRef, str] = {}
    for webhook in gathered.checked.desired.webhooks:
        url = webhook.configuration.get(KINDS[webhook.type].destination_field)
        if isinstance(url, SecretRef) and url in secrets and (url.is_literal or is_file(url)):
            origin = secrets[url].origin()
            if origin is not None:
                hosts[url] = origin
    # Files that git does not have are as secret as variables: their host is not shown.
    in_git = tracked(paths(hosts), directory=inputs.directory, git=inputs.git, commit=inputs.commit)
    return {
        reference: origin
        for reference, origin in hosts.items()
        if reference.is_literal or reference.name in in_git
    }


def show(result: Plan | Report, format: str = "text", *, color: bool = False) -> str:
    """Return a plan or a report as `text`, `json` or `markdown`, without secrets.

    Raises KeyError for another format.
    """
    renderer, view = RENDERERS[format](), View(color=color)
    if isinstance(result, Plan):
        return renderer.render_run(RunPlan.of(result), view)
    return renderer.render_run_report(RunReport.of(result), view)
