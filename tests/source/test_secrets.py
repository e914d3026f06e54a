"""References to secrets: which are refused, what the others yield, and that nothing leaks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from reconciler.errors import UsageError
from reconciler.findings import Finding, Position, Severity
from reconciler.model import Desired, Scheme, Secret, SecretRef, Webhook
from reconciler.source.allowed import allow_patterns, file_name, refusal
from reconciler.source.secrets import (
    MAX_SECRET_BYTES,
    Resolution,
    references,
    resolve,
    wrap,
)

CANARY = "canary-5f1c"
API_KEY = "api-key-77aa"


def env(name: str, version: int | None = None) -> SecretRef:
    return SecretRef(scheme=Scheme.ENV, name=name, version=version)


def file(name: str) -> SecretRef:
    return SecretRef(scheme=Scheme.FILE, name=name)


def run(
    *refs: SecretRef,
    directory: Path = Path(),
    environ: Mapping[str, str] | None = None,
    literals: Mapping[SecretRef, Secret] | None = None,
    allow: Sequence[str] = (),
) -> Resolution:
    return resolve(
        refs,
        environ=environ or {},
        directory=directory,
        literals=literals or {},
        api_key=Secret(API_KEY),
        allow=allow,
    )


def only_finding(resolution: Resolution) -> Finding:
    assert dict(resolution.secrets) == {}
    (finding,) = resolution.findings
    assert CANARY not in repr(finding)
    assert API_KEY not in repr(finding)
    return finding


def test_variable_and_file_yield_their_value(tmp_path: Path) -> None:
    """A variable and a file are found under their references, with any version."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("from-file")
    resolution = run(
        env("TOKEN"),
        env("TOKEN", 2),
        file("secrets/token"),
        file(str(tmp_path / "secrets" / "token")),
        directory=tmp_path,
        environ={"TOKEN": CANARY},
    )
    assert resolution.findings == ()
    assert dict(resolution.secrets) == {
        env("TOKEN"): Secret(CANARY),
        env("TOKEN", 2): Secret(CANARY),
        file("secrets/token"): Secret("from-file"),
        file(str(tmp_path / "secrets" / "token")): Secret("from-file"),
    }
    assert CANARY not in repr(resolution)


def test_all_missing_are_named_at_once(tmp_path: Path) -> None:
    """Every reference without a value is named in one run; an empty variable is missing too."""
    resolution = run(
        env("NOT_SET"), env("EMPTY"), file("none"), directory=tmp_path, environ={"EMPTY": ""}
    )
    said = [each.message for each in resolution.findings]
    assert said == [
        "the variable EMPTY is empty",
        "the variable NOT_SET is not set",
        "there is no file none",
    ]
    assert {each.rule for each in resolution.findings} == {"unresolved-secret"}


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_one_line_end_is_dropped(tmp_path: Path, ending: str) -> None:
    """One line end is no part of a secret, wherever it comes from."""
    (tmp_path / "token").write_bytes(f"value{ending}".encode())
    resolution = run(
        file("token"), env("TOKEN"), directory=tmp_path, environ={"TOKEN": f"value{ending}"}
    )
    assert set(map(type, resolution.secrets.values())) == {Secret}
    assert all(each == Secret("value") for each in resolution.secrets.values())
    assert len(resolution.secrets) == 2


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path) -> None:
    """Editors on Windows put one in front; nobody sees it, and no server would know the token."""
    (tmp_path / "token").write_bytes("value\r\n".encode("utf-8-sig"))
    resolution = run(file("token"), directory=tmp_path)
    assert resolution.secrets[file("token")] == Secret("value")


@pytest.mark.parametrize(
    "value",
    [
        f"{CANARY}\n\n",
        f"{CANARY}\nmore",
        f"{CANARY}\x00",
        f"{CANARY}\t",
        f"{CANARY}\x7f",
        f"{CANARY}\udcff",
        f"{CANARY}\u2028",
        "\n",
        "   ",
    ],
)
def test_unfit_values_are_refused_by_name(value: str) -> None:
    """Blank values and control characters are refused, naming the reference and no value."""
    finding = only_finding(run(env("TOKEN"), environ={"TOKEN": value}))
    assert "TOKEN" in finding.message
    assert finding.severity is Severity.ERROR


@pytest.mark.parametrize("value", [API_KEY, f"{API_KEY}\n", f"https://example.com/?key={API_KEY}"])
def test_api_key_is_never_a_secret_of_a_webhook(value: str) -> None:
    """The API key is refused under any name, alone or inside another value."""
    literal = SecretRef(scheme=Scheme.LITERAL, name="Pager/token")
    finding = only_finding(run(env("TOKEN"), environ={"TOKEN": value}))
    assert finding.rule == "forbidden-secret"
    finding = only_finding(run(literal, literals={literal: wrap(value)}))
    assert finding.rule == "forbidden-secret"


def test_a_short_api_key_is_compared_whole() -> None:
    """A key of a few letters, as local servers take, does not forbid every value with them."""
    refs = [env("A"), env("B")]
    resolution = resolve(
        refs,
        environ={"A": "demo", "B": "demo-1"},
        directory=Path(),
        literals={},
        api_key=Secret("demo"),
    )
    assert dict(resolution.secrets) == {env("B"): Secret("demo-1")}


@pytest.mark.parametrize(
    "ref",
    [
        env("CLOUDTRUTH_API_KEY"),
        env("cloudtruth_api_key"),
        env("GITHUB_TOKEN"),
        env("ACTIONS_RUNTIME_TOKEN"),
        env("RUNNER_TEMP"),
        env("AWS_SECRET_ACCESS_KEY"),
        env("AZURE_CLIENT_SECRET"),
        env("GOOGLE_APPLICATION_CREDENTIALS"),
        file("/proc/self/environ"),
        file("//proc/self/environ"),
        file("/etc/../proc/self/environ"),
        file("/sys/kernel"),
        file("/dev/stdin"),
        file("/dev"),
    ],
)
def test_forbidden_references(ref: SecretRef) -> None:
    """What belongs to the machine or the run is refused by its name, also from a saved plan."""
    remark = refusal(ref)
    assert remark is not None
    assert remark.rule == "forbidden-secret"
    finding = only_finding(run(ref, environ={ref.name: CANARY}))
    assert finding.rule == "forbidden-secret"


def test_link_into_proc_is_refused(tmp_path: Path) -> None:
    """What a link leads to counts."""
    (tmp_path / "token").symlink_to("/proc/self/environ")
    (tmp_path / "dir").symlink_to("/proc/self")
    assert only_finding(run(file("token"), directory=tmp_path)).rule == "forbidden-secret"
    assert only_finding(run(file("dir/environ"), directory=tmp_path)).rule == "forbidden-secret"
    up = os.path.relpath("/proc/self/environ", tmp_path)
    assert only_finding(run(file(up), directory=tmp_path)).rule == "forbidden-secret"


def test_file_must_be_regular_and_small(tmp_path: Path) -> None:
    """A pipe is not waited for, a directory is none, and at most 64 KiB are read."""
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in only_finding(run(file("pipe"), directory=tmp_path)).message
    assert "is a directory" in only_finding(run(file("."), directory=tmp_path)).message
    (tmp_path / "big").write_text("x" * (MAX_SECRET_BYTES + 1))
    assert "64 KiB" in only_finding(run(file("big"), directory=tmp_path)).message
    (tmp_path / "edge").write_text("x" * MAX_SECRET_BYTES)
    assert run(file("edge"), directory=tmp_path).findings == ()


def test_file_must_be_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are refused without being shown; so is an impossible path."""
    (tmp_path / "bytes").write_bytes(b"\xff" + CANARY.encode())
    assert "UTF-8" in only_finding(run(file("bytes"), directory=tmp_path)).message
    assert only_finding(run(file("a\0b"), directory=tmp_path)).rule == "unresolved-secret"


@pytest.mark.parametrize(
    ("ref", "allowed"),
    [
        (env("SLACK_BOT_TOKEN"), True),
        (env("SLACK"), False),
        (env("slack_x"), False),
        (file("secrets/a"), True),
        (file("secrets/../other/a"), False),
        (file("other/a"), False),
        (file("SLACK_x"), False),
    ],
)
def test_allow_list_narrows(ref: SecretRef, allowed: bool) -> None:
    """With --allow-secret only what a pattern names may be sent."""
    remark = refusal(ref, ("env:SLACK_*", "file:secrets/*"))
    assert (remark is None) is allowed
    if remark is not None:
        assert remark.rule == "secret-not-allowed"


def test_allow_list_does_not_lift_what_is_forbidden() -> None:
    """A pattern cannot allow what is never allowed."""
    remark = refusal(env("CLOUDTRUTH_API_KEY"), ("env:*",))
    assert remark is not None
    assert remark.rule == "forbidden-secret"


def test_allow_list_holds_for_what_links_lead_to(tmp_path: Path) -> None:
    """A link in an allowed folder cannot lead out of it; links to the folder itself may."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("inside")
    (tmp_path / "real" / "out").symlink_to(tmp_path / "other")
    (tmp_path / "other").write_text(CANARY)
    (tmp_path / "secrets").symlink_to("real")
    good = run(file("secrets/a"), directory=tmp_path, allow=["env:X", "file:secrets/*"])
    assert good.findings == ()
    exact = run(file("secrets/a"), directory=tmp_path, allow=["file:secrets/a"])
    assert exact.findings == ()
    deep = run(file("secrets/a"), directory=tmp_path, allow=["file:s*/a", "file:rea[l]/a"])
    assert deep.findings == ()
    bad = run(file("secrets/out"), directory=tmp_path, allow=["file:secrets/*"])
    assert only_finding(bad).rule == "secret-not-allowed"


def test_a_directory_with_a_bracket_in_its_name_is_no_glob(tmp_path: Path) -> None:
    """The same pattern allows the same file, wherever the working directory lies."""
    directory = tmp_path / "[old] what?"
    (directory / "secrets").mkdir(parents=True)
    (directory / "secrets" / "a").write_text("value")
    assert run(file("secrets/a"), directory=directory, allow=["file:secrets/*"]).findings == ()


@pytest.mark.parametrize("pattern", ["SLACK_*", "env:", "literal:x", "vault:x", ""])
def test_useless_allow_patterns_are_refused(pattern: str) -> None:
    """A pattern that could match nothing is a usage error, not a silent ban."""
    with pytest.raises(UsageError, match="--allow-secret"):
        allow_patterns(["env:OK", pattern])
    assert allow_patterns(["env:A", "file:b/*"]) == ("env:A", "file:b/*")


@pytest.mark.parametrize("token", ["xoxp-1234567890", "xapp-1234567890", "xoxe.xoxb-1234567890"])
def test_wrong_kind_of_slack_token_is_remarked_on(token: str) -> None:
    """A Slack token that is no bot token is usable, with a warning."""
    resolution = run(env("TOKEN"), environ={"TOKEN": token})
    (finding,) = resolution.findings
    assert finding.severity is Severity.WARNING
    assert "Bot User OAuth Token" in (finding.hint or "")
    assert token not in repr(finding)
    assert dict(resolution.secrets) == {env("TOKEN"): Secret(token)}


def test_literals_come_from_the_declaration() -> None:
    """A literal is found in what the files held; without them it is missing."""
    literal = SecretRef(scheme=Scheme.LITERAL, name="Pager/token")
    assert dict(run(literal, literals={literal: Secret("v")}).secrets) == {literal: Secret("v")}
    assert "Pager/token" in only_finding(run(literal)).message


def test_references_of_a_declaration_have_places() -> None:
    """Each reference is listed once, with the first webhook that has it, and findings use it."""
    place = Position(file="webhooks.yaml", line=3)
    webhooks = tuple(
        Webhook(
            name=name,
            type="slack",
            event_types=frozenset(),
            configuration={"token": env("TOKEN"), "channel": "#a"},
            position=position,
        )
        for name, position in (("A", place), ("B", None))
    )
    places = references(Desired(webhooks=webhooks))
    assert places == {env("TOKEN"): place}
    resolution = resolve(places, environ={}, directory=Path(), literals={}, places=places)
    assert resolution.findings[0].position == place


@pytest.mark.parametrize(
    ("path", "declaring", "name"),
    [
        ("token", "webhooks.yaml", "token"),
        ("secrets/token", "conf/a.yaml", "conf/secrets/token"),
        ("../token", "conf/a.yaml", "token"),
        ("../token", "a.yaml", "../token"),
        ("/run/secrets/token", "conf/a.yaml", "/run/secrets/token"),
        ("./token", "<stdin>", "token"),
    ],
)
def test_files_are_relative_to_the_declaring_file(path: str, declaring: str, name: str) -> None:
    """A file is named from the working directory, found from the file that refers to it."""
    assert file_name(path, declaring) == name
