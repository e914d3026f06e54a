"""Attempts to make `apply` duplicate, lose or misreport something."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import SECRETS, Cloud, File, MakeCloud, Shell

PAGER = """\
prune: false
webhooks:
  - name: Pager
    type: generic
    event_types: [value_updated]
    configuration: {url: https://pager.example.com/x, username: me, password: {env: PASSWORD}}
"""
BARE = PAGER.replace(", username: me, password: {env: PASSWORD}", "")
SLACK = """\
prune: false
webhooks:
  - name: Deploys
    type: slack
    event_types: [value_updated]
    configuration: {token: {env: TOKEN}, channel: "#deploys", username: CloudTruth}
"""


def configuration(server: Cloud, name: str) -> dict[str, object]:
    """Return the configuration that CloudTruth stores."""
    return next(
        each["configuration"] for each in server.emulator.store.webhooks() if each["name"] == name
    )


@pytest.mark.parametrize("saved", [False, True])
def test_a_removed_field_is_gone_after_apply(
    shell: Shell, file: File, cloud: MakeCloud, saved: bool
) -> None:
    """The base has it, and the configuration does not."""
    server = cloud()
    file(PAGER)
    assert shell("apply", "--yes", **server.environ).code == 0
    file(PAGER, "before.yaml")
    file(BARE)
    if saved:
        assert shell("plan", "--base", "before.yaml", "--out", "p.json", **server.environ).code == 0
        done = shell("apply", "p.json", "--yes", **server.environ)
    else:
        done = shell("apply", "--base", "before.yaml", "--yes", **server.environ)
    assert done.code == 0
    assert set(configuration(server, "Pager")) == {"url"}
    again = ("p.json",) if saved else ("--base", "before.yaml")
    writes = server.writes()
    assert shell("apply", *again, "--yes", **server.environ).code == 0
    assert server.writes() == writes


def test_a_removed_field_that_stays_is_no_success(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """A server that merges configurations keeps the field: the report has the fix."""
    server = cloud(merges=True)
    file(PAGER)
    assert shell("apply", "--yes", **server.environ).code == 0
    file(PAGER, "before.yaml")
    file(BARE)
    done = shell("apply", "--base", "before.yaml", "--yes", **server.environ)
    assert (done.code, set(configuration(server, "Pager"))) == (7, {"url", "username", "password"})
    assert "configuration.password" in done.out
    assert "`state: absent`" in " ".join(done.out.split())


def test_a_saved_plan_with_a_removed_field_and_a_secret(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """A plan that removes one field and sends another secret can be saved and applied."""
    server = cloud()
    both = PAGER.replace("password: {env", "token: {env: TOKEN}, password: {env")
    file(both)
    environ = {**server.environ, "TOKEN": "a long token", "TOKEN2": "another long token"}
    assert shell("apply", "--yes", **environ).code == 0
    file(both, "before.yaml")
    file(BARE.replace("/x}", "/x, token: {env: TOKEN2}}"))
    assert shell("plan", "--base", "before.yaml", "--out", "p.json", **environ).code == 0
    done = shell("apply", "p.json", "--yes", **environ)
    assert (done.code, set(configuration(server, "Pager"))) == (0, {"url", "token"})


def test_a_server_that_hides_a_plain_field_is_reported(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """Only secrets can be hidden: a channel that reads back masked is reported at each apply."""
    server = cloud(read_back="mask", secret_fields=["token", "channel"])
    file(SLACK)
    done = shell("apply", "--yes", **server.environ)
    assert (done.code, "channel  differs from what was sent" in done.out) == (7, True), done.out
    assert configuration(server, "Deploys")["channel"] == "#deploys"


def test_outer_spaces_cause_no_duplicates(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A server that trims names gets no second webhook."""
    server = cloud()
    file(SLACK.replace("name: Deploys", 'name: "Deploys "'))
    codes = [shell("apply", "--yes", **server.environ).code for _ in range(3)]
    assert server.names() == [], codes
    assert 0 not in codes


def test_lower_case_names_cause_no_duplicates(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """A server that lowercases names gets no second webhook."""
    server = cloud(lower_names=True)
    file(SLACK)
    codes = [shell("apply", "--yes", **server.environ).code for _ in range(3)]
    assert server.names() == [], codes
    assert 0 not in codes


def test_a_resend_of_a_new_webhook(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Requesting a resend is valid for a webhook that is created in the same apply."""
    file(SLACK)
    server = cloud()
    for name in ("Deploys", "env:TOKEN"):
        done = shell("apply", "--resend-secret", name, "--yes", **server.environ)
        assert done.code == 0, done.err


def test_a_saved_plan_for_a_server_without_patch(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """A saved plan of other fields gets the secrets that PUT needs."""
    server = cloud(methods=("PUT", "DELETE"))
    file(SLACK)
    assert shell("apply", "--yes", **server.environ).code == 0
    file(SLACK.replace("[value_updated]", "[value_created]"))
    assert shell("plan", "--out", "p.json", **server.environ).code == 0
    done = shell("apply", "p.json", "--yes", **server.environ)
    assert done.code == 0, done.out + done.err
    assert configuration(server, "Deploys")["token"] == SECRETS["TOKEN"]


def test_a_token_kept_by_a_change_of_type_is_no_success(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """A Slack token must not stay in a webhook that becomes generic."""
    server = cloud(merges=True, read_back="mask")
    file(SLACK)
    assert shell("apply", "--yes", **server.environ).code == 0
    file(PAGER.replace("name: Pager", "name: Deploys"))
    done = shell("apply", "--yes", **server.environ)
    assert (done.code, "token" in configuration(server, "Deploys")) == (7, True)
    assert "configuration.token" in done.out
    assert "`state: absent`" in " ".join(done.out.split())


def test_a_run_past_its_deadline_names_the_deadline(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """The error does not blame a limit of the server."""
    file(SLACK)
    done = shell("apply", "--yes", "--deadline", "0.000001", **cloud().environ)
    assert done.code == 1
    assert "pause" not in done.err
    assert "--deadline" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "--parallelism", "99", "--format", "json"),
        ("apply", "--nope", "--format=json"),
        ("plan", "--format", "json", "--nope"),
    ],
)
def test_a_usage_error_is_json_too(shell: Shell, arguments: tuple[str, ...]) -> None:
    """With a JSON format it is JSON wherever the error on the command line is."""
    done = shell(*arguments)
    assert done.code == 64
    assert json.loads(done.out)["error"]["code"] == "usage"


def test_a_field_removed_where_nothing_is_shown(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Where the server hides the configuration, only the base shows that a field was removed."""
    server = cloud(read_back="configuration-missing")
    file(PAGER)
    assert shell("apply", "--yes", **server.environ).code == 0
    file(PAGER, "before.yaml")
    file(BARE)
    assert shell("apply", "--base", "before.yaml", "--yes", **server.environ).code == 0
    assert set(configuration(server, "Pager")) == {"url"}


def test_a_removed_field_next_to_a_secret_has_one_digest(
    shell: Shell, file: File, cloud: MakeCloud
) -> None:
    """It is reviewed without secrets and applied with them."""
    server = cloud()
    before = PAGER.replace("https://pager.example.com/x", "{env: ONE}, verify: false")
    environ = {**server.environ, "ONE": "https://a.example.com/1?k=one-secret"}
    environ["TWO"] = "https://b.example.com/2?k=two-secret"
    file(before)
    assert shell("apply", "--yes", **environ).code == 0
    file(before, "before.yaml")
    file(before.replace("ONE", "TWO").replace(", verify: false", ""))
    planning = ("plan", "--base", "before.yaml", "--format", "json")
    reviewed = json.loads(shell(*planning, **server.environ).out)["digest"]
    assert json.loads(shell(*planning, **environ).out)["digest"] == reviewed
