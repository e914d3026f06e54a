"""export, init and status, as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.emulator.store import Store
from tests.cli.conftest import SECRETS, File, Shell

LOCAL = "--local"


@pytest.fixture
def applied(shell: Shell, file: File) -> None:
    """An organization with the two webhooks of the usual file."""
    file()
    assert shell("apply", LOCAL, "--yes", **SECRETS).code == 0


def edit(directory: Path, **changed: Any) -> None:
    """Change each live webhook of `--local`."""
    store = Store(str(directory / ".webhooks-local/webhooks.db"))
    for row in store.webhooks():
        store.update(row["id"], {**row, **changed})
    store.close()


def test_an_export_is_written_and_plans_to_no_change(shell: Shell, applied: None, tmp_path: Path):
    """The file goes where it is wanted, --check proves it, and it is replaced only with --force."""
    done = shell("export", LOCAL, "--check", "-o", "out.yaml")
    assert (done.code, "A plan of the export has no changes" in done.out) == (0, True)
    assert "WEBHOOK_DEPLOYS_TOKEN" in (tmp_path / "out.yaml").read_text()
    assert "WEBHOOK_DEPLOYS_TOKEN" in done.err
    assert shell("plan", LOCAL, "-f", "out.yaml", "--detailed-exitcode").code == 0

    (tmp_path / "out.yaml").write_text("webhooks: []  # mine")
    (tmp_path / "folder").mkdir()
    assert shell("export", LOCAL, "-o", "out.yaml").code == 64
    assert shell("export", LOCAL, "-o", "folder").code == 64
    assert "file name too long" in shell("export", LOCAL, "-o", "x" * 300).err
    assert (tmp_path / "out.yaml").read_text() == "webhooks: []  # mine"
    assert shell("export", LOCAL, "-o", "out.yaml", "--force").code == 0
    assert "organization: Acme" in (tmp_path / "out.yaml").read_text()


def test_a_part_is_exported(shell: Shell, applied: None, tmp_path: Path):
    """--only narrows the file's scope as well; a glob that names nothing is remarked on."""
    idle = shell("export", LOCAL, "--only", "Dep*", "--only", "nope")
    assert (idle.code, "Pager" in idle.out) == (0, False)
    assert "warning[only-matches-nothing]: --only 'nope' names no live webhook\n" in idle.err
    assert 'scope: ["Dep*", nope]' in idle.out
    (tmp_path / "team.yaml").write_text("webhooks: []  # mine\n")
    none = shell("export", LOCAL, "--only", "nope*", "-o", "team.yaml", "--force")
    assert (none.code, none.out) == (1, "")
    assert "--only selects none of 2 live webhooks: nothing is exported\n  = help:" in none.err
    assert "# mine" in (tmp_path / "team.yaml").read_text()


def test_what_cannot_be_exported_is_named(shell: Shell, applied: None, tmp_path: Path):
    """With the reason, in the file and beside it."""
    edit(tmp_path, type="teams")
    done = shell("export", LOCAL)
    assert "- Pager  # this version does not know the type teams" in done.out
    assert "Pager is ignored in the file" in done.err


def test_status(shell: Shell, applied: None, file: File, tmp_path: Path):
    """File and line, destination, events, deliveries; what is missing, and what is not declared."""
    done = shell("status", LOCAL)
    assert "Deploys  in sync (webhooks.yaml:2)" in done.out
    assert "slack #deploys · *_deleted · never ran" in done.out
    failing = shell("status", LOCAL, "--failing")
    assert (failing.code, failing.out) == (0, "")  # nothing for cron to mail
    file(Deploys="Renamed", Pager="Duty")
    done = shell("status", LOCAL)
    assert "! Renamed  missing (webhooks.yaml:2)" in done.out
    assert done.out.endswith("2 live webhooks. Drift: 2 missing, 2 not declared.\n")
    (tmp_path / "webhooks.yaml").unlink()
    done = shell("status", LOCAL)
    assert "Deploys  no file" in done.out
    assert done.out.endswith("2 live webhooks. No configuration file to compare with.\n")


def test_failed_deliveries(shell: Shell, applied: None, tmp_path: Path):
    """Code and text of the server, made harmless; exit 1 for cron."""
    ran = "2026-01-01T00:00:00Z"
    failed = {"timestamp": ran, "code": 404, "text": "channel_not_found\n::error::x"}
    edit(tmp_path, last_run=ran, last_error=failed)
    shown, failing = shell("status", LOCAL), shell("status", LOCAL, "--failing")
    assert (shown.code, failing.code) == (0, 1)
    assert "last delivery failed: 404" in failing.out
    assert "\n::error" not in failing.out
    assert "2 with a failed delivery" in failing.out


def test_status_follows_its_schema(shell: Shell, applied: None, file: File, tmp_path: Path):
    """What programs read is as published: failed deliveries, missing webhooks, an error."""
    edit(tmp_path, last_error={"timestamp": "2026-01-01T00:00:00Z", "code": 404, "text": "x"})
    file(Deploys="Renamed")
    for more, name in (((), "status"), (("-f", "none.yaml"), "error")):
        document = json.loads(shell("status", LOCAL, *more, "--format", "json").out)
        schema = json.loads(shell("schema", name).out)
        assert document["kind"] == name
        assert list(Draft7Validator(schema).iter_errors(document)) == []
        if name == "status":
            states = {each["name"]: each["state"] for each in document["webhooks"]}
            assert (states["Renamed"], document["drift"]) == ("missing", 2)
            assert [each["name"] for each in document["webhooks"] if not each["id"]] == ["Renamed"]


@pytest.mark.parametrize("live", [True, False])
def test_init_with_a_key(shell: Shell, live: bool, request: pytest.FixtureRequest, tmp_path: Path):
    """The first file is an export, or a starter for the organization that has no webhooks."""
    if live:
        request.getfixturevalue("applied")
        (tmp_path / "webhooks.yaml").unlink()
    done = shell("init", LOCAL)
    text = (tmp_path / "webhooks.yaml").read_text()
    assert "\norganization: Acme\n" in f"\n{text}"
    assert ("WEBHOOK_DEPLOYS_TOKEN" in text, "No live webhooks" in done.err) == (live, not live)
    assert "set `organization`" not in done.err
    assert shell("plan", LOCAL).code == 0


def test_init_without_a_key(shell: Shell):
    """The starter is valid as it is, and can be tried without an account."""
    done = shell("init")
    assert (done.code, done.out) == (0, "wrote webhooks.yaml\n")
    assert "set CLOUDTRUTH_API_KEY and SLACK_BOT_TOKEN, then run `webhooks plan`; " in done.err
    assert "without an account: `webhooks plan --local`\n" in done.err
    assert shell("plan", "--local").code == shell("validate").code == 0
    assert shell("init").code == 64


def test_init_adds_no_second_file(shell: Shell, file: File, tmp_path: Path):
    """Beside webhooks.yml it would be the one that is read."""
    file(name="webhooks.yml")
    done = shell("init")
    assert (done.code, "rename it to webhooks.yaml" in done.err) == (64, True)
    assert not (tmp_path / "webhooks.yaml").exists()


def test_init_writes_workflows(shell: Shell, file: File, tmp_path: Path):
    """What is there stays; after an edit the lists are updated when that is confirmed."""
    before = file().read_text()
    done = shell("init", "--github")
    assert done.out.count("wrote .github/workflows/") == 3
    assert (tmp_path / "webhooks.yaml").read_text() == before
    for name in ("TOKEN", "PASSWORD"):
        assert f"  gh secret set {name} --env cloudtruth-production\n" in done.out
    path = tmp_path / ".github/workflows/apply-webhooks.yml"
    assert 'WEBHOOKS_ALLOW_SECRETS: "env:PASSWORD env:TOKEN"' in path.read_text()
    assert "TOKEN: ${{ secrets.TOKEN }}" in path.read_text()
    assert "wrote" not in shell("init", "--github").out

    path.write_text(path.read_text().replace("timeout-minutes: 30", "timeout-minutes: 7"))
    file(**{"{env: PASSWORD}": "{env: PAGER_PASSWORD}"})
    unconfirmed = shell("init", "--github")
    assert (unconfirmed.code, "--yes" in unconfirmed.err) == (8, True)
    assert "+          PAGER_PASSWORD: ${{ secrets.PAGER_PASSWORD }}" in unconfirmed.out
    assert "PAGER_PASSWORD" not in path.read_text()
    assert shell("init", "--github", "--yes").code == 0
    assert "PAGER_PASSWORD" in path.read_text()
    assert "timeout-minutes: 7" in path.read_text()


def test_init_refuses_workflows(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the commit is not recorded, or a file is in the place of a folder."""
    monkeypatch.setattr("reconciler.cli.commands.init.installed_commit", lambda git: None)
    done = shell("init", "--github")
    assert (done.code, done.out, "--commit" in done.err) == (64, "", True)
    (tmp_path / ".github").write_text("a file")
    done = shell("init", "--github", "--commit", "a" * 40)
    assert (done.code, "cannot make the directory" in done.err) == (1, True)
    assert (tmp_path / ".github").read_text() == "a file"
