"""The archives have the right contents, metadata and types."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from cmarkgfm import github_flavored_markdown_to_html

from reconciler import __version__
from reconciler.ci.workflows import GUIDE
from tests.folders import ROOT, tracked
from tests.installing import Release, environment, run

pytestmark = pytest.mark.slow


def inside(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(ending))
        return archive.read(name).decode()


def test_the_wheel_contains_only_the_package(release: Release) -> None:
    """The wheel has every file of the package, every schema, and metadata."""
    with zipfile.ZipFile(release.wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {name for name in tracked() if name.startswith("reconciler/")}
    schemas = {
        name.replace("schemas/", "reconciler/_schemas/")
        for name in tracked()
        if name.startswith("schemas/")
    }
    assert found == package | schemas | {"reconciler/_docs/rules.md"}
    assert "reconciler/py.typed" in found


def test_the_sdist_contains_the_repository(release: Release) -> None:
    """The sdist has exactly the sources, tests, documents and locks."""
    with tarfile.open(release.sdist) as archive:
        found = {each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()}
    assert found - {"PKG-INFO"} <= set(tracked())
    for name in tracked():
        if name.startswith(("reconciler/", "schemas/", "tests/", "docs/", "requirements/")):
            assert name in found, name
    assert {"README.md", "LICENSE", "pyproject.toml"} <= found


def test_links_and_pictures_of_the_long_description(release: Release) -> None:
    """Links and pictures on PyPI point to the files of this version in the repository."""
    metadata = message_from_string(inside(release.wheel, ".dist-info/METADATA"))
    html = github_flavored_markdown_to_html(str(metadata.get_payload()))
    address = GUIDE.removesuffix("/blob/main/docs/github.md")
    raw = address.replace("github.com", "raw.githubusercontent.com")
    links = re.findall(r'href="([^"]+)"', html)
    pictures = re.findall(r'src="([^"]+)"', html)
    files = [each.removeprefix(f"{address}/blob/v{__version__}/") for each in links]
    files += [each.removeprefix(f"{raw}/v{__version__}/") for each in pictures]
    assert [each for each in files if "://" in each] == ["https://www.cloudtruth.com"]
    assert len(pictures) == 2
    assert len(files) > 20
    for each in files:
        assert "://" in each or (ROOT / each.partition("#")[0]).exists(), each


def test_the_sdist_builds_the_same_wheel(release: Release, checkout: Path, tmp_path: Path) -> None:
    """The wheel from the sdist and the one from a clone are the same, byte for byte."""
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path)
    done = run(*command, checkout, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.read_bytes() == release.wheel.read_bytes()


WRONG = """\
from reconciler.workflow import Secret, load

length: int = Secret("a key")
load("webhooks.yaml")
"""


@pytest.mark.usefixtures("package_index")
def test_a_consumer_is_checked_against_the_types(release: Release, tmp_path: Path) -> None:
    """With the installed wheel, mypy accepts the example and reports a wrong use of the library."""
    python = environment(tmp_path / "environment", release.wheel) / "python"
    (tmp_path / "wrong.py").write_text(WRONG)

    def mypy(file: Path) -> subprocess.CompletedProcess[str]:
        options = ("--strict", "--no-incremental", "--python-executable", python)
        return run(sys.executable, "-m", "mypy", *options, file, cwd=tmp_path)

    assert mypy(ROOT / "examples" / "library.py").stdout.startswith("Success: ")
    found = mypy(tmp_path / "wrong.py").stdout
    assert re.findall(r"wrong\.py:(\d): error: .*\[(.+)\]", found) == [
        ("3", "assignment"),
        ("4", "arg-type"),
    ]
