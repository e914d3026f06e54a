"""The rows of the table: what is measured, against which lower bound, with which budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.creating import create
from benchmarks.drift import drift
from benchmarks.line import LATENCY, PROGRAM, Line, compare, mebibytes, seconds
from benchmarks.measure import Command, Sample, alternate, median_of
from benchmarks.organizations import organizations
from benchmarks.overlays import overlays
from benchmarks.reconciling import reconciling
from benchmarks.workspace import Workspace, serving

Row = Callable[[Workspace], Iterator[Line]]


def version(workspace: Workspace) -> Iterator[Line]:
    """`--version` compared with an empty program: the cost of every start."""
    folder, python = workspace.empty, workspace.python()
    samples = alternate(
        {
            PROGRAM: workspace.webhooks(folder, "--version"),
            "python -c pass": workspace.command(folder, python, "-c", "pass"),
            "import click": workspace.command(folder, python, "-c", "import click"),
            "octodns-sync --help": workspace.command(
                folder, workspace.peer("octodns", "octodns-sync"), "--help"
            ),
        },
        workspace.rounds(20),
    )
    yield compare("`--version`", samples, "python -c pass", 5)


def library(workspace: Workspace) -> Iterator[Line]:
    """What users download, and what importing the library costs."""
    size = workspace.wheel().stat().st_size / 1024
    yield Line(
        title="the wheel", value=size, unit="KiB", budget=450, result=f"{size:.0f} KiB",
        baseline_result="without dependencies",
    )  # fmt: skip
    python, names = workspace.python(), "from reconciler.workflow import apply, connect, load, plan"
    samples = alternate(
        {
            PROGRAM: workspace.command(workspace.empty, python, "-c", names),
            "python -c pass": workspace.command(workspace.empty, python, "-c", "pass"),
            "import click, yaml, httpx": workspace.command(
                workspace.empty, python, "-c", "import click, yaml, httpx"
            ),
        },
        workspace.rounds(20),
    )
    yield compare("importing the library", samples, "python -c pass", 16)


def validate_few(workspace: Workspace) -> Iterator[Line]:
    """`validate` of ten webhooks compared with an empty program."""
    folder, python = workspace.file(10), workspace.python()
    samples = alternate(
        {
            PROGRAM: workspace.webhooks(folder, "validate"),
            "python -c pass": workspace.command(folder, python, "-c", "pass"),
            "check-jsonschema": _check_jsonschema(workspace, folder),
            "naive script": workspace.script(folder, "naive.py", "validate", server=None),
        },
        workspace.rounds(16),
    )
    yield compare("`validate` of 10", samples, "python -c pass", 9)


def plan_few(workspace: Workspace) -> Iterator[Line]:
    """`plan` of ten webhooks over HTTP without latency compared with an empty program."""
    folder, python = workspace.file(10), workspace.python()
    with serving(10) as server:
        samples = alternate(
            {
                PROGRAM: workspace.webhooks(folder, "plan", server=server),
                "python -c pass": workspace.command(folder, python, "-c", "pass"),
                "import click, yaml, httpx; httpx.Client()": workspace.command(
                    folder, python, "-c", "import click, yaml, httpx; httpx.Client()"
                ),
                "naive script": workspace.script(folder, "naive.py", "plan", server=server),
            },
            workspace.rounds(16),
        )
    yield compare("`plan` of 10", samples, "python -c pass", 14.5)


def validate_many(workspace: Workspace) -> Iterator[Line]:
    """`validate` of many webhooks compared with PyYAML's C loader, which only parses them."""
    many = _many(workspace)
    folder, zone = workspace.file(many), workspace.zone(many)
    reading = "import yaml; yaml.load(open('webhooks.yaml', 'rb'), yaml.CSafeLoader)"
    fast = alternate(
        {
            PROGRAM: workspace.webhooks(folder, "validate"),
            "CSafeLoader": workspace.command(folder, workspace.python(), "-c", reading),
        },
        workspace.rounds(9),
    )
    slow = alternate(
        {
            "octodns-validate": workspace.command(
                zone, workspace.peer("octodns", "octodns-validate"), "--config-file", "config.yaml"
            ),
            "naive script": workspace.script(folder, "naive.py", "validate", server=None),
            "check-jsonschema": _check_jsonschema(workspace, folder),
        },
        1,
    )
    yield compare(f"`validate` of {many:,}", fast, "CSafeLoader", 0.28, slow)


def plan_many(workspace: Workspace) -> Iterator[Line]:
    """`plan` of many webhooks in sync compared with octoDNS's dry run of as many records."""
    many = _many(workspace)
    folder, zone = workspace.file(many), workspace.zone(many)
    with serving(many) as server:
        samples = alternate(
            {
                PROGRAM: workspace.webhooks(folder, "plan", server=server),
                "octodns-sync": workspace.command(
                    zone, workspace.peer("octodns", "octodns-sync"), "--config-file", "config.yaml"
                ),
                "naive script": workspace.script(folder, "naive.py", "plan", server=server),
            },
            workspace.rounds(5),
        )
    yield compare(f"`plan` of {many:,}: time", samples, "octodns-sync", 0.14)
    yield compare(f"`plan` of {many:,}: memory", samples, "octodns-sync", 0.8, metric="memory")


def no_op(workspace: Workspace) -> Iterator[Line]:
    """`apply` with nothing to do compared with `plan`, and its requests."""
    many = _many(workspace)
    folder = workspace.file(many)
    with serving(many, latency=LATENCY) as server:
        samples = alternate(
            {
                PROGRAM: workspace.webhooks(folder, "apply", "--yes", server=server),
                "plan": workspace.webhooks(folder, "plan", server=server),
            },
            workspace.rounds(9),
        )
        server.counts()
        alternate({PROGRAM: workspace.webhooks(folder, "apply", "--yes", server=server)}, 1)
        counts = server.counts()
    yield compare(f"`apply` of {many:,} in sync", samples, "plan", 1.1)
    requests = sum(counts.values()) - counts["max in flight"]
    pages = -(-many // 1000)
    yield Line(
        title=f"`apply` of {many:,} in sync: requests",
        value=requests,
        unit="requests",
        budget=1 + pages,
        result=", ".join(f"{counts[each]} {each}" for each in sorted(counts) if each.isupper()),
        baseline_result=f"the organization and {pages} pages",
    )


def growth(workspace: Workspace) -> Iterator[Line]:
    """`plan` in sync from 10 to 100,000 webhooks: growth and peak memory."""
    samples = measure_growth(workspace)
    sizes = sorted(samples)
    large, small = sizes[-1], sizes[-2]
    for metric, label in (("wall", "time"), ("memory", "memory")):
        big, little = median_of(samples[large], metric), median_of(samples[small], metric)
        show = seconds if metric == "wall" else mebibytes
        yield Line(
            title=f"`plan` of {large:,}: {label}",
            value=big / little,
            unit="x",
            budget=11,
            result=show(big),
            baseline_result=f"`plan` of {small:,}: {show(little)}",
        )
    for size, budget in ((10_000, 90), (100_000, 450)):
        if size in samples:
            value = median_of(samples[size], "memory")
            yield Line(
                title=f"`plan` of {size:,}: peak memory",
                value=value,
                unit="MiB",
                budget=budget,
                result=mebibytes(value),
            )


_grown: dict[int, list[Sample]] = {}


def measure_growth(workspace: Workspace) -> dict[int, list[Sample]]:
    """Measure `plan` of growing numbers of webhooks, once per run."""
    sizes = (10, 100, 1000, 10_000) if workspace.quick else (10, 100, 1000, 10_000, 100_000)
    if not _grown:
        for size in sizes:
            folder = workspace.file(size)
            with serving(size) as server:
                command = workspace.webhooks(folder, "plan", server=server)
                _grown[size] = alternate(
                    {PROGRAM: command}, workspace.rounds(3 if size > 10_000 else 7)
                )[PROGRAM]
    return _grown


def _many(workspace: Workspace) -> int:
    return 1000 if workspace.quick else 10_000


def _check_jsonschema(workspace: Workspace, folder: Path) -> Command:
    schema = Path(__file__).parent.parent / "schemas" / "webhooks.schema.json"
    program = workspace.peer("check-jsonschema", "check-jsonschema")
    return workspace.command(folder, program, "--schemafile", str(schema), "webhooks.yaml")


ROWS: dict[str, Row] = {
    "version": version,
    "library": library,
    "validate-10": validate_few,
    "plan-10": plan_few,
    "validate-10000": validate_many,
    "plan-10000": plan_many,
    "no-op": no_op,
    "create": create,
    "organizations": organizations,
    "overlays": overlays,
    "drift": drift,
    "reconcile": reconciling,
    "growth": growth,
}
"""Every row, by its name for `--row`."""
