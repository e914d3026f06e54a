"""export, init and status, as a person meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from reconciler.emulator.store import Store
from tests.cli.conftest import SECRETS, Shell

LOCAL = "--local"


@pytest.fixture
def applied(shell: Shell, file: Callable[..., Path]) -> None:
    """An organization with the two webhooks of the usual file."""
    file()
    assert shell("apply", LOCAL, "--yes", **SECRETS).code == 0


def fail_deliveries(database: Path, text: str) -> None:
    """Make the server remember a failed delivery of every webhook."""
    store = Store(str(database))
    for row in store.webhooks():
        record = {
            **row,
            "last_run": "2026-01-01T00:00:00Z",
            "last_error": {"timestamp": "2026-01-01T00:00:00Z", "code": 404, "text": text},
        }
        store.update(record["id"], record)
    store.close()


def test_an_export_is_written_and_plans_to_no_change(shell: Shell, applied: None, tmp_path: Path):
    """The file goes where it is wanted, and --check proves it."""
    done = shell("export", LOCAL, "--check", "-o", "out.yaml")

    assert (done.code, "A plan of the export has no changes" in done.out) == (0, True)
    assert "WEBHOOK_DEPLOYS_TOKEN" in (tmp_path / "out.yaml").read_text()
    assert "WEBHOOK_DEPLOYS_TOKEN" in done.err
    assert shell("plan", LOCAL, "-f", "out.yaml", "--detailed-exitcode").code == 0


def test_an_export_of_nothing_writes_nothing(shell: Shell, applied: None, tmp_path: Path):
    """A selection without a webhook is an error, and an older export stays."""
    (tmp_path / "team.yaml").write_text("webhooks: []  # mine\n")
    done = shell("export", LOCAL, "--only", "nope*", "-o", "team.yaml", "--force")

    assert (done.code, done.out) == (1, "")
    assert "--only selects none of 2 live webhooks" in done.err
    assert "= help:" in done.err
    assert "# mine" in (tmp_path / "team.yaml").read_text()


def test_a_part_is_exported(shell: Shell, applied: None):
    """--only narrows the file's scope as well; a glob that names nothing is remarked on."""
    idle = shell("export", LOCAL, "--only", "Dep*", "--only", "nope")
    assert idle.code == 0
    assert "warning[only-matches-nothing]: --only 'nope' names no live webhook\n" in idle.err
    assert "declared" not in idle.err.partition("warning")[2].partition("\n")[0]
    assert 'scope: ["Dep*", nope]' in idle.out
    assert "Pager" not in idle.out
    whole = shell("export", LOCAL)
    assert "webhooks:\n  - name: Deploys" in whole.out
    assert not any(value in whole.out + whole.err for value in SECRETS.values())


def test_an_export_never_overwrites(shell: Shell, applied: None, tmp_path: Path):
    """Unless it is told to."""
    (tmp_path / "out.yaml").write_text("webhooks: []  # mine")
    (tmp_path / "folder").mkdir()

    assert shell("export", LOCAL, "-o", "out.yaml").code == 64
    assert shell("export", LOCAL, "-o", "folder").code == 64
    assert "file name too long" in shell("export", LOCAL, "-o", "x" * 300).err
    assert (tmp_path / "out.yaml").read_text() == "webhooks: []  # mine"
    assert shell("export", LOCAL, "-o", "out.yaml", "--force").code == 0
    assert "organization: Acme" in (tmp_path / "out.yaml").read_text()


def test_what_cannot_be_exported_is_named(shell: Shell, tmp_path: Path):
    """With the reason, in the file and beside it."""
    shell("export", LOCAL)  # makes the local organization
    store = Store(str(tmp_path / ".webhooks-local/webhooks.db"))
    store.insert(
        {
            "id": "00000000-0000-4000-8000-000000000001",
            "name": "Strange",
            "organization": store.organizations()[0].id,
            "type": "teams",
            "event_types": ["value_created"],
            "configuration": {},
            "last_run": None,
            "last_error": None,
        }
    )
    store.close()

    done = shell("export", LOCAL)

    assert "- Strange  # this version does not know the type teams" in done.out
    assert "Strange is ignored in the file" in done.err


def test_status_shows_where_each_is_declared(shell: Shell, applied: None, tmp_path: Path):
    """File and line, destination, events, and that nothing ran."""
    done = shell("status", LOCAL)

    assert done.code == 0
    assert "Deploys  in sync (webhooks.yaml:2)" in done.out
    assert "slack #deploys · *_deleted · never ran" in done.out
    failing = shell("status", LOCAL, "--failing")
    assert (failing.code, failing.out) == (0, "")  # nothing for cron to mail
    (tmp_path / "webhooks.yaml").unlink()
    done = shell("status", LOCAL)
    assert "Deploys  no file" in done.out
    assert done.out.endswith("2 live webhooks. No configuration file to compare with.\n")


def test_status_shows_what_is_missing(shell: Shell, applied: None, file: Callable[..., Path]):
    """A declared webhook that is not live is listed, in JSON without an id, and counted."""
    file(Deploys="Renamed", Pager="Duty")
    done = shell("status", LOCAL)
    assert "! Renamed  missing (webhooks.yaml:2)" in done.out
    assert done.out.endswith("2 live webhooks. Drift: 2 missing, 2 not declared.\n")
    tree = json.loads(shell("status", LOCAL, "--format", "json").out)
    assert {each["name"]: each["state"] for each in tree["webhooks"] if not each["id"]} == {
        "Renamed": "missing",
        "Duty": "missing",
    }
    schema = json.loads(shell("schema", "status").out)
    assert list(Draft7Validator(schema).iter_errors(tree)) == []


def test_status_shows_failed_deliveries(shell: Shell, applied: None, tmp_path: Path):
    """Code and text of the server, made harmless; exit 1 for cron."""
    fail_deliveries(tmp_path / ".webhooks-local/webhooks.db", "channel_not_found\n::error::x")

    shown = shell("status", LOCAL)
    failing = shell("status", LOCAL, "--failing")

    assert (shown.code, failing.code) == (0, 1)
    assert "last delivery failed: 404" in failing.out
    assert "\n::error" not in failing.out
    assert "2 with a failed delivery" in failing.out


def test_status_follows_its_schema(shell: Shell, applied: None, tmp_path: Path):
    """What programs read is as published, deliveries that failed included."""
    fail_deliveries(tmp_path / ".webhooks-local/webhooks.db", "channel_not_found")
    schema = json.loads(shell("schema", "status").out)

    document = json.loads(shell("status", LOCAL, "--format", "json").out)
    assert (document["format_version"], document["kind"], document["drift"]) == ("2", "status", 0)
    nameless = json.loads(shell("status", LOCAL, "-f", "none.yaml", "--format", "json").out)

    assert document["webhooks"][0]["last_error"] is not None
    assert list(Draft7Validator(schema).iter_errors(document)) == []
    assert nameless["kind"] == "error"
    assert (
        list(Draft7Validator(json.loads(shell("schema", "error").out)).iter_errors(nameless)) == []
    )


def test_init_adds_no_second_file(shell: Shell, file: Callable[..., Path], tmp_path: Path):
    """Beside webhooks.yml it would be the one that is read."""
    file(name="webhooks.yml")
    done = shell("init")
    assert (done.code, "rename it to webhooks.yaml" in done.err) == (64, True)
    assert not (tmp_path / "webhooks.yaml").exists()


def test_init_exports_what_is_live(shell: Shell, applied: None, tmp_path: Path):
    """With a way to CloudTruth the first file is the truth."""
    (tmp_path / "webhooks.yaml").unlink()

    done = shell("init", LOCAL)

    assert "Deploys" in (tmp_path / "webhooks.yaml").read_text()
    assert "WEBHOOK_DEPLOYS_TOKEN" in done.err


def test_init_without_webhooks_knows_the_organization(shell: Shell, tmp_path: Path):
    """Where nothing is live there is a starter, and it asks nothing that the key tells."""
    done = shell("init", LOCAL)

    assert "\norganization: Acme\n" in (tmp_path / "webhooks.yaml").read_text()
    assert "No live webhooks" in done.err
    assert "set `organization`" not in done.err
    assert shell("plan", LOCAL).code == 0


def test_init_writes_the_workflows_and_keeps_the_file(shell: Shell, applied: None, tmp_path: Path):
    """What is there already stays."""
    before = (tmp_path / "webhooks.yaml").read_text()

    done = shell("init", "--github")

    assert done.out.count("wrote .github/workflows/") == 3
    assert (tmp_path / "webhooks.yaml").read_text() == before
    for name in ("TOKEN", "PASSWORD"):
        assert f"  gh secret set {name} --env cloudtruth-production\n" in done.out
    apply = (tmp_path / ".github/workflows/apply-webhooks.yml").read_text()
    assert 'WEBHOOKS_ALLOW_SECRETS: "env:PASSWORD env:TOKEN"' in apply
    assert "TOKEN: ${{ secrets.TOKEN }}" in apply


def test_init_updates_the_lists_of_existing_workflows(
    shell: Shell, file: Callable[..., Path], tmp_path: Path
):
    """After an edit of the configuration the difference is shown, and written when confirmed."""
    file()
    assert shell("init", "--github").code == 0
    assert "wrote" not in shell("init", "--github").out
    path = tmp_path / ".github/workflows/apply-webhooks.yml"
    path.write_text(path.read_text().replace("timeout-minutes: 30", "timeout-minutes: 7"))
    file(**{"{env: PASSWORD}": "{env: PAGER_PASSWORD}"})

    unconfirmed = shell("init", "--github")
    assert (unconfirmed.code, "--yes" in unconfirmed.err) == (8, True)
    assert "+          PAGER_PASSWORD: ${{ secrets.PAGER_PASSWORD }}" in unconfirmed.out
    assert "PAGER_PASSWORD" not in path.read_text()

    assert shell("init", "--github", "--yes").code == 0
    assert "PAGER_PASSWORD" in path.read_text()
    assert "timeout-minutes: 7" in path.read_text()


def test_init_refuses_workflows_without_a_source(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    """Where the commit is not recorded it must be named; nothing is written before."""
    monkeypatch.setattr("reconciler.cli.commands.init.installed_commit", lambda git: None)
    done = shell("init", "--github")
    assert (done.code, done.out) == (64, "")
    assert "--commit" in done.err
    assert shell("init", "--github", "--commit", "a" * 40).code == 0


def test_init_says_what_stands_in_the_way_of_a_workflow(shell: Shell, tmp_path: Path):
    """A file where a folder belongs is told, not met with a traceback."""
    (tmp_path / ".github").write_text("a file")

    done = shell("init", "--github")

    assert (done.code, "cannot make the directory" in done.err) == (1, True)
    assert (tmp_path / ".github").read_text() == "a file"


def test_init_writes_a_starter_without_a_key(shell: Shell):
    """The starter is valid as it is, and can be tried without an account."""
    done = shell("init")

    assert (done.code, done.out) == (0, "wrote webhooks.yaml\n")
    assert "set CLOUDTRUTH_API_KEY and SLACK_BOT_TOKEN, then run `webhooks plan`; " in done.err
    assert "without an account: `webhooks plan --local`\n" in done.err
    assert shell("plan", "--local").code == shell("validate").code == 0
    assert shell("init").code == 64
