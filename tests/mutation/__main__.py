"""Find changes of planning/ or execute/ that no test detects: `python -m tests.mutation`.

mutmut makes small changes in a temporary copy of the tree, one at a time. mypy or a test should
fail for each of them. A change that passes is printed as a diff, unless `equivalent.toml` explains
why it makes no difference. Exit code 1 below the threshold, or with an entry in that file that no
longer matches.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutation.verdict import (
    LIST,
    Mutant,
    Result,
    equivalents,
    mutants,
    remove_equivalent,
    score,
    summary,
)

ROOT = Path(__file__).resolve().parents[2]
THRESHOLD = 95.0  # per cent of the counted mutants
PACKAGES = ("planning", "execute")


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
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="per cent (%(default)s)")
    asked = parser.parse_args()
    files = _files(asked.parts)
    if not files:
        parser.error(f"no module of planning/ or execute/ is called {', '.join(asked.parts)}")
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder)
        _copy(copy)
        settings = copy / "pyproject.toml"
        only = f"only_mutate = {json.dumps(files)}"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(re.sub(r"(?m)^only_mutate = .*$", only, text), encoding="utf-8")
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(asked.jobs)]
        ran = subprocess.run(command, cwd=copy, check=False)
        if ran.returncode:
            return ran.returncode
        with contextlib.chdir(copy):
            made = [each for file in files for each in mutants(file)]
    listed = equivalents(LIST.read_text(encoding="utf-8"))
    return _report(
        *remove_equivalent(made, [each for each in listed if each.file in files]), asked.threshold
    )


def _files(parts: list[str]) -> list[str]:
    """Return the modules to mutate, as paths in the repository."""
    found = sorted(
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / "reconciler" / package).glob("*.py")
        if path.name != "__init__.py"
    )
    wanted = [f"reconciler/{part.removeprefix('reconciler/').strip('/')}" for part in parts]
    return [
        file
        for file in found
        if not wanted or any(file == part or file.startswith(f"{part}/") for part in wanted)
    ]


def _copy(to: Path) -> None:
    """Copy the working tree without files that git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to / name)


def _report(made: list[Mutant], stale: list[str], threshold: float) -> int:
    for each in made:
        if each.result is Result.SURVIVED:
            print(f"\n{each.file}:{each.line}\n{each.diff}")
    for entry in stale:
        print(f"\nequivalent.toml, {entry}")
    print()
    for file in sorted({each.file for each in made}):
        print(summary(file, [each for each in made if each.file == file]))
    print(summary("together", made))
    print(f"the threshold is {threshold:g} %")
    return 1 if stale or score(made) < threshold else 0


if __name__ == "__main__":
    sys.exit(main())
