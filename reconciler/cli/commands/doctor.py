"""`webhooks doctor`: diagnose settings, files, network and CloudTruth."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from reconciler import workflow
from reconciler.checks import Check, Checklist, Section, Status, unknown
from reconciler.cli.connection import Progress, connected_all, only_target
from reconciler.cli.options import FILE_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.doctor.local import check_files, check_settings
from reconciler.doctor.together import Diagnosis, together
from reconciler.errors import ReconcilerError, UsageError
from reconciler.model import Desired
from reconciler.render.quote import quote
from reconciler.settings import Settings

if TYPE_CHECKING:
    from reconciler.api.client import Client
    from reconciler.workflow.inputs import OrganizationFiles


@command(
    reads=True,
    connects=True,
    formats=("text", "json"),
    options=(
        Option("--probe", group="Probe", is_flag=True,
               help="Create, change and delete one webhook, after confirmation."),
        Option("--deliver", group="Probe", metavar="PROJECT",
               help="Also cause six events in this scratch project, and watch all webhooks run."),
        Option("-y", "--yes", group="Probe", is_flag=True, help="Do not ask for confirmation."),
    ),
)  # fmt: skip
def run(session: Session, format: str, probe: bool, deliver: str | None, yes: bool) -> int:
    """Checks settings and their sources, files, secrets, proxy, certificates, the connection, key,
    organization, role, maintenance, the API schema, and how secrets read back. Exit code 1 if a
    check failed. --format json contains no key, secret, host or live name: paste it into a bug
    report. --probe also creates, changes and deletes one webhook, to find out how this server
    behaves.

    Examples:
        # check everything
        webhooks doctor
        # for a bug report
        webhooks doctor --format json
        # check the files of all organizations
        webhooks doctor -f webhooks/
        # check one of them
        webhooks doctor -f webhooks/ --organization Acme
        # try one webhook on this server
        webhooks doctor --probe
        # find out how deliveries are reported
        webhooks doctor --probe --deliver Scratch
    """
    if deliver is not None and not probe:
        raise UsageError("--deliver needs --probe", hint="add --probe, or use `webhooks check`")
    # JSON is for bug reports, so it contains no file names.
    words = () if format == "json" else session.words(FILE_OPTIONS)
    targets: list[workflow.Target] = []
    diagnoses: list[Diagnosis] = []
    for organization in session.read_organizations():
        settings = _settings(session, organization)
        key = settings.key if isinstance(settings, Settings) else None
        files, loaded = check_files(organization.inputs, key and key.value, words)
        # Invalid files do not prevent the checks of the connection.
        desired = loaded.desired or Desired()
        checked = workflow.Checked(desired, loaded, organization.inputs)
        targets.append(workflow.Target(workflow.Source(organization, checked)))
        name, is_valid = targets[-1].source.name, isinstance(settings, Settings)
        diagnoses.append(Diagnosis(name, is_valid, check_settings(settings), files))
    if any(diagnosis.has_settings for diagnosis in diagnoses):
        diagnoses = _remote(session, targets, diagnoses, probe=probe, project=deliver, yes=yes)
    notes = []
    types = {webhook.type for target in targets for webhook in target.checked.desired.webhooks}
    if "slack" in types:
        line = shlex.join(["webhooks", "check", *words])
        notes.append(f"`{line}` checks tokens and channels.")
    result = Checklist(command="doctor", sections=together(diagnoses), notes=tuple(notes))
    return session.show_checks(result, format)


def _settings(session: Session, organization: OrganizationFiles) -> Settings | ReconcilerError:
    try:
        return session.settings_of(organization)
    except ReconcilerError as problem:
        return problem


def _remote(
    session: Session,
    targets: Sequence[workflow.Target],
    diagnoses: Sequence[Diagnosis],
    *,
    probe: bool,
    project: str | None,
    yes: bool,
) -> list[Diagnosis]:
    """Return the diagnoses of the organizations that --organization selects, now with the server's.

    Raises UsageError for a probe in several organizations.
    """
    # Imported here, so that invalid settings are reported without loading the HTTP library.
    from reconciler.doctor import service

    local = {target.paths: diagnosis for target, diagnosis in zip(targets, diagnoses, strict=True)}
    max_deadline = 60.0 if project is None else inf  # a proof may need more time
    progress, environ = Progress(session), session.process.environ
    with connected_all(
        session, targets, progress=progress, needs_key=False, max_deadline=max_deadline
    ) as connected:
        if probe:
            only_target(connected, "--probe")

        def check(number: int, connection: workflow.Connection) -> tuple[Check, ...]:
            declared = connected[number].checked.desired.organization
            expected = tuple(filter(None, [session.organization, declared]))
            return tuple(
                service.check_server(
                    _client(connection),
                    has_key=connection.key is not None,
                    expected=() if session.local else expected,
                )
            )

        complete: list[Diagnosis] = []
        for target, checks in zip(connected, workflow.call_all(connected, check), strict=True):
            diagnosis, connection = local[target.paths], target.connection
            if isinstance(checks, ReconcilerError):
                checks = (service.check_failed(checks, connection and _client(connection)),)
            remote = [Section("CloudTruth", checks)]
            if connection is not None and not session.local:
                origin = _client(connection).transport.origin
                network = tuple(service.check_network(origin, environ))
                remote.insert(0, Section("Network", network))
            if connection is not None and probe:
                is_failed = any(check.status is Status.FAIL for check in checks)
                if is_failed or connection.key is None:
                    skipped = unknown("probe", "not run: fix the failed checks first")
                    remote.append(Section("Probe", (skipped,)))
                else:
                    remote += _probe(session, connection, progress, project, yes=yes)
            if diagnosis.has_settings:
                diagnosis = diagnosis._replace(remote=tuple(remote))
            complete.append(diagnosis)
    return complete


def _client(connection: workflow.Connection) -> Client:
    from reconciler.api.client import Client

    assert isinstance(connection.api, Client)
    return connection.api


def _probe(
    session: Session,
    connection: workflow.Connection,
    progress: Progress,
    project: str | None,
    *,
    yes: bool,
) -> list[Section]:
    """Test the server with one webhook; with `project`, also whether messages arrive."""
    from reconciler.doctor import service

    api = _client(connection)
    organization = api.organization()
    if not yes:
        progress.phase("")
        question = (
            f"The probe creates a webhook in organization {quote(organization.name)}, "
            "changes it and deletes it. It sends to a reserved domain, so nothing is "
            "delivered."
        )
        session.confirm(question)
    progress.phase("probing")
    connection.restart()  # the user may have taken a while to confirm
    sections = [service.probe(api, connection.clock, organization)]
    if project is None:
        return sections
    from reconciler.cli.proof import prove

    progress.phase("")
    live = workflow.read_live(api)
    try:
        proof = prove(session, connection, live, live.webhooks, project, yes=yes)
    except UsageError as problem:  # nothing listens
        unproved = unknown("last-run", problem.message, fix=problem.hint)
        return [*sections, Section("Deliveries", (unproved,))]
    return [*sections, service.learned(proof)]
