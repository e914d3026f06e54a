"""Creates, compared with the unavoidable waiting time and with other tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.data import body
from benchmarks.line import LATENCY, PROGRAM, Line, seconds
from benchmarks.measure import Command, Sample, alternate, middle, run
from benchmarks.workspace import Server, Workspace, serving


def create(shop: Workspace) -> Iterator[Line]:
    """`apply` of creates with 20 ms of latency, compared with the unavoidable waiting time."""
    count = 100 if shop.quick else 1000
    folder = shop.file(count)
    ours: dict[int, list[Sample]] = {}
    counts: dict[int, dict[str, int]] = {}
    for _ in range(shop.rounds(5)):
        for parallelism in (10, 16):
            with serving(0, latency=LATENCY) as server:
                command = shop.webhooks(
                    folder, "apply", "--yes", "--parallelism", str(parallelism), server=server
                )
                ours.setdefault(parallelism, []).extend(alternate({PROGRAM: command}, 1)[PROGRAM])
                counts[parallelism] = server.counts()
    peers = _creating_peers(shop, count)
    for parallelism, samples in ours.items():
        limit = count * LATENCY / 1000 / parallelism
        yield Line(
            what=f"`apply` of {count:,} creates, {parallelism} at a time",
            figure=middle(samples) / limit,
            unit="x",
            budget=1.4,
            ours=seconds(middle(samples)),
            against=f"{count:,} x 20 ms / {parallelism} = {seconds(limit)}",
            peers=", ".join(f"{name} {wall / limit:.3g}" for name, wall in peers.items()),
        )
        yield Line(
            what=f"the same: maximum requests in flight, --parallelism {parallelism}",
            figure=counts[parallelism]["most in flight"],
            unit="requests",
            budget=parallelism,
            ours=", ".join(
                f"{value} {each}"
                for each, value in sorted(counts[parallelism].items())
                if each.isupper()
            ),
            against=str(parallelism),
        )
    yield from _processor(shop, count, ours[10])


def _creating_peers(shop: Workspace, count: int) -> dict[str, float]:
    """Return how many seconds other tools need. They create a tenth: their time is linear."""
    part = count // 10
    folder = shop.file(part)
    bodies = folder / "bodies"
    bodies.write_text("".join(json.dumps(body(number)) + "\n" for number in range(part)))
    curl = str(Path(__file__).parent / "peers" / "curl.sh")
    peers: dict[str, Callable[[Server], Command]] = {
        "one httpx.Client": lambda server: shop.script(
            folder, "one_by_one.py", str(part), server=server
        ),
        "naive script": lambda server: shop.script(folder, "naive.py", "apply", server=server),
    }
    if shutil.which("curl"):
        peers["curl loop"] = lambda server: shop.command(
            folder, "/bin/sh", curl, str(bodies), server=server
        )
    found = {}
    for name, command in peers.items():
        with serving(0, latency=LATENCY) as server:
            found[name] = run(command(server)).wall * count / part
    return found


def _processor(shop: Workspace, count: int, ours: list[Sample]) -> Iterator[Line]:
    part = count // 5
    with serving(0, latency=LATENCY) as server:
        theirs = run(shop.script(shop.empty, "one_by_one.py", str(part), server=server)).cpu / part
    figure = middle(ours, "cpu") / count * 1000
    yield Line(
        what="CPU time per create, including all of `apply`",
        figure=figure,
        unit="ms",
        budget=1.1,
        ours=f"{figure:.2f} ms",
        against="",
        peers=f"one httpx.Client, one by one {theirs * 1000:.2f} ms",
    )
