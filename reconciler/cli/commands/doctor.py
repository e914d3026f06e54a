"""`webhooks doctor`: diagnose settings, files, network and CloudTruth."""

from __future__ import annotations

import shlex

from reconciler import workflow
from reconciler.checks import Checklist, Section, Status, unknown
from reconciler.cli.connection import Progress, connected
from reconciler.cli.options import FILE_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.doctor.local import check_files, check_settings
from reconciler.errors import ReconcilerError, UsageError
from reconciler.render.quote import quote
from reconciler.settings import Settings


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
        # check the files and the organization of a job
        webhooks doctor -f webhooks/ --organization Acme
        # try one webhook on this server
        webhooks doctor --probe
        # find out how deliveries are reported
        webhooks doctor --probe --deliver Scratch
    """
    if deliver is not None and not probe:
        raise UsageError("--deliver needs --probe", hint="add --probe, or use `webhooks check`")
    settings: Settings | ReconcilerError
    key = None
    session.only_organization("doctor")
    try:
        settings = session.settings
        key = settings.key and settings.key.value
    except ReconcilerError as problem:
        settings = problem
    # JSON is for bug reports, so it contains no file names.
    words = () if format == "json" else session.words(FILE_OPTIONS)
    files, desired = check_files(session.inputs, key, words)
    sections = [check_settings(settings)]
    if isinstance(settings, Settings):
        expected = [session.organization, None if desired is None else desired.organization]
        named = tuple(filter(None, expected))
        sections += _remote(session, settings, named, probe=probe, project=deliver, yes=yes)
    notes = []
    if desired is not None and any(each.type == "slack" for each in desired.webhooks):
        line = shlex.join(["webhooks", "check", *words])
        notes.append(f"`{line}` checks tokens and channels.")
    result = Checklist(command="doctor", sections=(*sections, files), notes=tuple(notes))
    return session.show_checks(result, format)


def _remote(
    session: Session,
    settings: Settings,
    organizations: tuple[str, ...],
    *,
    probe: bool,
    project: str | None,
    yes: bool,
) -> list[Section]:
    # Imported here, so that invalid settings are reported without loading the HTTP library.
    from reconciler.api.client import Client
    from reconciler.doctor import service

    if project is None:  # a proof may need more time
        # For all requests together.
        deadline = settings.deadline._replace(value=min(settings.deadline.value, 60.0))
        session.settings = settings._replace(deadline=deadline)
    progress = Progress(session)
    with connected(session, progress=progress, needs_key=False) as connection:
        api, clock, has_key = connection.api, connection.clock, connection.key is not None
        assert isinstance(api, Client)
        network = tuple(service.check_network(api.transport.origin, session.process.environ))
        sections = [] if session.local else [Section(name="Network", checks=network)]
        expected = () if session.local else organizations
        cloudtruth = tuple(service.check_server(api, has_key=has_key, expected=expected))
        sections.append(Section(name="CloudTruth", checks=cloudtruth))
        if probe and (not has_key or any(each.status is Status.FAIL for each in cloudtruth)):
            skipped = unknown("probe", "not run: fix the failed checks first")
            sections.append(Section(name="Probe", checks=(skipped,)))
        elif probe:
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
            sections.append(service.probe(api, clock, organization))
            if project is not None:
                from reconciler.cli.proof import prove

                progress.phase("")
                live = workflow.read_live(api)
                try:
                    proof = prove(session, connection, live, live.webhooks, project, yes=yes)
                except UsageError as problem:  # nothing listens
                    unproved = unknown("last-run", problem.message, fix=problem.hint)
                    sections.append(Section(name="Deliveries", checks=(unproved,)))
                else:
                    sections.append(service.learned(proof))
        return sections
