"""A team's policy checks the rendered configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.source.policy import check_policies
from tests.goldens import Golden, rows
from tests.loading import load_text, load_texts
from tests.source.test_extend import BASE
from tests.source.test_findings import cases, check

FILES = {
    "over.yaml": "extends: base.yaml\nlimits: {max_deletes: 2}\ngithub: {environment: prod}\n",
    "base.yaml": BASE,
}


def violations(policy: str) -> str:
    """Return the violations of `FILES`, with positions, or the error in the policy."""
    try:
        found = check_policies(load_texts(FILES), ["p.json"], lambda path: policy.encode(), {})
    except ConfigurationError as error:
        return f"{error}\n  = {error.hint}\n"
    assert (found.desired is None) == bool(found.findings)
    return "".join(f"{each.position} {each.message}\n" for each in found.findings)


@pytest.mark.parametrize("title", cases("policies.txt"))
def test_what_a_policy_finds(title: str, golden: Golden) -> None:
    """A violation is in the declaring file; an unusable or misspelled policy is an error."""
    check("policies.txt", title, violations(cases("policies.txt")[title][0]) + "\n", golden)


@pytest.mark.parametrize(
    ("url", "accepting", "refusing"), rows(Path(__file__).with_name("policy_hosts.yaml"))
)
def test_a_policy_sees_the_host_of_every_url(url: str, accepting: str, refusing: str) -> None:
    """A policy for hosts judges URLs that contain a credential, which it does not see."""
    entry = (
        "webhooks: [{name: A, type: generic, event_types: ['*'], configuration: "
        f"{{url: '{url}'}}}}]\n"
    )
    seen = []
    for pattern in (accepting, refusing):
        entries = {"properties": {"configuration": {"properties": {"url": {"pattern": pattern}}}}}
        policy = json.dumps({"properties": {"webhooks": {"items": entries}}}).encode()
        judged = check_policies(load_text(entry), ["p.json"], lambda path, raw=policy: raw, {})
        seen.append(judged.desired is not None)
    assert seen == [True, False]


def chain(length: int, wrap: int = 0, **more: Any) -> dict[str, Any]:
    """Return a policy in which each definition refers to the next one."""
    definitions: dict[str, Any] = {}
    for number in range(length):
        part: Any = {"$ref": f"#/$defs/d{number + 1}"}
        for _ in range(wrap):
            part = {"allOf": [part]}
        definitions[f"d{number}"] = part
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": True}, **more}


def nested(levels: int) -> Any:
    policy: Any = {}
    for _ in range(levels // 2):
        policy = {"allOf": [policy]}
    return policy


def cycle(length: int) -> Any:
    policy = chain(length)
    policy["$defs"][f"d{length}"] = {"properties": {"a": {"$ref": "#/$defs/d0"}}}
    return policy


MAKERS = {
    "nested": nested,
    "chain": chain,
    "cycle": cycle,
    "wide": lambda width: {"anyOf": [{"$ref": "#/$defs/a"}] * width, "$defs": {"a": True}},
    "this": lambda policy: policy,
}


@pytest.mark.parametrize(
    ("maker", "of", "message"), rows(Path(__file__).with_name("policy_limits.yaml"))
)
def test_a_policy_has_limits(maker: str, of: list[Any], message: str | None) -> None:
    """No policy crashes the engine, which follows levels and references recursively."""
    shown = violations(json.dumps(MAKERS[maker](*of)))
    assert message in shown if message else "p.json" not in shown
