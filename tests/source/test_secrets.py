"""References to secrets: forbidden ones, the values of others, and leaks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from reconciler.ci.workflows import RequiredSecrets
from reconciler.errors import UsageError
from reconciler.findings import Finding, Severity, error
from reconciler.model import Secret, SecretRef, Webhook
from reconciler.source.history import Commit, git_in
from reconciler.source.lint import Rules
from reconciler.source.schemes import (
    _FORBIDDEN_FOLDERS,
    _FORBIDDEN_VARIABLES,
    ARGUMENT,
    SCHEMES,
    Machine,
    allow_patterns,
    parse_reference,
    paths,
    reference_in,
    refusal,
)
from reconciler.source.secrets import fetch, fetch_key
from reconciler.workflow.inputs import Checked, Inputs, located
from tests.cli.conftest import SECRETS, File, Shell, expect
from tests.folders import ROOT, commit, git, write
from tests.goldens import Golden, rows
from tests.loading import load_text
from tests.source.test_findings import NEXT, cases, check, format_findings


class Resolution(NamedTuple):
    """The values of references, and all problems."""

    secrets: Mapping[SecretRef, Secret]
    findings: tuple[Finding, ...]


def resolve(
    webhooks: Sequence[Webhook],
    environ: Mapping[str, str],
    directory: Path = Path(),
    commit: Commit | None = None,
    **options: Any,
) -> Resolution:
    machine = Machine(environ, directory, commit)
    secrets, problems = fetch(webhooks, machine, **{"literals": {}, **options})
    return Resolution(secrets, tuple(each for found in problems.values() for each in found))


CANARY = "canary-5f1c"
API_KEY = "api-key-77aa"
URL = "https://pager.example.com/x"


def env(name: str, version: int | None = None) -> SecretRef:
    return SecretRef(scheme="env", name=name, version=version)


def file(name: str) -> SecretRef:
    return SecretRef(scheme="file", name=name)


def webhook(ref: SecretRef, type: str = "generic", url: str | SecretRef = URL) -> Webhook:
    """Return a webhook with `ref` as its token."""
    other = {"url": url} if type == "generic" else {"channel": "#a", "username": "me"}
    return Webhook(
        name="A", type=type, event_types=frozenset(), configuration={"token": ref, **other}
    )


def run(*refs: SecretRef, **options: Any) -> Resolution:
    """Resolve the tokens of webhooks."""
    return resolve([webhook(ref) for ref in refs], **options)


def only_finding(resolution: Resolution) -> Finding:
    assert dict(resolution.secrets) == {}
    (finding,) = resolution.findings
    assert CANARY not in repr(finding)
    return finding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory whose name looks like a glob, with files and links."""
    folder = tmp_path / "[old] what?"
    (folder / "real").mkdir(parents=True)
    (tmp_path / "host").mkdir()
    for name, raw in (
        ("../host/key", CANARY.encode()),
        ("real/a", CANARY.encode()),
        ("real/c:d", CANARY.encode()),
        ("other", CANARY.encode()),
        ("bytes", b"\xff" + CANARY.encode()),
        ("big", b"x" * (64 * 1024 + 1)),
    ):
        (folder / name).write_bytes(raw)
    for name, target in rows(Path(__file__).with_name("links.yaml")):
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    ("ref", "allow", "problem"),
    [(SecretRef(**ref), *rest) for ref, *rest in rows(Path(__file__).with_name("fetched.yaml"))],
)
def test_references_are_resolved_or_rejected(
    folder: Path, ref: SecretRef, allow: str, problem: str
) -> None:
    """The message names the reference, and quotes nothing of a file."""
    patterns = [pattern.replace("@", folder.parent.as_posix()) for pattern in allow.split()]
    found = run(ref, directory=folder, environ={"TOKEN": CANARY}, allow=patterns)
    if problem:
        finding = only_finding(found)
        assert problem in f"{finding.rule}: {finding.message}; {finding.hint}"
    else:
        assert (dict(found.secrets), found.findings) == ({ref: Secret(CANARY)}, ())
        assert CANARY not in repr(found)


@pytest.mark.parametrize("title", cases("references.txt"))
def test_what_becomes_of_values(tmp_path: Path, title: str, golden: Golden) -> None:
    """Each mistake has a rule, a position, a next step, and no value.

    A case has variables, which are also the files of the same names, and a file with references.
    """
    values, text = cases("references.txt")[title][0].split(NEXT)
    environ = yaml.safe_load(values)
    write(tmp_path, environ)
    loaded = load_text(text, rules=Rules(allow_literal_secrets=True))
    assert loaded.desired is not None
    sent, problems = fetch(
        loaded.desired.webhooks,
        Machine(environ, tmp_path),
        literals=loaded.desired.literals,
        api_keys=[Secret("hunter2-key")],
    )
    pairs = [(ref, each) for ref, found in problems.items() for each in found]
    inputs = Inputs(directory=tmp_path, environ=environ, stdin=bytes)
    findings = format_findings(located(pairs, Checked(loaded.desired, loaded, inputs)))
    order = f"order: {', '.join(map(str, problems))}\n"
    order += f"sent: {', '.join(map(str, sent)) or 'none'}\n"
    check("references.txt", title, findings + order, golden)


PLACEHOLDERS = ["${TOKEN}", "$SLACK_BOT_TOKEN", "<token>", "{{ token }}", "{env: X}", "env:TOKEN"]
TRIMMED = ["trimmed-secret"]


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        *((content.replace("CANARY", CANARY), rules)
          for content, rules in rows(Path(__file__).with_name("values.yaml"))),
        *((value, ["unreplaced-placeholder"]) for value in PLACEHOLDERS),
    ],
)  # fmt: skip
def test_values_are_trimmed_or_rejected(tmp_path: Path, value: str, rules: list[str]) -> None:
    """The finding names the reference, and quotes nothing of the value."""
    (tmp_path / "token").write_bytes(value.encode("utf-8", "surrogatepass"))
    resolution = run(env("TOKEN"), file("token"), directory=tmp_path, environ={"TOKEN": value})
    sent = [Secret(CANARY)] if rules in ([], TRIMMED) else []
    assert all(each in sent for each in resolution.secrets.values())
    assert len(resolution.secrets) == 2 * len(sent)
    assert [each.rule for each in resolution.findings] == rules * 2
    assert CANARY not in repr(resolution.findings)
    for each, name in zip(resolution.findings, ("TOKEN", "token"), strict=False):
        assert name in each.message
        assert each.severity is (Severity.NOTE if sent else Severity.ERROR)


FORBIDDEN = rows(Path(__file__).with_name("forbidden.yaml"))


@pytest.mark.parametrize("ref", [*map(env, FORBIDDEN["variables"]), *map(file, FORBIDDEN["files"])])
def test_forbidden_references(ref: SecretRef) -> None:
    """References to the machine or the run are rejected by name, also in a saved plan."""
    for allow in ((), (f"{ref.scheme}:*",)):
        found = refusal(ref, allow)
        assert found is not None
        assert found.rule == "forbidden-secret"
    finding = only_finding(run(ref, environ={ref.name: CANARY}))
    assert finding.rule == "forbidden-secret"


def test_files_with_similar_paths_are_not_forbidden() -> None:
    """A folder of the configuration may be called like one of the machine."""
    assert [refusal(file(name)) for name in FORBIDDEN["similar files"]] == [None] * 6


@pytest.mark.parametrize("pattern", ["SLACK_*", "env:", "literal:x", "nowhere:x", ""])
def test_useless_allow_patterns_are_rejected(pattern: str) -> None:
    """A pattern that can never match is a usage error."""
    with pytest.raises(UsageError, match="--allow-secret") as raised:
        allow_patterns(("env:OK", pattern))
    assert raised.value.hint == "for example --allow-secret 'env:SLACK_*'"
    assert allow_patterns(("env:A", "file:b/*")) == ("env:A", "file:b/*")


REFERENCES = rows(Path(__file__).with_name("references.yaml"))


@pytest.mark.parametrize(("text", "name", "message"), REFERENCES["arguments"])
def test_a_reference_is_an_argument(text: str, name: str | None, message: str) -> None:
    """Any other text may be the secret itself, so that no message shows it."""
    if name:
        assert parse_reference(text) == SecretRef(text.partition(":")[0], name)
        return
    with pytest.raises(UsageError) as raised:
        parse_reference(text)
    assert f"{raised.value}; {raised.value.hint}" == message.format(ARGUMENT=ARGUMENT)


@pytest.mark.parametrize(("data", "versioned", "expected"), REFERENCES["mappings"])
def test_a_reference_is_a_mapping(
    data: object, versioned: bool, expected: list[Any] | None
) -> None:
    """A path is relative to the file; only fields of webhooks have versions."""
    reference = None if expected is None else SecretRef(*expected)
    assert reference_in(data, "in/webhooks.yaml", versioned=versioned) == reference
    if not versioned:
        assert reference_in(data, "in/webhooks.yaml") == reference


def test_references_name_variables_and_files() -> None:
    """A literal is neither."""
    refs = [env("A"), file("b"), SecretRef(scheme="literal", name="C/token")]
    assert (RequiredSecrets(references=refs).variables, paths(refs)) == (("A",), {"b"})


def test_files_are_read_from_a_commit(tmp_path: Path) -> None:
    """A file that the commit has is not read from the folder, others are."""
    git(tmp_path, "init", "-q")
    write(tmp_path, {"key": CANARY, "big": "x" * (64 * 1024 + 1)})
    at = Commit(commit(tmp_path), tmp_path, git_in(tmp_path))
    write(tmp_path, {"key": "edited", "big": "small", "new": CANARY})
    found = run(file("key"), file("new"), environ={}, directory=tmp_path, commit=at)
    assert found == ({file("key"): Secret(CANARY), file("new"): Secret(CANARY)}, ())
    assert fetch_key(file("key"), Machine({}, tmp_path, at)) == Secret(CANARY)
    problem = only_finding(run(file("big"), environ={}, directory=tmp_path, commit=at))
    assert problem.message == "cannot read big: it is larger than 64 KiB"


@pytest.mark.parametrize(
    ("organization", "expected"), rows(Path(__file__).with_name("allowed_lines.yaml"))
)
def test_a_line_of_allowed_secrets_may_be_for_one_organization(
    organization: str | None, expected: list[str]
) -> None:
    """Without a line for an organization nothing is allowed, not everything."""
    lines = ("env:ALL", "Acme EU: env:EU_* file:eu", "Acme: US:  env:US")
    assert allow_patterns(lines, organization) == tuple(expected)
    (nothing,) = allow_patterns(lines[1:2], "Other")
    assert refusal(SecretRef(scheme="env", name="EU_A"), (nothing,)) is not None
    assert allow_patterns((), organization) == ()


@pytest.mark.parametrize(
    ("type", "value", "rule"), rows(Path(__file__).with_name("unfit_values.yaml"))
)
def test_a_value_must_fit_its_field(tmp_path: Path, type: str, value: str, rule: str) -> None:
    """A value that is not a Slack token or URL is rejected, from any source, and not shown."""
    (tmp_path / "token").write_text(value)
    literal = SecretRef(scheme="literal", name="A/token")
    for ref in (env("TOKEN"), file("token"), literal):
        one = webhook(ref, "slack" if type == "slack" else "generic")
        if type == "url":
            one = replace(one, configuration={"url": ref})
        found = resolve(
            [one], directory=tmp_path, environ={"TOKEN": value}, literals={literal: Secret(value)}
        )
        finding = only_finding(found)
        assert (finding.rule, finding.severity) == (rule, Severity.ERROR)
        assert value not in finding.message.replace("Slack token", "").replace("A/token", "")


@pytest.mark.parametrize(("url", "sent"), rows(Path(__file__).with_name("slack_tokens.yaml")))
@pytest.mark.parametrize(
    "value",
    ["xoxb-0123456789-example", "Bearer xoxb-0123456789-example", "xoxp-0123456789-example"],
)
def test_a_slack_token_is_sent_only_to_slack(url: str, sent: bool, value: str) -> None:
    """A generic webhook sends a Slack token only to a Slack host, for any source of the URL."""
    for where in (url, env("URL")):
        resolution = resolve(
            [webhook(env("TOKEN"), url=where)], environ={"TOKEN": value, "URL": url}
        )
        assert (env("TOKEN") in resolution.secrets) is sent
        rules = {each.rule for each in resolution.findings}
        if isinstance(where, SecretRef) and "\\" in url:
            rules.remove("malformed-secret")
        assert rules == (set() if sent else {"slack-token-elsewhere"})
        assert value not in repr(resolution.findings)


def test_a_problem_of_one_use_is_shown_there(shell: Shell, file: File) -> None:
    """A Slack token that a generic webhook shares with a Slack webhook is wrong at the former."""
    token = "token: {env: TOKEN}"
    file(
        "defaults: {event_types: ['*']}\nwebhooks:\n"
        f"  - {{name: a, type: slack, configuration: {{{token}, channel: '#a', username: u}}}}\n"
        f"  - {{name: b, type: generic, configuration: {{{token}, url: 'https://b.example.com'}}}}\n"
    )
    done = shell("plan", "--local", **SECRETS)
    expect(done, 3, "error[slack-token-elsewhere]", " --> webhooks.yaml:4:")


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (env("CLOUDTRUTH_API_KEY"), Secret(API_KEY)),
        (file("github_key"), Secret(API_KEY)),
        (env(API_KEY), SCHEMES["env"].bad_name),  # the key in place of its variable
        (
            env("GITHUB_TOKEN"),
            error(
                "forbidden-secret",
                "GITHUB_* variables are never used as an API key: GITHUB_TOKEN",
                "store the value in a variable with another name",
            ),
        ),
    ],
)
def test_a_credential_of_the_run_is_not_an_api_key(
    tmp_path: Path, ref: SecretRef, expected: Secret | Finding
) -> None:
    """A file cannot make the run send GitHub's token to CloudTruth, or show a key."""
    (tmp_path / ref.name).write_text(API_KEY)
    assert fetch_key(ref, Machine({ref.name: API_KEY}, tmp_path)) == expected
    assert API_KEY not in repr(expected)


def test_forbidden_references_are_documented() -> None:
    """docs/secrets.md lists every forbidden variable and folder."""
    text = (ROOT / "docs" / "secrets.md").read_text("utf-8")
    listed = text.partition("### Never sent")[2].partition("## Rotating")[0]
    assert [each for each in _FORBIDDEN_VARIABLES if f"`{each}`" not in listed] == []
    folders = [each for each in _FORBIDDEN_FOLDERS if not each.startswith("/run/secrets/")]
    assert [each for each in folders if f"`{each}`" not in listed] == []
