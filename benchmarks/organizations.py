"""Sixty organizations with one parent file, in one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.data import declaration
from benchmarks.line import PROGRAM, Line, seconds
from benchmarks.measure import alternate, median_of, run
from benchmarks.workspace import Server, Workspace, serving

COUNT = 60
WEBHOOKS = 30
LATENCY = 100.0  # milliseconds
_CONCURRENT = 8  # organizations that are read at once
_NOWHERE = Server("http://127.0.0.1:9")


def organizations(workspace: Workspace) -> Iterator[Line]:
    """`plan` and `apply` of 60 organizations, compared with the unavoidable waiting time."""
    folder = _write(workspace.directory / "data" / "organizations")
    waiting = 2 * LATENCY / 1000 * COUNT / _CONCURRENT
    with serving(WEBHOOKS, LATENCY, COUNT) as server:
        one = workspace.webhooks(folder, "plan", "orgs/org-01.yaml", server=server)
        many = workspace.webhooks(folder, "plan", "orgs", server=server)
        samples = alternate({PROGRAM: many, "one": one}, workspace.rounds(5))
        server.counts()
        run(many)
        counts = server.counts()
        limit = waiting + median_of(samples["one"])
        value = median(
            ours.wall / (waiting + single.wall)
            for ours, single in zip(samples[PROGRAM], samples["one"], strict=True)
        )
        yield Line(
            title=f"`plan` of {COUNT} organizations in sync, {WEBHOOKS} webhooks each",
            value=value,
            unit="x",
            budget=1.4,
            result=seconds(median_of(samples[PROGRAM])),
            baseline_result=f"2 x 100 ms x {COUNT} / {_CONCURRENT} + `plan` of one: "
            f"{seconds(limit)}",
        )
        yield Line(
            title=f"`plan` of {COUNT} organizations: requests for each",
            value=counts["GET"] / COUNT,
            unit="requests",
            budget=2,
            result=f"{counts['GET']} GET, {counts['max in flight']} at once",
            baseline_result="the organization and one page",
        )
        yield from _changes(workspace, folder, server, median_of(samples[PROGRAM]))
    yield _unreachable(workspace, folder)


def _changes(workspace: Workspace, folder: Path, server: Server, plan: float) -> Iterator[Line]:
    """Change the parent file, and apply the change in each organization."""
    walls = []
    for number in range(workspace.rounds(3)):
        text = "".join(declaration(WEBHOOKS)).replace("#channel-0'", f"#changed-{number}'", 1)
        (folder / "base.yaml").write_text(text)
        run(workspace.webhooks(folder, "plan", "orgs", server=server))
        lines = len((folder / "output").read_text().splitlines())
        walls.append(run(workspace.webhooks(folder, "apply", "orgs", "--yes", server=server)).wall)
    _write(folder)
    yield Line(
        title=f"`plan` of {COUNT} organizations: lines for one change of the parent file",
        value=lines,
        unit="lines",
        budget=40,
        result=f"{lines} lines",
    )
    limit = 5 * LATENCY / 1000 * COUNT + plan
    yield Line(
        title=f"`apply` of one update in each of {COUNT} organizations",
        value=median(walls) / limit,
        unit="x",
        budget=1.2,
        result=seconds(median(walls)),
        baseline_result=f"5 x 100 ms x {COUNT} + `plan`: {seconds(limit)}",
    )


def _unreachable(workspace: Workspace, folder: Path) -> Line:
    """Plan while the server refuses connections."""

    def failing(path: str) -> str:
        program = str(Path(workspace.python()).parent / "webhooks")
        return f"{program} plan {path} || true"

    samples = alternate(
        {
            path: workspace.command(folder, "/bin/sh", "-c", failing(path), server=_NOWHERE)
            for path in ("orgs", "orgs/org-01.yaml")
        },
        workspace.rounds(9),
    )
    many, one = (median_of(samples[path]) for path in ("orgs", "orgs/org-01.yaml"))
    return Line(
        title=f"`plan` of {COUNT} organizations, server unreachable",
        value=many / one,
        unit="x",
        budget=2,
        result=seconds(many),
        baseline_result=f"one organization: {seconds(one)}",
    )


def _write(folder: Path) -> Path:
    """Write a file for each organization, and their parent file."""
    (folder / "orgs").mkdir(parents=True, exist_ok=True)
    (folder / "base.yaml").write_text("".join(declaration(WEBHOOKS)))
    for number in range(1, COUNT + 1):
        name = "Acme" if number == 1 else f"Acme {number}"
        text = f"extends: ../base.yaml\norganization: {name}\napi_key: {{env: KEY_{number}}}\n"
        (folder / "orgs" / f"org-{number:02}.yaml").write_text(text)
    return folder
