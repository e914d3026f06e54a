"""No stage takes a number of steps quadratic in the number of webhooks.

A step is a call of a function of Python or C, or a line of the program. Four times as many webhooks
may take four times as many steps, plus the overhead of sorting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import pytest

from reconciler.api.wire import live_webhook
from reconciler.cli.commands.render import _provenance
from reconciler.model import Desired, Live, Secret, SecretRef
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.review import digests, plan_digest
from reconciler.planning.run import RunPlan
from reconciler.render import RENDERERS, View
from reconciler.render.words import unblocking
from reconciler.source.export import export
from reconciler.source.load import Loaded, configurations
from reconciler.source.saved_plan import parse_plan, save_run
from reconciler.source.writer import yaml_text
from reconciler.workflow import Inputs
from reconciler.workflow.accepting import find_drift
from reconciler.workflow.drift import Base
from tests.execute.world import memory, run
from tests.laws.test_drift_law import planned
from tests.loading import load_text, load_texts
from tests.performance.sample import TOKEN, declaration, row
from tests.planning.builders import live as live_webhooks

FEW, MANY = 100, 400
MAX_FACTOR = 4.2
"""The maximum factor for four times as many webhooks, including the logarithm of sorting."""
SECRETS = {SecretRef(scheme="env", name="TOKEN"): Secret(TOKEN)}
Work = Callable[[], object]


def steps(work: Work) -> int:
    """Count the steps of a call."""
    count = 0

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if "/reconciler/" in frame.f_code.co_filename else None

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(call)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
    return count


def overlay(parent: str, count: int) -> str:
    """Return an overlay with an error in each of `count` webhooks."""
    entries = "".join(f"  - {{name: new-{n:05}, adopt: 3}}\n" for n in range(count))
    return f"extends: {parent}\nwebhooks:\n{entries}"


@cache
def loaded(count: int) -> Loaded:
    return load_text(declaration(range(count)))


def desired(count: int) -> Desired:
    found = loaded(count).desired
    assert found is not None
    return found


@cache
def live(count: int, *, change: str = "") -> Live:
    """Return the live webhooks as declared; with `change`, each with another channel or name."""
    found = [live_webhook(row(number)) for number in range(count)]
    if change == "name":
        found = [replace(each, name=f"{each.name}-before") for each in found]
    if change == "channel":
        other = {"token": Secret(TOKEN), "channel": "#before", "username": "CT"}
        found = [replace(each, configuration=other) for each in found]
    return live_webhooks(*found)


@cache
def changed(count: int) -> Plan:
    made = plan(desired(count), live(count, change="channel"), SECRETS)
    assert len(made.updates) == count
    return made


def _digest(made: Plan) -> str:
    found = (each for change in made.operations for each in digests(change, {}))
    return plan_digest(made.origin, made.organization.id, found)


@cache
def saved(count: int) -> bytes:
    return save_run(RunPlan.of(changed(count)), [loaded(count)], PlanOptions())


def _rendered(form: str, view: View) -> Callable[[int], Work]:
    return lambda count: partial(RENDERERS[form]().render_run, RunPlan.of(changed(count)), view)


def _planned(change: str, *, base: bool = False) -> Callable[[int], Work]:
    def stage(count: int) -> Work:
        options = PlanOptions(previous=desired(count) if base else None)
        return partial(plan, desired(count), live(count, change=change), SECRETS, options)

    return stage


def _undeclared(count: int) -> Plan:
    made = plan(desired(1), live(count), SECRETS)
    assert made.blocked
    return made


def _commented(count: int) -> str:
    found = loaded(count)
    (data,) = configurations(desired(count)).values()
    values = _provenance(found, "webhooks.yaml", data)
    return yaml_text(data, lambda path: str(values.get(path, "")))


def _applied(change: str, *, masked: bool = False) -> Callable[[int], Work]:
    """Apply a plan; `masked`: no token is shown, and all webhooks except one are live already."""

    def stage(count: int) -> Work:
        found = live(count, change=change).webhooks
        if masked:
            hidden = {"token": Secret("*****")}
            found = tuple(
                replace(each, configuration={**each.configuration, **hidden}) for each in found[1:]
            )
        made = plan(desired(count), live(count)._replace(webhooks=found), SECRETS)
        return lambda: run(memory(*found), made, secrets=SECRETS)

    return stage


def _refused(count: int) -> Work:
    """Find the drift of webhooks with a live username that no file can have."""
    folder = TemporaryDirectory()
    Path(folder.name, "webhooks.yaml").write_text(declaration(range(count)))
    values = {"token": Secret(TOKEN), "channel": "#before", "username": TOKEN}
    webhooks = [replace(webhook, configuration=values) for webhook in live(count).webhooks]
    inputs = Inputs(Path(folder.name), {}, bytes)
    organization = planned(inputs, live_webhooks(*webhooks), ["webhooks.yaml"])

    def find() -> None:
        base = Base(organization.target.options.previous)
        with folder:
            (drift,) = find_drift([organization], [base]).drifts
        assert [webhook.files for webhook in drift.drifted] == [()] * count

    return find


STAGES: dict[str, Callable[[int], Work]] = {
    "explain errors": lambda count: partial(load_text, declaration(range(count), channel="")),
    "explain errors of an overlay": lambda count: partial(
        load_texts,
        {"over.yaml": overlay("base.yaml", count), "base.yaml": declaration(range(count))},
        "over.yaml",
    ),
    "overlays of one base": lambda count: partial(
        load_texts,
        {f"{n}.yaml": overlay("base.yaml", 3) for n in range(count)}
        | {"base.yaml": declaration(range(10))},
        *(f"{n}.yaml" for n in range(count)),
    ),
    "load and declare": lambda count: partial(load_text, declaration(range(count))),
    "plan, nothing to do": _planned(""),
    "plan, all changed": _planned("channel"),
    "plan, all created": _planned("name"),
    "digest": lambda count: partial(_digest, changed(count)),
    "text": _rendered("text", View()),
    "edits that unblock": lambda count: partial(
        lambda made: list(unblocking(made, View())), _undeclared(count)
    ),
    "render --origin": lambda count: partial(_commented, count),
    "json": _rendered("json", View()),
    "markdown": _rendered("markdown", View()),
    "short markdown": _rendered("markdown", View(limit=6_000)),
    "save": lambda count: partial(
        save_run, RunPlan.of(changed(count)), [loaded(count)], PlanOptions()
    ),
    "load a saved plan": lambda count: partial(parse_plan, saved(count), "plan.json"),
    "export": lambda count: partial(export, live(count)),
    "plan against a base": _planned("channel", base=True),
    "drift that no file can have": _refused,
    "apply, all changed": _applied("channel"),
    "apply, all renamed": _applied("name"),
    "apply, nothing shown": _applied("", masked=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_steps_grow_in_proportion(stage: str) -> None:
    """Four times as many webhooks take about four times as many steps."""
    few, many = STAGES[stage](FEW), STAGES[stage](MANY)
    STAGES[stage](10)()  # loads modules; with another file, because its content is cached
    assert steps(many) < MAX_FACTOR * steps(few)


def test_quadratic_growth_is_detected() -> None:
    """The number of steps distinguishes a nested loop from a single one."""

    def nested(count: int) -> Work:
        return lambda: [max(1, 2) for _ in range(count) for _ in range(count)]

    assert steps(nested(80)) > 10 * steps(nested(20))
