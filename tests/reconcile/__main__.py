"""Long runs of a reconciler, each some minutes to hours: `python -m tests.reconcile RUN`.

`histories` simulates months in virtual time. `rounds` runs rounds over HTTP and measures the
process.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.console import Process
from reconciler.cli.main import run
from tests.emulated.emulator import Emulator, LogEntry
from tests.folders import commit, running, write
from tests.ports import SkippingClock
from tests.reconcile.history import check_month
from tests.reconcile.test_command import RECONCILE, Site
from tests.reconcile.world import configuration, slack
from tests.served import served

_SKIPPING = "from tests.reconcile.__main__ import skipping; skipping()"
_WEBHOOKS = 10


def skipping() -> None:
    """Run the program in this process, without its waits."""
    gc.disable()  # as `python -m reconciler` does
    process = Process.of_this_process()._replace(clock=SkippingClock())
    sys.exit(run(sys.argv[1:], process))


class CheckedSite(Site):
    """An emulator over HTTP and a clone; every write is checked for duplicates."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.duplicates: list[str] = []
        emulator = Emulator(listener=self._check)
        super().__init__(folder, stack.enter_context(served(emulator)), emulator)
        self.numbers = dict.fromkeys(range(_WEBHOOKS), 0)
        self.commit()

    def commit(self) -> None:
        """Commit the declarations."""
        webhooks = (slack(f"w-{name}", f"c-{number}") for name, number in self.numbers.items())
        write(self.folder, configuration(*webhooks, head="limits: {max_deletes: 100}\n"))
        commit(self.folder)

    def _check(self, entry: LogEntry) -> None:
        self.emulator.log.clear()
        names = Counter(row["name"] for row in self.emulator.store.webhooks())
        self.duplicates += [name for name, count in names.items() if count > 1]


class Usage(NamedTuple):
    """What a process uses: KiB of memory, descriptors, threads."""

    memory: int
    descriptors: int
    threads: int


def usage(pid: int) -> Usage:
    """Return what a process uses, from /proc."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Usage(int(fields["VmRSS"].split()[0]), descriptors, int(fields["Threads"]))


def run_rounds(site: CheckedSite, stack: ExitStack, count: int) -> bool:
    """Run rounds, a write in one of a hundred; print the usage; return whether it stays flat."""
    command = (sys.executable, "-c", _SKIPPING, *RECONCILE, "--metrics-address", "0")
    process = stack.enter_context(running(site.folder, *command, **site.environ))
    assert process.stdout is not None
    done, used, began = 0, list[Usage](), time.monotonic()
    while done < count:
        line = process.stdout.readline()
        assert line, f"ended with {process.wait()}"
        if "unchanged" not in line and not line.endswith("applied\n"):
            continue
        done += line.endswith(("unchanged\n", "Acme: applied\n"))
        if done % 100 == 50 and "unchanged" in line:
            site.emulator.configure(f"w-{done // 100 % _WEBHOOKS}", channel=f"#by-script-{done}")
        if done % 1000 == 500 and "unchanged" in line:
            site.numbers[done // 1000 % _WEBHOOKS] = done
            site.commit()
        if done % (count // 20) == 0 and "unchanged" in line:
            used.append(usage(process.pid))
            print(done, *used[-1], f"{time.monotonic() - began:.0f} s", flush=True)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    half = len(used) // 2
    early, late = (Usage(*map(max, zip(*part, strict=True))) for part in (used[:half], used[half:]))
    # Two percent for what an allocator does. The maximum, because a round may just have threads.
    is_flat = late.memory <= early.memory * 1.02 and late[1:] <= early[1:]
    return is_flat and not site.duplicates


def run_histories(seeds: int, start: int) -> bool:
    """Simulate months; print and return whether every promise holds."""
    failed = 0
    for seed in range(start, start + seeds):
        began = time.monotonic()
        problems = check_month(seed)
        failed += bool(problems)
        print(f"seed {seed}: {problems or 'ok'} ({time.monotonic() - began:.0f} s)", flush=True)
    return not failed


def main() -> int:
    """Return 0 if every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.reconcile", description=__doc__)
    parser.add_argument("run", choices=["histories", "rounds"])
    parser.add_argument("--seeds", type=int, default=20, help="number of histories (20)")
    parser.add_argument("--start", type=int, default=0, help="first seed (0)")
    parser.add_argument("--rounds", type=int, default=10_000, help="number of rounds (10000)")
    options = parser.parse_args()
    if options.run == "histories":
        return not run_histories(options.seeds, options.start)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = CheckedSite(Path(folder, "clone"), stack)
        return not run_rounds(site, stack, options.rounds)


if __name__ == "__main__":
    sys.exit(main())
