"""A configuration that is rendered as a file declares the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given

from reconciler.findings import Position
from reconciler.model import Desired, FileScope, Pattern
from reconciler.source.rendered import configurations, yaml_text
from tests.cli.conftest import File, Shell
from tests.laws import strategies
from tests.loading import load_texts


def read(file: str, text: bytes) -> Desired:
    found = load_texts({file: text})
    assert found.desired is not None, found.findings
    return found.desired


def again(desired: Desired) -> Desired:
    ((file, data),) = configurations(desired).items()
    return read(file, yaml_text(data).encode())


@given(desired=strategies.declarations())
def test_rendering_round_trips(desired: Desired) -> None:
    """The plan of the rendered file is the plan of the file."""
    desired = in_one_file(desired)
    found = again(desired)
    assert {each.name: each for each in found.absent} == {
        each.name: each for each in desired.absent
    }
    assert {each.name: each for each in found.webhooks} == {
        each.name: each for each in desired.webhooks
    }
    assert found.policy == desired.policy


def in_one_file(desired: Desired) -> Desired:
    """Return a configuration that fits in one file."""
    policy, start = desired.policy, Position(file="f.yaml", line=1)

    def written(patterns: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
        return tuple(
            Pattern(glob=glob, position=start, file="f.yaml")
            for glob in {each.glob for each in patterns}
        )

    return replace(
        desired,
        webhooks=tuple(
            replace(each, index=number, position=start, file="f.yaml")
            for number, each in enumerate(desired.webhooks)
        ),
        absent=tuple(replace(each, position=start, file="f.yaml") for each in desired.absent),
        policy=policy._replace(
            scopes=(FileScope(file="f.yaml", prune=policy.scopes[0].prune),),
            ignore=written(policy.ignore),
            protect=written(policy.protect),
        ),
    )


def test_rendered_files_have_globs_expanded_and_defaults_merged(shell: Shell, file: File) -> None:
    """YAML and JSON have the same content, with references; each file has its name."""
    file(
        "organization: Acme\n"
        "defaults: {type: slack, configuration: {token: {env: SLACK_BOT_TOKEN}, username: CT}}\n"
        "webhooks:\n"
        "  - {name: A, event_types: ['value_*'], configuration: {channel: '#a'}}\n"
    )
    assert "    event_types: [value_created, value_updated, value_deleted]" in shell("render").out
    document: dict[str, Any] = json.loads(shell("render", "--format", "json").out)
    ((name, data),) = document["files"].items()
    assert name == "webhooks.yaml"
    assert data["webhooks"][0]["configuration"]["token"] == {"env": "SLACK_BOT_TOKEN"}


def test_a_literal_secret_is_not_shown(shell: Shell, file: File) -> None:
    """A literal is replaced by a name that is invalid in a file."""
    file(
        "webhooks:\n"
        "  - name: A\n"
        "    type: generic\n"
        "    event_types: ['*']\n"
        "    configuration: {url: https://a.example.com/, username: u, password: canary-4711}\n"
    )
    done = shell("render", "--allow-literal-secrets")
    assert done.code == 0, done.err
    assert "password: {literal: A/password}" in done.out.replace('"', "")
    assert "canary-4711" not in done.out + done.err
