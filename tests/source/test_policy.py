"""A team's policy checks the rendered configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.source.policy import check_policies
from tests.cli.conftest import SECRETS, MakeCloud, Shell
from tests.folders import write
from tests.loading import load_text, load_texts
from tests.source.test_extend import BASE

FILES = {
    "over.yaml": "extends: base.yaml\nlimits: {max_deletes: 2}\ngithub: {environment: prod}\n",
    "base.yaml": BASE,
}


def webhooks(**properties: Any) -> dict[str, Any]:
    return {"properties": {"webhooks": {"items": {"properties": properties}}}}


def configuration(**properties: Any) -> dict[str, Any]:
    return webhooks(configuration={"properties": properties})


def violations(policy: Any) -> list[str]:
    """Return the violations of `FILES`, with positions."""
    found = check_policies(
        load_texts(FILES), ["p.json"], lambda path: json.dumps(policy).encode(), {}
    )
    assert (found.desired is None) == bool(found.findings)
    return [f"{each.position} {each.message}" for each in found.findings]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, []),
        (False, ["over.yaml:1 the policy's `false` is not met"]),
        (configuration(channel={"pattern": "^#[a-z]+$"}), []),
        (
            configuration(channel={"pattern": "^#[a-z]+-prod$", "title": "Channels end in -prod"}),
            ["base.yaml:9 Channels end in -prod"],
        ),
        (
            configuration(token={"description": "No secret files", "not": {"required": ["file"]}}),
            ["base.yaml:12 No secret files"],
        ),
        (
            {"properties": {"limits": {"properties": {"max_deletes": {"maximum": 1}}}}},
            ["over.yaml:2 the policy's `maximum` is not met"],
        ),
        (
            {"properties": {"github": {"properties": {"environment": {"const": "eu"}}}}},
            ["over.yaml:3 the policy's `const` is not met"],
        ),
        (
            {"title": "Name the organization", "required": ["organization"]},
            ["over.yaml:1 Name the organization: `organization` is missing"],
        ),
        ({"required": ["organization"]}, ["over.yaml:1 `organization` is missing"]),
        (
            {"properties": {"protect": {"items": {"title": "No wildcards", "pattern": "^[^*]*$"}}}},
            ["base.yaml:1 No wildcards"],
        ),
        (
            {"properties": {"files": {"items": {"properties": {"prune": {"const": False}}}}}},
            ["over.yaml:1 the policy's `const` is not met"],
        ),
        ({"x-owner": "team", "properties": {"x": {"$comment": "any", "examples": [{"a": 1}]}}}, []),
        (
            webhooks(event_types={"minItems": 2, "title": "Two events at least"}),
            ["base.yaml:5 Two events at least", "base.yaml:5 Two events at least"],
        ),
    ],
)
def test_a_violation_has_the_position_of_the_value(policy: Any, expected: list[str]) -> None:
    """The position is in the declaring file; the message is the policy's."""
    assert violations(policy) == expected


@pytest.mark.parametrize(
    ("url", "accepting", "refusing"),
    [
        ("https://good.example/?key=4711", "^https://good\\.example/", "4711"),
        ("https://me:4711@good.example/", "^https://good\\.example/", "4711"),
        ("https://good.example:444/a/Kq7vW2xZp9Lm4Rt", "^https://good\\.example/", "444|Lm4Rt"),
        ("https://good.example:444/a", "^https://good\\.example:444/a$", "other"),
        ("https://g\u043e\u043ed.example/a", "^https://xn--gd-fmca\\.example/a$", "\u043e"),
        (
            "https://g\u043e\u043ed.example/?k=4711",
            "^https://xn--gd-fmca\\.example/",
            "\u043e|4711",
        ),
    ],
)
def test_a_policy_sees_the_host_of_every_url(url: str, accepting: str, refusing: str) -> None:
    """A policy for hosts judges URLs that contain a credential, which it does not see."""
    entry = (
        "webhooks: [{name: A, type: generic, event_types: ['*'], configuration: "
        f"{{url: '{url}'}}}}]\n"
    )
    seen = []
    for pattern in (accepting, refusing):
        policy = json.dumps(configuration(url={"pattern": pattern})).encode()
        judged = check_policies(load_text(entry), ["p.json"], lambda path, raw=policy: raw, {})
        seen.append(judged.desired is not None)
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ({"$ref": "https://example.com/policy.json"}, "write a JSON Schema"),
        ({"$ref": "other.json"}, "write a JSON Schema"),
        ({"$ref": "#/$defs/none"}, "write a JSON Schema"),
        ({"properties": {"a": {"type": "nothing"}}}, "`properties.a.type`"),
        ({"pattern": "(?=a)"}, "`pattern`"),
        ([], "write a JSON Schema"),
        ("text", "write a JSON Schema"),
        (None, "write a JSON Schema"),
    ],
)
def test_an_unusable_policy_is_an_error(policy: Any, hint: str) -> None:
    """An invalid policy is an error, and its references are never fetched."""
    with pytest.raises(ConfigurationError, match="is not a usable JSON Schema") as caught:
        violations(policy)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("policy", "message", "hint"),
    [
        ({"maxItemz": 1}, "the unknown keyword `maxItemz`", "did you mean `maxItems`?"),
        (
            {"if": True, "then": {"properties": {"title": {"anyOf": [{"requires": []}]}}}},
            "the unknown keyword `requires`",
            "did you mean `required`?",
        ),
        ({"items": {"our-team": 1}}, "the unknown keyword `our-team`", "`x-...`"),
        ({"properties": {"a": {"format": "urii"}}}, "not a usable JSON", "`properties.a.format`"),
    ],
)
def test_a_misspelled_keyword_is_an_error(policy: Any, message: str, hint: str) -> None:
    """JSON Schema ignores it, so the policy would permit everything."""
    with pytest.raises(ConfigurationError) as caught:
        violations(policy)
    assert message in str(caught.value)
    assert hint in str(caught.value.hint)


PRODUCTION: Any = {
    "if": {"properties": {"organization": {"const": "Acme"}}, "required": ["organization"]},
    "then": {
        "title": "Production protects its webhooks, and pages at most one receiver",
        "required": ["protect"],
        "properties": {"webhooks": {"maxItems": 1}},
    },
}
ENTRY = (
    "webhooks: [{{name: {}, type: generic, event_types: ['*'], "
    "configuration: {{url: 'https://a.example.com'}}}}]\n"
)


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        ({"a.yaml": "organization: {id}\n" + ENTRY.format("A")}, "`protect` is missing"),
        ({"a.yaml": ENTRY.format("A")}, "`protect` is missing"),
        (
            {
                "a.yaml": "organization: Acme\nprotect: [A]\n" + ENTRY.format("A"),
                "b.yaml": "organization: Acme\nprotect: [B]\n" + ENTRY.format("B"),
            },
            "at most one receiver",
        ),
    ],
    ids=["its id", "no organization", "a second file"],
)
def test_a_policy_judges_the_organization_of_the_key(
    cloud: MakeCloud, shell: Shell, tmp_path: Path, files: dict[str, str], shown: str
) -> None:
    """Neither another spelling of its name nor a second file leads around a policy."""
    acme = cloud()
    texts = {
        f"orgs/{name}": text.replace("{id}", acme.emulator.organization)
        for name, text in files.items()
    }
    write(tmp_path, {**texts, "p.json": json.dumps(PRODUCTION)})
    for line in ("plan", "apply --yes"):
        done = shell(*line.split(), "-f", "orgs", "--policy", "p.json", **acme.environ)
        assert (done.code, shown in done.err + done.out) == (3, True), done.err
    assert acme.writes() == []


def test_the_path_of_a_policy_leads_through_no_link(shell: Shell, tmp_path: Path) -> None:
    """A change behind a link would change the policy without changing a file that CI watches."""
    write(tmp_path, {**FILES, "shared/p.json": "{}", "module/.git": "x", "module/p.json": "{}"})
    (tmp_path / ".git").mkdir()
    (tmp_path / "policies").symlink_to("shared")
    for path, reason in (
        ("policies/p.json", "leads through the link policies"),
        ("module/p.json", "is in the submodule or repository module"),
        ("../p.json", "is outside of this repository"),
    ):
        done = shell("validate", "over.yaml", "--policy", path)
        assert (done.code, f"policy {path}: it {reason}" in done.err) == (3, True), done.err


def chain(length: int, *, wrap: int = 0, **more: Any) -> dict[str, Any]:
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


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (nested(98), None),
        (nested(300), "more than 100 levels"),
        (chain(95), None),
        (chain(95, wrap=40), None),
        (chain(120), "different references"),
        (chain(9_000), "different references"),
        (chain(30_000), "is larger than 1 MiB"),
        (cycle(90), None),
        (cycle(20_000), "different references"),
        ({"anyOf": [{"$id": f"http://h/{n}/", "$ref": "n"} for n in range(101)]},
         "different references"),
        ({"$defs": {f"d{n}": {"$anchor": f"a{n}", "$ref": f"#a{n + 1}"} for n in range(3_000)}},
         "different references"),
        ({"anyOf": [{"$ref": "#/$defs/a"}] * 3_000, "$defs": {"a": True}}, None),
        ({"pattern": "\ud800"}, "is not JSON"),
        ({"title": "\ud800"}, "is not JSON"),
    ],
)  # fmt: skip
def test_a_policy_has_limits(policy: Any, message: str | None) -> None:
    """No policy crashes the engine, which follows levels and references recursively."""
    if message is None:
        violations(policy)
        return
    with pytest.raises(ConfigurationError, match=message):
        violations(policy)


def test_a_command_with_a_policy(shell: Shell, tmp_path: Path) -> None:
    """A violation is exit 3; so is a missing policy or invalid JSON."""
    write(tmp_path, FILES)
    write(tmp_path, {"p.json": '{"required": ["organization"], "title": "Name it"}', "q.json": "{"})
    done = shell("validate", "over.yaml", "--policy", "p.json")
    assert (done.code, "error[policy]: Name it" in done.out) == (3, True)
    for path, message in (("none.json", "it does not exist"), ("q.json", "is not JSON")):
        done = shell("plan", "over.yaml", "--local", "--policy", path)
        assert (done.code, message in done.err) == (3, True)


def test_a_saved_plan_keeps_its_policies(shell: Shell, tmp_path: Path) -> None:
    """The policies of the plan and of the apply are checked; a changed one is an error."""
    limited = '{"required": ["limits"]}'
    write(tmp_path, {**FILES, "p.json": limited, "q.json": '{"required": ["organization"]}'})
    write(tmp_path, {"pager-token": "example-of-a-token"})
    plan = ("plan", "over.yaml", "--local", "-o", "plan.json")
    apply = ("apply", "plan.json", "--local", "--yes")
    assert shell(*plan, "--policy", "q.json", **SECRETS).code == 3
    assert shell(*plan, "--policy", "p.json", **SECRETS).code == 0
    done = shell(*apply, "--policy", "q.json", **SECRETS)
    assert (done.code, "error[policy]" in done.err) == (3, True)
    (tmp_path / "p.json").unlink()
    assert "cannot read the policy p.json: it does not exist" in shell(*apply, **SECRETS).err
    write(tmp_path, {"p.json": "{}"})
    done = shell(*apply, **SECRETS)
    assert (done.code, "the policy p.json has changed since" in done.err) == (6, True)
    write(tmp_path, {"p.json": limited})
    assert shell(*apply, **SECRETS).code == 0
