"""What a user sees in each situation, as text, JSON and Markdown.

A situation is a folder with `webhooks.yaml` and `live.json`; `options.json` may have command-line
options and the environment. The other files are the output, and `--update-golden` rewrites them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.api.wire import live_webhook
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.planning.plan import Plan
from reconciler.planning.planner import PlanOptions
from reconciler.planning.run import OrganizationResult, RunPlan
from reconciler.render import RENDERERS, View
from reconciler.workflow import Inputs, gather, load_all, plan, previous
from tests.execute.world import memory
from tests.goldens import Golden

HERE = Path(__file__).parent
SITUATIONS = sorted(path.parent.name for path in HERE.glob("*/webhooks.yaml"))
FORMATS = {"text": "plan.txt", "json": "plan.json", "markdown": "plan.md"}


def outputs(folder: Path) -> dict[str, str]:
    """Return the content of each output file of a situation."""
    options_file = folder / "options.json"
    options = json.loads(options_file.read_text("utf-8")) if options_file.exists() else {}
    inputs = Inputs(directory=folder, environ=options.get("environ", {}), stdin=bytes)
    live = json.loads((folder / "live.json").read_text("utf-8"))["results"]
    api = memory(*map(live_webhook, live))
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
        planned = plan(gathered, api, options=chosen)
    except ReconcilerError as error:
        view = View()
        shown = {
            name: RENDERERS[form]().render_error(error, view) for form, name in FORMATS.items()
        }
        if source is not None:  # a problem of an organization does not replace the document
            result = OrganizationResult[Plan](source.name, source.files.paths, problem=error)
            shown[FORMATS["json"]] = RENDERERS["json"]().render_run(RunPlan((result,)))
        return {**shown, "exit": f"{int(error.exit_code)}\n"}
    view = View(
        key_source="CLOUDTRUTH_API_KEY",
        missing=gathered.missing_references,
    )
    run = RunPlan.of(planned)
    shown = {name: RENDERERS[form]().render_run(run, view) for form, name in FORMATS.items()}
    code = ExitCode.CHANGES if planned.operations else ExitCode.OK
    return {**shown, "exit": f"{int(code)}\n"}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_outputs_of_a_situation_are_as_expected(situation: str, golden: Golden) -> None:
    """Every output equals its golden file, and the exit code is that of --detailed-exitcode."""
    folder = HERE / situation
    for name, text in outputs(folder).items():
        golden.file(folder / name, text)
