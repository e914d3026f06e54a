"""Reviews: a saved plan and a digest apply exactly what was reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cloud, Done, File, MakeCloud, Shell, command_in, digest
from tests.folders import write

TEAM = """\
webhooks:
  - name: Deploys
    type: slack
    event_types: [value_updated]
    configuration: {token: {env: TOKEN}, channel: "#deploys", username: CloudTruth}
  - name: Audit
    type: slack
    event_types: [value_updated]
    configuration: {token: {env: TOKEN}, channel: "#audit", username: CloudTruth}
"""
URL = "https://hooks.example.com/hook"
PAGER = """\
webhooks:
  - name: Pager
    type: generic
    event_types: [value_updated]
    configuration: {url: {file: hooks/pager}}
"""


def channel(server: Cloud, name: str) -> str:
    """Return the channel as CloudTruth stores it."""
    return str(server.emulator.webhook(name)["configuration"]["channel"])


def words(done: Done) -> str:
    return " ".join((done.out + done.err).split())


@pytest.fixture
def server(shell: Shell, file: File, cloud: MakeCloud) -> Cloud:
    """An organization in which TEAM is applied."""
    made: Cloud = cloud()
    file(TEAM)
    assert shell("apply", "--yes", **made.environ).code == 0
    return made


@pytest.mark.parametrize("how", ["saved", "digest"])
def test_a_reviewed_webhook_that_changed_is_stale(
    shell: Shell, file: File, server: Cloud, how: str
) -> None:
    """A stale review writes nothing, and the current plan is shown."""
    file(TEAM.replace("#deploys", "#ops").replace("#audit", "#log"))
    planned = shell("plan", "--out", "plan.json", **server.environ)
    server.emulator.configure("Deploys", channel="#elsewhere")
    writes = server.writes()
    command = ("plan.json",) if how == "saved" else ("--expect-digest", digest(planned))
    done = shell("apply", *command, "--yes", **server.environ)
    assert (done.code, server.writes()) == (6, writes)
    if how == "saved":
        assert "update Deploys (channel #elsewhere -> #ops)" in words(done)
    else:
        assert digest(planned) in done.err


@pytest.mark.parametrize("how", ["saved", "digest"])
def test_a_webhook_that_moved_to_another_host_is_not_deleted(
    shell: Shell, file: File, cloud: MakeCloud, how: str
) -> None:
    """The reviewed plan showed another destination, so the review is stale."""
    server = cloud()
    file(f"{TEAM}{PAGER.removeprefix('webhooks:').replace('{file: hooks/pager}', URL)}")
    assert shell("apply", "--yes", **server.environ).code == 0
    file(TEAM)
    planned = shell("plan", "--out", "plan.json", **server.environ)
    server.emulator.configure("Pager", url="https://elsewhere.example.com/hook")
    writes = server.writes()
    command = ("plan.json",) if how == "saved" else ("--expect-digest", digest(planned))
    done = shell("apply", *command, "--yes", **server.environ)
    assert (done.code, server.writes()) == (6, writes)


def test_unreviewed_operations_are_not_applied(shell: Shell, file: File, server: Cloud) -> None:
    """The reviewed update is applied; drift elsewhere is listed and kept: exit 7."""
    file(TEAM.replace("#deploys", "#ops"))
    assert shell("plan", "--out", "plan.json", **server.environ).code == 0
    server.emulator.configure("Audit", channel="#elsewhere")
    done = shell("apply", "plan.json", "--yes", **server.environ)
    assert done.code == 7
    assert (channel(server, "Deploys"), channel(server, "Audit")) == ("#ops", "#elsewhere")
    assert "not applied: update Audit (channel #elsewhere -> #audit): not reviewed" in words(done)
    assert "skipped" in done.out
    assert "need a review" in words(done)
    assert "again to finish" not in words(done)

    writes = server.writes()
    rest = shell("apply", "plan.json", "--yes", **server.environ)
    assert (rest.code, server.writes()) == (6, writes)
    assert "error[not-reviewed]" in rest.err
    assert "update Audit" in words(rest)


def test_a_digest_covers_resends(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """Different resends have different digests; the printed command repeats the options."""
    server = cloud(read_back="mask")
    file(TEAM)
    assert shell("apply", "--yes", **server.environ).code == 0
    one = shell("plan", "--resend-secret", "Deploys", **server.environ)
    other = shell("plan", "--resend-secret", "Audit", **server.environ)
    both = shell("plan", "--resend-secret", "*", **server.environ)
    none = shell("plan", **server.environ)
    assert len({digest(each) for each in (one, other, both)}) == 3
    assert digest(none) == ""
    assert "--expect-digest" not in none.out
    writes = len(server.writes())
    assert shell(*command_in(one.out), "--yes", **server.environ).code == 0
    assert server.writes()[writes:] == ["PATCH"]
    bare = shell("apply", "--yes", "--expect-digest", digest(both), **server.environ)
    assert (bare.code, "No changes" in bare.out) == (0, True)


def test_an_unreviewable_value_needs_yes(shell: Shell, file: File, server: Cloud) -> None:
    """A value that no review can show is listed, and sent only with `--yes`."""
    file(TEAM.replace("#deploys", "#ops"))
    assert shell("plan", "--out", "plan.json", **server.environ).code == 0
    rotated = {**server.environ, "TOKEN": "xoxb-9999999999-rotated"}
    done = shell("apply", "plan.json", terminal=True, keys="yes\n", **rotated)
    assert done.code == 7
    assert "not applied: update Audit" in words(done)
    assert "bump its `version`" in words(done)
    assert shell("apply", "plan.json", "--yes", **rotated).code == 0


@pytest.mark.parametrize("source", ["file", "env"])
def test_a_new_host_behind_a_reference_needs_a_review(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path, source: str
) -> None:
    """Bumping `version` makes the change visible to a reviewer."""
    server = cloud()
    text = PAGER if source == "file" else PAGER.replace("{file: hooks/pager}", "{env: PAGER}")

    def environ(host: str) -> dict[str, str]:
        write(tmp_path, {"hooks/pager": f"https://{host}/secret-path\n"})
        return {**server.environ, "PAGER": f"https://{host}/secret-path"}

    file(text)
    assert shell("apply", "--yes", **environ("one.example.com")).code == 0
    file(text.replace("[value_updated]", "[value_created]"))
    assert shell("plan", "--out", "plan.json", **environ("one.example.com")).code == 0
    writes = server.writes()
    done = shell("apply", "plan.json", "--yes", **environ("two.example.com"))
    assert (done.code, server.writes()) == (6, writes)
    assert "a different host" in words(done)
    assert "bump its `version`" in words(done)
    assert "secret-path" not in words(done)

    file(text, "before.yaml")
    bumped = text.replace("pager}", "pager, version: 2}").replace("PAGER}", "PAGER, version: 2}")
    file(bumped)
    command_line = ("plan", "--base", "before.yaml", "--out", "plan.json")
    assert shell(*command_line, **environ("one.example.com")).code == 0
    assert shell("apply", "plan.json", "--yes", **environ("two.example.com")).code == 0
    (row,) = server.emulator.store.webhooks()
    assert row["configuration"]["url"] == "https://two.example.com/secret-path"


def test_guards_count_only_what_is_applied(shell: Shell, file: File, server: Cloud) -> None:
    """Unreviewed deletes are not applied, so no guard counts them."""
    file(TEAM.replace("#deploys", "#ops"))
    assert shell("plan", "--out", "plan.json", **server.environ).code == 0
    row = server.emulator.store.webhooks()[0]
    for number in range(8):
        server.emulator.store.save({**row, "id": f"stray-{number}", "name": f"stray-{number}"})
    assert shell("apply", "--yes", **server.environ).code == 5
    done = shell("apply", "plan.json", "--yes", **server.environ)
    assert (done.code, "BLOCKED" in done.err) == (7, False)
    assert (channel(server, "Deploys"), len(server.names())) == ("#ops", 10)
