"""The use cases as a library: the order of the checks, and files that are read from a commit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import workflow
from reconciler.errors import (
    BlockedError,
    ConfigurationError,
    MaintenanceError,
    OrganizationError,
    ReconcilerError,
    UnresolvedSecretsError,
)
from reconciler.model import Secret, SecretRef
from reconciler.planning.planner import PlanOptions
from reconciler.report import Skipped
from reconciler.source.history import commit_at, git_in
from reconciler.workflow import Checked, Connection, Inputs, apply, gather, load, plan, previous
from tests.api.support import EmulatedApi
from tests.folders import commit, git, write
from tests.goldens import rows
from tests.ports import InlineWorkers

TABLES = rows(Path(__file__).with_suffix(".yaml"))


def slack(name: str = "A", token: str = "env: TOKEN") -> str:
    return str(TABLES["a slack webhook"]).format(name=name, token=token)


@pytest.mark.parametrize("name", workflow.__all__)
def test_every_public_name_exists(name: str) -> None:
    """Each public name can be imported from the package."""
    assert getattr(workflow, name).__name__ == name


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Checked]:
    """Write files by name and check them."""

    def check(**files: str) -> Checked:
        written = {f"{name}.yaml": text for name, text in files.items()}
        write(tmp_path, written)
        return load(Inputs(directory=tmp_path, environ={}, stdin=bytes, paths=tuple(written)))

    return check


@pytest.mark.parametrize(
    ("text", "maintenance", "live", "error", "requests", "rules"),
    [
        (f"organization: Other\n{slack()}", False, (), OrganizationError, 1, ()),
        (slack(), True, (), MaintenanceError, 2, ()),
        (slack(), False, (), UnresolvedSecretsError, 2, ("unresolved-secret",)),
        ("webhooks: []", False, ("x",), BlockedError, 2, ("too-many-deletes", "nothing-declared")),
    ],
)
def test_the_order_of_the_checks(
    check: Callable[..., Checked],
    text: str,
    maintenance: bool,
    live: tuple[str, ...],
    error: type[ReconcilerError],
    requests: int,
    rules: tuple[str, ...],
) -> None:
    """Organization, listing, maintenance, secrets and guards come before the confirmation."""
    api = EmulatedApi(maintenance=maintenance)
    api.create(*live)
    connection = Connection(api=api.client, clock=api.clock, workers=InlineWorkers())

    def confirm(made: Any) -> bool:
        raise AssertionError("no prompt is allowed")

    with pytest.raises(error) as caught:
        apply(check(a=text), connection, options=PlanOptions(), confirm=confirm)
    expected = ["GET /api/v1/organizations/", "GET /api/v1/webhooks/"][:requests]
    assert api.requests()[len(live) :] == expected
    assert [each.rule for each in caught.value.findings] == list(rules)


@pytest.mark.parametrize("field", ["url", "password"])
def test_a_webhook_that_changes_after_the_prompt_is_not_deleted(
    check: Callable[..., Checked], field: str
) -> None:
    """Within one run, secrets of live webhooks are compared, too."""
    api = EmulatedApi()
    pager = {"url": "https://hooks.example.com/1", "username": "ct", "password": "one"}
    row = {"organization": api.organization, "event_types": ["value_created"]}
    generic = {**row, "type": "generic", "configuration": pager}
    api.emulator.store.save({**generic, "name": "Pager"})
    api.emulator.store.save({**generic, "name": "Readable"})
    connection = Connection(api=api.client, clock=api.clock, workers=InlineWorkers())

    def confirm(made: Any) -> bool:
        api.emulator.configure("Pager", **{field: "https://hooks.example.com/2"})
        return True

    checked = check(a=TABLES["pager"])
    inputs = checked.inputs._replace(environ={"PASSWORD": "one"})
    checked = checked._replace(inputs=inputs)
    options = PlanOptions(allow_deletes=1)
    report = apply(checked, connection, options=options, confirm=confirm)
    assert [type(outcome) for outcome in report.outcomes] == [Skipped]
    assert (report.writes, report.exit_code) == (0, 1)


@pytest.mark.parametrize(("now", "before", "named", "references"), TABLES["base files"])
def test_base_files_match_by_name(
    check: Callable[..., Checked],
    tmp_path: Path,
    now: list[str],
    before: list[str],
    named: str,
    references: list[str],
) -> None:
    """A file of the base is the earlier version of the file with the same name."""
    checked = check(**{name: slack(name, f"file: secrets/{name}") for name in now})
    for name in before:
        text = slack(f"W{name}", f"file: secrets/{name}")
        write(tmp_path, {f"before/{name}.yaml": text})
    found = previous((named,), checked).webhooks
    tokens = [each.configuration["token"] for each in found]
    assert [each.name for each in tokens if isinstance(each, SecretRef)] == references


def test_a_pinned_webhook_missing_in_the_list_is_read_by_id(check: Callable[..., Checked]) -> None:
    """The webhook may have moved between two pages, so it is renamed, not created again."""
    for live, created in ((("Old",), []), ((), ["New"])):
        api = EmulatedApi(stale_list_reads=1)
        (pin,) = api.create(*live) or ["id-1"]
        pinned = slack("New").replace("type: slack", f"id: {pin}\n    type: slack")
        made = plan(gather(check(a=pinned)), api.client, options=PlanOptions())
        assert [each.name for each in made.creates] == created
        assert [each.before.id for each in made.updates] == [pin] * len(live)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """Return the inputs of a commit with these files; the token is not in git."""
    git(tmp_path, "init", "-q")
    write(tmp_path, TABLES["committed"])
    commit(tmp_path)
    write(tmp_path, {"secrets/token": "from the disk"})
    return inputs_at(tmp_path)


def inputs_at(folder: Path) -> Inputs:
    directory = folder / "team"
    run = git_in(directory)
    at = commit_at("HEAD", directory, run)
    assert at is not None
    inputs = Inputs(directory, {}, bytes, git=run, policies=("../policy.json",))
    return inputs._replace(commit=at)


def values(inputs: Inputs) -> dict[str, Secret]:
    return {str(ref): value for ref, value in gather(load(inputs)).secrets.items()}


def test_the_working_tree_is_not_read(inputs: Inputs) -> None:
    """Files, parents, policies and tracked secret files are those of the commit."""
    expected = {
        "file ../secrets/url": Secret("https://example.com/committed"),
        "file ../secrets/token": Secret("from the disk"),
    }
    assert values(inputs) == expected
    root = inputs.directory.parent
    write(root, {"secrets/url": "https://evil.example", "base.yaml": "x", "policy.json": "false"})
    shutil.rmtree(inputs.directory)
    inputs.directory.mkdir()
    assert values(inputs) == expected


@pytest.mark.parametrize(("paths", "message"), TABLES["missing files"])
def test_a_commit_without_the_files_is_an_error(
    inputs: Inputs, paths: list[str], message: str
) -> None:
    """A missing file is not an empty configuration, which would delete its webhooks."""
    with pytest.raises(ConfigurationError) as problem:
        load(inputs._replace(paths=tuple(paths)))
    texts = [problem.value.message, *(each.message for each in problem.value.findings)]
    assert any(message in text for text in texts)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the program is not installed, it is as if the folder had no history."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert git_in(tmp_path)(["--version"]) is None


def test_a_secret_behind_a_link_of_the_commit_is_refused(inputs: Inputs) -> None:
    """The content of a link is a path, and its target may belong to another commit."""
    root = inputs.directory.parent
    (root / "secrets" / "url").unlink()
    (root / "secrets" / "url").symlink_to("token")
    git(root, "add", "secrets/url")
    git(root, "commit", "-q", "-m", "link")
    gathered = gather(load(inputs_at(root)))
    problems = [str(each.message) for found in gathered.problems.values() for each in found]
    assert any("a link or a submodule" in message for message in problems)
