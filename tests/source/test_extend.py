"""The configuration of a file with `extends`, and its errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.model import SecretRef
from reconciler.source import files
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_parsed, parse_files
from reconciler.source.schemes import reference_in
from tests.folders import write
from tests.goldens import cases, rows
from tests.loading import load_texts

TEXTS = cases(Path(__file__).with_name("texts.txt"))
BASE = TEXTS["a parent"][0]


def test_a_file_of_a_secret_is_relative_to_the_file_that_names_it() -> None:
    """A reference in the parent file means the same file for an overlay in another folder."""
    texts = {
        "orgs/dev/over.yaml": "extends: ../../base/b.yaml\norganization: Acme\n",
        "base/b.yaml": f"api_key: {{file: key}}\n{BASE}",
    }
    found = load_texts(texts, next(iter(texts)))
    assert found.desired is not None
    (document,) = found.documents.values()
    assert reference_in(document.data["api_key"], document.file) == SecretRef(
        scheme="file", name="base/key"
    )
    references = [str(each.configuration.get("token")) for each in found.desired.webhooks]
    assert references == ["env TOKEN", "file base/pager-token (version 2)"]


def test_overlays_may_be_nested() -> None:
    """Ten levels of `extends` are allowed, eleven are not."""

    def chain(length: int, *given: str) -> Loaded:
        texts = {f"{n}.yaml": f"extends: {n - 1}.yaml\n" for n in range(2, length + 1)}
        return load_texts({**texts, "1.yaml": BASE}, *given)

    assert chain(10, "10.yaml").desired is not None
    found = chain(11, "11.yaml")
    assert [f"{each.position} {each.message}" for each in found.findings] == [
        "2.yaml:1 cannot extend '1.yaml': it exceeds the maximum of 10 files in a chain"
    ]
    assert chain(5000, "5000.yaml").desired is None


def test_a_parent_outside_the_repository_is_rejected(tmp_path: Path) -> None:
    """Neither a path nor a link leads to a parent outside."""
    home = tmp_path / "repository"
    (home / ".git").mkdir(parents=True)
    (tmp_path / "outside.yaml").write_text(BASE)
    (home / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    for path in ("../outside.yaml", "link.yaml", str(tmp_path / "outside.yaml")):
        (home / "over.yaml").write_text(f"extends: {path}\n")
        sources = files.read(["over.yaml"], directory=home, stdin=bytes)
        found = load_parsed(parse_files(sources), Rules())
        assert [each.message for each in found.findings] == [
            f"cannot extend {path!r}: it is outside of this repository"
        ]


def test_files_of_another_repository_are_read_in_it(tmp_path: Path) -> None:
    """From a folder without a repository, the hint is to run the command where both files are."""
    write(tmp_path, {"b/.git": "gitdir: x\n", "b/b.yaml": BASE, "b/over.yaml": "extends: b.yaml\n"})
    (tmp_path / "a").mkdir()
    sources = files.read([str(tmp_path / "b/over.yaml")], directory=tmp_path / "a", stdin=bytes)
    (found,) = load_parsed(parse_files(sources), Rules()).findings
    assert found.message.endswith("it is in the submodule or repository ../b")
    assert found.hint == "run the command in ../b if both files are in it"


@pytest.mark.parametrize(
    ("path", "message", "hint"), rows(Path(__file__).with_name("parents.yaml"))
)
def test_a_parent_is_a_regular_file_of_the_repository(
    tmp_path: Path, path: str, message: str, hint: str
) -> None:
    """A change behind a link would not be a change of a file that a review knows."""
    write(tmp_path, {"shared/b.yaml": BASE, "module/b.yaml": BASE, "module/.git": "gitdir: x\n"})
    (tmp_path / ".git").mkdir()
    (tmp_path / "lib").symlink_to("shared")
    (tmp_path / "b.yaml").symlink_to("shared/b.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    with open(tmp_path / "large.yaml", "wb") as large:
        large.truncate(files.MAX_FILE_BYTES + 1)
    write(tmp_path, {"over.yaml": f"extends: {json.dumps(path)}\n"})
    sources = files.read(["over.yaml"], directory=tmp_path, stdin=bytes)
    (found,) = load_parsed(parse_files(sources), Rules()).findings
    assert found.message == f"cannot extend {path!r}: it {message}"
    assert str(found.hint).startswith(hint)


def test_each_file_is_merged_once() -> None:
    """Time grows with the number of files, not with the 134 million paths to the base."""
    texts = {f"{n}.yaml": f"extends: [{', '.join([f'{n - 1}.yaml'] * 8)}]\n" for n in range(1, 10)}
    found = load_texts({**texts, "0.yaml": BASE}, "9.yaml")
    assert found.desired is not None
    assert [each.rule for each in found.findings] == ["redundant-parent"] * 9 * 7


@pytest.mark.parametrize(("texts", "message"), rows(Path(__file__).with_name("cycles.yaml")))
def test_a_cycle_is_found_through_another_spelling(texts: dict[str, str], message: str) -> None:
    """The error is at the line that closes the cycle, once."""
    (found,) = load_texts(texts).findings
    assert message in found.message
