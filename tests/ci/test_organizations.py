"""Several organizations in one repository: each has its own plan, review and apply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.ci.workflows import RequiredSecrets, Setup
from reconciler.model import Scheme, SecretRef
from tests.ci.fake_github import MAX_BODY
from tests.ci.support import PUSH, SLACK, Done, World, world
from tests.folders import write

BASE = (
    "defaults: {type: slack, event_types: [value_created], configuration: "
    "{token: {env: SLACK_BOT_TOKEN}, username: CT}}\n"
    "webhooks:\n  - {name: Audit, configuration: {channel: CHANNEL}}\n"
)


class Organizations:
    """Organizations with a common base, and the pull requests for them."""

    def __init__(self, here: World, labels: list[str]) -> None:
        self.world = here
        self.ids = {}
        for label in labels:
            made = here.emulator.store.add_organization(label.title())
            here.emulator.store.add_user(made.id, key=f"ct-{label}-0123456789")
            key = {"CLOUDTRUTH_API_KEY": f"ct-{label}-0123456789"}
            here.environments[f"{label}-plan"] = key
            here.environments[f"{label}-apply"] = {**key, "SLACK_BOT_TOKEN": SLACK}
            self.ids[label] = made.id
        token = SecretRef(scheme=Scheme.ENV, name="SLACK_BOT_TOKEN")
        here.secrets.clear()
        here.file = "orgs/"
        here.setup = Setup(
            package=".",
            file=here.file,
            organizations=dict.fromkeys(labels, RequiredSecrets(references=(token,))),
        )
        here.git("rm", "-q", "webhooks.yaml")
        overlay = "extends: ../base.yaml\norganization: {}\n"
        texts = {f"orgs/{label}.yaml": overlay.format(label.title()) for label in labels}
        here.put({**texts, "base.yaml": BASE.replace("CHANNEL", "general")})
        self.before = here.git("rev-parse", "main^")

    def propose(self, number: int, files: dict[str, str], home: str = "") -> dict[str, Done]:
        """Open or update a pull request with these files."""
        here = self.world
        here.topic(number)
        here.put(files)
        return here.run("plan", "pull_request", here.opened(number, home=home))

    def merge(self, number: int) -> None:
        self.before = self.world.git("rev-parse", "main")
        self.world.squash(number)

    def push(self, **environ: str) -> dict[str, Done]:
        """Run the apply workflow for the last merge."""
        return self.world.run("apply", "push", {**PUSH, "before": self.before}, **environ)

    def channels(self) -> dict[str, list[str]]:
        """Return the channels of each organization's live webhooks."""
        rows = self.world.emulator.store.webhooks
        return {
            label: [each["configuration"]["channel"] for each in rows(organization)]
            for label, organization in self.ids.items()
        }

    def set_channel(self, label: str, channel: str) -> None:
        """Change a live webhook directly."""
        (row,) = self.world.emulator.store.webhooks(self.ids[label])
        row["configuration"]["channel"] = channel
        self.world.emulator.store.save(row)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Organizations]:
    """Three organizations whose webhooks are live as declared."""
    with world(tmp_path, any_key=False) as made:
        found = Organizations(made, ["dev", "production", "staging"])
        settled = found.push(WEBHOOKS_REVIEWED_PLAN="ignore")
        assert [each.outputs["result"] for each in settled.values()] == ["applied"] * 3
        yield found


def test_a_changed_parent_is_planned_and_applied_for_each(three: Organizations) -> None:
    """One stale organization fails with the command to continue; the others are applied."""
    github = three.world.github
    planned = three.propose(1, {"base.yaml": BASE.replace("CHANNEL", "alerts")})
    assert [each.outputs["updates"] for each in planned.values()] == ["1", "1", "1"]
    labels = list(planned)
    assert labels == ["dev", "production", "staging"]
    texts = [each.partition("\n")[2] for each in github.bodies(1)]
    for label, text in zip(labels, texts, strict=True):
        assert text.startswith(f"**`{label}`**\n\n### CloudTruth webhooks for `{label.title()}`: ")

    three.set_channel("staging", "by-hand")
    three.merge(1)
    done = three.push()
    assert {label: each.code for label, each in done.items()} == {
        "dev": 0, "production": 0, "staging": 6
    }  # fmt: skip
    assert done["staging"].outputs["failure-reason"] == "stale-plan"
    assert three.channels() == {"dev": ["alerts"], "production": ["alerts"], "staging": ["by-hand"]}
    comments = github.bodies(1)[3:]
    applied = [each for each in comments if "**Applied** by [this run]" in each]
    assert ["**`dev`**" in applied[0], "**`production`**" in applied[1]] == [True, True]
    (failure,) = (each for each in comments if "### Failed: `stale-plan`" in each)
    assert failure.partition("\n")[2].startswith("**`staging`**")
    assert "-f organization=staging" in failure

    assert three.world.follow(failure).outputs["result"] == "applied"
    assert three.channels()["staging"] == ["alerts"]
    again = three.push()
    assert [each.outputs["result"] for each in again.values()] == ["converged"] * 3


@pytest.mark.parametrize("label", ["alerts", "renamed"])
def test_a_changed_label_without_its_environments_is_not_applied(
    three: Organizations, label: str
) -> None:
    """The label is that of the first file: another file before it, or a new name, changes it."""
    three.world.topic(1)
    if label == "renamed":
        three.world.git("mv", "orgs/production.yaml", "orgs/renamed.yaml")
    else:
        write(three.world.work, {"orgs/alerts.yaml": "organization: Production\nwebhooks: []\n"})
    planned = three.propose(1, {})
    assert (planned[label].code, planned[label].outputs["result"]) == (0, "validated")
    warned = f"the label changes from production to {label}: create {label}-plan and {label}-apply"
    assert warned in planned[label].stdout
    assert f"gh secret set CLOUDTRUTH_API_KEY --env {label}-plan" in planned[label].stdout
    three.merge(1)
    done = three.push()[label]
    assert (done.code, done.outputs["failure-reason"]) == (4, "no-api-key")
    assert f"gh secret set CLOUDTRUTH_API_KEY --env {label}-apply" in done.stdout
    assert warned in done.stdout


def test_a_review_is_valid_after_its_file_was_moved(three: Organizations) -> None:
    """The plan is found under the old label, and gets its outcome there."""
    here, text = three.world, (three.world.work / "orgs/dev.yaml").read_text()
    changed = text + "webhooks: [{name: Audit, configuration: {channel: alerts}}]\n"
    three.propose(1, {"orgs/dev.yaml": changed})
    three.merge(1)  # its run is lost
    here.topic(2)
    here.git("mv", "orgs/dev.yaml", "orgs/qa.yaml")
    for step in ("plan", "apply"):
        here.environments[f"qa-{step}"] = here.environments[f"dev-{step}"]
    assert three.propose(2, {})["qa"].code == 0
    three.merge(2)
    assert three.push()["qa"].outputs["result"] == "applied"
    assert three.channels()["dev"] == ["alerts"]
    outcome = here.github.bodies(1)[1]
    assert "**`dev`**" in outcome
    assert "**Applied** by [this run]" in outcome


def test_only_organizations_that_changed_have_a_job(three: Organizations) -> None:
    """If a later commit reverts a change, the plan of the organization is invalidated."""
    file = "orgs/dev.yaml"
    text = (three.world.work / file).read_text()
    changed = text + "webhooks: [{name: Audit, configuration: {channel: alerts}}]\n"
    assert list(three.propose(1, {file: changed})) == ["dev"]
    back = three.propose(1, {file: text})
    assert {label: each.outputs["result"] for label, each in back.items()} == {"dev": "no-changes"}
    (comment,) = three.world.github.bodies(1)
    assert "no changes" in comment
    assert three.propose(2, {"readme.md": "x"}) == {}


def test_a_merge_without_a_run_is_applied_by_the_next(three: Organizations) -> None:
    """The run of pull request 1 is lost; the run of 2, of another organization, applies both."""
    for number, label in enumerate(("dev", "staging"), 1):
        text = (three.world.work / f"orgs/{label}.yaml").read_text()
        changed = text + "webhooks: [{name: Audit, configuration: {channel: alerts}}]\n"
        assert list(three.propose(number, {f"orgs/{label}.yaml": changed})) == [label]
        three.merge(number)
    assert list(three.push()) == ["dev", "staging"]
    assert three.channels() == {"dev": ["alerts"], "production": ["general"], "staging": ["alerts"]}
    assert list(three.push()) == ["staging"]


def test_each_organization_has_its_drift_issue(three: Organizations) -> None:
    """The issue of one organization closes while that of another stays open."""
    here = three.world
    here.git("checkout", "-q", "main")
    assert here.not_run("drift", "7", label="dev").code == 0
    for label in ("dev", "staging"):
        three.set_channel(label, "by-hand")
    assert len(here.run("drift", "schedule", {})) == 3
    not_run, dev, staging = here.github.issues
    assert not_run["state"] == "closed"
    assert dev["title"].startswith("CloudTruth webhooks (dev): drift")
    assert here.follow(staging["body"]).outputs["result"] == "applied"
    here.run("drift", "schedule", {})
    assert (dev["state"], staging["state"]) == ("open", "closed")


@pytest.mark.parametrize(("name", "event"), [("apply", "push"), ("drift", "schedule")])
def test_a_run_that_found_no_organization_has_an_issue(
    three: Organizations, name: str, event: str
) -> None:
    """If the first job fails, the issue is about the files, and the next run closes it."""
    here = three.world
    here.git("checkout", "-q", "main")
    assert here.not_run(name, "7", job="organizations").code == 0
    (issue,) = here.github.issues
    assert "runs/7 failed before" in issue["body"]
    here.run(name, event, PUSH)
    assert issue["state"] == "closed"


@pytest.mark.slow
def test_sixty_organizations_fit_in_one_pull_request(tmp_path: Path) -> None:
    """Jobs, size of the matrix, comments and requests are those in docs/organizations.md."""
    labels = [f"organization-{number:02}" for number in range(60)]
    with world(tmp_path, any_key=False) as made:
        found = Organizations(made, labels)
        planned = found.propose(1, {"base.yaml": BASE.replace("CHANNEL", "alerts")})
        assert len(planned) == 60
        assert {each.outputs["result"] for each in planned.values()} == {"planned"}
        bodies = made.github.bodies(1)
        assert len(bodies) == 60
        assert max(map(len, bodies)) < MAX_BODY / 20
        matrices = [each.read_text() for each in tmp_path.glob("run-*/output")]
        (line,) = (
            line
            for text in matrices
            for line in text.splitlines()
            if line.startswith('{"include"') and len(json.loads(line)["include"]) == 60
        )
        assert len(line) < 7_000
        assert len(made.github.log) <= 250
        made.github.log.clear()
        found.merge(1)
        assert {each.outputs["result"] for each in found.push().values()} == {"applied"}
        assert len(made.github.log) <= 400
