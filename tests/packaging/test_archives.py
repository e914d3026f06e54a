"""The contents and the metadata of the archives."""

from __future__ import annotations

import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from reconciler import __version__
from tests.folders import ROOT, tracked
from tests.installing import Release

pytestmark = pytest.mark.slow


def inside(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(ending))
        return archive.read(name).decode()


def test_the_wheel_contains_only_the_package(release: Release) -> None:
    """Every file of the package, every schema, and metadata."""
    with zipfile.ZipFile(release.wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {name for name in tracked() if name.startswith("reconciler/")}
    schemas = {
        name.replace("schemas/", "reconciler/_schemas/")
        for name in tracked()
        if name.startswith("schemas/")
    }
    assert found == package | schemas
    assert "reconciler/py.typed" in found


def test_the_sdist_contains_the_repository(release: Release) -> None:
    """It has exactly the sources, tests, documents and locks."""
    with tarfile.open(release.sdist) as archive:
        found = {each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()}
    assert found - {"PKG-INFO"} <= set(tracked())
    for name in tracked():
        if name.startswith(("reconciler/", "schemas/", "tests/", "docs/", "requirements/")):
            assert name in found, name
    assert {"README.md", "LICENSE", "pyproject.toml"} <= found


def test_metadata(release: Release) -> None:
    """Name, version, license, home page and Python version are set for PyPI."""
    metadata = message_from_string(inside(release.wheel, ".dist-info/METADATA"))
    assert metadata["Name"] == "cloudtruth-webhooks"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert (ROOT / "README.md").read_text("utf-8").splitlines()[0] in str(metadata.get_payload())
    scripts = inside(release.wheel, ".dist-info/entry_points.txt")
    assert "webhooks = reconciler.__main__:main" in scripts
    assert "cloudtruth-webhooks = reconciler.__main__:main" in scripts


def test_no_path_of_the_machine_is_in_the_wheel(release: Release) -> None:
    """No file reveals where it was built."""
    with zipfile.ZipFile(release.wheel) as archive:
        for name in archive.namelist():
            assert str(ROOT).encode() not in archive.read(name), name
