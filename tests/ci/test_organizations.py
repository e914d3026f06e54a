"""Stories of several organizations in one repository: one plan, one comment, a job for each
environment.

The end of each story, with all comments and issues, is in stories/.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from reconciler.ci.marker import MarkerKind
from reconciler.ci.workflows import workflows
from reconciler.model import SecretRef
from tests.ci.conftest import MakeOrganizations
from tests.ci.fake_github import MAX_BODY, FakeGitHub, Job, refusal
from tests.ci.organizations import BASE, DEFAULT, Organizations, alerts
from tests.ci.support import PUSH, SLACK, only, world
from tests.emulated.emulator import SeededStore
from tests.emulated.faults import Rule, Script, status
from tests.emulated.variant import Variant

Files = Mapping[str, str]


def test_one_stale_organization_of_three(three: Organizations) -> None:
    """A changed base is one comment; the others are applied, and a command applies this one."""
    planned = three.propose(1, alerts())
    assert (planned.code, planned.outputs["updates"]) == (0, "3"), planned.stdout
    three.set_channel("staging", "by-hand")
    three.merge(1)
    done = three.push()
    assert {name: each.code for name, each in done.items()} == {DEFAULT: 7, "eu": 0}
    assert done[DEFAULT].outputs["failure-reason"] == "stale-plan"
    assert three.channels() == {"dev": ["alerts"], "production": ["alerts"], "staging": ["by-hand"]}
    (failure,) = three.comments(1, MarkerKind.FAILURE)
    assert three.world.follow(failure).outputs["result"] == "applied"
    again = three.push()
    assert {each.outputs["result"] for each in again.values()} == {"converged"}


def test_one_blocked_organization_of_three(three: Organizations) -> None:
    """A guard blocks the deletes of one; the others are applied, and a command allows it once."""
    three.live(three.edited("limits: {max_deletes: 0}\n", "dev"))
    absent = {"orgs/dev.yaml": three.text("dev") + "webhooks: [{name: Audit, state: absent}]\n"}
    assert three.propose(1, alerts() | absent).code == 5
    three.merge(1)
    assert {name: each.code for name, each in three.push().items()} == {DEFAULT: 7, "eu": 0}
    assert three.channels() == {"dev": ["general"], "production": ["alerts"], "staging": ["alerts"]}
    (failure,) = three.comments(1, MarkerKind.FAILURE)
    assert three.world.follow(failure).outputs["result"] == "applied"
    assert three.channels()["dev"] == []


def test_one_revoked_key_of_three(three: Organizations) -> None:
    """The check fails and shows the plans of the others, which a merge applies."""
    here = three.world
    here.environments["cloudtruth-plan"]["DEV_KEY"] = "ct-revoked-0123456789"
    planned = three.propose(1, alerts())
    assert (planned.code, planned.outputs["failure-reason"]) == (4, "authentication")
    three.merge(1)
    assert {name: each.code for name, each in three.push().items()} == {DEFAULT: 7, "eu": 0}
    assert three.channels() == {"dev": ["general"], "production": ["alerts"], "staging": ["alerts"]}
    (failure,) = three.comments(1, MarkerKind.FAILURE)
    assert here.follow(failure).outputs["result"] == "applied"


def test_one_missing_key_of_three(three: Organizations) -> None:
    """The failure names the variable and the command that sets it; the next run continues.

    It needs no issues.
    """
    secrets = three.world.environments[DEFAULT]
    three.propose(1, alerts())
    key = secrets.pop("STAGING_KEY")
    three.merge(1)
    with three.world.github.failing("/issues", refusal(410, "Issues are disabled")):
        done = three.push()[DEFAULT]
    assert (done.code, done.outputs["failure-reason"]) == (7, "no-api-key")
    assert f"gh secret set STAGING_KEY --env {DEFAULT}" in done.stdout
    assert three.channels()["staging"] == ["general"]
    secrets["STAGING_KEY"] = key
    assert three.push()[DEFAULT].outputs["result"] == "applied"


def test_one_organization_of_three_is_in_maintenance(
    three: Organizations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are applied, and the command of the failure applies this one afterwards.

    An internal error has its own reason.
    """
    three.propose(1, alerts())
    three.merge(1)
    with monkeypatch.context() as patched:
        patched.setattr("reconciler.workflow.executing.execute", None)
        done = three.push()[DEFAULT]
    assert (done.code, done.outputs["failure-reason"]) == (70, "bug")
    account = Variant.account
    with monkeypatch.context() as patched:
        patched.setattr(
            Variant, "account",
            lambda self, row: account(self, row) | {"maintenance": row.get("name") == "Dev"},
        )  # fmt: skip
        done = three.push()[DEFAULT]
    assert (done.code, done.outputs["failure-reason"]) == (7, "maintenance")
    assert three.channels() == {"dev": ["general"], "production": ["alerts"], "staging": ["alerts"]}
    assert "gh run rerun" in three.world.github.issues[0]["body"]
    assert three.push()[DEFAULT].outputs["result"] == "applied"


def test_a_stale_organization_beside_one_without_a_key(three: Organizations) -> None:
    """No digest could be applied: the failure has the repair, and then a re-run has the digest."""
    secrets = three.world.environments[DEFAULT]
    three.propose(1, alerts())
    key = secrets.pop("STAGING_KEY")
    three.set_channel("dev", "by-hand")
    three.merge(1)
    three.push()
    failure = three.world.github.issues[0]["body"]
    assert f"gh secret set STAGING_KEY --env {DEFAULT}" in failure
    assert "first repair Staging (" in failure
    assert ("gh run rerun" in failure, "gh workflow run" in failure) == (True, False), failure
    secrets["STAGING_KEY"] = key
    three.push()
    assert three.channels()["staging"] == ["alerts"]
    failure = three.comments(1, MarkerKind.FAILURE)[-1]
    assert three.world.follow(failure).outputs["result"] == "applied"


def test_a_secret_is_resent_only_where_it_was_rotated(organizations: MakeOrganizations) -> None:
    """Another organization of the environment has a webhook of the same name.

    The key was missing when the secret was rotated, and while another change was merged.
    """
    made = organizations(read_back="mask")
    here = made.world
    made.live({"base.yaml": BASE.replace("TOKEN}", "TOKEN, version: 1}")})
    made.merged(1, made.channel("first", "production"))
    token = "{token: {env: SLACK_BOT_TOKEN, version: 2}}"
    here.put(made.edited(f"webhooks: [{{name: Audit, configuration: {token}}}]\n", "dev"))
    key = here.environments[DEFAULT].pop("DEV_KEY")
    made.push()
    made.merged(2, made.channel("second", "production"))
    here.environments[DEFAULT]["DEV_KEY"] = key
    done = made.merged(3, made.channel("third", "production"))[DEFAULT]
    assert done.outputs["failure-reason"] == "rotation-not-reviewed", done.stdout
    assert "-f 'resend-secret=Dev: Audit'" in done.stdout
    before = len(here.writes())
    assert here.follow(done.stdout).outputs["result"] == "applied"
    assert len(here.writes()) == before + 1


def test_a_mistyped_secret_to_resend_fails(three: Organizations) -> None:
    """No organization of the environment has it: the run would send nothing and look done."""
    for secret in ("env:SLACK_BOT_TOKN", "Dev: Audit, Staging: Audit", "Production: Audit"):
        inputs = {"environment": DEFAULT, "resend-secret": secret}
        done = only(three.world.run("apply", "workflow_dispatch", PUSH, inputs=inputs))
        assert f"error[unknown-resend]: --resend-secret '{secret}'" in done.stdout
        assert (done.code, "webhooks validate" in done.stdout) == (3, False)


# What a change concerns.


class Change(NamedTuple):
    """An edit of live files, the number of organizations that its plan reads, and its jobs."""

    edit: Callable[[Organizations], Files]
    read: int = 0
    jobs: frozenset[str] = frozenset()
    live: Callable[[Organizations], Files] = lambda three: {}


BOTH: Final = frozenset((DEFAULT, "eu"))
USERNAME: Final = {"base.yaml": BASE.replace("CT", "Bot")}
TOKEN: Final = {
    "base.yaml": BASE.replace("env: SLACK_BOT_TOKEN", "file: secrets/token"),
    "secrets/token": SLACK,
}
CHANGES: Final = {
    "another file": Change(lambda three: {"readme.md": "x"}),
    "a comment": Change(lambda three: {"base.yaml": f"{BASE}# a comment\n"}),
    "the base": Change(lambda three: USERNAME, 3, BOTH),
    "an overridden value": Change(
        lambda three: USERNAME,
        live=lambda three: three.edited("defaults: {configuration: {username: Us}}\n", *three.ids),
    ),
    "a secret file": Change(
        lambda three: {"secrets/token": f"{SLACK}-2"}, 3, BOTH, live=lambda three: TOKEN
    ),
    "a policy": Change(lambda three: {"policy.json": '{"title": "x"}'}, 3, BOTH),
    "an environment": Change(
        lambda three: three.edited("github: {environment: EU}\n", "dev"), 1, frozenset(("eu",))
    ),
}


@pytest.mark.parametrize("waits", [False, True], ids=["alone", "a review waits"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of(three: Organizations, change: Change, waits: bool) -> None:
    """Only organizations with a difference are read, and only their environments have jobs.

    A review of Dev that waits for a reviewer is applied then, wherever the change moves it.
    """
    here = three.world
    if live := change.live(three):
        three.live(live)
    if waits:
        here.github.reviewed = {DEFAULT}
        assert three.merged(1, three.channel("alerts", "dev")) == {}
    here.emulator.log.clear()
    assert three.propose(2, change.edit(three)).code == 0
    assert len(here.emulator.log) == 2 * change.read  # the organization and its webhooks
    three.merge(2)
    done = three.push()
    assert set(done) == change.jobs - here.github.reviewed
    while here.github.waiting:
        here.approve(DEFAULT)
    assert three.channels()["dev"] == ["alerts" if waits else "general"]


def test_a_reverted_change_replaces_its_plan(three: Organizations) -> None:
    """If a later commit reverts a change, the plan of the organization is replaced."""
    text = three.text("dev")
    assert three.propose(1, three.channel("alerts", "dev")).outputs["updates"] == "1"
    assert three.propose(1, {"orgs/dev.yaml": text}).outputs["result"] == "no-changes"


def test_a_usual_push_sends_at_most_ten_requests_a_job(three: Organizations) -> None:
    """Also if the organizations of one environment have never changed on GitHub."""
    here = three.world
    here.requests.clear()
    for number in range(1, 9):
        assert set(three.merged(number, three.channel(f"c{number}", "dev"))) == {DEFAULT}
    assert max(here.requests) <= 10, here.requests


def test_a_delete_waits_for_an_unreviewed_create_of_another(three: Organizations) -> None:
    """A webhook that moved is not deleted before it is created in the other organization."""
    own = "webhooks: [{name: Own, add: true, event_types: ['*'], configuration: {channel: own}}]\n"
    before = three.text("dev")
    three.live(three.edited(own, "dev"))
    three.propose(1, {"orgs/dev.yaml": before})
    three.merge(1)
    # Without a review.
    three.world.put(three.edited(own, "staging"))
    three.push()
    assert three.channels()["dev"] == ["general", "own"]


# Environments.


@pytest.mark.parametrize(("queue", "jobs"), [("max", 3), ("single", 2)])
def test_merges_while_a_reviewer_decides(three: Organizations, queue: str, jobs: int) -> None:
    """At the approval, exactly the reviews of all merges are applied, the newest of each webhook.

    An older server cancels jobs that are pending; the last one applies their reviews.
    """
    here = three.world
    here.queue, here.github.reviewed = queue, {"eu"}
    assert set(three.merged(1, alerts())) == {DEFAULT}
    assert three.merged(2, three.channel("pages", "production")) == {}
    assert three.merged(3, three.channel("calls", "production")) == {}
    assert three.channels()["production"] == ["general"]
    assert len(here.github.waiting) == jobs
    assert (here.approve("eu").code, three.channels()["production"]) == (0, ["calls"])
    before = here.writes()
    while here.github.waiting:
        assert here.approve("eu").outputs["result"] == "converged"
    assert here.writes() == before


def test_a_review_that_waits_is_stale_at_the_approval(three: Organizations) -> None:
    """A user changes the webhook while the job waits; nothing is written."""
    three.world.github.reviewed = {"eu"}
    three.merged(1, alerts())
    three.set_channel("production", "by-hand")
    assert three.world.approve("eu").outputs["failure-reason"] == "stale-plan"
    assert three.channels()["production"] == ["by-hand"]


@pytest.mark.parametrize("first", ["eu", DEFAULT])
def test_an_organization_that_moves_keeps_its_review(three: Organizations, first: str) -> None:
    """A review waits while a second pull request moves its organization to another environment."""
    here = three.world
    here.github.reviewed = set(BOTH)
    three.merged(1, three.channel("alerts", "dev"))
    three.merged(2, three.edited("github: {environment: eu}\n", "dev"))
    for environment in (first, *(BOTH - {first})):
        here.approve(environment)
    assert three.channels()["dev"] == ["alerts"]


def test_a_failure_is_resolved_in_another_environment(three: Organizations) -> None:
    """An organization without a key moves to the environment that has it."""
    three.world.environments[DEFAULT].pop("DEV_KEY")
    failed = three.merged(1, three.channel("alerts", "dev"))
    assert failed[DEFAULT].outputs["failure-reason"] == "no-api-key"
    moved = three.merged(2, three.edited("github: {environment: eu}\n", "dev"))
    assert moved["eu"].outputs["result"] == "applied"
    assert three.world.github.issues[0]["state"] == "closed"
    assert three.merged(3, {"readme.md": "x"}) == {}


def test_a_rotation_that_no_run_read_is_found_in_another_environment(
    organizations: MakeOrganizations,
) -> None:
    """The run of its push failed early; then there is another environment, to which it moves."""
    made = organizations({"dev": DEFAULT, "staging": DEFAULT}, read_back="mask")
    here, token = made.world, "{env: SLACK_BOT_TOKEN, version: 2}"
    made.live({"base.yaml": BASE.replace("TOKEN}", "TOKEN, version: 1}")})
    made.before = here.git("rev-parse", "main")
    here.put(
        made.edited(f"webhooks: [{{name: Audit, configuration: {{token: {token}}}}}]\n", "dev")
    )
    with here.github.failing("...main", refusal(500, "Server Error")):
        made.push()
    made.before = here.git("rev-parse", "main")
    files = made.edited("github: {environment: eu}\n", "dev") | made.add("new", "eu")
    files["orgs/new.yaml"] += "webhooks: [{name: Audit, state: absent}]\n"
    here.put(files | workflows(here.setup))
    done = made.push()
    reasons = {name: each.outputs["failure-reason"] for name, each in done.items()}
    assert reasons == {DEFAULT: "", "eu": "rotation-not-reviewed"}
    assert [issue["state"] for issue in here.github.issues] == ["closed", "open"]


def test_an_environment_that_the_workflow_does_not_list(three: Organizations) -> None:
    """GitHub would create it without reviewers; until it is corrected, nothing is applied."""
    here = three.world
    here.github.reviewed = {DEFAULT}
    three.merged(1, three.channel("alerts", "dev"))
    text = three.text("dev")
    planned = three.propose(2, {"orgs/dev.yaml": f"{text}github: {{environment: Prod}}\n"})
    assert planned.code == 3
    assert "names the environment 'Prod', which .github/workflows/apply-webhooks.yml does not" in (
        planned.stdout
    )
    assert "add it with `webhooks init --github`" in planned.stdout
    three.merge(2)
    three.push()
    assert here.approve(DEFAULT).outputs["failure-reason"] == "invalid-configuration"
    assert here.approve(DEFAULT).outputs["failure-reason"] == "invalid-configuration"
    assert three.channels()["dev"] == ["general"]
    three.merged(3, {"orgs/dev.yaml": f"{text}github: {{environment: {DEFAULT.title()}}}\n"})
    here.approve(DEFAULT)
    assert three.channels()["dev"] == ["alerts"]


def test_a_run_for_one_environment_resolves_the_issue_of_each_job(three: Organizations) -> None:
    """The issue of the job that finds the environments names none of them."""
    here = three.world
    here.not_run("apply", "7")
    here.not_run("apply", "8", "eu")
    inputs = {"environment": "eu"}
    done = here.run("apply", "workflow_dispatch", PUSH, inputs=inputs)
    assert done["eu"].outputs["result"] == "converged"
    assert [issue["state"] for issue in here.github.issues] == ["closed", "closed"]


def test_an_organization_uses_only_its_own_secrets(three: Organizations) -> None:
    """A file cannot name the secret of another organization in the same environment."""
    here = three.world
    dev, *others = here.setup.organizations
    here.setup = replace(here.setup, organizations=(replace(dev, references=()), *others))
    planned = three.propose(1, alerts())
    assert planned.code == 3
    assert "env SLACK_BOT_TOKEN is not in the list of allowed secrets" in planned.stdout


@pytest.mark.parametrize(("environments", "code"), [((DEFAULT, "eu"), 0), ((DEFAULT,), 5)])
def test_deletes_are_counted_for_each_environment(
    organizations: MakeOrganizations, environments: tuple[str, ...], code: int
) -> None:
    """30 deletes in six organizations are too many for one environment, not for two."""
    six = organizations({f"o{n}": environments[n % len(environments)] for n in range(6)})
    many = "".join(f"  - {{name: Hook {number}}}\n" for number in range(10))
    six.live({"base.yaml": BASE + many})
    planned = six.propose(1, {"base.yaml": BASE + many[: len(many) // 2]})
    assert (planned.code, planned.outputs["deletes"]) == (code, "30"), planned.stdout
    six.merge(1)
    assert {each.code for each in six.push().values()} == {code}


# Organizations come and go.


def test_an_organization_is_added(three: Organizations) -> None:
    """Only the new organization is planned, and its webhooks are created."""
    assert three.merged(1, three.add("qa", "eu"))["eu"].outputs["result"] == "applied"
    assert three.channels()["qa"] == ["general"]


def test_an_organization_is_renamed(three: Organizations) -> None:
    """A review that waits belongs to the key's organization, whose new name the files follow."""
    here = three.world
    here.github.reviewed = {DEFAULT}
    three.merged(1, three.channel("alerts", "dev"))
    store = here.emulator.store
    assert isinstance(store, SeededStore)
    store.rename(three.ids["dev"], "Development")
    renamed = {"orgs/dev.yaml": three.text("dev").replace('"Dev"', "Development")}
    dev, *others = here.setup.organizations
    here.setup = replace(here.setup, organizations=(replace(dev, name="Development"), *others))
    planned = three.propose(2, renamed | workflows(here.setup))
    assert (planned.code, "no longer declared" in planned.stdout) == (0, False)
    three.merge(2)
    three.push()
    while here.github.waiting:
        here.approve(DEFAULT)
    assert three.channels()["dev"] == ["alerts"]


def test_an_organization_is_retired(three: Organizations) -> None:
    """Its webhooks are declared absent, then its file is removed; the others are not read."""
    here = three.world
    lines = re.sub(r"extends: .*\n", "", three.text("dev"))
    lines += "limits: {max_deletes: 1}\nwebhooks: [{name: Audit, state: absent}]\n"
    assert three.merged(1, {"orgs/dev.yaml": lines})[DEFAULT].outputs["result"] == "applied"
    assert three.channels()["dev"] == []
    here.topic(2)
    here.git("rm", "-q", "orgs/dev.yaml")
    here.emulator.log.clear()
    done = three.propose(2)
    assert (done.code, "Dev is no longer declared" in done.stdout) == (0, True)
    assert "0 organizations" not in done.stdout + here.github.bodies(2)[0]
    three.merge(2)
    assert (three.push(), here.emulator.log) == ({}, [])


def test_a_layer_of_one_organization(three: Organizations) -> None:
    """The base of an organization is valid beside a layer that only another one extends."""
    layer = "extends: ../base.yaml\nwebhooks: [{name: Audit, configuration: {channel: eu}}]\n"
    overlay = three.text("production").replace("../base.yaml", "layer.yaml")
    three.merged(1, {"orgs/layer.yaml": layer, "orgs/production.yaml": overlay})
    done = three.propose(2, alerts())
    printed = done.stdout + done.stderr + "".join(three.world.github.bodies(2))
    assert (done.outputs["updates"], "not valid" in printed) == ("2", False), printed


def test_a_file_moves_with_a_change(three: Organizations) -> None:
    """The organization is found by its name, its plan by the id of its key."""
    here = three.world
    here.topic(1)
    here.git("mv", "orgs/dev.yaml", "orgs/qa.yaml")
    here.commit()
    changed = {"orgs/qa.yaml": three.channel("alerts", "qa")["orgs/qa.yaml"]}
    assert three.merged(1, changed)[DEFAULT].outputs["result"] == "applied"
    assert three.channels()["dev"] == ["alerts"]


# Forks, the merge queue, comments.


def test_a_fork_is_checked_without_keys(three: Organizations) -> None:
    """Nothing is read or commented; after the merge the digest applies it. Then keys are needed."""
    here = three.world
    here.emulator.log.clear()
    done = three.propose(1, alerts(), home="eve/hooks")
    assert (done.outputs["result"], here.emulator.log) == ("validated", [])
    three.merge(1)
    assert {each.code for each in three.push().values()} == {6}
    for failure in three.comments(1, MarkerKind.FAILURE):
        assert here.follow(failure).outputs["result"] == "applied"
    assert set(map(tuple, three.channels().values())) == {("alerts",)}
    here.environments["cloudtruth-plan"].clear()
    unset = three.propose(2, three.channel("pages", "dev")).stdout
    assert "gh secret set DEV_KEY" in unset


def test_two_pull_requests_in_the_merge_queue(three: Organizations) -> None:
    """A group is checked against the reviews of both, and fails before the merge for one."""
    here = three.world
    three.propose(1, three.channel("alerts", "dev"))
    three.propose(2, three.channel("pages", "production"))
    three.propose(3, {"readme.md": "x"})
    assert here.queue_up(1, 2).outputs["result"] == "planned"
    three.set_channel("production", "by-hand")
    stale = here.queue_up(1, 2, 3)
    assert stale.outputs["failure-reason"] == "stale-plan"
    text = "plan for 1 webhook differs from the reviewed plan: Production: Audit (pull request 2)"
    assert f"{text}\n  = help: re-run the plan check of that" in stale.stdout
    assert "run `gh pr update-branch NUMBER` instead" in stale.stdout
    assert here.queue_up(1).outputs["result"] == "planned"


@pytest.mark.parametrize("written", [1, 2])
def test_a_plan_job_cancelled_between_two_comments(three: Organizations, written: int) -> None:
    """The first comment is invalidated before the others: an incomplete plan approves nothing."""
    here = three.world
    names = [f"hook-{number:03} " + "x" * 240 for number in range(200)]
    base = BASE + "".join(f"  - {{name: {name}}}\n" for name in names)
    assert three.propose(1, {"base.yaml": base}).outputs["creates"] == "600"
    assert len(here.github.bodies(1)) > 1
    here.put({"base.yaml": f"{base}  - {{name: last}}\n"})
    writes = len(here.github.writes) + written
    stopped = here.interrupted(
        "plan", "pull_request", here.opened(1), at=lambda *_: len(here.github.writes) > writes
    )
    assert stopped.code == 130, stopped.stdout
    three.merge(1)
    for done in three.push().values():
        assert (done.code, done.outputs["failure-reason"]) == (6, "not-reviewed")
        assert "its last plan failed or was not completed" in done.stdout


# Drift, secrets, sizes.


def test_drift_is_one_issue(three: Organizations) -> None:
    """The issue has a command for each environment, and closes when all are as declared.

    Failing deliveries open another one; both it and a plan comment name the organizations.
    """
    here = three.world
    for name in ("dev", "production"):
        three.set_channel(name, "by-hand")
    assert here.drift().outputs["result"] == "drift"
    (issue,) = here.github.issues
    for environment in (DEFAULT, "eu"):
        (command,) = re.findall(rf"gh workflow run .* -f environment={environment}", issue["body"])
        assert here.follow(command).outputs["result"] == "applied"
    here.drift()
    assert issue["state"] == "closed"
    (row,) = here.emulator.store.webhooks(three.ids["dev"])
    row["last_error"] = {"timestamp": "2026-01-01T00:00:00Z", "code": "gone", "text": "gone"}
    here.emulator.store.save(row)
    here.drift()
    for text in ("- `Audit` in `Dev`: ", "`webhooks check -f orgs/` shows"):
        assert text in here.github.issues[-1]["body"]
    three.propose(1, alerts())
    for text in (
        "see `webhooks status -f orgs/ --failing`",
        "# In 3 organizations: Dev, Production, Staging\n! Aud",
    ):
        assert text in here.github.bodies(1)[-1]


def test_drift_is_accepted_while_a_merge_waits(three: Organizations) -> None:
    """The issue shows only what a script changed, and its diff accepts that.

    The merge that waits for a reviewer is neither reverted nor edited. After the approval nothing
    is left to apply, and the issue closes.
    """
    here, store = three.world, three.world.emulator.store
    dev, production, staging = here.setup.organizations
    token = SecretRef(scheme="env", name="EU_TOKEN")  # of no other organization
    production = replace(production, references=(token,))
    here.setup = replace(here.setup, organizations=(dev, production, staging))
    here.environments["eu"]["EU_TOKEN"] = SLACK
    added = "".join(
        f"  ##[ {name} ]##\n  - name: {name}\n    add: true\n"
        "    configuration: {channel: general}\n"
        for name in ("Deploys", "Pager")
    )
    token_line = "defaults: {configuration: {token: {env: EU_TOKEN}}}\n"
    three.live(three.edited(f"{token_line}webhooks:\n{added}", "production"))
    here.github.reviewed = {"eu"}
    assert set(three.merged(1, alerts())) == {DEFAULT}
    rows = {row["name"]: row for row in store.webhooks(three.ids["production"])}
    rows["Deploys"]["configuration"]["channel"] = "by-hand"
    store.save(rows["Deploys"])
    store.delete(rows["Pager"]["id"])
    store.save({**rows["Deploys"], "id": store.new_id(), "name": "Added"})
    assert here.drift().outputs["result"] == "drift"
    (issue,) = here.github.issues
    assert issue["title"].endswith("drift, 1 to create, 1 to update, 1 to delete")
    drift, _, waiting = issue["body"].partition("Waiting to be applied")
    names = ("Deploys", "Pager", "Added", "Audit")
    assert [f"`{name}`" in drift for name in names] == [True, True, True, False]
    assert "`Audit`" in waiting.partition("<details>")[0]
    (diff,) = re.findall(r"`{3,}diff\n(.*?)`{3,}\n", issue["body"], re.DOTALL)
    here.topic(2)
    subprocess.run(["git", "apply", "-"], cwd=here.work, input=diff, text=True, check=True)
    assert three.merged(2, {}) == {}
    assert here.approve("eu").outputs["result"] == "applied"
    assert here.approve("eu").outputs["result"] == "converged"
    assert here.drift().outputs["result"] == "no-drift"
    assert issue["state"] == "closed"


def test_a_rotation_in_all_is_sent_once_also_after_a_failure(
    organizations: MakeOrganizations,
) -> None:
    """CloudTruth hides the tokens; a job whose write fails sends its token when it runs again."""
    made = organizations(read_back="mask")
    here = made.world
    made.live({"base.yaml": BASE.replace("TOKEN}", "TOKEN, version: 1}")})
    for environment in BOTH:
        here.environments[environment]["SLACK_BOT_TOKEN"] = "xoxb-rotated-0123456789"
    here.emulator.faults = Script([Rule(fault=status(400), method="PATCH")])
    first = made.merged(1, {"base.yaml": BASE.replace("TOKEN}", "TOKEN, version: 2}")})
    assert {name: each.code for name, each in first.items()} == {DEFAULT: 7, "eu": 0}
    here.emulator.faults = Script()
    before = len(here.writes())
    again = made.push()
    assert {name: each.outputs["result"] for name, each in again.items()} == {
        DEFAULT: "applied", "eu": "converged"
    }  # fmt: skip
    for organization in made.ids.values():
        (row,) = here.emulator.store.webhooks(organization)
        assert row["configuration"]["token"] == "xoxb-rotated-0123456789"
    made.push()
    assert len(here.writes()) == before + 1


@pytest.mark.slow
def test_sixty_organizations_fit_in_one_pull_request(tmp_path: Path) -> None:
    """A change of one field everywhere is two comments, like a rotation of all tokens.

    A plan sends two requests for each organization, and plan and apply at most ten to GitHub, also
    while the first change waits to be applied, which the second plan names.
    """
    names = [f"organization-{number:02}" for number in range(60)]
    with world(tmp_path, any_key=False) as here:
        made = Organizations(here, dict.fromkeys(names, DEFAULT))
        base = BASE + "".join(f"  - {{name: Hook {number}}}\n" for number in range(29))
        made.live({"base.yaml": base})
        entry = "webhooks:\n  - {name: New}\n"
        changes = (("CT", "Bot"), ("webhooks:\n", entry), ("TOKEN}", "TOKEN, version: 2}"))
        for number, (old, new) in enumerate(changes, start=1):
            here.git("checkout", "-q", "main")
            here.emulator.log.clear()
            here.github.log.clear()
            base = base.replace(old, new)
            planned = made.propose(number, {"base.yaml": base})
            assert planned.outputs["updates"] == "1800"
            sizes = [len(each) for each in here.github.bodies(number)]
            assert len(sizes) <= 2
            assert max(sizes) <= MAX_BODY
            assert (len(here.emulator.log), len(here.github.log) <= 10) == (120, True)
            if number != 2:
                made.merge(number)
        plan = "".join(here.github.bodies(2))
        assert ("waiting to be applied" in plan, "(drift)" in plan) == (True, False)
        here.github.log.clear()
        assert only(made.push()).outputs["result"] == "applied"
        assert len(here.github.log) <= 10


def test_a_group_has_one_running_and_one_pending_job() -> None:
    """A newer pending job cancels the older one; with the queue "max" none is cancelled."""
    for queue, expected in (("single", ["0", "2"]), ("max", ["0", "1", "2"])):
        github, started = FakeGitHub(), list[str]()
        github.reviewed = {"eu"}
        for name in "012":
            github.enqueue(Job("eu", partial(started.append, name)), "Group", queue=queue)
        assert github.run_jobs() == {}
        while github.waiting:
            github.approve("eu")
            github.run_jobs()
        assert started == expected
