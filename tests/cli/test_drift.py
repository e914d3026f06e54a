"""`webhooks drift`: what changed live, and both ways out."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator

from reconciler.errors import UsageError
from reconciler.source.schema import schema_text
from reconciler.workflow.accepting import EditedFile, write_edits
from tests.cli.conftest import Cloud, Done, MakeCloud, Shell, command_in, expect
from tests.folders import commit, git, write

ENTRY: Final = """\
  - name: Deploys
    type: slack
    event_types: ["*_deleted"]
    configuration: {token: {env: TOKEN}, channel: "#deploys", username: CloudTruth}
"""
FILE: Final = f"organization: Acme\nwebhooks:\n{ENTRY}"
HOOK: Final = """\
  - {name: Hook, type: generic, event_types: [value_updated],
     configuration: {url: "https://hooks.example.com/a"}}
"""

Change = Callable[[Cloud], object]


def channel(cloud: Cloud) -> None:
    """Change a channel live."""
    cloud.emulator.configure("Deploys", channel="#live")


def delete(cloud: Cloud) -> None:
    """Delete a webhook live."""
    cloud.emulator.store.delete(cloud.emulator.webhook("Deploys")["id"])


def added(name: str = "Added", **fields: Any) -> Change:
    """Return an addition of a webhook that is like Deploys, except for `fields`."""

    def add(cloud: Cloud) -> None:
        row = cloud.emulator.webhook("Deploys")
        fresh = {"id": cloud.emulator.store.new_id(), "name": name}
        cloud.emulator.store.save({**row, **fresh, **fields})

    return add


def renamed(name: str, other: str) -> Change:
    """Return a rename."""

    def rename(cloud: Cloud) -> None:
        cloud.emulator.store.save({**cloud.emulator.webhook(name), "name": other})

    return rename


class Story:
    """A repository whose files are applied, and then changed live."""

    def __init__(self, shell: Shell, folder: Path, cloud: MakeCloud) -> None:
        self._shell, self.folder, self._cloud = shell, folder, cloud
        self._environ: dict[str, str] = {}

    def __call__(
        self,
        files: Mapping[str, str],
        change: Change,
        *arguments: str,
        options: str = "",
        **variant: Any,
    ) -> Done:
        """Commit files, apply them, change them live, and run `drift`."""
        server = self._cloud(any_key=True, **variant)
        self._environ = server.environ
        write(self.folder, files)
        git(self.folder, "init", "-q")
        commit(self.folder)
        named = shlex.split(options)
        expect(self.run("apply", "--yes", *named), 0)
        change(server)
        return self.run("drift", *named, *arguments)

    def run(self, *words: str) -> Done:
        """Run another command with the same server."""
        return self._shell(*words, **self._environ)


@pytest.fixture
def story(shell: Shell, tmp_path: Path, cloud: MakeCloud) -> Story:
    return Story(shell, tmp_path, cloud)


SHARED: Final = FILE.replace("configuration: {", "configuration: &shared {")
OTHER: Final = ENTRY.replace("Deploys", "Other").partition("    configuration")[0]
IN_BLOCK: Final = """configuration:
      token: {env: TOKEN}
      username: CloudTruth
      channel: |-
        deploys
"""


def configured(name: str = "Deploys", **fields: Any) -> Change:
    """Return a change of the configuration."""
    return lambda cloud: cloud.emulator.configure(name, **fields)


REFUSED: Final[Mapping[str, tuple[str | dict[str, str], Change, str]]] = {
    "anchor": (
        FILE.replace('"#deploys"', '&c "#deploys"'),
        channel,
        "its declaration has a YAML anchor or tag",
    ),
    "alias": (
        f"{SHARED}{OTHER}    configuration: *shared\n",
        channel,
        "its declaration is shared through a YAML alias",
    ),
    "merge key": (
        f"{SHARED}{OTHER}    configuration: {{<<: *shared, username: x}}\n",
        configured("Other", channel="#live"),
        "its declaration may come from a merge key",
    ),
    "block scalar": (
        FILE.partition("configuration")[0] + IN_BLOCK,
        channel,
        "its declaration is not text on one line",
    ),
    "defaults": (
        FILE.replace('channel: "#deploys", ', "")
        + 'defaults: {type: slack, configuration: {channel: "#deploys"}}\n',
        channel,
        "its channel is inherited from `defaults`: change it there, or write it in the entry",
    ),
    "a mixin": (
        {
            "mixin.yaml": 'defaults: {type: slack, configuration: {channel: "#deploys"}}\n',
            "webhooks.yaml": FILE.replace("webhooks:", "extends: mixin.yaml\nwebhooks:", 1)
            .replace("name: Deploys", "name: Deploys\n    add: true")
            .replace('channel: "#deploys", ', ""),
        },
        channel,
        "its channel is inherited from `defaults`: change it there, or write it in the entry",
    ),
    "a secret": (
        FILE,
        configured(token="xoxb-9999999999-other"),
        "its token differs, which is a secret: no file may contain it",
    ),
    "a URL with a credential": (
        f"webhooks:\n{HOOK}",
        configured("Hook", url="https://u:pa55word@hooks.example.com/"),
        "the live url may contain a credential: use a reference",
    ),
    "a missing value": (
        FILE,
        configured(username=""),
        "the live username is missing or hidden",
    ),
    "a value that no file can have": (
        FILE,
        configured(username="xoxb-1234567890-abcdef"),
        "the edited file would be invalid",
    ),
    "a duplicate": (
        FILE,
        added("Deploys"),
        "it duplicates a declared webhook: declare both with `id`, or delete it",
    ),
    "declared absent": (
        f"{FILE}  - {{name: Added, state: absent}}\n",
        added(),
        "a file declares `state: absent` for it",
    ),
    "renamed back": (
        f"{FILE}{HOOK.replace('type:', 'previously: [Old], type:')}",
        renamed("Hook", "Old"),
        "the edited file would be invalid: 'Old' is a previous name of 'Old', but is also declared",
    ),
    "a channel that no file can have": (
        FILE,
        lambda cloud: (added()(cloud), cloud.emulator.configure("Added", channel="#Not shown")),
        "no file can declare it: `channel` is not the name or id of a Slack channel",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_edited_safely_is_advice(case: str, story: Story, tmp_path: Path) -> None:
    """The reason is printed, and no file is changed."""
    text, change, reason = REFUSED[case]
    files = {"webhooks.yaml": text} if isinstance(text, str) else text
    done = story(files, change, "--accept")
    expect(done, 2, "accept", "revert")
    assert f"by hand: {reason}" in " ".join(done.out.split()), done.out
    assert done.err == "note: nothing was edited\n"
    assert git(tmp_path, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda cloud: cloud.emulator.change("Deploys", event_types=["other"]), "unknown event"),
        (lambda cloud: cloud.emulator.change("Deploys", type="teams"), "unknown type"),
        (
            lambda cloud: added("Deploys", event_types=["value_updated"])(cloud),
            "webhooks with this name differ",
        ),
    ],
)
def test_a_declaration_that_cannot_be_applied_is_drift(
    change: Change, reason: str, story: Story
) -> None:
    """It is listed with its reason, and no command is offered."""
    done = story({"webhooks.yaml": FILE}, change)
    expect(
        done, 2, "Drift that neither an apply nor an edit resolves:", reason, without=("revert",)
    )


def test_a_hidden_channel_is_no_drift(story: Story, tmp_path: Path) -> None:
    """Other fields are edited, and an added webhook without a visible channel is advice."""

    def change(cloud: Cloud) -> None:
        channel(cloud)
        cloud.emulator.change("Deploys", event_types=["value_updated"])
        added()(cloud)

    hidden = ("token", "password", "channel")
    done = story(
        {"webhooks.yaml": FILE}, change, "--accept", masked_fields=hidden, read_back="mask"
    )
    expect(done, 2, "no file can declare it: the server shows no valid channel")
    edited = FILE.replace('["*_deleted"]', "[value_updated]")
    assert (tmp_path / "webhooks.yaml").read_text("utf-8") == edited


def test_a_hidden_token_is_assumed_to_be_that_of_its_user_name(
    story: Story, tmp_path: Path
) -> None:
    """An added webhook has the reference of its user name, else the most used, and a comment."""
    pay = ENTRY.replace("Deploys", "Pay").replace("CloudTruth", "PayBot")
    pay = pay.replace("{env: TOKEN}", "{env: TOKEN, version: 2}")
    more = ENTRY.replace("Deploys", "More")

    def change(cloud: Cloud) -> None:
        for number, name in enumerate(("CloudTruth", "NewBot", "PayBot")):
            configuration = {"channel": f"#{number}", "token": "xoxb-live", "username": name}
            added(f"Added {name}", configuration=configuration)(cloud)

    done = story({"webhooks.yaml": FILE + more + pay}, change, "--accept", read_back="mask")
    expect(done, 0, "Edited to accept 3 changes")
    text = (tmp_path / "webhooks.yaml").read_text("utf-8")
    assumed = re.findall("hides its token: check that it is (.*)", text)
    assert assumed == ["env TOKEN", "env TOKEN", "env TOKEN (version 2)"]


def test_a_new_reference_has_a_comment(story: Story, tmp_path: Path) -> None:
    """The secret of an added webhook that no declared one uses must be set."""
    url = "https://hooks.example.com/b"
    configuration = {"url": url, "username": "me", "password": "correct horse battery"}
    new = added("Hook", type="generic", configuration=configuration)
    expect(story({"webhooks.yaml": FILE}, new, "--accept"), 0, "Edited to accept 1 change")
    text = (tmp_path / "webhooks.yaml").read_text("utf-8")
    assert "  # set env WEBHOOK_HOOK_PASSWORD to its password\n  - name: Hook\n" in text
    assert text.count("#") == FILE.count("#") + 1


def test_an_added_webhook_needs_one_file(story: Story, tmp_path: Path, shell: Shell) -> None:
    """If several files may declare it, the one that is named as well is edited."""

    def change(cloud: Cloud) -> None:
        added()(cloud)

    files = {"webhooks/a.yaml": FILE, "webhooks/b.yaml": f"organization: Acme\nwebhooks:\n{HOOK}"}
    done = story(files, change, "--accept", options="webhooks")
    expect(done, 2, "it is in the scope of webhooks/a.yaml, webhooks/b.yaml")
    done = story.run("drift", "--accept", "webhooks", "-f", "webhooks/b.yaml")
    expect(done, 0)
    assert git(tmp_path, "status", "--porcelain") == "M webhooks/b.yaml"
    git(tmp_path, "checkout", "--", ".")
    done = story.run("drift", "-f", "webhooks/a.yaml")
    expect(done, 2, "webhooks/b.yaml declares it, which was not read: add it with -f")


@pytest.mark.parametrize(
    ("change", "edited"),
    [
        (channel, '  - name: Deploys\n    configuration: {channel: "#live"}\n'),
        (delete, "  - name: Deploys\n    exclude: true\n"),
        (added(), "  - name: Added\n    add: true\n"),
    ],
)
def test_an_overlay_is_edited_instead_of_its_parent(
    change: Change, edited: str, story: Story, tmp_path: Path
) -> None:
    """What a parent declares is overridden, excluded or added in the overlay."""
    files = {
        "base.yaml": f"webhooks:\n{ENTRY}{HOOK}",
        "overlay.yaml": "organization: Acme\nextends: base.yaml\n",
    }
    expect(story(files, change, "--accept", options="-f overlay.yaml"), 0)
    text = (tmp_path / "overlay.yaml").read_text("utf-8")
    assert edited in text.replace("  # CloudTruth", "#")
    assert git(tmp_path, "status", "--porcelain") == "M overlay.yaml"


def test_an_invalid_edit_refuses_no_other(story: Story, tmp_path: Path) -> None:
    """An excluded webhook that is live needs an edit by hand; its neighbor is edited."""

    def change(cloud: Cloud) -> None:
        channel(cloud)
        added("Hook", event_types=["value_updated"])(cloud)

    overlay = "organization: Acme\nextends: base.yaml\nwebhooks:\n  - {name: Hook, exclude: true}\n"
    files = {"base.yaml": f"webhooks:\n{ENTRY}{HOOK}", "overlay.yaml": overlay}
    done = story(files, change, "--accept", options="-f overlay.yaml")
    expect(done, 2, "'Hook' has two entries in this file", "Edited to accept 1 change")
    text = (tmp_path / "overlay.yaml").read_text("utf-8")
    assert text.startswith(overlay)
    assert text.endswith('  - name: Deploys\n    configuration: {channel: "#live"}\n')


def test_an_edit_that_changes_another_organization_is_refused(shell: Shell, tmp_path: Path) -> None:
    """A file that two organizations use is not edited for one of them."""
    globex = "organization: Globex\nextends: a.yaml\n"
    live = FILE.replace("#deploys", "#live")
    write(tmp_path, {"a.yaml": FILE, "b.yaml": globex, "live.yaml": live})
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    files = ("--local", "-f", "a.yaml", "-f", "b.yaml")
    expect(shell("apply", *files, "--yes", TOKEN="xoxb-1234567890-abcdef"), 0)
    local = ("--local", "-f", "live.yaml", "--yes")
    expect(shell("apply", *local, TOKEN="xoxb-1234567890-abcdef"), 0)
    done = shell("drift", *files, "--accept")
    expect(done, 2, "In Acme:", "revert   webhooks apply --local -f a.yaml --only Deploys")
    assert "it changes another organization" in " ".join(done.out.split())
    assert git(tmp_path, "status", "--porcelain") == ""


def test_drift_is_told_from_edits(story: Story, tmp_path: Path, shell: Shell) -> None:
    """An uncommitted edit is not applied yet, and --accept keeps it."""

    def change(cloud: Cloud) -> None:
        channel(cloud)
        path = tmp_path / "webhooks.yaml"
        path.write_text(path.read_text("utf-8") + HOOK, "utf-8")

    done = story({"webhooks.yaml": FILE}, change)
    expect(done, 2, "Changes of the files that are not applied yet:", "+ Hook")
    done = story.run("drift", "--accept")
    expect(done, 0, "Edited to accept 1 change")
    text = (tmp_path / "webhooks.yaml").read_text("utf-8")
    assert HOOK in text
    assert '"#live"' in text
    expect(story.run("drift"), 0, "No drift.", "+ Hook")


@pytest.mark.parametrize("committed", [False, True])
def test_a_live_change_of_an_edited_webhook_is_drift(
    committed: bool, story: Story, tmp_path: Path
) -> None:
    """It is neither hidden by the edit nor accepted, which would undo the edit."""

    def change(cloud: Cloud) -> None:
        channel(cloud)
        path = tmp_path / "webhooks.yaml"
        path.write_text(path.read_text("utf-8").replace('["*_deleted"]', '["*"]'), "utf-8")
        if committed:
            commit(tmp_path)

    done = story({"webhooks.yaml": FILE}, change, "--accept")
    expect(done, 2, "channel      #live -> #deploys", "Drift: 1 webhook changed live.")
    assert "by hand: the files change this webhook, too" in " ".join(done.out.split())
    assert '["*"]' in (tmp_path / "webhooks.yaml").read_text("utf-8")
    expect(story.run("status"), 0, "Drift (see webhooks drift): 1 differs.")
    # Only the user knows that the commit is applied.
    done = story.run("drift", "--accept", "--base", "HEAD")
    assert ("Edited to accept 1 change" in done.out) == committed
    if committed:
        git(tmp_path, "checkout", "-q", "webhooks.yaml")
    expect(story.run("plan", "--base", "HEAD" if not committed else "HEAD^"), 0, "Partly drift: 1.")


def test_an_edit_of_what_waits_is_no_drift(story: Story, tmp_path: Path) -> None:
    """The webhook is as before the last commit, so it was not changed live."""

    def change(cloud: Cloud) -> None:
        path = tmp_path / "webhooks.yaml"
        path.write_text(path.read_text("utf-8").replace("#deploys", "#merged"), "utf-8")
        commit(tmp_path)
        path.write_text(path.read_text("utf-8").replace('["*_deleted"]', '["*"]'), "utf-8")

    expect(story({"webhooks.yaml": FILE}, change), 0, "Perhaps not applied yet", "No drift.")


def test_one_of_several_organizations_is_selected(shell: Shell, tmp_path: Path) -> None:
    """The others have no result."""
    write(tmp_path, {"a.yaml": FILE, "b.yaml": FILE.replace("Acme", "Globex")})
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    files = ("--local", "-f", "a.yaml", "-f", "b.yaml")
    expect(shell("apply", *files, "--yes", TOKEN="xoxb-1234567890-abcdef"), 0)
    expect(shell("drift", *files, "--organization", "Globex"), 0, "No drift.")


def test_a_merge_that_waits_is_no_drift(story: Story, tmp_path: Path, shell: Shell) -> None:
    """A commit that is not applied yet is listed apart; --base HEAD says that it is applied."""

    def change(cloud: Cloud) -> None:
        path = tmp_path / "webhooks.yaml"
        path.write_text(path.read_text("utf-8").replace("#deploys", "#merged"), "utf-8")
        commit(tmp_path)
        added()(cloud)

    done = story({"webhooks.yaml": FILE}, change, "--accept")
    expect(done, 0, "Perhaps not applied yet, changed by commit", "webhooks drift --base HEAD")
    text = (tmp_path / "webhooks.yaml").read_text("utf-8")
    assert "#merged" in text
    assert "name: Added" in text
    done = story.run("drift", "--base", "HEAD")
    expect(done, 2, "#deploys -> #merged", "webhooks drift --accept --base HEAD --only Deploys")


def no_repository(folder: Path) -> None:
    (folder / ".git").rename(folder / "git")


def broken_head(folder: Path) -> None:
    write(folder, {"webhooks.yaml": "webhooks: ["})
    commit(folder)
    write(folder, {"webhooks.yaml": FILE})


def broken_before(folder: Path) -> None:
    broken_head(folder)
    commit(folder)


def shallow(folder: Path) -> None:
    """Replace the repository by a clone of its last commit, which added a webhook."""
    write(folder, {"webhooks.yaml": FILE + HOOK})
    commit(folder)
    git(folder, "clone", "-q", "--depth=1", f"file://{folder}", "clone")
    shutil.rmtree(folder / ".git")
    (folder / "clone" / ".git").rename(folder / ".git")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (no_repository, "these files are not in a git repository with a commit"),
        (broken_head, "the last commit cannot be used: the files of --base"),
        (broken_before, "the last that changed the files, cannot be used"),
        (shallow, "fetch it with `git fetch --unshallow`"),
    ],
)
def test_without_a_base_no_edit_is_offered(
    prepare: Callable[[Path], None], reason: str, story: Story, tmp_path: Path
) -> None:
    """The differences are listed with the reason, and the exit code is 2."""

    def change(cloud: Cloud) -> None:
        channel(cloud)
        prepare(tmp_path)

    done = story({"webhooks.yaml": FILE}, change, "--accept")
    expect(
        done, 2, "Drift cannot be told from changes of the files", "~ Deploys",
        without=("revert", "Edited"),
    )  # fmt: skip
    assert reason in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("theirs", "code", "texts"),
    [
        ({"webhooks.yaml": FILE + HOOK, "x": "1"}, 0, ("not applied yet:\n  + Hook", "Edited")),
        ({"webhooks.yaml": FILE.replace("#deploys", "#theirs")}, 3, ("unresolved merge conflict",)),
    ],
)
def test_a_merge_in_progress_is_not_undone(
    theirs: Mapping[str, str], code: int, texts: tuple[str, ...], story: Story, tmp_path: Path
) -> None:
    """What the merged branch changes is not applied yet; a conflict in a file is an error."""

    def change(cloud: Cloud) -> None:
        git(tmp_path, "checkout", "-q", "-b", "theirs")
        write(tmp_path, theirs)
        commit(tmp_path)
        git(tmp_path, "checkout", "-q", "-b", "ours", "HEAD^")
        write(tmp_path, {"webhooks.yaml": FILE.replace("#deploys", "#ours"), "x": "2"})
        if code == 0:
            write(tmp_path, {"webhooks.yaml": FILE})
        commit(tmp_path)
        with pytest.raises(subprocess.CalledProcessError):
            git(tmp_path, "merge", "theirs")
        channel(cloud)

    expect(story({"webhooks.yaml": FILE}, change, "--accept"), code, *texts)
    text = (tmp_path / "webhooks.yaml").read_text("utf-8")
    assert (HOOK in text, "#live" in text) == (code == 0, code == 0)


def test_a_rename_that_waits_survives_a_delete(story: Story, tmp_path: Path) -> None:
    """If `previously` names a webhook that was deleted live, the entry is removed only as drift."""
    renamed = FILE.replace("name: Deploys", "name: Releases\n    previously: [Deploys]")

    def change(cloud: Cloud) -> None:
        delete(cloud)
        write(tmp_path, {"webhooks.yaml": renamed})

    done = story({"webhooks.yaml": FILE}, change, "--accept")
    expect(done, 0, "Changes of the files that are not applied yet:\n  + Releases")
    commit(tmp_path)
    expect(story.run("drift", "--accept"), 0, "Perhaps not applied yet, changed by commit")
    expect(story.run("drift", "--accept", "--base", "HEAD"), 0, "Edited to accept 1 change")
    assert (tmp_path / "webhooks.yaml").read_text("utf-8") == "organization: Acme\nwebhooks: []\n"


class Editing:
    """Changes a file when the server receives a request: between reading and editing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_on = False

    def take(self, method: str, path: str, body: bytes) -> None:
        if self.is_on:
            self.path.write_text(FILE + HOOK, "utf-8")


def test_a_file_that_changes_is_not_edited(story: Story, tmp_path: Path, cloud: MakeCloud) -> None:
    """A file that a user saves during the run keeps what was saved."""
    editing = Editing(tmp_path / "webhooks.yaml")

    def change(cloud: Cloud) -> None:
        channel(cloud)
        editing.is_on = True

    done = story({"webhooks.yaml": FILE}, change, "--accept", faults=editing)
    expect(done, 64, "webhooks.yaml was changed since it was read: nothing was written")
    edited = [EditedFile(name, FILE.encode(), b"x") for name in ("other.yaml", "webhooks.yaml")]
    write(tmp_path, {"other.yaml": FILE})
    with pytest.raises(UsageError, match=r"webhooks\.yaml was changed since it was read"):
        write_edits(edited, tmp_path)
    assert (tmp_path / "other.yaml").read_text("utf-8") == FILE
    assert editing.path.read_text("utf-8") == FILE + HOOK


def test_the_printed_diff_is_a_patch(story: Story, tmp_path: Path) -> None:
    """`git apply` applies what `drift` prints, also in a folder of the repository, with CR LF."""
    folder = tmp_path / "a folder"
    text = FILE.replace("\n", "\r\n")
    done = story({"a folder/wébhooks.yaml": text}, channel, options="-f 'a folder/wébhooks.yaml'")
    subprocess.run(["git", "apply", "-"], cwd=folder, input=done.out.encode(), check=True)
    edited = (folder / "wébhooks.yaml").read_bytes().decode()
    assert edited == text.replace("#deploys", "#live")


def test_a_read_only_file_is_not_edited(story: Story, tmp_path: Path) -> None:
    """A file without write permission is advice, too; others keep their permissions."""
    path = tmp_path / "webhooks.yaml"

    def change(cloud: Cloud) -> None:
        channel(cloud)
        path.chmod(0o444)

    done = story({"webhooks.yaml": FILE}, change, "--accept")
    expect(done, 2, "by hand: its declaration is in a read-only file")


@pytest.mark.parametrize("change", [channel, delete, added("New [hook]*"), renamed("Hook", "x y")])
def test_the_printed_command_reverts(change: Change, story: Story) -> None:
    """It is complete, also if it deletes, and afterwards there is no drift."""
    done = story({"webhooks.yaml": f"{FILE}{HOOK}"}, change)
    expect(story.run(*command_in(done.out, r"^ +revert +webhooks (.*)$"), "--yes"), 0)
    expect(story.run("drift"), 0, "No drift.")


@pytest.mark.parametrize(
    ("settings", "other", "noted"),
    [
        ("", "x y", "renamed live: Deploys -> x y"),
        ("scope: [D*, H*]\n", "Deploys?", "renamed live: Deploys -> Deploys?"),
        (
            "scope: [D*, H*]\n",
            "Releases by Bob",
            "may be live under another name, 'Releases by Bob',",
        ),
        ("prune: false\n", "Bob", "live under another name, 'Bob', which would stay"),
        ("protect: [Bob]\n", "Bob", "live under another name, 'Bob', which would stay"),
    ],
)
def test_a_rename_names_the_other_name(settings: str, other: str, noted: str, story: Story) -> None:
    """A renamed webhook is no plain deletion: a revert might create a second one."""
    done = story({"webhooks.yaml": f"{settings}{FILE}{HOOK}"}, renamed("Deploys", other))
    expect(done, 2, "+ Deploys")
    assert noted in " ".join(done.out.split())
    planned = " ".join(story.run("plan").out.split())
    assert "looks-like-rename" in planned or noted in planned
    expect(story.run("plan", "--only", "Deploys"), 0, "note[live-under-another-name]")
    markdown = story.run("drift", "--format", "markdown").out
    (webhook,) = json.loads(story.run("drift", "--format", "json").out)["organizations"][0][
        "drifted"
    ]
    assert noted in webhook["note"]
    assert f"note: `{webhook['note']}`" in markdown


def test_only_selects_webhooks(story: Story) -> None:
    """--only limits drift and edits; a glob that matches nothing is an error of usage."""
    done = story({"webhooks.yaml": f"{FILE}{HOOK}"}, channel, "--only", "Hook")
    expect(done, 0, "No drift.")


def test_json_has_both_ways_out(story: Story) -> None:
    """The document has the commands, the edits, and reasons where there is none."""
    done = story({"webhooks.yaml": FILE}, channel, "--format", "json")
    document = json.loads(done.out)
    schema = json.loads(schema_text("drift.schema.json"))
    assert [*Draft7Validator(schema).iter_errors(document)] == []
    (organization,) = document["organizations"]
    (webhook,) = organization["drifted"]
    assert webhook["revert"] == "webhooks apply --only Deploys"
    assert webhook["accept"] == "webhooks drift --accept --only Deploys"
    assert document["diffs"][0]["diff"].startswith("--- a/webhooks.yaml\n+++ b/webhooks.yaml\n")


def test_status_and_plan_use_drift_in_one_sense(story: Story, tmp_path: Path) -> None:
    """An edit of the files is not applied yet; what changed live is drift, with the command."""

    def change(cloud: Cloud) -> None:
        channel(cloud)
        path = tmp_path / "webhooks.yaml"
        path.write_text(path.read_text("utf-8") + HOOK, "utf-8")

    story({"webhooks.yaml": FILE}, change)
    done = story.run("status")
    expect(done, 0, "Drift (see webhooks drift): 1 differs. Not applied yet: 1.")
    assert git(tmp_path, "commit", "-qam", "edit") == ""
    perhaps = "Perhaps not applied yet: 1 (see webhooks drift)."
    expect(story.run("status"), 0, f"Drift (see webhooks drift): 1 differs. {perhaps}")
    planned = story.run("plan", "--base", "HEAD")
    expect(planned, 0, "Drift: 1; ", "Perhaps waiting: 1. ", "(drift)", "(perhaps waiting)")
