"""`webhooks doctor`: why it does not work here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import format_option
from reconciler.errors import ReconcilerError, UsageError
from reconciler.model import Secret

if TYPE_CHECKING:
    from reconciler.api.transport import Transport
    from reconciler.doctor.examine import Instruments, Surroundings
    from reconciler.settings import Settings
    from reconciler.workflow import Gathered

_PATIENCE: Final = 60.0
"""Seconds after which looking further makes no sense, however long a run may take."""


@command(
    "doctor",
    "Find out why something does not work here.",
    text="Looks at settings and where each comes from, proxy and certificates, the way to the "
    "server, key, organization, role, maintenance, what the server offers and how it shows "
    "secrets, its own description against this version, clocks, files, CI. Nothing is changed. "
    "Exit code 1 if a check failed. With --format json no key, no secret, no host of yours and no "
    "live name is in the result: paste it into a bug report.",
    examples=(
        ("look at everything", "webhooks doctor"),
        ("for a bug report", "webhooks doctor --format json"),
        ("with the files of a job", "webhooks doctor -f webhooks/ --organization Acme"),
    ),
    options=[format_option("text", "json")],
)
def COMMAND(invocation: Invocation, format: str) -> int:  # noqa: N802
    """Look, and show what was found."""
    from reconciler.checks import strict
    from reconciler.cli.session import result_view
    from reconciler.doctor.examine import examine
    from reconciler.render.checks import RENDER_CHECKS

    here = _surroundings(invocation)
    with ExitStack() as stack:
        result = examine(here, lambda settings: _instruments(invocation, settings, stack))
    if invocation.strict:
        result = strict(result)
    invocation.console.result(RENDER_CHECKS[format](result, result_view(invocation)))
    return result.exit_code


def _surroundings(invocation: Invocation) -> Surroundings:
    from reconciler.cli.session import inputs
    from reconciler.doctor.examine import Surroundings
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
    environ = invocation.process.environ
    return Surroundings(
        settings=settings,
        environ=environ,
        paths=asked.paths,
        declared=declared,
        gathered=gathered,
        organization=asked.organization,
        event=_event(environ),
    )


def _instruments(invocation: Invocation, settings: Settings, stack: ExitStack) -> Instruments:
    from reconciler.api.origin import Credential, Origin
    from reconciler.api.transport import Transport
    from reconciler.cli.connection import exchange_line
    from reconciler.doctor.examine import Instruments
    from reconciler.doctor.probe import SystemProbe
    from reconciler.execute.workers import ThreadWorkers

    console, environ = invocation.console, invocation.process.environ
    clock = invocation.process.time()
    more: dict[str, Any] = {}
    key = settings.key.value if settings.key is not None else None
    if settings.local:
        from reconciler.cli.local import emulated

        store, more["adapter"], key = emulated(invocation, clock)
        stack.callback(store.close)
    elif key is not None:
        console.hide([key])
    if invocation.debug:
        more["observer"] = lambda exchange: console.block(exchange_line(exchange))

    def connect(secret: Secret | None) -> Transport:
        return stack.enter_context(
            Transport(
                origin=Origin.parse(settings.server_url.value),
                credential=Credential.api_key(secret) if secret is not None else None,
                clock=clock,
                timeout=settings.timeout.value,
                deadline=min(settings.deadline.value, _PATIENCE),
                environment=environ,
                **more,
            )
        )

    workers = ThreadWorkers(1)
    stack.callback(workers.close)
    return Instruments(
        connect=connect,
        clock=clock,
        workers=workers,
        probe=None if settings.local else SystemProbe(environ),
        key=key,
    )


def _event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the payload of GitHub's event; nothing where there is none that can be read."""
    from reconciler.cli.commands.ci import read_event

    try:
        return read_event(environ)
    except UsageError:
        return {}
