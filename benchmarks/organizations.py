"""Sixty organizations with one parent file, in one command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
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
        yield _pull_request(workspace, server)
        yield from _changes(workspace, folder, server, median_of(samples[PROGRAM]))
    yield _unreachable(workspace, folder)


def _pull_request(workspace: Workspace, server: Server) -> Line:
    """Plan a pull request that changes a webhook in each organization, and comment on it."""
    folder = _write(workspace.directory / "data" / "pull-request")
    shutil.rmtree(folder / ".git", ignore_errors=True)

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=b", "-c", "user.email=b@example.com")
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", "base.yaml", "orgs")
    git("commit", "-q", "--allow-empty", "-m", "before")
    base = git("rev-parse", "HEAD")
    text = (folder / "base.yaml").read_text()
    (folder / "base.yaml").write_text(text.replace("#channel-0'", "#reviewed'", 1))
    git("commit", "-qam", "change")
    head = git("rev-parse", "HEAD")
    server.set_head(head)
    pull = {
        "number": 1,
        "head": {"sha": head, "repo": {"full_name": "acme/hooks"}},
        "base": {"ref": "main", "sha": base},
        "user": {"login": "ann"},
    }
    event = workspace.directory / "data" / "event.json"
    event.write_text(json.dumps({"pull_request": pull, "sender": {"login": "ann"}}))
    command = workspace.webhooks(folder, "ci", "plan", "-f", "orgs", server=server)
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": f"{server.url}/api/v3",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REF_NAME": "main",
        "GITHUB_REPOSITORY": "acme/hooks",
        "GITHUB_TOKEN": "benchmark-token",
    }
    planning = replace(command, environ={**command.environ, **environ})
    server.counts()
    run(planning)
    counts = server.counts()
    walls = [run(planning).wall for _ in range(workspace.rounds(5))]
    requests = ", ".join(f"{count} {name}" for name, count in counts.items() if name.isupper())
    return Line(
        title=f"`ci plan` of one change in {COUNT} organizations, with its comment",
        value=median(walls),
        unit="s",
        budget=5,
        result=f"{seconds(median(walls))}; {requests}",
        baseline_result=f"{LATENCY:g} ms for each request, also to GitHub",
    )


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
