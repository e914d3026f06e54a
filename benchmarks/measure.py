"""Run programs alternately and measure each: wall time, CPU time, peak memory.

The speed of a machine varies over time. So compared programs run alternately, A B A B, and a ratio
is the median of the ratios within each round.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run, where and with which environment."""

    arguments: Sequence[str]
    directory: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run: wall seconds, CPU seconds, peak MiB."""

    wall: float
    cpu: float
    memory: float


Samples = dict[str, list[Sample]]


def run(command: Command) -> Sample:
    """Run once, with output to a file. Raises RuntimeError if the program fails."""
    output_file = command.directory / "output"
    opened = (
        os.POSIX_SPAWN_OPEN,
        1,
        str(output_file),
        os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
        0o644,
    )
    # posix_spawn has no working directory; the shell's cd would be measured.
    here = Path.cwd()
    os.chdir(command.directory)
    try:
        started = time.perf_counter()
        child = os.posix_spawn(
            command.arguments[0],
            list(command.arguments),
            dict(command.environ),
            file_actions=[opened, (os.POSIX_SPAWN_DUP2, 1, 2)],
        )
        _, status, usage = os.wait4(child, 0)
        wall = time.perf_counter() - started
    finally:
        os.chdir(here)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(
            f"{' '.join(command.arguments)} failed:\n{output_file.read_text()[-2000:]}"
        )
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Sample(wall=wall, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss / unit)


def alternate(commands: Mapping[str, Command], rounds: int) -> Samples:
    """Run each command once per round, after one round that only warms caches."""
    samples: Samples = {name: [] for name in commands}
    if rounds > 1:
        for command in commands.values():
            run(command)
    for _ in range(rounds):
        for name, command in commands.items():
            samples[name].append(run(command))
    return samples


def median_of(samples: Sequence[Sample], metric: str = "wall") -> float:
    values: list[float] = [getattr(each, metric) for each in samples]
    return median(values)


def ratio(samples: Sequence[Sample], base: Sequence[Sample], metric: str = "wall") -> float:
    """Return the median over the rounds of a metric's ratio to that of `base`."""
    pairs = zip(samples, base, strict=True)
    values: list[float] = [getattr(a, metric) / getattr(b, metric) for a, b in pairs]
    return median(values)
