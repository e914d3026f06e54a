"""The organizations that are planned for a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.folders import commit, git, write

FILE = (
    "extends: ../base.yaml\norganization: {}\n"
    "webhooks: [{{name: A, add: true, configuration: {{channel: general}}}}]\n"
)
BASE = (
    "defaults: {type: slack, event_types: ['*'], configuration: "
    "{token: {file: secrets/token}, username: b}}\nwebhooks: []\n"
)
OTHER = "organization: Other\nwebhooks: []\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "base.yaml": BASE,
            "orgs/one.yaml": FILE.format("One"),
            "orgs/two.yaml": FILE.format("Two"),
            "orgs/other.yaml": OTHER,
            "secrets/token": "x",
            "policy.json": "{}",
        },
    )
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def labels(
    shell: Shell, folder: Path, event: object, *more: str, warned: str | None = None
) -> list[str]:
    write(folder, {".git/event.json": json.dumps(event), ".git/output": ""})
    done = shell(
        "ci", "matrix", "-f", "orgs", *more,
        GITHUB_EVENT_PATH=str(folder / ".git/event.json"),
        GITHUB_OUTPUT=str(folder / ".git/output"),
    )  # fmt: skip
    assert done.code == 0, done.out + done.err
    assert warned is None or warned in done.out
    written = (folder / ".git/output").read_text()
    (line,) = (each for each in written.splitlines() if each.startswith('{"include"'))
    return [each["label"] for each in json.loads(line)["include"]]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("orgs/one.yaml", ["one"]),
        ("base.yaml", ["one", "two"]),
        ("secrets/token", ["one", "two"]),
        ("orgs/other.yaml", ["other"]),
        ("readme.md", []),
        ("policy.json", ["one", "other", "two"]),
    ],
)
@pytest.mark.parametrize(
    "event",
    [
        lambda sha: {"before": sha},
        lambda sha: {"pull_request": {"number": 1, "base": {"sha": sha}}},
        lambda sha: {"merge_group": {"base_sha": sha}},
    ],
    ids=["push", "pull_request", "merge_group"],
)
def test_a_change_is_planned_for_the_organizations_that_read_it(
    shell: Shell, repository: Path, changed: str, expected: list[str], event: object
) -> None:
    """Every organization that reads a parent, a secret's file or a policy is planned."""
    before = git(repository, "rev-parse", "HEAD")
    path = repository / changed
    path.write_text(f"{path.read_text() if path.exists() else ''}\n")
    commit(repository)
    assert callable(event)
    assert labels(shell, repository, event(before), "--policy", "policy.json") == expected


def test_a_file_name_that_is_not_utf_8_is_no_error(shell: Shell, repository: Path) -> None:
    """A repository may have such a file for its own reasons."""
    before = git(repository, "rev-parse", "HEAD")
    blob = git(repository, "rev-parse", "HEAD:policy.json")
    git(repository, "update-index", "--add", "--cacheinfo", f"100644,{blob},caf\udce9.md")
    git(repository, "commit", "-qm", "add a file")
    assert labels(shell, repository, {"before": before}) == []


def test_a_violated_policy_does_not_hide_organizations(shell: Shell, repository: Path) -> None:
    """The secret files of a configuration count even if a policy rejects it."""
    write(repository, {"policy.json": '{"required": ["limits"]}'})
    before = commit(repository)
    write(repository, {"secrets/token": "y"})
    commit(repository)
    found = labels(shell, repository, {"before": before}, "--policy", "policy.json")
    assert found == ["one", "two"]


def test_only_the_organization_of_a_label_is_planned(shell: Shell, repository: Path) -> None:
    """A manual start with an unknown label is rejected, and so is a digest without a label."""
    digest = ("--expect-digest", f"sha256:{'0' * 64}")
    assert labels(shell, repository, {}, "--label", "two", *digest) == ["two"]
    for wrong in (("--label", "three"), digest):
        done = shell("ci", "matrix", "-f", "orgs", *wrong)
        assert (done.code, ": one, other, two" in done.out) == (64, True)
        assert "the input `organization` is" in done.out


def test_a_file_that_cannot_be_parsed_has_a_job(shell: Shell, repository: Path) -> None:
    """The job of the broken file reports the error; other organizations are not affected."""
    before = git(repository, "rev-parse", "HEAD")
    write(repository, {"orgs/two.yaml": "webhooks: [\n"})
    commit(repository)
    assert labels(shell, repository, {"before": before}) == ["two"]


def test_no_webhook_refers_to_the_key_of_another_organization(
    shell: Shell, repository: Path
) -> None:
    """A job has one key and file, so keys and missing organizations are checked before."""
    text = f"api_key: {{env: OTHER_KEY}}\n{OTHER}"
    stolen = FILE.format("One").replace("general", "general, token: {env: OTHER_KEY}")
    write(repository, {"orgs/other.yaml": text, "orgs/one.yaml": stolen})
    for more in ((), ("--label", "two")):
        done = shell("ci", "matrix", "-f", "orgs", *more)
        assert (done.code, "OTHER_KEY is the `api_key` of an org" in done.out) == (3, True)
    write(repository, {"orgs/one.yaml": "webhooks: []\n"})
    assert "error[no-organization]" in shell("ci", "matrix", "-f", "orgs").out


def test_labels_are_the_paths_below_the_directory(shell: Shell, tmp_path: Path) -> None:
    """Equal file names in different folders have different labels; unsafe paths are rejected."""
    files = {"orgs/eu/a.yaml": "A", "orgs/us/a.yaml": "B", "orgs/it's.yaml": "C"}
    write(tmp_path, {name: f"organization: {each}\n{OTHER[20:]}" for name, each in files.items()})
    git(tmp_path, "init", "-q")
    assert labels(shell, tmp_path, {}) == ["eu-a", "it-s", "us-a"]
    done = shell("ci", "matrix", "-f", "orgs/*/*.yaml")
    assert (done.code, "have the same label" in done.out) == (64, True)


@pytest.mark.parametrize(
    ("folder", "name"), [("x", "a\nb.yaml"), ("x", "a\r.yaml"), (" x", "a.yaml")]
)
def test_a_file_name_that_would_become_another_is_rejected(
    shell: Shell, tmp_path: Path, folder: str, name: str
) -> None:
    """A job gets its files as lines of text, without the spaces around them."""
    write(tmp_path, {f"{folder}/{name}": OTHER})
    done = shell("ci", "matrix", "-f", folder)
    assert (done.code, "cannot be passed to a job" in done.out) == (64, True)


def test_a_removed_file_is_planned_for_all(shell: Shell, repository: Path) -> None:
    """The organization of the file may have other files, and its webhooks may be pruned."""
    before = git(repository, "rev-parse", "HEAD")
    git(repository, "mv", "orgs/one.yaml", "archived.yaml")
    commit(repository)
    warned = "::warning title=organization-removed::One is no longer declared"
    assert labels(shell, repository, {"before": before}, warned=warned) == ["other", "two"]


@pytest.mark.parametrize("event", [{}, {"before": "0" * 40}, {"before": "1" * 40}])
def test_without_a_known_change_all_are_planned(
    shell: Shell, repository: Path, event: object
) -> None:
    """A schedule, a manual start, a first push and a shallow clone plan every organization."""
    assert labels(shell, repository, event) == ["one", "other", "two"]


def test_more_organizations_than_jobs_are_rejected(shell: Shell, tmp_path: Path) -> None:
    """257 organizations are more than a workflow can have jobs."""
    texts = {f"orgs/{n}.yaml": f"organization: o{n}\nwebhooks: []\n" for n in range(257)}
    write(tmp_path, texts)
    done = shell("ci", "matrix", "-f", "orgs")
    assert (done.code, "257 organizations exceed the limit of 256 jobs" in done.out) == (64, True)
