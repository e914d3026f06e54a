"""A plan that would delete webhooks which another file declares, or declared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Shell, command_in, expect
from tests.folders import commit, git

LOCAL = "--local"
OTHERS = ("-f", "webhooks/platform.yaml", "-f", "webhooks/data.yaml")


def declaring(*names: str, organization: str = "Acme", key: str = "webhooks") -> str:
    """Return a file with a generic webhook for each name."""
    entries = "".join(
        f"  - {{name: {name}, type: generic, event_types: [value_updated],\n"
        f'     configuration: {{url: "https://hooks.example.com/{name}"}}}}\n'
        for name in names
    )
    named = f"organization: {organization}\n" if organization else ""
    return f"{named}{key}:\n{entries}"


@pytest.fixture
def applied(shell: Shell, tmp_path: Path) -> None:
    """A committed folder of three files, all applied."""
    (tmp_path / "webhooks").mkdir()
    for team in ("platform", "search", "data"):
        text = declaring(*(f"{team}-{number}" for number in range(4)))
        (tmp_path / f"webhooks/{team}.yaml").write_text(text)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    assert shell("apply", LOCAL, "--yes").code == 0


class Beside(NamedTuple):
    """A file beside platform.yaml, and whether it blocks the plan."""

    text: str
    blocks: bool


BESIDE = {
    "the same organization": Beside(declaring("search-0"), True),
    "another organization": Beside(declaring("search-0", organization="Globex"), False),
    "no organization": Beside(declaring("search-0", organization=""), False),
    "other webhooks": Beside(declaring("other"), False),
    "a webhook that is declared absent": Beside(
        "organization: Acme\nwebhooks: [{name: search-0, state: absent}]\n", False
    ),
    "not a configuration": Beside(declaring("search-0", key="hooks"), False),
    "Kubernetes": Beside(f"apiVersion: v1\n{declaring('search-0')}", False),
    "not YAML": Beside("webhooks: [", False),
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
@pytest.mark.usefixtures("applied")
def test_a_file_beside_those_read_blocks_a_plan_that_deletes_its_webhooks(
    shell: Shell, tmp_path: Path, beside: Beside
) -> None:
    """The plan names the file and the command with both, which unblocks it."""
    (tmp_path / "webhooks/data.yaml").unlink()
    (tmp_path / "webhooks/search.yaml").write_text(beside.text)
    # Few deletes, so that no other guard blocks.
    for name in [*(f"data-{number}" for number in range(4)), "search-1", "search-2", "search-3"]:
        text = f"webhooks: [{{name: {name}, state: absent}}]\nprune: false\n"
        (tmp_path / "absent.yaml").write_text(text)
        assert shell("apply", LOCAL, "--yes", "--allow-deletes", "1", "-f", "absent.yaml").code == 0

    done = shell("plan", LOCAL, "-f", "webhooks/platform.yaml")

    if not beside.blocks:
        expect(done, 0, "1 to delete", without=("declared-elsewhere",))
        return
    message = "webhooks/search.yaml was not read, and declares 1 webhook that this plan deletes"
    expect(done, 5, f"error[declared-elsewhere]: {message}", "do one of these:\n  read the other")
    unblocking = command_in(done.out, r"read the other files, too:\n    webhooks (.*)$")
    expect(shell(*unblocking), 0, "No changes.")
    only = ("apply", LOCAL, "-f", "webhooks/platform.yaml", "--yes")
    expect(shell(*only), 5, message)
    shell("plan", LOCAL, "-f", "webhooks/platform.yaml", "-o", "plan.json")
    both = "webhooks plan -f webhooks/platform.yaml -f webhooks/search.yaml"
    expect(shell("apply", LOCAL, "plan.json", "--yes"), 5, f"read it, too: `{both}")
    expect(shell(*only, "--allow-deletes", "1"), 0, "1 deleted")


@pytest.mark.usefixtures("applied")
def test_the_folder_beside_the_default_file_is_looked_at(shell: Shell, tmp_path: Path) -> None:
    """A new webhooks.yaml replaces the folder as the default; both belong together."""
    (tmp_path / "webhooks.yaml").write_text(declaring("platform-0"))
    expect(shell("plan", LOCAL), 5, "webhooks/data.yaml was not read, and declares 4 webhooks")
    (tmp_path / "webhooks.yaml").write_text(declaring(*(f"more-{number}" for number in range(3))))
    assert shell("apply", LOCAL, "-f", "webhooks", "-f", "webhooks.yaml", "--yes").code == 0
    expect(shell("plan", LOCAL, "-f", "webhooks"), 5, "webhooks.yaml was not read, and declares 3")


def test_two_default_files(shell: Shell, tmp_path: Path) -> None:
    """The second one is named, because edits of it have no effect; with -f a user has chosen."""
    for name in ("webhooks.yaml", "webhooks.yml"):
        (tmp_path / name).write_text(declaring("platform-0"))
    unread = "note: webhooks.yml is not read, because webhooks.yaml exists"
    expect(shell("plan", LOCAL), 0, unread)
    expect(shell("plan", LOCAL, "-f", "webhooks.yaml"), 0, without=(unread,))


def remove(directory: Path) -> None:
    (directory / "webhooks/search.yaml").unlink()


def rename(directory: Path) -> None:
    (directory / "webhooks/search.yaml").rename(directory / "webhooks/find.yaml")


def stage(directory: Path) -> None:
    git(directory, "rm", "-q", "webhooks/search.yaml")


@pytest.mark.parametrize(("change", "gone"), [(remove, True), (stage, True), (rename, False)])
@pytest.mark.usefixtures("applied")
def test_a_file_that_is_gone_without_a_commit_blocks_the_plan(
    shell: Shell, tmp_path: Path, change: Callable[[Path], None], gone: bool
) -> None:
    """Half a checkout deletes nothing, also if the other files are named; a moved file is read."""
    change(tmp_path)
    done = shell("plan", LOCAL)
    if not gone:
        expect(done, 0, "No changes.")
        return
    expect(done, 5, "error[file-gone]: webhooks/search.yaml is gone from the working tree")
    expect(shell("plan", LOCAL, *OTHERS), 5, "error[file-gone]: webhooks/search.yaml is gone")
    expect(shell("apply", LOCAL, "--yes", "--allow-deletes", "4"), 0, "4 deleted")


@pytest.mark.usefixtures("applied")
def test_a_file_that_a_commit_removed_is_named(shell: Shell, tmp_path: Path) -> None:
    """The note names file and commit, back to the base, and by default one commit back."""
    base = git(tmp_path, "rev-parse", "HEAD")
    remove(tmp_path)
    removing = commit(tmp_path)[:12]
    note = f"commit {removing} removed webhooks/search.yaml, so this plan deletes 'search-0'"
    expect(shell("plan", LOCAL), 0, f"note[file-removed]: {note}", "4 to delete")
    expect(shell("plan", LOCAL, *OTHERS), 0, f"note[file-removed]: {note}")
    commit(tmp_path, "another one")
    expect(shell("plan", LOCAL), 0, "4 to delete", without=("file-removed",))
    expect(shell("plan", LOCAL, "--base", base), 0, note)
