"""`webhooks plan` and `webhooks show`."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Cloud, File, MakeCloud, Shell, digest, expect


def test_plan_without_secrets(shell: Shell, server: Cloud) -> None:
    """A plan needs no secret, lists those that apply needs, and writes nothing."""
    done = shell("plan", **{**server.environ, "TOKEN": "", "PASSWORD": ""})
    expect(done, 0, "key from CLOUDTRUTH_API_KEY", "Plan: 2 to create", "env PASSWORD")
    assert (done.err, server.writes()) == ("", [])


def test_a_plan_shows_the_host_of_a_literal_url(shell: Shell, file: File) -> None:
    """Another host is another digest, another key is not; neither shows the key."""
    digests = []
    for url in ("a.example/?k=c4n4ry1", "a.example/?k=c4n4ry2", "u:c4n4ry1@b.example/"):
        file(f"""webhooks: [{{name: A, type: generic, event_types: ["*"],
            configuration: {{url: "https://{url}"}}}}]""")
        done = shell("plan", "--local")
        host = url.partition("@")[2] or url
        expect(done, 0, f"+ A  generic https://{host[:9]}/***  *", without=("c4n4ry",))
        digests.append(digest(done))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("line", "environ", "shown"),
    [
        ("plan", {}, 0),
        ("plan -v", {}, 1),
        ("plan --out plan.json", {}, 1),
        ("plan", {"CI": "true"}, 1),
        ("apply", {}, 0),
    ],
)
def test_on_a_terminal_the_digest_is_shown_only_for_a_later_apply(
    shell: Shell, server: Cloud, line: str, environ: dict[str, str], shown: int
) -> None:
    """It is shown once and dimmed; the summary is bold."""
    environ = {**server.environ, **environ}
    done = shell(*line.split(), keys="no\n", terminal=True, TERM="xterm", **environ)
    dimmed = re.findall(r"\x1b\[2m[^\x1b]*sha256:[0-9a-f]{64}\x1b\[0m", done.out + done.err)
    assert len(dimmed) == (done.out + done.err).count("sha256:") == shown
    assert "\x1b[1mPlan: 2 to create" in done.out + done.err


def test_a_note_about_a_file_needs_a_verbose_plan(shell: Shell, file: File) -> None:
    """`validate` always shows notes: users who accept one do not want it in each plan."""
    file(Pager="deploys")
    expect(shell("plan", "--local", **SECRETS), 0, without=("names-look-alike",))
    for command in (("plan", "--local", "-v"), ("validate",)):
        expect(shell(*command, **SECRETS), 0, "note[names-look-alike]", "help: use names")


def test_local(shell: Shell, file: File, tmp_path: Path) -> None:
    """One line mentions the emulator, which accepts any organization and ignores keys."""
    file(**{"webhooks:\n": "organization: Globex\nwebhooks:\n"})
    ignored = {"CLOUDTRUTH_API_KEY": "not a key", "CLOUDTRUTH_PROFILE": "nowhere"}
    done = shell("plan", "--local", WEBHOOKS_ORGANIZATION="Initech", **ignored)
    assert (done.code, "emulator.localhost" in done.out) == (0, True)
    assert done.err == (
        f"LOCAL: using the emulator database {tmp_path.as_posix()}/.webhooks-local/webhooks.db. "
        "Nothing is delivered; any organization is accepted.\n"
    )
    assert shell("plan", "--local-db", "a.db").code == 0
    assert shell("plan", "--local", "--local-db", "b.db").code == 0
    assert {"a.db", "b.db"} <= {each.name for each in tmp_path.iterdir()}
    assert shell("plan", "--local-db", "webhooks.yaml").code == 64


def test_quiet(shell: Shell, file: File) -> None:
    """With `-q` only errors and requested documents are printed."""
    file(Pager="'Pager '")
    assert "warning[" in shell("plan", "--local").err
    assert shell("plan", "--local", "-q").err == ""
    file()
    for command in ("plan --local", "apply --yes --local", "status --local", "validate"):
        done = shell(*command.split(), "-q", **SECRETS)
        assert (done.code, done.out, done.err) == (0, "", ""), command
    assert json.loads(shell("plan", "--local", "-q", "--format", "json", **SECRETS).out)
    file(Pager="'Pager '", value_updated="value_updatd")
    done = shell("plan", "--local", "-q")
    assert (done.code, done.out, "error[" in done.err) == (3, "", True)
    checked = shell("doctor", "--local", "-q")
    assert (checked.code, re.findall(r"[✓!?✗]", checked.out)) == (1, ["✗"])
    expect(shell("validate", "-q"), 3, without=("warning",))
    file("webhooks: []")
    blocked = shell("plan", "--local", "-q", "-o", "plan.json")
    assert (blocked.code, blocked.out.splitlines()[0][:8]) == (5, "error[no")
    expect(shell("show", "plan.json"), 0, "CloudTruth webhooks for")
    file(Deploys="Others")
    unasked = shell("apply", "--local", "-q", **SECRETS)
    assert (unasked.code, unasked.out, unasked.err[:6]) == (8, "", "error[")


def test_standard_output(shell: Shell, file: File) -> None:
    """`-o -` prints only the document; messages go to standard error."""
    file()
    planned = shell("plan", "--local", "-o", "-", **SECRETS)
    assert json.loads(planned.out)["kind"] == "plan"
    assert "Plan: 2 to create" in planned.err
    applied = shell("apply", "--local", "--yes", "--report", "-", **SECRETS)
    assert json.loads(applied.out)["kind"] == "report"
    exported = shell("export", "--local", "-o", "-")
    assert exported.out == shell("export", "--local").out


def test_saved_plan(shell: Shell, file: File, tmp_path: Path) -> None:
    """Only the owner can read a saved plan; it has no secrets, and can be shown."""
    file()
    assert shell("plan", "--local", "--out", "plan.json", **SECRETS).code == 0
    saved = tmp_path / "plan.json"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert not [value for value in SECRETS.values() if value in saved.read_text()]
    expect(
        shell("plan", "--local", "-f", "plan.json"), 3, "this is a plan, not a configuration file"
    )
    expect(shell("show", "plan.json"), 0, "Plan: 2 to create")
    assert json.loads(shell("show", "plan.json", "--format", "json").out)["totals"]["create"] == 2


def test_blocked_plan(shell: Shell, file: File, server: Cloud) -> None:
    """A blocked plan is shown and saved, and exits with 5, as apply does."""
    assert shell("apply", "--yes", **server.environ).code == 0
    file("webhooks: []\n")
    done = shell("plan", "--out", "plan.json", "--detailed-exitcode", **server.environ)
    expect(done, 5, "error[too-many-deletes]")
    expect(shell("show", "plan.json"), 0, "error[too-many-deletes]")
    for line, code, shown in (
        ("--allow-deletes 2", 0, "--allow-deletes 2"),
        ("--allow-deletes 1", 5, "error[allow-deletes-differs]"),
        ("--no-prune", 5, "override the guards once:"),
    ):
        expect(shell("plan", *line.split(), **server.environ), code, shown)
    rejected = shell("apply", "--yes", **server.environ)
    assert (rejected.code, server.names()) == (5, ["Deploys", "Pager"])
    assert "  = help: run `webhooks plan` to see the plan\n" in rejected.err
    assert "add --allow-deletes 2" in rejected.err


def test_status_warns_as_plan_does(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """`plan` and `status` report an invalid live token, with a command for the file."""
    service = cloud()
    file(name="mine.yaml")
    assert shell("apply", "-f", "mine.yaml", "--yes", **service.environ).code == 0
    service.emulator.configure("Deploys", token="SLACK_BOT_TOKEN")
    for command in ("plan", "status"):
        done = shell(command, "-f", "mine.yaml", **{**service.environ, "TOKEN": ""})
        advice = "`webhooks apply -f mine.yaml --resend-secret Deploys`"
        expect(done, 0, "the live token of 'Deploys' is not a Slack token", advice)
