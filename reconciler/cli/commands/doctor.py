"""`webhooks doctor`: diagnose settings, files, network and CloudTruth."""

from __future__ import annotations

import platform
import ssl
import sys
from collections.abc import Iterator, Sequence
from math import inf
from typing import Final, NamedTuple

from reconciler import __version__, doctor, workflow
from reconciler.api.client import Client
from reconciler.cli.commands.check import prove
from reconciler.cli.connection import Progress, connected_all, only_target
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError
from reconciler.findings import Finding, Severity, plural, shorten
from reconciler.model import Desired, Secret
from reconciler.render.quote import quote
from reconciler.report import Check, Checklist, Section, Status, fail, ok, unknown
from reconciler.settings import LOCAL_SERVER, Setting, Settings
from reconciler.source.files import default_path, suggestion
from reconciler.source.load import Loaded
from reconciler.source.schemes import is_file
from reconciler.workflow.inputs import OrganizationFiles, organizations
from reconciler.workflow.run import call_all

_MAX_NAMES: Final = 10
_EMPTY: Final = "CI passes a secret that is missing, or not available to the job, as an empty value"


class _Diagnosis(NamedTuple):
    """The sections of an organization. Without valid settings there is none of the server."""

    name: str
    has_settings: bool
    settings: Section
    files: Section
    remote: tuple[Section, ...] = ()

    @property
    def sections(self) -> tuple[Section, ...]:
        """Return all sections in the order in which they are shown."""
        return (self.settings, *self.remote, self.files)


class _Probe(NamedTuple):
    """What --probe, --deliver and --yes ask for."""

    project: str | None
    yes: bool


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
    """Exits with 1 if a check failed. --format json contains no key, secret, host or live name:
    paste it into a bug report. --probe finds out how this server behaves.

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
    targets: list[workflow.Target] = []
    diagnoses: list[_Diagnosis] = []
    for organization in organizations(session.inputs):
        target, diagnosis = _diagnose(session, organization)
        targets.append(target)
        diagnoses.append(diagnosis)
    if any(diagnosis.has_settings for diagnosis in diagnoses):
        wanted = _Probe(deliver, yes) if probe else None
        diagnoses = _with_server(session, targets, diagnoses, wanted)
    types = {webhook.type for target in targets for webhook in target.checked.desired.webhooks}
    notes: tuple[str, ...] = ()
    # An emulator makes no requests to Slack.
    if "slack" in types and not session.local:
        notes = ("`webhooks check` checks tokens and channels.",)
    checklist = Checklist(command="doctor", sections=_together(diagnoses), notes=notes)
    return session.show_checks(checklist, format)


def _diagnose(
    session: Session, organization: OrganizationFiles
) -> tuple[workflow.Target, _Diagnosis]:
    """Return an organization and what its settings and files show, without a request."""
    settings: Settings | ReconcilerError
    key = None
    try:
        settings = session.settings_of(organization)
        key = settings.key and settings.key.value
    except ReconcilerError as problem:
        settings = problem
    files, loaded = _files_section(organization.inputs, key)
    # Invalid files do not prevent the checks of the connection.
    checked = workflow.Checked(loaded.desired or Desired(), loaded, organization.inputs)
    target = workflow.Target(workflow.Source(organization, checked))
    section = Section("Settings", tuple(_checked_settings(settings)))
    is_valid = isinstance(settings, Settings)
    return target, _Diagnosis(target.source.name, is_valid, section, files)


# The checks that need no network


def _files_section(inputs: workflow.Inputs, key: Secret | None) -> tuple[Section, Loaded]:
    """Check the files of an organization and the secrets that `apply` needs.

    Return also what they declare.
    """
    default = default_path(inputs.directory)
    # A directory without files is not a failure: doctor also helps before `init`.
    if not inputs.paths and not (inputs.directory / default).exists():
        fix = suggestion(inputs.directory / default, inputs.directory)
        fix = fix or "create one with `webhooks init`, or name files with -f"
        check = unknown("files", f"no {default} in the working directory", fix=fix)
        return Section(name="Files", checks=(check,)), Loaded(None)
    declared = workflow.validate(inputs)
    # Private, because the output is made to be pasted into issues.
    names = ", ".join(map(quote, declared.documents or inputs.paths)) or default
    if declared.desired is None:
        errors = sum(finding.severity is Severity.ERROR for finding in declared.findings)
        private, fix = f"{plural(errors, 'error')} in {names}", "run `webhooks validate`"
        check = fail("files", "invalid", private=private, fix=fix)
        return Section(name="Files", checks=(check,)), declared
    count = plural(len(declared.desired.webhooks), "webhook")
    check = ok("files", "valid", private=f"{count} in {names}")
    try:
        secrets = _secrets(workflow.gather(workflow.accept(declared, inputs), key))
    except ReconcilerError as problem:
        fix = "run `webhooks validate` and `webhooks plan` for details"
        secrets = fail("secrets", problem.message, fix=fix)
    return Section(name="Files", checks=(check, secrets)), declared


def _checked_settings(settings: Settings | ReconcilerError) -> Iterator[Check]:
    """Check the settings, each with its source; an error if they could not be resolved."""
    python, tls = platform.python_version(), ssl.OPENSSL_VERSION.split("  ")[0]
    yield ok("version", f"webhooks {__version__}, Python {python}, {sys.platform}, {tls}")
    if isinstance(settings, ReconcilerError):
        cause: ReconcilerError | Finding = settings
        if settings.findings:  # for a key that a file names
            cause = settings.findings[0]
        fix = cause.hint or "set a valid value"
        yield fail("settings", "a setting is invalid", fix=fix, private=quote(cause.message))
        return
    if settings.server_url.value == LOCAL_SERVER:
        yield ok("server", "the emulator in this process (--local), with a built-in key")
        return
    yield ok("server", _source(settings.server_url), private=quote(settings.server_url.value))
    yield ok("profile", _source(settings.profile), private=quote(settings.profile.value))
    # Only its source: no part of a key is ever shown.
    if settings.key is not None:
        yield ok("key", f"set, {_source(settings.key)}")
    else:
        yield fail("key", "no CloudTruth API key", fix=f"{settings.key_hint}. {_EMPTY}")
    yield ok("timeout", f"{settings.timeout.value:g} s per request, {_source(settings.timeout)}")
    yield ok("deadline", f"{settings.deadline.value:g} s per run, {_source(settings.deadline)}")


def _source(setting: Setting[str] | Setting[float] | Setting[Secret]) -> str:
    """Return the source of a setting, without the name of a profile or a file."""
    if setting.source == "default":
        return "by default"
    if setting.source.startswith(("profile ", "api_key in ")):
        return "from a profile or a file"
    return f"from {setting.source}"


def _secrets(gathered: workflow.Gathered) -> Check:
    missing = sorted(gathered.missing_references, key=str)
    if not missing:
        return ok("secrets", "all available" if gathered.references else "none declared")
    shown = [quote(str(reference)) for reference in missing if not is_file(reference)]
    files = [quote(str(reference)) for reference in missing if is_file(reference)]
    if files:
        shown.append("files")
    return unknown(
        "secrets",
        f"not set here, or empty: {', '.join(shown)}",
        private=shorten(files, _MAX_NAMES) or None,
        fix="set them before apply creates a webhook or changes its configuration; "
        f"nothing else needs them. {_EMPTY}",
    )


# The checks of the server


def _with_server(
    session: Session,
    targets: Sequence[workflow.Target],
    diagnoses: Sequence[_Diagnosis],
    probe: _Probe | None,
) -> list[_Diagnosis]:
    """Return the diagnoses of the organizations that --organization selects, now with the server's.

    Raises UsageError for a probe in several organizations.
    """
    local = {target.paths: diagnosis for target, diagnosis in zip(targets, diagnoses, strict=True)}
    # A diagnosis must end soon, whatever the settings are; a proof may need more time.
    max_deadline = 60.0
    if probe is not None and probe.project is not None:
        max_deadline = inf
    progress = Progress(session)
    with connected_all(
        session, targets, progress=progress, needs_key=False, max_deadline=max_deadline
    ) as connected:
        if probe is not None:
            only_target(connected, "--probe")
        results = call_all(
            connected,
            lambda number, connection: _server_checks(session, connected[number], connection),
        )
        complete: list[_Diagnosis] = []
        for target, checks in zip(connected, results, strict=True):
            diagnosis = local[target.paths]
            if diagnosis.has_settings:
                remote = _sections(session, target.connection, checks)
                if probe is not None and target.connection is not None:
                    remote += _probed(session, target.connection, progress, probe, remote)
                diagnosis = diagnosis._replace(remote=tuple(remote))
            complete.append(diagnosis)
    return complete


def _server_checks(
    session: Session, target: workflow.Target, connection: workflow.Connection
) -> tuple[Check, ...]:
    declared, selected = target.checked.desired.organization, session.organizations
    if session.local:  # the emulator accepts any organization
        declared, selected = None, ()
    has_key = connection.key is not None
    api = _client(connection)
    return tuple(doctor.check_server(api, has_key=has_key, declared=declared, selected=selected))


def _sections(
    session: Session,
    connection: workflow.Connection | None,
    checks: tuple[Check, ...] | ReconcilerError,
) -> list[Section]:
    """Return the checks of the network, and of the server or why there are none."""
    if isinstance(checks, ReconcilerError):
        # Without a connection the key is malformed; else other organizations did not reach it.
        if connection is None:
            checks = (doctor.failure(None, "key", checks),)
        else:
            checks = (doctor.failure(_client(connection), "http", checks),)
    sections = [Section("CloudTruth", checks)]
    if connection is not None and not session.local:
        origin = _client(connection).transport.origin
        network = tuple(doctor.check_network(origin, session.process.environ))
        sections.insert(0, Section("Network", network))
    return sections


def _client(connection: workflow.Connection) -> Client:
    assert isinstance(connection.api, Client)
    return connection.api


def _probed(
    session: Session,
    connection: workflow.Connection,
    progress: Progress,
    probe: _Probe,
    earlier: Sequence[Section],
) -> list[Section]:
    """Test the server with one webhook; with a project, also whether messages arrive.

    The last section of `earlier` is that of the server.
    """
    is_failed = any(check.status is Status.FAIL for check in earlier[-1].checks)
    if is_failed or connection.key is None:
        skipped = unknown("probe", "not run: fix the failed checks first")
        return [Section("Probe", (skipped,))]
    api = _client(connection)
    organization = api.organization()
    if not probe.yes:
        progress.phase("")
        session.confirm(
            f"The probe creates a webhook in organization {quote(organization.name)}, "
            "changes it and deletes it. It sends to a reserved domain, so nothing is "
            "delivered."
        )
    progress.phase("probing")
    connection.restart()  # the user may have taken a while to confirm
    sections = [doctor.probe(api, connection.clock, organization)]
    if probe.project is None:
        return sections
    progress.phase("")
    live = workflow.read_live(api)
    try:
        proof = prove(session, connection, live, live.webhooks, probe.project, yes=probe.yes)
    except UsageError as problem:  # nothing listens
        unproved = unknown("last-run", problem.message, fix=problem.hint)
        return [*sections, Section("Deliveries", (unproved,))]
    return [*sections, doctor.learned(proof)]


def _together(diagnoses: Sequence[_Diagnosis]) -> tuple[Section, ...]:
    """Return the sections of all organizations. Those of a single one are not changed.

    A check that differs between organizations counts them. Their names are private.
    """
    if len(diagnoses) == 1:
        return diagnoses[0].sections
    groups: dict[str, dict[Check, dict[str, Check]]] = {}
    for diagnosis in diagnoses:
        for section in diagnosis.sections:
            checks = groups.setdefault(section.name, {})
            for check in section.checks:
                # Equal but for the private part, which has the organization's names.
                members = checks.setdefault(check._replace(private=None), {})
                members[quote(diagnosis.name)] = check
    # An organization without a connection has no sections of the server.
    order = [
        section.name for section in max((diagnosis.sections for diagnosis in diagnoses), key=len)
    ]
    return tuple(Section(name, _in_order(groups[name], len(diagnoses))) for name in order)


def _in_order(checks: dict[Check, dict[str, Check]], count: int) -> tuple[Check, ...]:
    """Return combined checks; those with the same name are next to each other."""
    names = list(dict.fromkeys(check.name for check in checks))
    combined = [_combined(check, members, count) for check, members in checks.items()]
    return tuple(sorted(combined, key=lambda check: names.index(check.name)))


def _combined(check: Check, members: dict[str, Check], count: int) -> Check:
    """Return the check of some of `count` organizations, with private details."""
    detail = check.detail
    private = {name: member.private for name, member in members.items()}
    texts = list(dict.fromkeys(text for text in private.values() if text is not None))
    if len(members) < count:
        detail += f", in {len(members)} of {count} organizations"
        texts = [name if text is None else f"{name}: {text}" for name, text in private.items()]
    shown = shorten(texts, _MAX_NAMES) or None
    return check._replace(detail=detail, private=shown)
