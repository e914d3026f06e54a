"""The rows of the table: what is measured, against which floor, within which budget."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import body
from benchmarks.measure import Command, Sample, Samples, alternate, middle, ratio, run
from benchmarks.workshop import Server, Workshop, serving

OURS = "webhooks"
_LATENCY = 20.0  # milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a figure, its unit (x: times the floor), and its budget."""

    what: str
    figure: float
    unit: str
    budget: float
    ours: str
    against: str = ""
    peers: str = ""

    @property
    def met(self) -> bool:
        return self.figure <= self.budget


Row = Callable[[Workshop], Iterator[Line]]


def version(shop: Workshop) -> Iterator[Line]:
    """`--version` against an empty program: what every start costs."""
    folder, python = shop.empty, shop.python()
    samples = alternate(
        {
            OURS: shop.webhooks(folder, "--version"),
            "python -c pass": shop.command(folder, python, "-c", "pass"),
            "import click": shop.command(folder, python, "-c", "import click"),
            "octodns-sync --help": shop.command(
                folder, shop.peer("octodns", "octodns-sync"), "--help"
            ),
        },
        shop.rounds(20),
    )
    yield _line("`--version`", samples, "python -c pass", 5)


def validate_few(shop: Workshop) -> Iterator[Line]:
    """`validate` of ten webhooks against an empty program."""
    folder, python = shop.file(10), shop.python()
    samples = alternate(
        {
            OURS: shop.webhooks(folder, "validate"),
            "python -c pass": shop.command(folder, python, "-c", "pass"),
            "check-jsonschema": _check_jsonschema(shop, folder),
            "naive script": shop.script(folder, "naive.py", "validate", server=None),
        },
        shop.rounds(16),
    )
    yield _line("`validate` of 10", samples, "python -c pass", 7)


def plan_few(shop: Workshop) -> Iterator[Line]:
    """`plan` of ten webhooks over HTTP without latency against an empty program."""
    folder, python = shop.file(10), shop.python()
    with serving(10) as server:
        samples = alternate(
            {
                OURS: shop.webhooks(folder, "plan", server=server),
                "python -c pass": shop.command(folder, python, "-c", "pass"),
                "import click, yaml, httpx; httpx.Client()": shop.command(
                    folder, python, "-c", "import click, yaml, httpx; httpx.Client()"
                ),
                "naive script": shop.script(folder, "naive.py", "plan", server=server),
            },
            shop.rounds(16),
        )
    yield _line("`plan` of 10", samples, "python -c pass", 14)


def validate_many(shop: Workshop) -> Iterator[Line]:
    """`validate` of many webhooks against PyYAML's C loader, which only reads them."""
    many = _many(shop)
    folder, zone = shop.file(many), shop.zone(many)
    reading = "import yaml; yaml.load(open('webhooks.yaml', 'rb'), yaml.CSafeLoader)"
    fast = alternate(
        {
            OURS: shop.webhooks(folder, "validate"),
            "CSafeLoader": shop.command(folder, shop.python(), "-c", reading),
        },
        shop.rounds(9),
    )
    slow = alternate(
        {
            "octodns-validate": shop.command(
                zone, shop.peer("octodns", "octodns-validate"), "--config-file", "config.yaml"
            ),
            "naive script": shop.script(folder, "naive.py", "validate", server=None),
            "check-jsonschema": _check_jsonschema(shop, folder),
        },
        1,
    )
    yield _line(f"`validate` of {many:,}", fast, "CSafeLoader", 0.30, slow)


def plan_many(shop: Workshop) -> Iterator[Line]:
    """`plan` of many webhooks in sync against octoDNS's dry run of as many records."""
    many = _many(shop)
    folder, zone = shop.file(many), shop.zone(many)
    with serving(many) as server:
        samples = alternate(
            {
                OURS: shop.webhooks(folder, "plan", server=server),
                "octodns-sync": shop.command(
                    zone, shop.peer("octodns", "octodns-sync"), "--config-file", "config.yaml"
                ),
                "naive script": shop.script(folder, "naive.py", "plan", server=server),
            },
            shop.rounds(5),
        )
    yield _line(f"`plan` of {many:,}: time", samples, "octodns-sync", 0.12)
    yield _line(f"`plan` of {many:,}: memory", samples, "octodns-sync", 0.8, what="memory")


def no_op(shop: Workshop) -> Iterator[Line]:
    """`apply` with nothing to do against `plan`, and its requests."""
    many = _many(shop)
    folder = shop.file(many)
    with serving(many, latency=_LATENCY) as server:
        samples = alternate(
            {
                OURS: shop.webhooks(folder, "apply", "--yes", server=server),
                "plan": shop.webhooks(folder, "plan", server=server),
            },
            shop.rounds(9),
        )
        server.counts()
        alternate({OURS: shop.webhooks(folder, "apply", "--yes", server=server)}, 1)
        counts = server.counts()
    yield _line(f"`apply` of {many:,} in sync", samples, "plan", 1.1)
    requests = sum(counts.values()) - counts["most in flight"]
    pages = -(-many // 1000)
    yield Line(
        what=f"`apply` of {many:,} in sync: requests",
        figure=requests,
        unit="requests",
        budget=1 + pages,
        ours=", ".join(f"{counts[each]} {each}" for each in sorted(counts) if each.isupper()),
        against=f"the organization and {pages} pages",
    )


def create(shop: Workshop) -> Iterator[Line]:
    """`apply` of creates with 20 ms of latency against the waiting that nobody can save."""
    count = 100 if shop.quick else 1000
    folder = shop.file(count)
    ours: dict[int, list[Sample]] = {}
    counts: dict[int, dict[str, int]] = {}
    for _ in range(shop.rounds(5)):
        for parallelism in (10, 16):
            with serving(0, latency=_LATENCY) as server:
                command = shop.webhooks(
                    folder, "apply", "--yes", "--parallelism", str(parallelism), server=server
                )
                ours.setdefault(parallelism, []).extend(alternate({OURS: command}, 1)[OURS])
                counts[parallelism] = server.counts()
    peers = _creating_peers(shop, count)
    for parallelism, samples in ours.items():
        limit = count * _LATENCY / 1000 / parallelism
        yield Line(
            what=f"`apply` of {count:,} creates, {parallelism} at a time",
            figure=middle(samples) / limit,
            unit="x",
            budget=1.4,
            ours=_time(middle(samples)),
            against=f"{count:,} x 20 ms / {parallelism} = {_time(limit)}",
            peers=", ".join(f"{name} {wall / limit:.3g}" for name, wall in peers.items()),
        )
        yield Line(
            what=f"the same: most requests in flight, --parallelism {parallelism}",
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


def _creating_peers(shop: Workshop, count: int) -> dict[str, float]:
    """Return how many seconds peers need. They create a tenth: none gets slower by the way."""
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
        with serving(0, latency=_LATENCY) as server:
            found[name] = run(command(server)).wall * count / part
    return found


def _processor(shop: Workshop, count: int, ours: list[Sample]) -> Iterator[Line]:
    part = count // 5
    with serving(0, latency=_LATENCY) as server:
        theirs = run(shop.script(shop.empty, "one_by_one.py", str(part), server=server)).cpu / part
    figure = middle(ours, "cpu") / count * 1000
    yield Line(
        what="processor for a create, all of `apply` included",
        figure=figure,
        unit="ms",
        budget=1.1,
        ours=f"{figure:.2f} ms",
        against="",
        peers=f"one httpx.Client, one by one {theirs * 1000:.2f} ms",
    )


def growth(shop: Workshop) -> Iterator[Line]:
    """`plan` in sync from 10 to 100,000 webhooks: growth and peak memory."""
    samples = grown(shop)
    sizes = sorted(samples)
    large, small = sizes[-1], sizes[-2]
    for what, label in (("wall", "time"), ("memory", "memory")):
        big, little = middle(samples[large], what), middle(samples[small], what)
        show = _time if what == "wall" else _mebibytes
        yield Line(
            what=f"`plan` of {large:,}: {label}",
            figure=big / little,
            unit="x",
            budget=11,
            ours=show(big),
            against=f"`plan` of {small:,}: {show(little)}",
        )
    for size, budget in ((10_000, 90), (100_000, 450)):
        if size in samples:
            figure = middle(samples[size], "memory")
            yield Line(
                what=f"`plan` of {size:,}: peak memory",
                figure=figure,
                unit="MiB",
                budget=budget,
                ours=_mebibytes(figure),
            )


_grown: dict[int, list[Sample]] = {}


def grown(shop: Workshop) -> dict[int, list[Sample]]:
    """Measure `plan` of more and more webhooks, once a run."""
    sizes = (10, 100, 1000, 10_000) if shop.quick else (10, 100, 1000, 10_000, 100_000)
    if not _grown:
        for size in sizes:
            folder = shop.file(size)
            with serving(size) as server:
                command = shop.webhooks(folder, "plan", server=server)
                _grown[size] = alternate({OURS: command}, shop.rounds(3 if size > 10_000 else 7))[
                    OURS
                ]
    return _grown


def _many(shop: Workshop) -> int:
    return 1000 if shop.quick else 10_000


def _check_jsonschema(shop: Workshop, folder: Path) -> Command:
    schema = Path(__file__).parent.parent / "schemas" / "webhooks.schema.json"
    program = shop.peer("check-jsonschema", "check-jsonschema")
    return shop.command(folder, program, "--schemafile", str(schema), "webhooks.yaml")


def _line(
    title: str,
    samples: Samples,
    floor: str,
    budget: float,
    more: Mapping[str, list[Sample]] | None = None,
    *,
    what: str = "wall",
) -> Line:
    show = _time if what == "wall" else _mebibytes
    base = middle(samples[floor], what)
    others = {**samples, **(more or {})}
    return Line(
        what=title,
        figure=ratio(samples[OURS], samples[floor], what),
        unit="x",
        budget=budget,
        ours=show(middle(samples[OURS], what)),
        against=f"{floor}: {show(base)}",
        peers=", ".join(
            f"{name} {middle(each, what) / base:.3g}"
            for name, each in others.items()
            if name not in (OURS, floor)
        ),
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _mebibytes(amount: float) -> str:
    return f"{amount:.0f} MiB"


ROWS: dict[str, Row] = {
    "version": version,
    "validate-10": validate_few,
    "plan-10": plan_few,
    "validate-10000": validate_many,
    "plan-10000": plan_many,
    "no-op": no_op,
    "create": create,
    "growth": growth,
}
"""Every row, by the name that `--row` takes."""
