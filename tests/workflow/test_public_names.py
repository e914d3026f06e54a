"""The names that the package exports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import reconciler.workflow


@pytest.mark.parametrize("name", reconciler.workflow.__all__)
def test_every_public_name_exists(name: str) -> None:
    """Each public name can be imported from the package."""
    assert getattr(reconciler.workflow, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Python's message has the name of the package and the attribute."""
    with pytest.raises(AttributeError, match="no attribute 'destroy'"):
        _ = reconciler.workflow.destroy


def test_check_does_not_load_the_engine() -> None:
    """Importing one use case does not load the others."""
    code = (
        "import sys; from reconciler.workflow import validate;"
        "print([each for each in sys.modules if each.startswith('reconciler.execute')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
