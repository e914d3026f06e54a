"""A sampling profiler for the CPU time of a command, without the overhead of counting calls.

python sampler.py FILE ARGUMENT...

runs `webhooks ARGUMENT...` in this process, samples its stage every millisecond of CPU time, and
writes the number of samples per stage as JSON. Needs an environment with the product.
"""

import gc
import json
import signal
import sys
import threading
from collections import defaultdict
from types import FrameType

STAGES = {
    "reconciler/source/text": "YAML",
    "reconciler/source/yaml": "YAML",
    "yaml/": "YAML",
    "reconciler/source": "checks and values of the file",
    "reconciler/api": "HTTP and decoding of the listing",
    "httpcore": "HTTP and decoding of the listing",
    "httpx": "HTTP and decoding of the listing",
    "json/": "HTTP and decoding of the listing",
    "reconciler/planning": "comparison",
    "reconciler/kinds": "comparison",
    "reconciler/render": "rendering",
}
_IDLE = ("threading.py", "workers.py", "cli/connection.py")  # wait in these
_seen: defaultdict[str, float] = defaultdict(float)


def stage(frame: FrameType | None) -> str | None:
    """Return the stage of a thread; None if it waits."""
    if frame is None or frame.f_code.co_filename.endswith(_IDLE):
        return None
    found = None
    while frame is not None:
        place = frame.f_code.co_filename
        if place.startswith("<frozen importlib"):
            return "imports"
        if found is None:
            found = next((name for part, name in STAGES.items() if part in place), None)
        frame = frame.f_back
    return found or "the rest"


def sample(number: int, frame: FrameType | None) -> None:
    threads: dict[int, FrameType | None] = {**sys._current_frames()}
    threads[threading.get_ident()] = frame
    working = [name for each in threads.values() if (name := stage(each)) is not None]
    for name in working:
        _seen[name] += 1 / len(working)


def main() -> None:
    gc.disable()  # like the command itself
    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    from reconciler.cli.console import Process
    from reconciler.cli.main import run

    code = run(sys.argv[2:], Process.of_this_process())
    signal.setitimer(signal.ITIMER_PROF, 0)
    with open(sys.argv[1], "w") as out:
        json.dump(_seen, out)
    sys.exit(code)


main()
