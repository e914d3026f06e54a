"""Find changes that no test detects: `python -m tests.mutation`.

mutmut makes small changes of planning/, execute/, source/secrets.py and source/schemes.py in a
temporary copy of the tree, one at a time. mypy or a test should fail for each of them. A change
that passes is printed as a diff, unless `equivalent.toml` explains why it makes no difference. The
exit code is 1 below the threshold, or with an entry in that file that no longer matches.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.folders import ROOT, copy_parts
from tests.mutation.verdict import (
    LIST,
    Result,
    equivalents,
    mark_equivalent,
    mutants,
    score,
    summary,
)

THRESHOLD = 95.0  # per cent of the counted mutants
MUTATED = ("planning/[!_]*.py", "execute/[!_]*.py", "source/secrets.py", "source/schemes.py")


def main() -> int:
    """Run the mutation tests and print the survivors."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="as planning/match.py; all if none"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="tests run side by side")
    options = parser.parse_args()
    files = _files(options.parts)
    if not files:
        parser.error(f"none of {', '.join(MUTATED)} is called {', '.join(options.parts)}")
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder)
        copy_parts(copy, "reconciler", "docs", "schemas", "tests")
        settings = copy / "pyproject.toml"
        only = f"only_mutate = {json.dumps(files)}"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(re.sub(r"(?m)^only_mutate = .*$", only, text), encoding="utf-8")
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.jobs)]
        # mutmut starts mypy by its name, and the environment may not be active.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        ran = subprocess.run(command, cwd=copy, check=False, env={**os.environ, "PATH": path})
        if ran.returncode:
            return ran.returncode
        with contextlib.chdir(copy):
            made = [each for file in files for each in mutants(file)]
    listed = equivalents(LIST.read_text(encoding="utf-8"))
    made, stale = mark_equivalent(made, [each for each in listed if each.file in files])
    for each in made:
        if each.result is Result.SURVIVED:
            print(f"\n{each.name}\n{each.diff}")
    for entry in stale:
        print(f"\nno surviving mutant matches an entry of equivalent.toml: {entry}")
    print()
    for file in sorted({each.file for each in made}):
        print(summary(file, [each for each in made if each.file == file]))
    print(summary("together", made))
    print(f"the threshold is {THRESHOLD:g} %")
    return 1 if stale or score(made) < THRESHOLD else 0


def _files(parts: list[str]) -> list[str]:
    """Return the modules to mutate, as paths in the repository."""
    found = sorted(
        path.relative_to(ROOT).as_posix()
        for pattern in MUTATED
        for path in (ROOT / "reconciler").glob(pattern)
    )
    wanted = tuple(f"reconciler/{part}" for part in parts)
    return [file for file in found if not parts or file.startswith(wanted)]


if __name__ == "__main__":
    sys.exit(main())
