"""The pinned packages of npm that tests run with Node.js."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.environment import download_environment
from tests.waiting import TIMEOUT


def packages(source: Path) -> Path:
    """Return a folder with the scripts of `source` and the packages of its package-lock.json.

    They are installed into the temporary folder, under a name that depends on their content. Skips
    the test if Node.js or npm is not installed, or if npm cannot reach a registry.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: {source.name} tests need Node.js with npm")
    files = sorted([*source.glob("package*.json"), *source.glob("*.mjs")])
    content = b"".join(path.read_bytes() for path in files)
    prefix = f"webhooks-{source.name}-tests-"
    folder = Path(tempfile.gettempdir()) / f"{prefix}{sha256(content).hexdigest()[:16]}"
    if (folder / "node_modules").is_dir():
        return folder
    fresh = Path(tempfile.mkdtemp(prefix=prefix))
    for path in files:
        shutil.copy(path, fresh)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=fresh,
        env=download_environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    if "related to network connectivity" in done.stderr:
        pytest.skip("npm cannot reach a registry from here")
    assert done.returncode == 0, f"npm cannot install the pinned packages:\n{done.stderr}"
    try:
        fresh.rename(folder)
    except OSError:  # another process has installed them
        shutil.rmtree(fresh)
    return folder
