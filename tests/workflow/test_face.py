"""The package's public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import reconciler.workflow


@pytest.mark.parametrize("name", reconciler.workflow.__all__)
def test_every_name_is_there(name: str) -> None:
    """Each public name can be had from the package."""
    assert getattr(reconciler.workflow, name).__name__ == name


def test_no_other_name() -> None:
    """What is not there is missing in the usual way."""
    with pytest.raises(AttributeError, match="no attribute 'destroy'"):
        _ = reconciler.workflow.destroy


def test_checking_files_loads_no_engine() -> None:
    """Asking for one use case does not load the others."""
    code = (
        "import sys; from reconciler.workflow import validate;"
        "print([each for each in sys.modules if each.startswith('reconciler.execute')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
