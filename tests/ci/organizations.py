"""Several organizations in one repository, and the stories of teams that change them.

What comments, issues and CloudTruth have at the end of a story is in a file of stories/, which
`--update-golden` rewrites.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.ci.marker import MarkerKind, decode
from reconciler.ci.workflows import RequiredSecrets, Setup, workflows
from reconciler.model import SecretRef
from tests.ci.support import PUSH, SLACK, Done, World, only

BASE: Final = (
    "defaults: {type: slack, event_types: [value_created], configuration: "
    "{token: {env: SLACK_BOT_TOKEN}, username: CT, channel: general}}\n"
    "webhooks:\n  - {name: Audit}\n"
)
TOKENS: Final = (
    SecretRef(scheme="env", name="SLACK_BOT_TOKEN"),
    SecretRef(scheme="file", name="secrets/token"),
)
DEFAULT: Final = "cloudtruth-production"
ENVIRONMENTS: Final = {"dev": DEFAULT, "production": "eu", "staging": DEFAULT}
"""The environment of each organization of most stories; two share one."""

STORIES: Final = Path(__file__).parent / "stories"
_KEPT: Final = re.compile(
    r"(#|\| `|In |- `|- \*\*|\*\*|_|gh workflow|Resolved|Merging|Until|Waiting)"
)
"""The beginning of lines that are compared: what is shown and approved, outcomes, commands."""
_VARYING: Final = {
    r"sha256:[0-9a-f]{64}": "sha256:…",
    r"\b[0-9a-f]{12}\b": "(commit)",
    r"127\.0\.0\.1:\d+": "api.cloudtruth.io",
    r"x{9,}": "x…",
    # How much fits depends on how well the ids are compressed.
    r"hook-\d+( x….*base\.yaml):\d+": r"hook-…\1:…",
    r"Cut to fit: \d+": "Cut to fit: …",
    r"((?:^(\| `|- `create).*\n){3})(?:^\2.*\n)+": r"\1(more rows)\n",
}


Texts = Mapping[str, str]


def alerts(channel: str = "alerts") -> dict[str, str]:
    """Return an edit of the base that sets the channel in each organization."""
    return {"base.yaml": BASE.replace("general", channel)}


class Organizations:
    """Organizations with a common base, and the pull requests for them."""

    def __init__(
        self, here: World, environments: Texts = ENVIRONMENTS, titles: Texts | None = None
    ) -> None:
        self.world = here
        self.titles = titles or {}
        self.ids: dict[str, str] = {}
        here.environments["cloudtruth-plan"] = {}
        here.secrets.clear()
        here.file = "orgs/"
        here.setup = Setup(
            package=".",
            files=(here.file,),
            organizations=(),
            parents=("base.yaml",),
            policies=("policy.json",),
        )
        here.git("rm", "-q", "webhooks.yaml")
        files = {"base.yaml": BASE, "policy.json": "{}"}
        for name, environment in environments.items():
            files |= self.add(name, environment)
        here.put(files | workflows(here.setup))
        self.before = here.git("rev-parse", "main^")

    def add(self, name: str, environment: str = DEFAULT) -> dict[str, str]:
        """Create an organization and its keys, and set up the workflows; return its file."""
        here, title = self.world, self.titles.get(name, name.title().replace("-", " "))
        self.ids[name] = here.emulator.store.add_organization(title).id
        variable, key = f"{name.upper().replace('-', '_')}_KEY", f"ct-{name}-0123456789"
        here.emulator.store.add_user(self.ids[name], key=key)
        keys = here.environments["cloudtruth-plan"]
        here.environments.setdefault(environment, {**keys, "SLACK_BOT_TOKEN": SLACK})
        for secrets in here.environments.values():
            secrets[variable] = key
        other = None if environment == DEFAULT else environment
        needs = RequiredSecrets(name=title, references=TOKENS, key=variable, environment=other)
        here.setup = replace(here.setup, organizations=(*here.setup.organizations, needs))
        text = f"extends: ../base.yaml\norganization: {json.dumps(title)}\n"
        text += f"api_key: {{env: {variable}}}\n"
        if other is not None:
            text += f"github: {{environment: {other}}}\n"
        return {f"orgs/{name}.yaml": text}

    # Edits of files.

    def text(self, name: str) -> str:
        """Return the file of an organization."""
        return (self.world.work / f"orgs/{name}.yaml").read_text()

    def edited(self, lines: str, *names: str) -> dict[str, str]:
        """Return an edit that adds lines to the files of organizations."""
        return {f"orgs/{name}.yaml": self.text(name) + lines for name in names}

    def channel(self, channel: str, *names: str) -> dict[str, str]:
        """Return an edit that sets the channel in some organizations."""
        entry = f"webhooks: [{{name: Audit, configuration: {{channel: {channel}}}}}]\n"
        files = {name: re.sub(r"webhooks:.*\n", "", self.text(name)) + entry for name in names}
        return {f"orgs/{name}.yaml": text for name, text in files.items()}

    # Actions of users and of GitHub.

    def live(self, files: Mapping[str, str]) -> None:
        """Commit files to main, and apply them without a review."""
        self.world.git("checkout", "-q", "main")
        self.world.put(files)
        done = self.push(WEBHOOKS_REVIEWED_PLAN="ignore")
        assert all(each.code == 0 for each in done.values()), done

    def propose(self, number: int, files: Mapping[str, str] | None = None, home: str = "") -> Done:
        """Open or update a pull request with these files, and plan it."""
        here = self.world
        here.topic(number)
        here.put(dict(files or {}))
        return only(here.run("plan", "pull_request", here.opened(number, home=home)))

    def merge(self, number: int) -> None:
        """Merge a pull request; no workflow runs before `push`."""
        self.before = self.world.git("rev-parse", "main")
        self.world.squash(number)

    def push(self, **environ: str) -> dict[str, Done]:
        """Run the apply workflow for the last merge."""
        self.world.git("checkout", "-q", "main")
        return self.world.run("apply", "push", {**PUSH, "before": self.before}, **environ)

    def merged(self, number: int, files: Mapping[str, str]) -> dict[str, Done]:
        """Plan, merge and apply a pull request."""
        planned = self.propose(number, files)
        assert planned.code == 0, planned.stdout
        self.merge(number)
        return self.push()

    def set_channel(self, name: str, channel: str) -> None:
        """Change a live webhook directly."""
        (row,) = self.world.emulator.store.webhooks(self.ids[name])
        row["configuration"]["channel"] = channel
        self.world.emulator.store.save(row)

    # What is left.

    def channels(self) -> dict[str, list[str]]:
        """Return the channels of each organization's live webhooks."""
        rows = self.world.emulator.store.webhooks
        return {
            name: [each["configuration"]["channel"] for each in rows(organization)]
            for name, organization in self.ids.items()
        }

    def comments(self, number: int, kind: MarkerKind) -> list[str]:
        """Return the texts of a kind of comments on a pull request."""
        bodies = self.world.github.bodies(number)
        return [
            body.partition("\n")[2]
            for body in bodies
            if (marker := decode(body)) is not None and marker.kind is kind
        ]

    def ending(self) -> str:
        """Return what CloudTruth, pull requests and issues have."""
        github, rows = self.world.github, self.world.emulator.store.webhooks
        parts = ["# CloudTruth"]
        for name, organization in self.ids.items():
            hooks = [(row["name"], row["configuration"]["channel"]) for row in rows(organization)]
            texts = [f"{webhook} to {channel}" for webhook, channel in sorted(hooks)]
            parts.append(f"{name}: {', '.join(texts) or 'no webhooks'}")
        for number in github.pulls:
            parts.append(f"# Pull request {number}: {len(github.bodies(number))} comments")
            for body in github.bodies(number):
                marker = decode(body)
                assert marker is not None
                parts += [f"## {marker.kind}", *filter(_KEPT.match, body.splitlines()[1:])]
        for issue in github.issues:
            lines = filter(_KEPT.match, issue["body"].splitlines()[1:])
            parts += [f"# Issue, {issue['state']}: {issue['title']}", *lines]
        text = re.sub(r"\n(?=##? )", "\n\n", "\n".join(parts) + "\n")
        for varying, name in _VARYING.items():
            text = re.sub(varying, name, text, flags=re.MULTILINE)
        return text
