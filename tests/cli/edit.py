"""Edit files of a session: `edit 's/OLD/NEW/; ...' FILE...`, the same with every system's tools.

OLD is a regular expression of Python, and NEW its replacement, for all of a file. OLD must occur.
"""

import re
import sys
from pathlib import Path

STEP = re.compile(r"s/((?:\\.|[^/\\])*)/((?:\\.|[^/\\])*)/")


def edit(steps: str, *names: str) -> None:
    """Make the replacements in each file."""
    for name in names:
        text = Path(name).read_bytes().decode()
        for old, new in STEP.findall(steps):
            text, count = re.subn(old, new, text, flags=re.MULTILINE)
            if count == 0:
                raise SystemExit(f"edit: {name} does not have {old}")
        Path(name).write_bytes(text.encode())


edit(*sys.argv[1:])
