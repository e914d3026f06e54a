"""A configuration that is rendered as a file declares the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from reconciler.findings import Position
from reconciler.model import Desired, FileScope, Pattern
from reconciler.source.load import configurations
from reconciler.source.writer import yaml_text
from tests.laws import strategies
from tests.loading import load_texts


@given(desired=strategies.declarations())
def test_rendering_round_trips(desired: Desired) -> None:
    """The plan of the rendered file is the plan of the file."""
    desired = in_one_file(desired)
    ((file, data),) = configurations(desired).items()
    loaded = load_texts({file: yaml_text(data)})
    found = loaded.desired
    assert found is not None, loaded.findings
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

    return desired._replace(
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
