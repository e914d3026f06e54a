"""The whole examination: what is local first, then the way to the server, then the server.

After a step that makes the next ones pointless, these are left out: what cannot be reached is not
reported as failing five times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from reconciler.checks import Check, Checklist, Section, Status, unknown
from reconciler.doctor import local
from reconciler.doctor.pipeline import pipeline
from reconciler.doctor.probe import Probe
from reconciler.errors import ReconcilerError
from reconciler.model import Scheme, Secret
from reconciler.ports import Clock, Workers
from reconciler.settings import Settings
from reconciler.source.desired import Declared
from reconciler.values import dataclass
from reconciler.workflow import Gathered

if TYPE_CHECKING:
    from reconciler.api.transport import Transport

KEY: Final = "CLOUDTRUTH_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Everything that can be known without asking anybody.

    `settings` and `gathered` are errors where they could not be had. `declared` is None where
    there is no file, `gathered` None where there is none or it is invalid. `organization` is the
    guard of an option or a variable. `event` is the payload of GitHub's event.
    """

    settings: Settings | ReconcilerError
    environ: Mapping[str, str] = field(repr=False)
    paths: Sequence[str] = ()
    declared: Declared | None = None
    gathered: Gathered | ReconcilerError | None = None
    organization: str | None = None
    event: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What to look with.

    `connect` makes a way to the server of the settings, with a key or without one. `probe` is
    None where there is no network between us and the server.
    """

    connect: Callable[[Secret | None], Transport]
    clock: Clock
    workers: Workers
    probe: Probe | None
    key: Secret | None = None


def examine(here: Surroundings, prepare: Callable[[Settings], Instruments]) -> Checklist:
    """Look at everything. `prepare` is called if the settings can be used."""
    sections = [
        Section(name="Settings", checks=(local.versions(), *local.settings(here.settings))),
        Section(name="Files", checks=_files(here)),
        Section(name="CI", checks=pipeline(here.environ, here.event, _needed(here))),
    ]
    if not isinstance(here.settings, ReconcilerError):
        with_what = prepare(here.settings)
        sections[1:1] = _server(here, here.settings, with_what)
    desired = here.declared.desired if here.declared is not None else None
    slack = desired is not None and any(each.type == "slack" for each in desired.webhooks)
    remarks = ("`webhooks slack check` looks at Slack.",) if slack else ()
    return Checklist(command="doctor", sections=tuple(sections), remarks=remarks)


def _server(here: Surroundings, settings: Settings, tools: Instruments) -> list[Section]:
    from reconciler.api.origin import Origin
    from reconciler.doctor.network import way
    from reconciler.doctor.service import Service

    try:
        origin = Origin.parse(settings.server_url.value)
    except ReconcilerError as problem:
        return [Section(name="Network", checks=local.settings(problem))]
    sections = []
    if tools.probe is not None:
        checks = way(origin, here.environ, tools.probe)
        sections.append(Section(name="Network", checks=checks))
        if any(check.status is Status.FAIL for check in checks):
            skipped = unknown("http", "not asked: the way to the server is not clear")
            return [*sections, Section(name="CloudTruth", checks=(skipped,))]
    declared = here.declared.desired if here.declared is not None else None
    guards = (here.organization, declared.organization if declared is not None else None)
    service = Service(
        open=tools.connect(None),
        keyed=tools.connect(tools.key) if tools.key is not None else None,
        clock=tools.clock,
        workers=tools.workers,
        guards=tuple(each for each in guards if each is not None),
    )
    return [*sections, Section(name="CloudTruth", checks=service.look())]


def _files(here: Surroundings) -> tuple[Check, ...]:
    found = local.files(here.declared, here.paths)
    return (found,) if here.gathered is None else (found, local.secrets(here.gathered))


def _needed(here: Surroundings) -> set[str]:
    """Return the variables whose values are wanted."""
    wanted = {KEY}
    if isinstance(here.gathered, Gathered):
        wanted |= {ref.name for ref in here.gathered.references if ref.scheme is Scheme.ENV}
    return wanted
