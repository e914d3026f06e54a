"""Edit files of a session: `edit 's/OLD/NEW/; ...' FILE...`, the same with every system's tools.

OLD is a regular expression of Python that must occur in one of the files; NEW replaces all of it.
"""

import re
import sys
from pathlib import Path

STEP = re.compile(r"s/((?:\\.|[^/\\])*)/((?:\\.|[^/\\])*)/")


def edit(steps: str, *names: str) -> None:
    """Make each replacement in all files."""
    for old, new in STEP.findall(steps):
        count = 0
        for path in map(Path, names):
            text, number = re.subn(old, new, path.read_bytes().decode(), flags=re.MULTILINE)
            path.write_bytes(text.encode())
            count += number
        if count == 0:
            raise SystemExit(f"edit: no {old} in {' '.join(names)}")


edit(*sys.argv[1:])
