"""What a user sees in each situation, as text, JSON and Markdown.

A situation is a folder with `webhooks.yaml` and `live.json`; `options.json` may have command-line
options, the environment, other views of the plan, states, and applies with their faults. The other
files are the output, and `--update-golden` rewrites them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler import errors
from reconciler.api.wire import live_webhook
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model import Live
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.run import OrganizationResult, RunPlan, live_status
from reconciler.render import RENDERERS, STATE_RENDERERS, View
from reconciler.report import Report, RunReport
from reconciler.workflow import Inputs, gather, load_all, plan, previous
from tests.execute.world import Fault, Memory, memory, run
from tests.goldens import Golden
from tests.planning.builders import ACME

HERE = Path(__file__).parent
SITUATIONS = sorted(path.parent.name for path in HERE.glob("*/webhooks.yaml"))
FORMATS = {"text": "txt", "json": "json", "markdown": "md"}


def outputs(folder: Path) -> dict[str, str]:
    """Return the content of each output file of a situation."""
    options_file = folder / "options.json"
    options = json.loads(options_file.read_text("utf-8")) if options_file.exists() else {}
    inputs = Inputs(directory=folder, environ=options.get("environ", {}), stdin=bytes)
    results = json.loads((folder / "live.json").read_text("utf-8"))["results"]
    rows = tuple(map(live_webhook, results))
    source = None
    try:
        (source,) = load_all(inputs)
        checked = source.checked
        before = previous((options["base"],), checked) if "base" in options else None
        chosen = PlanOptions(
            only=tuple(options.get("only", ())),
            prune=options.get("prune", True),
            allow_deletes=options.get("allow_deletes"),
            resend=tuple(options.get("resend", ())),
            previous=before,
        )
        gathered = gather(checked)
        planned = plan(gathered, memory(*rows), options=chosen)
    except ReconcilerError as error:
        view = View()
        shown = {
            f"plan.{ending}": RENDERERS[form]().render_error(error, view)
            for form, ending in FORMATS.items()
        }
        if source is not None:  # a problem of an organization does not replace the document
            result = OrganizationResult[Plan](source.name, source.files.paths, problem=error)
            shown["plan.json"] = RENDERERS["json"]().render_run(RunPlan((result,)))
        return {**shown, "exit": f"{int(error.exit_code)}\n"}
    view = View(key_source="CLOUDTRUTH_API_KEY", missing=gathered.missing_references)
    of_run = RunPlan.of(planned)
    shown = {
        f"plan.{end}": RENDERERS[form]().render_run(of_run, view) for form, end in FORMATS.items()
    }
    for name, settings in options.get("views", {}).items():
        shown[f"{name}.txt"] = RENDERERS["text"]().render_run(of_run, view._replace(**settings))
    for name, settings in options.get("status", {}).items():
        status = live_status(Live(planned.origin, ACME, rows), planned)
        for form in ("text", "json"):
            shown[f"{name}.{FORMATS[form]}"] = STATE_RENDERERS[form]().render_statuses(
                [OrganizationResult(ACME.name, value=status)], view._replace(**settings)
            )
    for name, settings in options.get("applies", {}).items():
        api = memory(*rows, faults=[fault(**each) for each in settings.get("faults", ())])
        report = run(api, planned, stop=settings.get("stop"), secrets=gathered.secrets)
        shown |= reports(f"report-{name}", report, view)
    code = ExitCode.CHANGES if planned.operations else ExitCode.OK
    return {**shown, "exit": f"{int(code)}\n"}


def fault(removes: str = "", error: str = "", fields: Any = (), **more: Any) -> Fault:
    """Return a fault with that error, or one that removes a live webhook."""

    def interfere(api: Memory) -> None:
        api.rows.pop(removes, None)

    paths = [(tuple(path), message) for path, message in fields]
    rejection = partial(getattr(errors, error), fields=paths) if error else None
    return Fault(error=rejection, interfere=interfere, **more)


def reports(name: str, report: Report, view: View) -> Mapping[str, str]:
    """Return the report in each format; the text explains its exit code and no other."""
    shown = {
        f"{name}.{end}": RENDERERS[form]().render_run_report(RunReport.of(report), view)
        for form, end in FORMATS.items()
    }
    code = int(report.exit_code)
    assert re.findall(r"\bExit (\d+): \w", shown[f"{name}.txt"]) == ([str(code)] if code else [])
    return shown


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_outputs_of_a_situation_are_as_expected(situation: str, golden: Golden) -> None:
    """Every output equals its golden file, and the exit code is that of --detailed-exitcode."""
    folder = HERE / situation
    shown = outputs(folder)
    for name, text in shown.items():
        golden.file(folder / name, text)
    inputs = {"webhooks.yaml", "live.json", "options.json", "base"}
    assert {path.name for path in folder.iterdir()} <= shown.keys() | inputs
