"""`webhooks doctor`: find out why something does not work here."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import format_option
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.checks import Checklist, Section
    from reconciler.doctor.local import Local
    from reconciler.settings import Settings
    from reconciler.workflow import Gathered

_DEADLINE: Final = 60.0
"""Seconds for all requests together."""


@command(
    "doctor",
    "Find out why something does not work here.",
    text="Checks settings and their sources, files, secrets, proxy, certificates, the connection, "
    "key, organization, role, maintenance, the API's own description, how secrets read back, and "
    "the clock. Changes nothing. Exit code 1 if a check failed. --format json contains no key, "
    "secret, host or live name: paste it into a bug report.",
    examples=(
        ("check everything", "webhooks doctor"),
        ("for a bug report", "webhooks doctor --format json"),
        ("with the files of a job", "webhooks doctor -f webhooks/ --organization Acme"),
    ),
    options=[format_option("text", "json")],
)
def COMMAND(invocation: Invocation, format: str) -> int:  # noqa: N802
    """Run all checks and print them."""
    from reconciler.checks import strict
    from reconciler.cli.session import result_view
    from reconciler.render.checks import RENDER_CHECKS

    result = _examine(invocation, _local(invocation))
    if invocation.strict:
        result = strict(result)
    invocation.console.result(RENDER_CHECKS[format](result, result_view(invocation)))
    return result.exit_code


def _local(invocation: Invocation) -> Local:
    from reconciler.cli.session import inputs
    from reconciler.doctor.local import Local
    from reconciler.source.files import DEFAULT_FILE
    from reconciler.workflow import accept, gather, validate

    settings: Settings | ReconcilerError
    try:
        settings = invocation.settings()
    except ReconcilerError as problem:
        settings = problem
    asked = inputs(invocation)
    declared = None
    gathered: Gathered | ReconcilerError | None = None
    if asked.paths or (asked.directory / DEFAULT_FILE).exists():
        declared = validate(asked)
    if declared is not None and declared.desired is not None:
        key = settings.key if not isinstance(settings, ReconcilerError) else None
        try:
            gathered = gather(accept(declared, asked), None if key is None else key.value)
        except ReconcilerError as problem:
            gathered = problem
    return Local(
        settings=settings,
        environ=invocation.process.environ,
        paths=asked.paths,
        declared=declared,
        gathered=gathered,
        organization=asked.organization,
    )


def _examine(invocation: Invocation, local: Local) -> Checklist:
    from reconciler.checks import Checklist
    from reconciler.doctor.local import check_files, check_settings

    sections = [check_settings(local), check_files(local)]
    if not isinstance(local.settings, ReconcilerError):
        sections[1:1] = _remote(invocation, local, local.settings)
    desired = None if local.declared is None else local.declared.desired
    slack = desired is not None and any(each.type == "slack" for each in desired.webhooks)
    remarks = ("`webhooks slack check` checks tokens and channels.",) if slack else ()
    return Checklist(command="doctor", sections=tuple(sections), remarks=remarks)


def _remote(invocation: Invocation, local: Local, settings: Settings) -> list[Section]:
    from reconciler.api.origin import Credential, Origin
    from reconciler.api.transport import Transport
    from reconciler.checks import Section, Status, unknown
    from reconciler.cli.connection import exchange_line
    from reconciler.cli.local import emulated
    from reconciler.doctor.local import failed_settings
    from reconciler.doctor.network import check_network
    from reconciler.doctor.service import Server, check_server
    from reconciler.execute.workers import ThreadWorkers

    console, environ = invocation.console, invocation.process.environ
    clock = invocation.process.time()
    try:
        origin = Origin.parse(settings.server_url.value)
    except ReconcilerError as problem:
        return [Section(name="Network", checks=(failed_settings(problem),))]
    sections = []
    key = settings.key.value if settings.key is not None else None
    more: dict[str, Any] = {}
    with ExitStack() as stack:
        if settings.local:
            store, more["adapter"], key = emulated(invocation)
            stack.callback(store.close)
        else:
            console.hide([key] if key is not None else [])
            checks = check_network(origin, environ)
            sections = [Section(name="Network", checks=checks)]
            if any(each.status is Status.FAIL for each in checks):
                skipped = unknown("http", "not checked: the connection fails")
                return [*sections, Section(name="CloudTruth", checks=(skipped,))]
        if invocation.debug:
            more["observer"] = lambda exchange: console.block(exchange_line(exchange))

        def transport(credential: Credential | None) -> Transport:
            return stack.enter_context(
                Transport(
                    origin=origin,
                    credential=credential,
                    clock=clock,
                    timeout=settings.timeout.value,
                    deadline=min(settings.deadline.value, _DEADLINE),
                    environment=environ,
                    **more,
                )
            )

        workers = ThreadWorkers(1)
        stack.callback(workers.close)
        server = Server(
            anonymous=transport(None),
            keyed=None if key is None else transport(Credential.api_key(key)),
            clock=clock,
            workers=workers,
            guards=local.guards,
        )
        return [*sections, Section(name="CloudTruth", checks=check_server(server))]
