"""Long runs of a reconciler, each some minutes to hours: `python -m tests.reconcile RUN`.

`histories` simulates months in virtual time. `rounds` runs rounds over HTTP and measures the
process. `faults` kills a process that runs beside failing requests, a script and commits.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from reconciler.cli.console import Process
from reconciler.cli.main import run
from tests.emulated import faults
from tests.emulated.emulator import LOCAL_KEY, Emulator, LogEntry
from tests.emulated.faults import Fault
from tests.folders import ROOT, commit, git, write
from tests.ports import SkippingClock
from tests.reconcile.history import check_month
from tests.reconcile.world import ENVIRON, configuration, slack
from tests.served import closed_port, served
from tests.waiting import TIMEOUT

_SCRAPE_INTERVAL: Final = 2.0  # seconds
_SKIPPING = "from tests.reconcile.__main__ import skipping; skipping()"
_RECONCILE = ("reconcile", "--rev", "HEAD", "--every", "10s", "--apply")
_WEBHOOKS = 10


def skipping() -> None:
    """Run the program in this process, without its waits."""
    gc.disable()  # as `python -m reconciler` does
    process = Process.of_this_process()._replace(clock=SkippingClock())
    sys.exit(run(sys.argv[1:], process))


class Site:
    """An emulator over HTTP and a clone; every write is checked for duplicates."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.duplicates: list[str] = []
        self.emulator = Emulator(listener=self._check)
        self.url = stack.enter_context(served(self.emulator))
        git(folder, "init", "-q")
        self.numbers = dict.fromkeys(range(_WEBHOOKS), 0)
        self.commit()

    def commit(self) -> None:
        """Commit the declarations."""
        webhooks = (slack(f"w-{name}", f"c-{number}") for name, number in self.numbers.items())
        write(self.folder, configuration(*webhooks, head="limits: {max_deletes: 100}\n"))
        commit(self.folder)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.folder),
                "CLOUDTRUTH_API_KEY": LOCAL_KEY,
                "CLOUDTRUTH_SERVER_URL": self.url,
                **ENVIRON,
            },
            stdout=subprocess.PIPE,
            text=True,
        )

    def is_converged(self) -> bool:
        live = self.emulator.store.webhooks()
        shown = {row["name"]: row["configuration"]["channel"] for row in live}
        return shown == {f"w-{name}": f"#c-{number}" for name, number in self.numbers.items()}

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


def run_rounds(site: Site, count: int) -> bool:
    """Run rounds, a write in one of a hundred; print the usage; return whether it stays flat."""
    process = site.start("-c", _SKIPPING, *_RECONCILE, "--metrics-address", "0")
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


class Failing:
    """Faults of one request in ten, and of all requests in one minute of five."""

    def __init__(self, draw: random.Random) -> None:
        self.is_active = True
        self._draw = draw

    def take(self, method: str, path: str, body: bytes) -> Fault | None:
        odds = 1.0 if time.monotonic() % 300 < 60 else 0.1
        if not self.is_active or self._draw.random() >= odds:
            return None
        late = self._draw.random() < 0.5
        kinds = (
            faults.refuse(), faults.drop(commit=late), faults.status(503, commit=late),
            faults.status(429, retry_after=1), faults.truncate(), faults.reset(), faults.html(),
        )  # fmt: skip
        return self._draw.choice(kinds)


def run_faults(site: Site, minutes: float) -> bool:
    """Kill processes beside faults, a script and commits; return whether all promises hold."""
    draw = random.Random(1)
    failing = Failing(draw)
    site.emulator.faults = failing
    with closed_port() as address:
        port = address.rpartition(":")[2]
    command = ("-m", "reconciler", *_RECONCILE, "--metrics-address", port)
    process = site.start(*command)
    end = time.monotonic() + minutes * 60
    kills = sorted(time.monotonic() + draw.uniform(0.02, 0.9) * minutes * 60 for _ in range(10))
    scrapes = Counter[str]()
    killed = rounds = 0
    with open(site.folder.parent / "log", "w+", encoding="utf-8") as log:
        while time.monotonic() < end:
            time.sleep(_SCRAPE_INTERVAL)
            if kills and time.monotonic() >= kills[0]:
                kills.pop(0)
                process.kill()
                log.write(process.communicate()[0])
                killed += 1
                process = site.start(*command)
            scrapes[_scrape(port)] += 1
            failing.is_active = time.monotonic() < end - 120
            if failing.is_active and draw.random() < 0.1:
                _edit(site, draw)
        process.terminate()
        log.write(process.communicate(timeout=TIMEOUT)[0])
        log.seek(0)
        rounds = sum("unchanged" in line or "incomplete" in line for line in log)
    print(f"{killed} kills, {rounds} rounds, scrapes {dict(scrapes)}, exit {process.returncode}")
    print(f"duplicates {site.duplicates}, converged {site.is_converged()}")
    return not site.duplicates and site.is_converged() and scrapes["invalid"] == 0


def _scrape(port: str) -> str:
    """Read the metrics with Prometheus's parser; return what came of it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text = response.read().decode()
    except OSError:
        return "unreachable"  # between a kill and the next start
    names = {family.name for family in text_string_to_metric_families(text)}
    expected = {"webhooks_drift", "webhooks_writes", "webhooks_round_seconds"}
    return "valid" if expected <= names else "invalid"


def _edit(site: Site, draw: random.Random) -> None:
    """Change or delete a webhook live, or change a declaration by a commit."""
    name = draw.randrange(_WEBHOOKS)
    live = {row["name"]: row["id"] for row in site.emulator.store.webhooks()}
    match draw.randrange(3):
        case 0 if f"w-{name}" in live:
            site.emulator.configure(f"w-{name}", channel=f"#by-script-{draw.randrange(99)}")
        case 1 if f"w-{name}" in live:
            site.emulator.store.delete(live[f"w-{name}"])
        case _:
            site.numbers[name] += 1
            site.commit()


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
    parser.add_argument("run", choices=["histories", "rounds", "faults"])
    parser.add_argument("--seeds", type=int, default=20, help="number of histories (20)")
    parser.add_argument("--start", type=int, default=0, help="first seed (0)")
    parser.add_argument("--rounds", type=int, default=10_000, help="number of rounds (10000)")
    parser.add_argument("--minutes", type=float, default=30, help="minutes of faults (30)")
    options = parser.parse_args()
    if options.run == "histories":
        return not run_histories(options.seeds, options.start)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clone = Path(folder, "clone")
        clone.mkdir()
        site = Site(clone, stack)
        runs: dict[str, Callable[[], bool]] = {
            "rounds": lambda: run_rounds(site, options.rounds),
            "faults": lambda: run_faults(site, options.minutes),
        }
        return not runs[options.run]()


if __name__ == "__main__":
    sys.exit(main())
