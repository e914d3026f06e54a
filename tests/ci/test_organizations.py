"""Several organizations in one repository: one plan, one comment, an apply for each environment."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.ci.marker import MarkerKind, decode
from reconciler.ci.workflows import RequiredSecrets, Setup
from reconciler.model import SecretRef
from tests.ci.fake_github import MAX_BODY
from tests.ci.support import PUSH, SLACK, Done, World, only, world
from tests.emulated.faults import Rule, Script, status

BASE = (
    "defaults: {type: slack, event_types: [value_created], configuration: "
    "{token: {env: SLACK_BOT_TOKEN}, username: CT, channel: CHANNEL}}\n"
    "webhooks:\n  - {name: Audit}\n"
)
DEFAULT = "cloudtruth-production"
ENVIRONMENTS = {"dev": DEFAULT, "production": "eu", "staging": DEFAULT}
"""The environment of each organization of the stories; two share one."""


def title(name: str) -> str:
    """Return the name of an organization in CloudTruth."""
    return name.title().replace("-", " ")


class Organizations:
    """Organizations with a common base, and the pull requests for them."""

    def __init__(self, here: World, environments: Mapping[str, str]) -> None:
        self.world = here
        self.ids: dict[str, str] = {}
        keys: dict[str, str] = {}
        needs, texts = [], {"base.yaml": BASE.replace("CHANNEL", "general")}
        for name, environment in environments.items():
            made = here.emulator.store.add_organization(title(name))
            variable = f"{name.upper().replace('-', '_')}_KEY"
            keys[variable] = f"ct-{name}-0123456789"
            here.emulator.store.add_user(made.id, key=keys[variable])
            self.ids[name] = made.id
            text = f"extends: ../base.yaml\norganization: {title(name)}\n"
            text += f"api_key: {{env: {variable}}}\n"
            if environment != DEFAULT:
                text += f"github: {{environment: {environment}}}\n"
            texts[f"orgs/{name}.yaml"] = text
            token = SecretRef(scheme="env", name="SLACK_BOT_TOKEN")
            needs.append(
                RequiredSecrets(
                    name=title(name),
                    references=(token,),
                    key=variable,
                    environment=None if environment == DEFAULT else environment,
                )
            )
        here.environments["cloudtruth-plan"] = dict(keys)
        for environment in set(environments.values()):
            here.environments[environment] = {**keys, "SLACK_BOT_TOKEN": SLACK}
        here.secrets.clear()
        here.file = "orgs/"
        here.setup = Setup(
            package=".", file=here.file, organizations=tuple(needs), parents=("base.yaml",)
        )
        here.git("rm", "-q", "webhooks.yaml")
        here.put(texts)
        self.before = here.git("rev-parse", "main^")

    def text(self, name: str) -> str:
        """Return the file of an organization."""
        return (self.world.work / f"orgs/{name}.yaml").read_text()

    def propose(self, number: int, files: Mapping[str, str] | None = None, home: str = "") -> Done:
        """Open or update a pull request with these files, and plan it."""
        here = self.world
        here.topic(number)
        here.put(dict(files or {}))
        return only(here.run("plan", "pull_request", here.opened(number, home=home)))

    def change(self, number: int, channel: str, *names: str) -> Done:
        """Plan a pull request that sets a channel in some organizations, or in the base."""
        if not names:
            return self.propose(number, {"base.yaml": BASE.replace("CHANNEL", channel)})
        self.world.topic(number)
        entry = f"webhooks: [{{name: Audit, configuration: {{channel: {channel}}}}}]\n"
        texts = {name: re.sub(r"webhooks:.*\n", "", self.text(name)) + entry for name in names}
        return self.propose(number, {f"orgs/{name}.yaml": text for name, text in texts.items()})

    def merge(self, number: int) -> None:
        self.before = self.world.git("rev-parse", "main")
        self.world.squash(number)

    def push(self, *jobs: str, **environ: str) -> dict[str, Done]:
        """Run the apply workflow for the last merge; with `jobs`, only these are approved."""
        self.world.git("checkout", "-q", "main")
        event = {**PUSH, "before": self.before}
        return self.world.run("apply", "push", event, approved=jobs or None, **environ)

    def channels(self) -> dict[str, list[str]]:
        """Return the channels of each organization's live webhooks."""
        rows = self.world.emulator.store.webhooks
        return {
            name: [each["configuration"]["channel"] for each in rows(organization)]
            for name, organization in self.ids.items()
        }

    def set_channel(self, name: str, channel: str) -> None:
        """Change a live webhook directly."""
        (row,) = self.world.emulator.store.webhooks(self.ids[name])
        row["configuration"]["channel"] = channel
        self.world.emulator.store.save(row)

    def comments(self, number: int, kind: MarkerKind) -> list[str]:
        """Return the texts of a kind of comments on a pull request."""
        bodies = self.world.github.bodies(number)
        return [
            body.partition("\n")[2]
            for body in bodies
            if (marker := decode(body)) is not None and marker.kind is kind
        ]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Organizations]:
    """Three organizations in two environments, whose webhooks are live as declared."""
    with world(tmp_path, any_key=False) as made:
        found = Organizations(made, ENVIRONMENTS)
        settled = found.push(WEBHOOKS_REVIEWED_PLAN="ignore")
        assert [each.outputs["result"] for each in settled.values()] == ["applied"] * 2, settled
        yield found


def test_a_changed_parent_is_one_comment_and_a_job_for_each_environment(
    three: Organizations,
) -> None:
    """One stale organization fails with the command to continue; the others are applied."""
    here = three.world
    planned = three.change(1, "alerts")
    assert (planned.code, planned.outputs["updates"]) == (0, "3"), planned.stdout
    (comment,) = three.comments(1, MarkerKind.PLAN)
    assert "for 3 organizations: 0 to create, 3 to update, 0 to delete" in comment
    assert "In 3 organizations: `Dev`, `Production`, `Staging`" in comment
    assert comment.count("| `~` | `Audit`") == 1
    assert "3 organizations: 3 to change. 3 to update, 0 to delete." in comment

    three.set_channel("staging", "by-hand")
    three.merge(1)
    done = three.push()
    assert {name: each.code for name, each in done.items()} == {DEFAULT: 7, "eu": 0}
    assert done[DEFAULT].outputs["failure-reason"] == "stale-plan"
    assert three.channels() == {"dev": ["alerts"], "production": ["alerts"], "staging": ["by-hand"]}
    outcomes = three.comments(1, MarkerKind.OUTCOME)
    assert "- `Dev`: **Applied** by [this run]" in outcomes[0]
    assert "Staging" not in outcomes[0]
    assert "**Applied** by" in outcomes[1]
    (failure,) = three.comments(1, MarkerKind.FAILURE)
    assert "### Failed: `stale-plan`" in failure
    assert f"-f environment={DEFAULT}" in failure
    assert here.follow(failure).outputs["result"] == "applied"
    assert three.channels()["staging"] == ["alerts"]
    again = three.push()
    assert {name: each.outputs["result"] for name, each in again.items()} == {
        DEFAULT: "converged", "eu": "converged"
    }  # fmt: skip


def test_only_organizations_that_changed_are_read(three: Organizations) -> None:
    """If a later commit reverts a change, the plan of the organization is replaced."""
    here, text = three.world, three.text("dev")
    here.emulator.log.clear()
    assert three.change(1, "alerts", "dev").outputs["updates"] == "1"
    assert "for `Dev`" in three.comments(1, MarkerKind.PLAN)[0]
    assert len(here.emulator.log) == 2  # the organization and its webhooks
    back = three.propose(1, {"orgs/dev.yaml": text})
    assert back.outputs["result"] == "no-changes"
    (comment,) = three.comments(1, MarkerKind.PLAN)
    assert "no changes" in comment
    here.emulator.log.clear()
    assert three.propose(2, {"readme.md": "x"}).code == 0
    assert here.emulator.log == []
    assert here.github.bodies(2) == []


def test_a_merge_without_a_run_is_applied_by_the_next(three: Organizations) -> None:
    """The run of pull request 1 is lost; that of 2, in the other environment, has jobs for both."""
    for number, name in enumerate(("dev", "production"), 1):
        assert three.change(number, "alerts", name).code == 0
        three.merge(number)
    assert set(three.push()) == {DEFAULT, "eu"}
    assert three.channels() == {"dev": ["alerts"], "production": ["alerts"], "staging": ["general"]}


def test_a_job_that_waits_for_a_reviewer_applies_what_was_reviewed(three: Organizations) -> None:
    """A second pull request merges while the job of an environment waits for the first one."""
    three.change(1, "alerts")
    three.merge(1)
    assert set(three.push(DEFAULT)) == {DEFAULT}  # the other job waits
    three.change(2, "pages", "production")
    three.merge(2)
    done = three.push("eu")["eu"]
    assert (done.code, done.outputs["result"]) == (0, "applied"), done.stdout
    assert three.channels() == {"dev": ["alerts"], "production": ["pages"], "staging": ["alerts"]}
    first = three.comments(1, MarkerKind.OUTCOME)
    assert "`Dev`, `Staging`: **Applied** by" in first[0]
    assert "**Replaced** according to" in first[1]
    assert "**Applied** by" in three.comments(2, MarkerKind.OUTCOME)[0]


@pytest.mark.parametrize("first", ["eu", DEFAULT])
def test_an_organization_that_moves_keeps_its_review(three: Organizations, first: str) -> None:
    """A review waits while a second pull request moves its organization to another environment."""
    here = three.world
    three.change(1, "alerts", "dev")
    three.merge(1)
    moved = three.propose(2, {"orgs/dev.yaml": three.text("dev") + "github: {environment: eu}\n"})
    assert moved.code == 0, moved.stdout
    assert "changed-environment" in moved.stdout
    assert "**policy relaxed**: `the GitHub environment changes" in here.github.bodies(2)[0]
    three.merge(2)
    three.push(first)
    three.push()
    assert three.channels()["dev"] == ["alerts"]
    assert "**Applied** by" in three.comments(1, MarkerKind.OUTCOME)[0]


def test_an_environment_that_the_workflow_does_not_list_is_refused(three: Organizations) -> None:
    """GitHub would create it without reviewers; nothing is applied for any organization."""
    text = three.text("dev") + "github: {environment: Prod}\n"
    here = three.world
    here.put({".github/workflows/apply-webhooks.yml": here.workflow_text("apply-webhooks")})
    planned = three.propose(1, {"orgs/dev.yaml": text})
    assert planned.code == 3
    assert "names the environment 'Prod', which .github/workflows/apply-webhooks.yml does not" in (
        planned.stdout
    )
    assert "webhooks init --github -f orgs/" in planned.stdout
    three.merge(1)
    done = three.push()
    assert {name: each.outputs["failure-reason"] for name, each in done.items()} == {
        DEFAULT: "invalid-configuration"
    }
    here.topic(2)
    assert three.propose(2, {"orgs/dev.yaml": text.replace("Prod", "EU")}).code == 0


def test_a_revoked_key_stops_one_organization(three: Organizations) -> None:
    """The check fails and shows the plans of the others, which a merge applies."""
    here = three.world
    here.environments["cloudtruth-plan"]["DEV_KEY"] = "ct-revoked-0123456789"
    planned = three.change(1, "alerts")
    assert (planned.code, planned.outputs["failure-reason"]) == (4, "authentication")
    (comment,) = three.comments(1, MarkerKind.PLAN)
    assert "**not planned**: `Dev (orgs/dev.yaml): " in comment
    assert "In 2 organizations: `Production`, `Staging`" in comment
    three.merge(1)
    done = three.push()
    assert {name: each.code for name, each in done.items()} == {DEFAULT: 7, "eu": 0}
    assert three.channels() == {"dev": ["general"], "production": ["alerts"], "staging": ["alerts"]}
    (failure,) = three.comments(1, MarkerKind.FAILURE)
    assert here.follow(failure).outputs["result"] == "applied"
    assert three.channels()["dev"] == ["alerts"]


def test_a_missing_key_stops_one_organization(three: Organizations) -> None:
    """The failure names the variable and the command that sets it; the next run continues."""
    here = three.world
    three.change(1, "alerts")
    key = here.environments[DEFAULT].pop("STAGING_KEY")
    three.merge(1)
    done = three.push()[DEFAULT]
    assert (done.code, done.outputs["failure-reason"]) == (7, "no-api-key")
    assert f"gh secret set STAGING_KEY --env {DEFAULT}" in done.stdout
    assert three.channels()["staging"] == ["general"]
    here.environments[DEFAULT]["STAGING_KEY"] = key
    assert three.push()[DEFAULT].outputs["result"] == "applied"
    assert three.channels()["staging"] == ["alerts"]
    assert all("Resolved" in each for each in three.comments(1, MarkerKind.FAILURE))


def test_an_organization_uses_only_its_own_secrets(three: Organizations) -> None:
    """A file cannot name the secret of another organization in the same environment."""
    here = three.world
    dev, *others = here.setup.organizations
    own = dev.__class__(name=dev.name, key=dev.key, references=())
    here.setup = Setup(package=".", file=here.file, organizations=(own, *others))
    planned = three.change(1, "alerts")
    assert planned.code == 3
    assert "env SLACK_BOT_TOKEN is not in the list of allowed secrets" in planned.stdout


def test_names_cannot_inject_into_a_grouped_comment(tmp_path: Path) -> None:
    """Names of organizations and webhooks are data in the comment, the summary and the log."""
    with world(tmp_path, any_key=False) as made:
        found = Organizations(made, ENVIRONMENTS)
        evil = "x`|<!-- --> @all\\n::error::x"
        made.put({"base.yaml": BASE.replace("CHANNEL", "g").replace("Audit", json.dumps(evil))})
        done = found.change(1, "alerts")
        assert "\n::error::x" not in done.stdout
        (comment,) = found.comments(1, MarkerKind.PLAN) or [""]
        assert "\n::error" not in comment


def test_drift_is_one_issue(three: Organizations) -> None:
    """The issue has a command for each environment, and closes when all are as declared."""
    here = three.world
    here.put({".github/workflows/apply-webhooks.yml": here.workflow_text("apply-webhooks")})
    for name in ("dev", "production"):
        three.set_channel(name, "by-hand")
    assert only(here.run("drift", "schedule", {})).outputs["result"] == "drift"
    (issue,) = here.github.issues
    assert issue["title"] == "CloudTruth webhooks: drift, 0 to create, 2 to update, 0 to delete"

    assert "`Audit` in `Dev`, `Production`" in issue["body"]
    for environment in (DEFAULT, "eu"):
        (command,) = re.findall(rf"gh workflow run .* -f environment={environment}", issue["body"])
        assert here.follow(command).outputs["result"] == "applied"
    here.run("drift", "schedule", {})
    assert issue["state"] == "closed"


def test_a_retired_organization_is_reported(three: Organizations) -> None:
    """Its webhooks stay live; the others are not read."""
    three.world.topic(1)
    three.world.git("rm", "-q", "orgs/dev.yaml")
    done = three.propose(1)
    assert (done.code, "Dev is no longer declared" in done.stdout) == (0, True)


def test_a_file_that_moves_with_a_change_is_applied(three: Organizations) -> None:
    """The organization is found by its name, its plan by the id of its key."""
    three.world.topic(1)
    three.world.git("mv", "orgs/dev.yaml", "orgs/qa.yaml")
    text = (three.world.work / "orgs/qa.yaml").read_text()
    changed = text + "webhooks: [{name: Audit, configuration: {channel: alerts}}]\n"
    assert three.propose(1, {"orgs/qa.yaml": changed}).outputs["updates"] == "1"
    three.merge(1)
    assert three.push()[DEFAULT].outputs["result"] == "applied"
    assert three.channels()["dev"] == ["alerts"]


def test_a_fork_is_checked_without_keys(three: Organizations) -> None:
    """Nothing is read or commented; after the merge the digest applies it."""
    here = three.world
    here.emulator.log.clear()
    three.world.topic(1)
    done = three.propose(1, {"base.yaml": BASE.replace("CHANNEL", "alerts")}, home="eve/hooks")
    assert (done.outputs["result"], here.emulator.log) == ("validated", [])
    three.merge(1)
    applied = three.push()
    assert {each.code for each in applied.values()} == {6}
    for failure in three.comments(1, MarkerKind.FAILURE):
        assert here.follow(failure).outputs["result"] == "applied"
    assert set(map(tuple, three.channels().values())) == {("alerts",)}


@pytest.mark.slow
def test_sixty_organizations_fit_in_one_pull_request(tmp_path: Path) -> None:
    """One comment for a change of one field, at most four for a rotation of everything."""
    names = [f"organization-{number:02}" for number in range(60)]
    with world(tmp_path, any_key=False) as made:
        found = Organizations(made, dict.fromkeys(names, DEFAULT))
        thirty = "".join(f"  - {{name: Hook {number}}}\n" for number in range(30))
        base = BASE.replace("  - {name: Audit}\n", thirty).replace("CHANNEL", "general")
        made.put({"base.yaml": base})
        made.git("checkout", "-q", "main")
        assert only(found.push(WEBHOOKS_REVIEWED_PLAN="ignore")).outputs["result"] == "applied"
        start = time.monotonic()
        planned = found.propose(1, {"base.yaml": base.replace("username: CT", "username: Bot")})
        print(f"plan: {time.monotonic() - start:.1f} s")
        assert planned.outputs["updates"] == "1800"
        print("comments", [len(each) for each in made.github.bodies(1)])
        rotated = base.replace("SLACK_BOT_TOKEN}", "SLACK_BOT_TOKEN, version: 2}")
        made.git("checkout", "-q", "main")
        planned = found.propose(2, {"base.yaml": rotated})
        assert planned.outputs["updates"] == "1800"
        sizes = [len(each) for each in made.github.bodies(2)]
        print("rotation", sizes)
        assert len(sizes) <= 4
        assert max(sizes) <= MAX_BODY
        found.merge(2)
        made.github.log.clear()
        assert only(found.push()).outputs["result"] == "applied"
        assert len(made.github.log) <= 10


@pytest.mark.parametrize(("environments", "code"), [((DEFAULT, "eu"), 0), ((DEFAULT,), 5)])
def test_deletes_are_counted_for_each_environment(
    tmp_path: Path, environments: tuple[str, ...], code: int
) -> None:
    """30 deletes in six organizations are too many for one environment, not for two."""
    names = {f"o{number}": environments[number % len(environments)] for number in range(6)}
    with world(tmp_path, any_key=False) as made:
        found = Organizations(made, names)
        many = "".join(f"  - {{name: Hook {number}}}\n" for number in range(10))
        base = BASE.replace("CHANNEL", "general")
        made.put({"base.yaml": base + many})
        found.push(WEBHOOKS_REVIEWED_PLAN="ignore")
        planned = found.propose(1, {"base.yaml": base + many[: len(many) // 2]})
        assert (planned.code, planned.outputs["deletes"]) == (code, "30"), planned.stdout
        found.merge(1)
        assert {each.code for each in found.push().values()} == {code}


def test_a_merge_group_fails_for_one_stale_organization(three: Organizations) -> None:
    """The reviews of all organizations are compared before the merge."""
    here = three.world
    three.change(1, "alerts")
    results = []
    for channel in ("general", "by-hand"):
        three.set_channel("staging", channel)
        here.git("checkout", "-q", "-B", "queue", "main")
        here.git("merge", "-q", "--no-ff", "-m", "queue", "topic-1")
        base = here.git("rev-parse", "main")
        name = f"refs/heads/gh-readonly-queue/main/pr-1-{base}"
        here.github.queue[name] = here.git("rev-parse", "HEAD")
        group = {"base_ref": "refs/heads/main", "head_ref": name, "base_sha": base}
        event = {"merge_group": group, "repository": {"default_branch": "main"}}
        results.append(only(here.run("plan", "merge_group", event)).outputs["failure-reason"])
    assert results == ["", "stale-plan"]


def test_a_rotation_in_all_is_sent_once_also_after_a_failure(tmp_path: Path) -> None:
    """CloudTruth hides the tokens; a job whose write fails sends its token when it runs again."""
    with world(tmp_path, any_key=False, read_back="mask") as made:
        found = Organizations(made, ENVIRONMENTS)
        base = BASE.replace("CHANNEL", "general")
        made.put({"base.yaml": base.replace("TOKEN}", "TOKEN, version: 1}")})
        found.push(WEBHOOKS_REVIEWED_PLAN="ignore")
        planned = found.propose(1, {"base.yaml": base.replace("TOKEN}", "TOKEN, version: 2}")})
        assert planned.outputs["updates"] == "3"
        for environment in set(ENVIRONMENTS.values()):
            made.environments[environment]["SLACK_BOT_TOKEN"] = "xoxb-rotated-0123456789"
        found.merge(1)
        made.emulator.faults = Script([Rule(fault=status(400), method="PATCH")])
        first = found.push()
        assert {name: each.code for name, each in first.items()} == {DEFAULT: 7, "eu": 0}
        made.emulator.faults = Script()
        before = len(made.writes())
        again = found.push(DEFAULT)[DEFAULT]
        assert (again.code, again.outputs["result"]) == (0, "applied"), again.stdout
        assert len(made.writes()) == before + 1
        for organization in found.ids.values():
            (row,) = made.emulator.store.webhooks(organization)
            assert row["configuration"]["token"] == "xoxb-rotated-0123456789"
        for outcome, count in zip(found.comments(1, MarkerKind.OUTCOME), (2, 1), strict=True):
            assert outcome.count("**Applied** by") == count
        found.push()
        assert len(made.writes()) == before + 1
