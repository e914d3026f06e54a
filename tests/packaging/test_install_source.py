"""The program, the metadata and the documents name the same repository and requirement."""

from __future__ import annotations

import re
import tomllib

import pytest

from reconciler.ci.workflows import GUIDE, pinned
from scripts.release import REQUIREMENTS, SENTENCES
from tests.folders import ROOT, tracked

REQUIREMENT = pinned("COMMIT")[0]
RELEASED = "==" in REQUIREMENT
ADDRESS = GUIDE.removesuffix("/blob/main/docs/github.md")
SLUG = ADDRESS.removeprefix("https://github.com/")


def texts() -> dict[str, str]:
    """Return what users read or copy, by file name: all tracked text outside tests."""
    return {
        name: (ROOT / name).read_text("utf-8")
        for name in tracked()
        if not name.startswith(("tests/", "benchmarks/", "requirements/"))
        and name != "scripts/release.py"
    }


@pytest.mark.parametrize("name", SENTENCES)
def test_a_document_installs_what_the_workflows_install(name: str) -> None:
    """A document has the pre-release requirement and text, or the released ones, never a mix."""
    text = " ".join((ROOT / name).read_text("utf-8").split())
    assert text.count(REQUIREMENT) == REQUIREMENTS.get(name, 0)
    for before, after in SENTENCES[name]:
        assert (before in text, after in text) == (not RELEASED, RELEASED)


def test_nothing_else_is_installed() -> None:
    """All requirements are equal. Before a release, none installs the name from PyPI."""
    for name, text in texts().items():
        found = re.findall(r"cloudtruth-webhooks(?:\[\w+\])?(?: @ git\+[^\s\"'{]+|==\d\S*\b)", text)
        assert set(found) <= {REQUIREMENT}, name
        if not RELEASED:
            by_name = r"(?:install|uvx|pipx run|--from)(?: -\S+)* ['\"]?cloudtruth-webhooks(?! @)"
            assert not re.search(by_name, text), name


def test_one_repository() -> None:
    """The metadata, schemas, documents and program all refer to the same repository."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Source"] == ADDRESS
    assert all(url.startswith(ADDRESS) for url in urls.values())
    for name, text in texts().items():
        addresses = rf"(?:github|githubusercontent)\.com/([\w.-]+/{SLUG.partition('/')[2]})\b"
        assert set(re.findall(addresses, text)) <= {SLUG}, name
        if name.startswith("schemas/") and name.endswith(".json"):
            assert f'"$id": "https://raw.githubusercontent.com/{SLUG}/main/{name}"' in text
