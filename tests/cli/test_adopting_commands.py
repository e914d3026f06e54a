"""`export`, `init` and `status` as a user runs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from reconciler.emulator.store import Store
from tests.cli.conftest import SECRETS, Cloud, File, Shell, expect
from tests.emulated.variant import Variant
from tests.folders import git, write

LOCAL = "--local"


@pytest.fixture
def applied(shell: Shell, file: File) -> None:
    """An organization with the two webhooks of the default file."""
    file()
    assert shell("apply", LOCAL, "--yes", **SECRETS).code == 0


def edit(directory: Path, name: str = "", **changed: Any) -> None:
    """Change each live webhook of `--local`, or that of this name."""
    store = Store(str(directory / ".webhooks-local/webhooks.db"))
    for row in store.webhooks():
        if name in ("", row["name"]):
            store.save({**row, **changed})
    store.close()


def test_an_export_gives_a_plan_without_changes(shell: Shell, applied: None, tmp_path: Path):
    """The plan of the new file is empty; an existing file is never replaced."""
    done = shell("export", LOCAL, "-o", "out.yaml")
    needed = "set its secrets: TOKEN, WEBHOOK_PAGER_PASSWORD\n"
    expect(done, 0, "2 webhooks written to out.yaml.", needed)
    assert "token: {env: TOKEN}" in (tmp_path / "out.yaml").read_text()
    assert shell("plan", LOCAL, "-f", "out.yaml", "--detailed-exitcode").code == 0

    (tmp_path / "out.yaml").write_text("webhooks: []  # mine")
    (tmp_path / "folder").mkdir()
    for name, code in (("out.yaml", 64), ("folder", 1), ("x" * 300, 1)):
        assert shell("export", LOCAL, "-o", name).code == code
    assert (tmp_path / "out.yaml").read_text() == "webhooks: []  # mine"


def test_only_limits_an_export(shell: Shell, applied: None, tmp_path: Path):
    """`--only` narrows the file's scope too; a glob that matches nothing gives a warning."""
    idle = "warning[only-matches-nothing]: --only 'nope' matches no live webhook\n"
    done = shell("export", LOCAL, "--only", "Dep*", "--only", "nope")
    expect(done, 0, idle, 'scope: ["Dep*", nope]', without=("Pager",))
    done = shell("export", LOCAL, "--only", "nope*", "-o", "team.yaml")
    expect(done, 1, "--only selects none of 2 live webhooks: nothing is exported\n  = help:")
    assert not (tmp_path / "team.yaml").exists()


def test_status(shell: Shell, applied: None, file: File, tmp_path: Path):
    """The status has a line for each webhook, also undeclared ones; -v adds the details."""
    line = f"Deploys  in sync  slack #deploys{' ' * 25}never run\n"
    expect(shell("status", LOCAL), 0, line, "2 live webhooks. No drift.", without=("id ",))
    verbose = ("Deploys   in sync  slack #deploys", "never run  webhooks.yaml:2\n", "      id ")
    expect(shell("status", LOCAL, "-v"), 0, *verbose)
    selected = shell("status", LOCAL, "--only", "Dep*", "--only", "x")
    expect(selected, 0, "Deploys", "1 of 2 live webhooks.", "matches no", without=("Pager",))
    failing = shell("status", LOCAL, "--failing")
    assert (failing.code, failing.out) == (0, "")  # no output for cron to mail
    file(Deploys="Renamed", Pager="Duty")
    drift = "2 live webhooks. Differences: 2 missing, 2 not declared.\n"
    expect(shell("status", LOCAL), 0, "! Renamed  missing", drift)
    (tmp_path / "webhooks.yaml").unlink()
    no_file = "2 live webhooks. No configuration file to compare with.\n"
    expect(shell("status", LOCAL), 0, "Deploys  no file", no_file)


def test_a_url_without_its_value_is_not_compared(shell: Shell, tmp_path: Path):
    """A plan and a status count such URLs; with the value, they show the change."""
    text = "name: Pager, type: generic, event_types: ['*'], configuration: {url: {env: HOOK}}"
    (tmp_path / "webhooks.yaml").write_text(f"webhooks:\n  - {{{text}}}\n")
    hook = "https://pager.example.com/a"
    assert shell("apply", LOCAL, "--yes", HOOK=hook).code == 0
    edit(tmp_path, configuration={"url": "https://other.example.net/", "verify": True})
    limit = "Not compared, value not set here: url of"
    counted = f"{limit} 1 webhook"
    for line, shown in (
        ("plan", (counted, "matches in the compared fields.")),
        ("plan -v", (f"{limit} Pager (env HOOK)",)),
        ("status", (counted, "No drift in the compared fields")),
    ):
        expect(shell(*line.split(), LOCAL), 0, *shown)
    for line, change in (("plan", "1 to update"), ("status", "Differences: 1 differs.")):
        expect(shell(line, LOCAL, HOOK=hook), 0, change, without=("Not compared",))


def test_failed_deliveries(shell: Shell, applied: None, tmp_path: Path):
    """A failed delivery shows the server's code and text, escaped; cron gets exit 1. The counts are
    those of all webhooks; a later success clears the failure.
    """
    ran = "2026-01-01T00:00:00.123Z"
    failed = {"timestamp": ran, "code": 404, "text": "gone\n::error::x"}
    edit(tmp_path, "Pager", last_run=ran, last_error=failed)
    for more, code in (((), 0), (("--failing",), 1)):
        shown = ("\n\n  x Pager", 'failing: "404 gone\\n::error::x"', "2 live webhooks, 1 failing.")
        expect(shell("status", LOCAL, *more), code, *shown, without=("\n::error",))
    plan = shell("plan", LOCAL)
    expect(plan, 0, "Failing deliveries: Pager; see webhooks status --failing.\n", "No changes.")
    edit(tmp_path, last_run="2026-01-02T00:00:00Z")
    expect(shell("status", LOCAL, "--failing"), 0, without=("Pager",))


def test_token_takes_a_reference(shell: Shell, applied: None):
    """`--token` takes a variable or a file; a token is rejected and not repeated."""
    done = shell("export", LOCAL, "--token", "file:secrets/slack")
    expect(done, 0, "token: {file: secrets/slack}")
    for command in ("export", "init"):
        for wrong in ("xoxb-123456-canary", "env:9x", "env:", "file:", "literal:x", "env:CI_TOKEN"):
            done = shell(command, LOCAL, "--token", wrong)
            assert (done.code, done.out, "canary" in done.err) == (64, "", False)


@pytest.mark.parametrize("target", ["webhooks.yaml", "new/other.yaml"])
def test_init_adopts_an_organization(shell: Shell, applied: None, tmp_path: Path, target: str):
    """The live webhooks are written and planned; without a terminal there is no prompt."""
    (tmp_path / "webhooks.yaml").unlink()
    edit(tmp_path, last_run=None)
    given = [] if target == "webhooks.yaml" else ["-f", target]
    done = shell("init", LOCAL, *given)
    assert (done.code, "?" in done.err) == (0, False)
    assert done.out.startswith(f"wrote {target}\n")
    assert done.out.endswith("webhooks match. 2 hidden values cannot be compared.\n")
    assert "token: {env: SLACK_BOT_TOKEN}" in (tmp_path / target).read_text()
    needed = "set its secrets: SLACK_BOT_TOKEN, WEBHOOK_PAGER_PASSWORD\n"
    assert f"note: before you change a `configuration`, {needed}" in done.err
    more = "".join(f" {each}" for each in given)
    assert done.err.endswith(f"""Next:
  1. review {target}, and commit it
  2. after an edit, run `webhooks plan{more} {LOCAL}` and `webhooks apply{more} {LOCAL}`
  3. run `webhooks init{more} --github` to add GitHub workflows
""")
    again = shell("init", LOCAL, *given)
    assert (again.code, again.out) == (64, "")
    assert f"{target} already exists\n  = help: compare it with `webhooks plan{more}`" in again.err


def test_init_confirms_on_a_terminal(shell: Shell, applied: None, tmp_path: Path):
    """`init` writes a new file unless the answer is no, and asks for the token until it gets a
    reference; a pasted token is not repeated. `--yes` skips both questions.
    """
    path = tmp_path / "webhooks.yaml"
    path.unlink()
    for keys in ("n\n", "", "yes\n", "\nxoxb-canary\n"):  # Ctrl-D at either question, too
        done = shell("init", LOCAL, terminal=True, keys=keys)
        assert (done.code, path.exists()) == (8, False)
    done = shell("init", LOCAL, terminal=True, keys="y\nxoxb-canary\nenv:TOKEN\n", **SECRETS)
    question = "Acme has 2 webhooks. Write to webhooks.yaml? [Y/n]"
    asked = "file:PATH [env:SLACK_BOT_TOKEN] "
    expect(done, 0, "No changes.", question, "error[usage]", without=("canary",))
    assert done.err.count(asked) == 2
    assert "token: {env: TOKEN}" in path.read_text()
    path.unlink()
    done = shell("init", LOCAL, "--yes", terminal=True)
    assert (done.code, "?" in done.err) == (0, False)


APPS = {"PaymentsBot": (20, "xoxb-1111111111-pay"), "DeployBot": (16, "xoxb-2222222222-dep"),
        "CloudTruth": (10, "xoxb-3333333333-ct")}  # fmt: skip


@pytest.fixture
def apps(server: Cloud, tmp_path: Path) -> Callable[[], dict[str, str]]:
    """Store 46 webhooks of three Slack apps on a server that hides tokens; return their tokens."""
    (tmp_path / "webhooks.yaml").unlink()
    emulator = server.emulator
    emulator.behavior = Variant(read_back="mask")
    for username, (count, token) in APPS.items():
        for number in range(count):
            configuration = {"token": token, "channel": f"#c{number}", "username": username}
            row = {
                "name": f"{username} {number}",
                "type": "slack",
                "event_types": ["value_updated"],
            }
            row |= {"organization": emulator.organization, "configuration": configuration}
            emulator.store.save({"id": emulator.store.new_id(), **row})
    return lambda: {
        row["name"]: row["configuration"]["token"]
        for row in emulator.store.webhooks(emulator.organization)
    }


def test_an_assumption_is_corrected_by_the_command_that_the_note_names(
    shell: Shell, server: Cloud, apps: Callable[[], dict[str, str]], tmp_path: Path
):
    """The file is not replaced; after the deletion that the help names, the command works."""
    again = ("init", "--token", "PaymentsBot=env:PAY")
    note = "or delete the file and run this command again with --token USERNAME=env:NAME"
    expect(shell("init", **server.environ), 0, note)
    expect(shell(*again, **server.environ), 64, "; to write it again, delete it first\n")
    (tmp_path / "webhooks.yaml").unlink()
    expect(shell(*again, **server.environ), 0, without=("PaymentsBot' (20)",))


def test_an_export_uses_the_references_of_declared_webhooks(
    shell: Shell, server: Cloud, apps: Callable[[], dict[str, str]], tmp_path: Path
):
    """Beside files, an undeclared webhook has the token of its declared user name: the command that
    a guard prints replaces no token by that of another app. `--token` overrides it.
    """
    pay = [f"--token={username}=env:{username.upper()}" for username in APPS]
    assert shell("init", *pay, **server.environ).code == 0
    file = tmp_path / "webhooks.yaml"
    head, lines = file.read_text().split("webhooks:\n")
    kept = lines.split("  - name: PaymentsBot 1\n")[0]
    export = ("export", "--only", "PaymentsBot 2")
    for name, options in (("webhooks.yaml", ()), ("other.yaml", ("-f", "other.yaml"))):
        file = file.rename(tmp_path / name)
        file.write_text(f"{head}webhooks:\n{kept}")
        blocked = shell("plan", *options, **server.environ)
        expect(blocked, 5, f"webhooks export {' '.join(options)}".rstrip())
        done = shell(*export, *options, **server.environ)
        assumed = "env PAYMENTSBOT is the token of 1 webhook: username 'PaymentsBot' (1)"
        expect(done, 0, f"hidden: {assumed}\n", f"#   {assumed}\n", "token: {env: PAYMENTSBOT}")
        done = shell(*export, *options, "--token", "PaymentsBot=env:MINE", **server.environ)
        expect(done, 0, "token: {env: MINE}", without=("assumed", "PAYMENTSBOT"))
    done = shell(*export, WEBHOOKS_FILE="o*.yaml", **server.environ)
    expect(done, 0, "token: {env: PAYMENTSBOT}")
    file.write_text("webhooks: [")
    expect(shell(*export, "-f", "other.yaml", **server.environ), 3)
    write(tmp_path, {"webhooks.yaml": "webhooks: ["})
    done = shell(*export, **server.environ)
    expect(done, 0, "warning: the configuration files are invalid", "{env: SLACK_BOT_TOKEN}")
    done = shell(*export, WEBHOOKS_FILE="new.yaml", **server.environ)
    expect(done, 0, "{env: SLACK_BOT_TOKEN}", without=("invalid",))
    file.write_text(f"{head}webhooks:\n{kept}".replace("organization: Acme", "organization: B"))
    done = shell(*export, "-f", "other.yaml", **server.environ)
    expect(done, 0, "{env: SLACK_BOT_TOKEN}")


@pytest.mark.parametrize(
    ("keys", "variables"),
    [
        (None, ("SLACK_BOT_TOKEN", "WEBHOOK_DEPLOYBOT_TOKEN", "WEBHOOK_CLOUDTRUTH_TOKEN")),
        ("yes\nenv:PAY\n\nenv:CT\n", ("PAY", "WEBHOOK_DEPLOYBOT_TOKEN", "CT")),
        (
            "yes\n\n\n\n",
            ("SLACK_BOT_TOKEN", "WEBHOOK_DEPLOYBOT_TOKEN", "WEBHOOK_CLOUDTRUTH_TOKEN"),
        ),
    ],
    ids=["in a script", "on a terminal", "on a terminal, with the defaults"],
)
def test_adopting_the_webhooks_of_several_slack_apps_loses_no_token(
    shell: Shell,
    server: Cloud,
    apps: Callable[[], dict[str, str]],
    tmp_path: Path,
    keys: str | None,
    variables: tuple[str, ...],
):
    """A reader of the README adopts 46 webhooks, edits each app, and rotates one token."""
    before = apps()
    cloud = {each: server.environ[each] for each in server.environ if each[:5] == "CLOUD"}
    done = shell("init", terminal=keys is not None, keys=keys or "", **cloud)
    path = tmp_path / "webhooks.yaml"
    expect(done, 0, "No changes. 46 webhooks match", "check the assumptions at the top")
    for (username, (count, _)), variable in zip(APPS.items(), variables, strict=True):
        line = f"env {variable} is the token of {count} webhooks: username '{username}' ({count})"
        # What the user answers needs no warning; a reviewer of the file has not seen the answer.
        assert (line in done.err) == (keys is None)
        assert f"#   {line}\n" in path.read_text()

    secrets = dict(zip(variables, (token for _, token in APPS.values()), strict=True))
    text = path.read_text()
    path.write_text(re.sub(r'channel: "#c1"', 'channel: "#moved"', text))
    done = shell("apply", "--yes", **cloud, **secrets)
    expect(done, 0, "Applied 3 of 3 changes", "last write, except 3 hidden values.\n")
    for variable in variables:
        assert f"resent from env {variable} (hidden: replaced if it was another one)" in done.err
    assert apps() == before

    pay = variables[0]
    old = tmp_path / "old.yaml"
    old.write_text(path.read_text())
    path.write_text(path.read_text().replace(f"{{env: {pay}}}", f"{{env: {pay}, version: 2}}"))
    rotated = {**secrets, pay: "xoxb-4444444444-new"}
    done = shell("apply", "--yes", "--base", "old.yaml", **cloud, **rotated)
    expect(done, 0, "20 webhooks", f"resent from env {pay} (version 2) (hidden:")
    changed = {name for name, token in apps().items() if token != before[name]}
    assert changed == {name for name in before if name.startswith("PaymentsBot")}


def test_one_token_for_all_apps_is_an_assumption_that_the_user_makes(
    shell: Shell, server: Cloud, apps: Callable[[], dict[str, str]], tmp_path: Path
):
    """The line has all user names; a user name that no webhook has is an error."""
    cloud = {each: server.environ[each] for each in server.environ if each[:5] == "CLOUD"}
    expect(shell("init", "--token", "env:T", "--token", "env:U", **cloud), 64, "two references")
    expect(shell("init", "--token", "Pay=env:T", **cloud), 64, "user name Pay", "DeployBot")
    assert not (tmp_path / "webhooks.yaml").exists()
    users = "username 'PaymentsBot' (20), 'DeployBot' (16), 'CloudTruth' (10)\n"
    done = shell("init", "--token", "env:T", **cloud)
    line = f"env T is the token of 46 webhooks, although they have 3 user names: {users}"
    expect(done, 0, line, "another `token` in the file")
    (tmp_path / "webhooks.yaml").unlink()
    done = shell("export", "--token", "DeployBot=env:D", **cloud)
    expect(
        done,
        0,
        "{env: D}",
        "{env: WEBHOOK_CLOUDTRUTH_TOKEN}",
        without=("hidden: env D is the token",),
    )


def test_init_shows_differences(shell: Shell, server: Cloud):
    """A token that differs from the variable is an update; an ignored webhook has its reason."""
    assert shell("apply", "--yes", **server.environ).code == 0
    server.emulator.change("Pager", type="teams")
    done = shell("init", "-f", "a.yaml", SLACK_BOT_TOKEN="xoxb-9876543210-other", **server.environ)
    expect(
        done, 0, "1 to update",
        "Pager is ignored in the file: unknown type teams",
        "edit a.yaml until the plan shows only changes that you want",
        without=("to declare one",),
    )  # fmt: skip


def test_init_without_a_key(shell: Shell):
    """The starter file is valid as written, and can be tried without an account."""
    expect(
        shell("init"), 0, "wrote webhooks.yaml\n",
        "set CLOUDTRUTH_API_KEY and SLACK_BOT_TOKEN, then run `webhooks plan`; ",
        "without an account: `webhooks plan --local`\n",
    )  # fmt: skip
    assert shell("plan", "--local").code == shell("validate").code == 0


def test_init_replaces_a_starter_without_edits(shell: Shell, server: Cloud, tmp_path: Path):
    """`init` with a key replaces the starter of one without a key, unless it was edited."""
    path = tmp_path / "webhooks.yaml"
    assert shell("apply", "--yes", **server.environ).code == 0
    path.unlink()
    expect(shell("init"), 0, "wrote webhooks.yaml")
    expect(shell("init"), 0, "kept webhooks.yaml, which is up to date", without=("updated",))
    assert "name: example-deploys" in path.read_text()
    adopting = {each: server.environ[each] for each in server.environ if each[:5] == "CLOUD"}
    expect(shell("init", **adopting), 0, "updated webhooks.yaml", "No changes. 2 webhooks match")
    assert "example-deploys" not in path.read_text()
    path.unlink()
    assert shell("init").code == 0
    path.write_text(edited := path.read_text() + "# mine\n")
    expect(shell("init", **server.environ), 64, "webhooks.yaml already exists")
    assert path.read_text() == edited


def test_init_does_not_add_a_second_file(shell: Shell, file: File, tmp_path: Path):
    """A new webhooks.yaml would be read in place of an existing webhooks.yml."""
    file(name="webhooks.yml")
    for name in ("-", "new/"):
        assert "cannot write to" in shell("init", "-f", name).err
    expect(shell("init"), 64, "webhooks.yml already exists", "compare it with `webhooks plan`")
    done = shell("init", "-f", "webhooks.yaml")
    expect(done, 64, "a new webhooks.yaml would be read in its place")
    assert not (tmp_path / "webhooks.yaml").exists()
    assert not (tmp_path / "-").exists()


def test_init_does_not_write_beside_declarations(
    shell: Shell, server: Cloud, file: File, tmp_path: Path
):
    """Without `-f` any declaration counts, with it only those of the key's organization."""
    text = file(name="webhooks/team.yaml").read_text()
    (tmp_path / "webhooks.yaml").unlink()
    cloud = {each: server.environ[each] for each in server.environ if each[:5] == "CLOUD"}
    expect(shell("init"), 64, "webhooks/ already exists", "compare it with `webhooks plan`")
    (tmp_path / "webhooks/team.yaml").rename(tmp_path / "team.yaml")
    expect(shell("init"), 64, "team.yaml beside it already declares webhooks")
    named = ("init", "-f", "all.yaml")
    (tmp_path / "team.yaml").write_text(f"organization: Acme\n{text}")
    expect(shell(*named, **cloud), 64, "team.yaml beside it already declares webhooks")
    (tmp_path / "team.yaml").write_text(f"organization: Globex\n{text}")
    (tmp_path / "webhooks/team.yaml").write_text(f"organization: Acme\n{text}")
    expect(shell(*named, **cloud), 64, "webhooks/team.yaml beside it already declares webhooks")
    (tmp_path / "webhooks/team.yaml").write_text(f"organization: Globex\n{text}")
    expect(shell(*named, **cloud), 0, "wrote all.yaml")


def test_init_writes_workflows(shell: Shell, file: File, tmp_path: Path):
    """Whole files are written after the difference is shown; --yes keeps settings, not edits."""
    before = file().read_text()
    done = shell("init", "--github")
    expect(done, 0, "warning: git shows no branch here: the workflows apply pushes to main")
    assert done.out.count("wrote .github/workflows/") == 4
    assert (tmp_path / "webhooks.yaml").read_text() == before
    for name in ("TOKEN", "PASSWORD"):
        assert f"  gh secret set {name} --env cloudtruth-production\n" in done.out
    assert "gh secret list --env cloudtruth-production  # CLOUDTRUTH_API_KEY, PASSWORD" in done.out
    assert "environments/cloudtruth-plan'" in done.out
    path = tmp_path / ".github/workflows/webhooks.yml"
    assert 'WEBHOOKS_ALLOW_SECRETS: "env:PASSWORD env:TOKEN"' in path.read_text()
    assert "TOKEN: ${{ secrets.TOKEN }}" in path.read_text()
    expect(shell("init", "--github"), 0, without=("wrote",))

    written = path.read_text().replace("ubuntu-latest", "ubuntu-24.04")
    path.write_text(written)
    file(**{"{env: PASSWORD}": "{env: PAGER_PASSWORD}"})
    added = "+          PAGER_PASSWORD: ${{ secrets.PAGER_PASSWORD }}"
    expect(shell("init", "--github"), 8, "--yes", added)
    assert "PAGER_PASSWORD" not in path.read_text()
    assert shell("init", "--github", "--yes").code == 0
    changed = set(path.read_text().splitlines()) ^ set(written.splitlines())
    assert {each.strip() for each in changed} == {
        *(f"{name}: {{required: false}}" for name in ("PASSWORD", "PAGER_PASSWORD")),
        *(f"{name}: ${{{{ secrets.{name} }}}}" for name in ("PASSWORD", "PAGER_PASSWORD")),
        'WEBHOOKS_ALLOW_SECRETS: "env:PASSWORD env:TOKEN"',
        'WEBHOOKS_ALLOW_SECRETS: "env:PAGER_PASSWORD env:TOKEN"',
    }
    edited = path.read_text().replace("timeout-minutes: 30", "timeout-minutes: 7")
    path.write_text(edited)
    refused = "webhooks.yml: edits that are not settings are removed"
    expect(shell("init", "--github", "--yes"), 8, refused, "-    timeout-minutes: 7")
    assert path.read_text() == edited


@pytest.mark.parametrize(
    ("server", "message", "is_written"),
    [
        ("https://ct.example.com", "New workflows use the server {} (from {})", True),
        ("http://127.0.0.1:8080", "{} (from {}) is this machine", False),
        ("https://localhost", "{} (from {}) is this machine", False),
    ],
)
def test_init_reports_the_server_of_the_workflows(
    shell: Shell, file: File, tmp_path: Path, server: str, message: str, is_written: bool
):
    """New workflows use the server of the run, unless only this machine can reach it."""
    file()
    done = shell("init", "--github", CLOUDTRUTH_SERVER_URL=server)
    assert message.format(server, "CLOUDTRUTH_SERVER_URL") in done.out + done.err
    text = (tmp_path / ".github/workflows/webhooks.yml").read_text()
    assert (f'CLOUDTRUTH_SERVER_URL: "{server}"' in text) == is_written


def test_init_writes_workflows_for_a_folder(shell: Shell, tmp_path: Path):
    """Each environment gets the secrets of its organizations, and plans get all keys."""
    base = (
        "defaults: {configuration: {channel: general, username: CT}}\n"
        "webhooks: [{type: slack, name: A, event_types: [value_created]}]\n"
    )
    overlay = (
        "extends: ../base.yaml\norganization: NAME\n"
        "defaults: {configuration: {token: {env: NAME_TOKEN}}}\n"
    )
    eu = overlay.replace("NAME", "eu") + "api_key: {env: EU_KEY}\ngithub: {environment: europe}\n"
    us = overlay.replace("NAME", "us")
    write(tmp_path, {"base.yaml": base, "orgs/eu.yaml": eu, "orgs/us.yaml": us})
    done = shell("init", "--github", "-f", "orgs/")
    assert done.code == 0, done.err
    commands = [
        "CLOUDTRUTH_API_KEY --env cloudtruth-plan",
        "EU_KEY --env cloudtruth-plan",
        "CLOUDTRUTH_API_KEY --env cloudtruth-production",
        "us_TOKEN --env cloudtruth-production",
        "EU_KEY --env europe",
        "eu_TOKEN --env europe",
    ]
    assert re.findall("gh secret set (.*?) *(?:#.*)?\n", done.out) == commands
    folder = tmp_path / ".github/workflows"
    texts = {each.name: each.read_text() for each in folder.iterdir()}
    allowed = r'WEBHOOKS_ALLOW_SECRETS: "eu: env:eu_TOKEN\nus: env:us_TOKEN"'
    assert allowed in texts["webhooks.yml"]
    assert [text.count("EU_KEY: ${{ secrets.EU_KEY }}") for text in texts.values()] == [1] * 4
    assert 'paths: ["orgs/**", "base.yaml", ' in texts["apply-webhooks.yml"]
    assert 'environments: "europe" # ' in texts["apply-webhooks.yml"]
    assert "Restrict cloudtruth-production, europe to branch main, and add required" in done.out
    assert "These commands do not\ndo that" in done.out


def test_init_writes_no_workflows_in_a_folder_of_a_repository(shell: Shell, tmp_path: Path):
    """GitHub does not read them there; the hint has the command for the top folder."""
    folder = tmp_path / "team"
    folder.mkdir()
    git(tmp_path, "init", "--quiet")
    done = shell("init", "--github", "-f", "new.yaml", directory=folder)
    expect(done, 64, "nothing was written", "`webhooks init --github -f team/new.yaml` there")
    assert list(folder.iterdir()) == []
    assert shell("init", "--github", "-f", "team/new.yaml").code == 0


def test_init_counts_the_secrets_of_an_environment(shell: Shell, tmp_path: Path):
    """GitHub allows 100 in an environment; more organizations need another environment."""
    texts = {
        f"orgs/{number}.yaml": f"organization: o{number}\napi_key: {{env: K{number}}}\n"
        "webhooks: []\n"
        for number in range(101)
    }
    write(tmp_path, texts)
    done = shell("init", "--github", "-f", "orgs/")
    for name in ("cloudtruth-plan", "cloudtruth-production"):
        assert f"{name} needs 101 secrets, more than GitHub's limit of 100" in done.out


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("api_key: {file: eu-key}", "`api_key` in orgs/eu.yaml is a file, which"),
        ("profile: eu", "`profile` in orgs/eu.yaml is in cli.yml, which"),
    ],
)
def test_init_rejects_keys_that_runners_do_not_have(
    shell: Shell, tmp_path: Path, head: str, expected: str
):
    """It writes nothing, and shows the reference to use."""
    texts = {f"orgs/{each}.yaml": f"organization: {each}\nwebhooks: []\n" for each in ("eu", "us")}
    texts["orgs/eu.yaml"] += f"{head}\n"
    write(tmp_path, texts)
    done = shell("init", "--github", "-f", "orgs/")
    expect(done, 64, expected, "`api_key: {env: CLOUDTRUTH_API_KEY}`")
    assert not (tmp_path / ".github").exists()


def test_init_writes_branch_and_policies(shell: Shell, file: File, tmp_path: Path):
    """Branch and policies are kept until an option changes them; the files must conform to them."""
    file()
    write(tmp_path, {"policy.json": "{}", "strict.json": '{"required": ["limits"]}'})
    assert shell("init", "--github", "--branch", "release", "--policy", "policy.json").code == 0
    folder = tmp_path / ".github/workflows"
    texts = {each.name: each.read_text() for each in folder.iterdir()}
    for name in ("plan", "apply", "drift"):
        assert 'branch: "release" #' in texts[f"{name}-webhooks.yml"]
        assert 'policy: "policy.json" #' in texts[f"{name}-webhooks.yml"]
    assert 'branches: ["release"]' in texts["apply-webhooks.yml"]
    assert '"policy.json", .github' in texts["apply-webhooks.yml"]
    done = shell("init", "--github")
    assert (done.code, done.err.count("which is up to date")) == (0, 4)
    changes = ('+    branches: ["main"]', '+      branch: "main" #')
    expect(shell("init", "--github", "--branch", "main"), 8, *changes)
    expect(shell("init", "--github", "--policy", "strict.json"), 3, "policy strict.json")


def test_init_rejects_workflows(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The program's commit is unknown, or a name is already that of another file or folder."""
    monkeypatch.setattr("reconciler.ci.workflows.installed_commit", lambda: None)
    done = shell("init", "--github")
    assert (done.code, done.out, "--commit" in done.err) == (64, "", True)
    write(tmp_path, {".github/workflows/webhooks.yml": "on: push"})
    commit = ("--commit", "a" * 40)
    expect(shell("init", "--github", *commit), 64, "is not a webhooks workflow")
    rmtree(tmp_path / ".github")
    (tmp_path / ".github").write_text("a file")
    expect(shell("init", "--github", *commit), 1, "not a directory")
    assert (tmp_path / ".github").read_text() == "a file"
