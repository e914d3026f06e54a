"""Rotations that are visible only as a changed reference or `version` in git."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Cloud, File, MakeCloud, Shell, command_in, digest, expect
from tests.emulated.variant import Variant
from tests.folders import commit, git, write

OLD = """\
webhooks:
  - name: Deploys
    type: slack
    event_types: [value_updated]
    configuration: {token: {env: TOKEN, version: 1}, channel: "#deploys", username: CloudTruth}
"""
NEW = OLD.replace("version: 1", "version: 2")
ROTATED = {"TOKEN": "xoxb-9999999999-rotated"}


def token(server: Cloud) -> str:
    return str(server.emulator.webhook("Deploys")["configuration"]["token"])


@pytest.fixture
def server(shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path) -> Cloud:
    """A repository whose only commit is applied, on a server that hides tokens."""
    made: Cloud = cloud(read_back="mask")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(file(OLD).parent)
    assert shell("apply", "--yes", **made.environ).code == 0
    return made


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("plan", "{env: TOKEN, version: 2}"),
        ("apply --yes", "{env: TOKEN, version: 2}"),
        *(("plan", each) for each in ("{env: TOKEN}", "{env: OTHER}", "{env: OTHER, version: 1}")),
    ],
)
def test_any_change_of_a_reference_has_a_note(
    shell: Shell,
    file: File,
    server: Cloud,
    tmp_path: Path,
    command: str,
    changed: str,
    committed: bool,
) -> None:
    """The note of every change, edited or committed, has the command that resends the secret."""
    file(OLD.replace("{env: TOKEN, version: 1}", changed))
    if committed:
        commit(tmp_path)
    environ = {**server.environ, **ROTATED, "OTHER": ROTATED["TOKEN"]}
    shown = shell(*command.split(), **environ)
    assert "No changes" in shown.out
    assert "note[version-not-sent]" in shown.out
    until = "the next commit" if committed else "two commits"
    assert f"so this note disappears only after {until}\n" in shown.out
    words = command_in(" ".join(shown.out.split()), "if not: webhooks (.*)")[:3]
    first = git(tmp_path, "rev-list", "--max-parents=0", "HEAD")
    assert words == ["apply", "--base", first[:12]]
    assert token(server) != ROTATED["TOKEN"]
    assert shell(*words, "--yes", **environ).code == 0
    assert token(server) == ROTATED["TOKEN"]


@pytest.mark.parametrize("committed", [False, True])
def test_a_changed_file_has_a_note(
    shell: Shell, file: File, server: Cloud, tmp_path: Path, committed: bool
) -> None:
    """The content of a tracked secret file counts, too; the command resends this reference."""
    content = tmp_path / "token"
    content.write_text(SECRETS["TOKEN"])
    commit(file(OLD.replace("env: TOKEN", "file: token")).parent)
    commit(tmp_path, "another")
    assert "version-not-sent" not in shell("plan", **server.environ).out
    content.write_text(f"{ROTATED['TOKEN']}\n")
    if committed:
        commit(tmp_path)
    shown = " ".join(shell("plan", **server.environ).out.split())
    assert "the content of token for 'Deploys', but this plan does not" in shown
    words = command_in(shown, "if not: webhooks (.*)")[:3]
    assert words == ["apply", "--resend-secret", "token"]
    assert shell(*words, "--yes", **server.environ).code == 0
    assert token(server) == ROTATED["TOKEN"]


def test_a_changed_channel_that_is_hidden_is_sent_on_request(
    shell: Shell, file: File, server: Cloud
) -> None:
    """The note has the command that sends it, which is an operation with a digest."""
    hidden = ("token", "password", "channel")
    server.emulator.behavior = Variant(read_back="mask", masked_fields=hidden)
    file(OLD.replace("#deploys", "#moved"))
    environ = {**server.environ, "TOKEN": token(server)}
    shown = shell("plan", **environ)
    expect(shown, 0, "uncommitted edits change `channel` for 'Deploys'", "No changes.")
    words = command_in(" ".join(shown.out.split()), "if not: webhooks (.*)")[:3]
    done = shell(*words, "--yes", **environ)
    expect(done, 0, "channel  (not shown) -> #moved", "Applied 1 of 1 change")
    assert server.emulator.webhook("Deploys")["configuration"]["channel"] == "#moved"


def test_a_base_is_a_revision_or_a_path(shell: Shell, file: File, server: Cloud) -> None:
    """An existing path is a path; anything else is a revision."""
    commit(file(NEW).parent)
    digests = set()
    git(file(OLD, "before.yaml").parent, "tag", "v1", "HEAD^")
    for base in ("HEAD^", "main~1", "v1", "before.yaml"):
        done = shell("plan", "--base", base, **server.environ)
        assert "version changed" in done.out
        digests.add(digest(done))
    assert len(digests) == 1


def test_the_suggested_command_still_sends_after_a_commit(
    shell: Shell, file: File, server: Cloud
) -> None:
    """The command has the commit, because `HEAD` moves."""
    folder = file(NEW).parent
    environ = {**server.environ, **ROTATED}
    shown = shell("plan", "--base", "HEAD", **environ)
    commit(folder)
    assert "No changes" in shell("plan", "--base", "HEAD", **environ).out
    assert shell(*command_in(shown.out), "--yes", **environ).code == 0
    assert token(server) == ROTATED["TOKEN"]


def test_a_digest_of_a_plan_with_a_base_needs_the_base(
    shell: Shell, file: File, server: Cloud
) -> None:
    """The plan with another base has another digest; the hint mentions `--base`."""
    file(NEW.replace("value_updated", "value_created"))
    planned = shell("plan", "--base", "HEAD", **server.environ)
    hint = "and with the same --base if it was made with one"
    command = ("apply", "--yes", "--expect-digest", digest(planned))
    done = shell(*command, **server.environ)
    assert (done.code, hint in done.err) == (6, True)
    file(OLD.replace("value_updated", "value_deleted"))
    done = shell(*command, "--base", "HEAD", **server.environ)
    assert (done.code, hint in done.err) == (6, True)


@pytest.mark.parametrize("how", ["detached", "shallow", "outside", "no git", "no commit"])
def test_a_plan_needs_no_history(
    shell: Shell,
    file: File,
    server: Cloud,
    tmp_path: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If git fails, the plan is the same without the note."""
    commit(file(NEW).parent)
    match how:
        case "detached":
            git(tmp_path, "checkout", "-q", "--detach")
        case "shallow":
            git(tmp_path, "clone", "-q", "--depth", "1", f"file://{tmp_path}", "clone")
            (tmp_path / ".git").rename(tmp_path / "away")
            (tmp_path / "clone" / ".git").rename(tmp_path / ".git")
        case "outside":
            (tmp_path / ".git").rename(tmp_path / "away")
        case "no git":
            monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        case "no commit":
            (tmp_path / ".git").rename(tmp_path / "away")
            git(tmp_path, "init", "-q")
    done = shell("plan", **server.environ)
    assert done.code == 0
    assert "No changes" in done.out
    assert ("version-not-sent" in done.out) is (how == "detached")


def test_a_host_in_a_tracked_file_is_an_operation(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path
) -> None:
    """A changed host that is pushed without a review is not reviewed; a changed path still is."""
    server = cloud()
    file(
        "webhooks:\n  - name: Pager\n    type: generic\n    event_types: [value_updated]\n"
        "    configuration: {url: {file: hooks/pager}, verify: false}\n"
    )
    hook = file("https://one.example.com/a\n", "hooks/pager")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    assert shell("plan", "--out", "plan.json", **server.environ).code == 0

    hook.write_text("https://two.example.com/a\n")
    done = shell("apply", "plan.json", "--yes", **server.environ)
    assert (done.code, server.writes()) == (6, [])
    assert "error[stale-plan]" in done.err
    hook.write_text("https://one.example.com/b\n")
    assert shell("apply", "plan.json", "--yes", **server.environ).code == 0

    hook.write_text("https://two.example.com/b\n")
    shown = shell("plan", **server.environ)
    assert "destination changed" in shown.out
    assert shell("apply", "--yes", "--expect-digest", digest(shown), **server.environ).code == 0


PAGER = """\
webhooks:
  - name: Pager
    type: generic
    event_types: [value_updated]
    configuration: {url: {file: hooks/pager}}
  - name: Other
    type: generic
    event_types: [value_updated]
    configuration: {url: {file: hooks/other}}
"""


def test_a_url_moved_in_a_tracked_file_is_shown_like_one_in_the_configuration(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """The table has the host, of a create, too; a change is this change, not drift."""
    made: Cloud = cloud()
    folder = file(PAGER).parent
    write(folder, {f"hooks/{name}": f"https://{name}.test/x" for name in ("pager", "other")})
    git(folder, "init", "-q")
    commit(folder)
    created = shell("plan", "--format", "markdown", **made.environ).out
    assert "| `+` | `Pager` | create `generic https://pager.test/***` |" in created
    assert shell("apply", "--yes", **made.environ).code == 0
    write(folder, {"hooks/pager": "https://new.test/x"})
    row = "| `~` | `Pager` | update `generic https://new.test/***`: `url` | `differs from the file "
    planned = ("plan", "--base", "HEAD", "--format", "markdown")
    assert row + "(this change)" in shell(*planned, **made.environ).out
    commit(folder)
    assert row + "(perhaps waiting)" in shell(*planned, **made.environ).out
