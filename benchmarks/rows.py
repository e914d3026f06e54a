"""The rows of the table: what is measured, against which lower bound, with which budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.creating import create
from benchmarks.line import LATENCY, PROGRAM, Line, compared, mebibytes, seconds
from benchmarks.measure import Command, Sample, alternate, middle
from benchmarks.workspace import Workspace, serving

Row = Callable[[Workspace], Iterator[Line]]


def version(shop: Workspace) -> Iterator[Line]:
    """`--version` compared with an empty program: the cost of every start."""
    folder, python = shop.empty, shop.python()
    samples = alternate(
        {
            PROGRAM: shop.webhooks(folder, "--version"),
            "python -c pass": shop.command(folder, python, "-c", "pass"),
            "import click": shop.command(folder, python, "-c", "import click"),
            "octodns-sync --help": shop.command(
                folder, shop.peer("octodns", "octodns-sync"), "--help"
            ),
        },
        shop.rounds(20),
    )
    yield compared("`--version`", samples, "python -c pass", 5)


def library(shop: Workspace) -> Iterator[Line]:
    """What users download, and what importing the library costs."""
    size = shop.wheel().stat().st_size / 1024
    yield Line(
        what="the wheel", figure=size, unit="KiB", budget=450, ours=f"{size:.0f} KiB",
        against="without dependencies",
    )  # fmt: skip
    python, names = shop.python(), "from reconciler.workflow import apply, connect, load, plan"
    samples = alternate(
        {
            PROGRAM: shop.command(shop.empty, python, "-c", names),
            "python -c pass": shop.command(shop.empty, python, "-c", "pass"),
            "import click, yaml, httpx": shop.command(
                shop.empty, python, "-c", "import click, yaml, httpx"
            ),
        },
        shop.rounds(20),
    )
    yield compared("importing the library", samples, "python -c pass", 16)


def validate_few(shop: Workspace) -> Iterator[Line]:
    """`validate` of ten webhooks compared with an empty program."""
    folder, python = shop.file(10), shop.python()
    samples = alternate(
        {
            PROGRAM: shop.webhooks(folder, "validate"),
            "python -c pass": shop.command(folder, python, "-c", "pass"),
            "check-jsonschema": _check_jsonschema(shop, folder),
            "naive script": shop.script(folder, "naive.py", "validate", server=None),
        },
        shop.rounds(16),
    )
    yield compared("`validate` of 10", samples, "python -c pass", 9)


def plan_few(shop: Workspace) -> Iterator[Line]:
    """`plan` of ten webhooks over HTTP without latency compared with an empty program."""
    folder, python = shop.file(10), shop.python()
    with serving(10) as server:
        samples = alternate(
            {
                PROGRAM: shop.webhooks(folder, "plan", server=server),
                "python -c pass": shop.command(folder, python, "-c", "pass"),
                "import click, yaml, httpx; httpx.Client()": shop.command(
                    folder, python, "-c", "import click, yaml, httpx; httpx.Client()"
                ),
                "naive script": shop.script(folder, "naive.py", "plan", server=server),
            },
            shop.rounds(16),
        )
    yield compared("`plan` of 10", samples, "python -c pass", 14.5)


def validate_many(shop: Workspace) -> Iterator[Line]:
    """`validate` of many webhooks compared with PyYAML's C loader, which only parses them."""
    many = _many(shop)
    folder, zone = shop.file(many), shop.zone(many)
    reading = "import yaml; yaml.load(open('webhooks.yaml', 'rb'), yaml.CSafeLoader)"
    fast = alternate(
        {
            PROGRAM: shop.webhooks(folder, "validate"),
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
    yield compared(f"`validate` of {many:,}", fast, "CSafeLoader", 0.28, slow)


def plan_many(shop: Workspace) -> Iterator[Line]:
    """`plan` of many webhooks in sync compared with octoDNS's dry run of as many records."""
    many = _many(shop)
    folder, zone = shop.file(many), shop.zone(many)
    with serving(many) as server:
        samples = alternate(
            {
                PROGRAM: shop.webhooks(folder, "plan", server=server),
                "octodns-sync": shop.command(
                    zone, shop.peer("octodns", "octodns-sync"), "--config-file", "config.yaml"
                ),
                "naive script": shop.script(folder, "naive.py", "plan", server=server),
            },
            shop.rounds(5),
        )
    yield compared(f"`plan` of {many:,}: time", samples, "octodns-sync", 0.14)
    yield compared(f"`plan` of {many:,}: memory", samples, "octodns-sync", 0.8, what="memory")


def no_op(shop: Workspace) -> Iterator[Line]:
    """`apply` with nothing to do compared with `plan`, and its requests."""
    many = _many(shop)
    folder = shop.file(many)
    with serving(many, latency=LATENCY) as server:
        samples = alternate(
            {
                PROGRAM: shop.webhooks(folder, "apply", "--yes", server=server),
                "plan": shop.webhooks(folder, "plan", server=server),
            },
            shop.rounds(9),
        )
        server.counts()
        alternate({PROGRAM: shop.webhooks(folder, "apply", "--yes", server=server)}, 1)
        counts = server.counts()
    yield compared(f"`apply` of {many:,} in sync", samples, "plan", 1.1)
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


def growth(shop: Workspace) -> Iterator[Line]:
    """`plan` in sync from 10 to 100,000 webhooks: growth and peak memory."""
    samples = grown(shop)
    sizes = sorted(samples)
    large, small = sizes[-1], sizes[-2]
    for what, label in (("wall", "time"), ("memory", "memory")):
        big, little = middle(samples[large], what), middle(samples[small], what)
        show = seconds if what == "wall" else mebibytes
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
                ours=mebibytes(figure),
            )


_grown: dict[int, list[Sample]] = {}


def grown(shop: Workspace) -> dict[int, list[Sample]]:
    """Measure `plan` of growing numbers of webhooks, once per run."""
    sizes = (10, 100, 1000, 10_000) if shop.quick else (10, 100, 1000, 10_000, 100_000)
    if not _grown:
        for size in sizes:
            folder = shop.file(size)
            with serving(size) as server:
                command = shop.webhooks(folder, "plan", server=server)
                _grown[size] = alternate(
                    {PROGRAM: command}, shop.rounds(3 if size > 10_000 else 7)
                )[PROGRAM]
    return _grown


def _many(shop: Workspace) -> int:
    return 1000 if shop.quick else 10_000


def _check_jsonschema(shop: Workspace, folder: Path) -> Command:
    schema = Path(__file__).parent.parent / "schemas" / "webhooks.schema.json"
    program = shop.peer("check-jsonschema", "check-jsonschema")
    return shop.command(folder, program, "--schemafile", str(schema), "webhooks.yaml")


ROWS: dict[str, Row] = {
    "version": version,
    "library": library,
    "validate-10": validate_few,
    "plan-10": plan_few,
    "validate-10000": validate_many,
    "plan-10000": plan_many,
    "no-op": no_op,
    "create": create,
    "growth": growth,
}
"""Every row, by its name for `--row`."""
