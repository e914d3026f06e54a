"""Creates, compared with the unavoidable waiting time and with other tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.data import body
from benchmarks.line import LATENCY, PROGRAM, Line, seconds
from benchmarks.measure import Command, Sample, alternate, median_of, run
from benchmarks.workspace import Server, Workspace, serving


def create(workspace: Workspace) -> Iterator[Line]:
    """`apply` of creates with 20 ms of latency, compared with the unavoidable waiting time."""
    count = 100 if workspace.quick else 1000
    folder = workspace.file(count)
    ours: dict[int, list[Sample]] = {}
    counts: dict[int, dict[str, int]] = {}
    for _ in range(workspace.rounds(5)):
        for parallelism in (10, 16):
            with serving(0, latency=LATENCY) as server:
                command = workspace.webhooks(
                    folder, "apply", "--yes", "--parallelism", str(parallelism), server=server
                )
                ours.setdefault(parallelism, []).extend(alternate({PROGRAM: command}, 1)[PROGRAM])
                counts[parallelism] = server.counts()
    peers = _creating_peers(workspace, count)
    for parallelism, samples in ours.items():
        limit = count * LATENCY / 1000 / parallelism
        yield Line(
            title=f"`apply` of {count:,} creates, {parallelism} at a time",
            value=median_of(samples) / limit,
            unit="x",
            budget=1.4,
            result=seconds(median_of(samples)),
            baseline_result=f"{count:,} x 20 ms / {parallelism} = {seconds(limit)}",
            peers=", ".join(f"{name} {wall / limit:.3g}" for name, wall in peers.items()),
        )
        yield Line(
            title=f"`apply` of {count:,} creates: maximum requests in flight, "
            f"--parallelism {parallelism}",
            value=counts[parallelism]["max in flight"],
            unit="requests",
            budget=parallelism,
            result=f"{counts[parallelism]['max in flight']} at once; "
            + ", ".join(
                f"{value} {each}"
                for each, value in sorted(counts[parallelism].items())
                if each.isupper()
            ),
            baseline_result=str(parallelism),
        )
    yield from _processor(workspace, count, ours[10])


def _creating_peers(workspace: Workspace, count: int) -> dict[str, float]:
    """Return the seconds that other tools need, scaled up from a tenth of the creates."""
    part = count // 10
    folder = workspace.file(part)
    bodies = folder / "bodies"
    bodies.write_text("".join(json.dumps(body(number)) + "\n" for number in range(part)))
    curl = str(Path(__file__).parent / "peers" / "curl.sh")
    peers: dict[str, Callable[[Server], Command]] = {
        "one httpx.Client": lambda server: workspace.script(
            folder, "one_by_one.py", str(part), server=server
        ),
        "naive script": lambda server: workspace.script(folder, "naive.py", "apply", server=server),
    }
    if shutil.which("curl"):
        peers["curl loop"] = lambda server: workspace.command(
            folder, "/bin/sh", curl, str(bodies), server=server
        )
    times = {}
    for name, command in peers.items():
        with serving(0, latency=LATENCY) as server:
            times[name] = run(command(server)).wall * count / part
    return times


def _processor(workspace: Workspace, count: int, ours: list[Sample]) -> Iterator[Line]:
    part = count // 5
    with serving(0, latency=LATENCY) as server:
        theirs = (
            run(workspace.script(workspace.empty, "one_by_one.py", str(part), server=server)).cpu
            / part
        )
    value = median_of(ours, "cpu") / count * 1000
    yield Line(
        title="CPU time per create, including all of `apply`",
        value=value,
        unit="ms",
        budget=1.1,
        result=f"{value:.2f} ms",
        baseline_result="",
        peers=f"one httpx.Client, one by one {theirs * 1000:.2f} ms",
    )
