"""The `webhooks doctor` command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.source.schema import schema_text
from tests.cli.conftest import SECRETS, Cloud, File, MakeCloud, Shell
from tests.emulated.emulator import LOCAL_KEY
from tests.folders import write
from tests.served import closed_port


def document(text: str) -> Any:
    """Parse doctor's JSON and validate it against its schema."""
    found = json.loads(text)
    Draft7Validator(json.loads(schema_text("checks.schema.json"))).validate(found)
    return found


def checks(text: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for section in document(text)["sections"]:
        for check in section["checks"]:
            found.setdefault(check["name"], []).append(check)
    return found


def test_a_working_setup(shell: Shell, server: Cloud) -> None:
    """The exit code is 0, no check fails, and each setting has its source; nothing is written."""
    environ = {**server.environ, "CLOUDTRUTH_REQUEST_TIMEOUT": "7"}
    assert shell("apply", "--yes", **environ).code == 0
    written = server.writes()
    done = shell("doctor", "--deadline", "20", **environ)
    assert (done.code, server.writes()) == (0, written)
    assert done.out.splitlines()[0] == "Settings"
    text = " ".join(done.out.split())
    for each in (
        f"✓ server from CLOUDTRUTH_SERVER_URL ({environ['CLOUDTRUTH_SERVER_URL']})",
        "✓ key set, from CLOUDTRUTH_API_KEY",
        "7 s per request, from CLOUDTRUTH_REQUEST_TIMEOUT",
        "20 s per run, from --deadline",
        "✓ organization found (Acme, id ",
        "slack token: shown (1 webhook)",
    ):
        assert each in text
    assert " failed" not in done.out


def test_the_json_report_is_anonymous(
    shell: Shell, file: File, cloud: MakeCloud, tmp_path: Path
) -> None:
    """JSON contains no key, secret, host, path, organization or name of a webhook."""
    home = tmp_path / "canary-home"
    profiles = "profiles: {canary-profile: {api_key: local-emulator-key}}"
    write(home, {".config/cloudtruth/cli.yml": profiles})
    file(name="canary-file.yaml")
    server = cloud()
    environ = {
        **server.environ,
        "HOME": str(home),
        "CLOUDTRUTH_PROFILE": "canary-profile",
        "HTTPS_PROXY": "http://canary-user:canary-password@canary-proxy.example:3128",
    }
    assert shell("apply", "--yes", "-f", "canary-file.yaml", **environ).code == 0
    del environ["CLOUDTRUTH_API_KEY"]
    done = shell("doctor", "--format", "json", "-f", "canary-file.yaml",
                 "--organization", "canary-org", **environ)  # fmt: skip
    assert done.code == 1
    found = checks(done.out)
    assert found["organization"][0]["status"] == "fail"
    assert found["key"][0]["detail"] == "set, from a profile or a file"
    for private in ("canary", "Acme", "Deploys", "Pager", "127.0.0.1", "local-emulator-key",
                    str(tmp_path), *SECRETS.values()):  # fmt: skip
        assert private not in done.out
    on_screen = shell("doctor", "-f", "canary-file.yaml", **environ).out
    assert "canary-profile" in on_screen
    assert "`webhooks check -f canary-file.yaml` checks" in on_screen
    assert "canary-password" not in on_screen


def test_the_key_in_the_file_of_an_organization(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """The key is read from the file that the organization declares; its path is not in the JSON."""
    server = cloud()
    environ = {**server.environ, "CLOUDTRUTH_API_KEY": "wrong", "CANARY_KEY": LOCAL_KEY}
    file("api_key: {env: CANARY_KEY}\nwebhooks: []\n", name="canary.yaml")
    done = shell("doctor", "-f", "canary.yaml", "--format", "json", **environ)
    found = checks(done.out)["key"]
    assert [each["detail"] for each in found] == ["set, from a profile or a file", "accepted"]
    assert "canary" not in done.out
    done = shell("doctor", "-f", "canary.yaml", **{**environ, "CANARY_KEY": ""})
    assert (done.code, "✗ settings" in done.out) == (1, True)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), ("✗ key", "fix: set CLOUDTRUTH_API_KEY, or", "the server responds", "? files")),
        (("--server-url", "http://example.com"), ("✗ settings", "use https", "? files")),
    ],
)
def test_a_wrong_setting_is_a_failed_check(
    shell: Shell, cloud: MakeCloud, words: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    """The other checks still run after a wrong setting."""
    url = cloud().environ["CLOUDTRUTH_SERVER_URL"]
    done = shell("doctor", *words, CLOUDTRUTH_SERVER_URL=url)
    assert done.code == 1
    assert [each for each in shown if each not in done.out] == []


@pytest.mark.parametrize(
    ("text", "status", "word"),
    [
        ("webhooks: []\n", "ok", "valid"),
        ("webhooks: [", "fail", "error"),
        (None, "unknown", "no webhooks.yaml"),
    ],
)
def test_files(shell: Shell, file: File, text: str | None, status: str, word: str) -> None:
    """Files are valid, or the check suggests a command that shows the errors or creates a file."""
    if text is not None:
        file(text)
    found = checks(shell("doctor", "--local", "--format", "json").out)["files"][0]
    assert (found["status"], word in found["detail"]) == (status, True)
    assert found["fix"] or status == "ok"


def test_secrets(shell: Shell, file: File, cloud: MakeCloud) -> None:
    """References without a value are listed; the API key is never used as a value."""
    file()
    url = cloud().environ["CLOUDTRUTH_SERVER_URL"]

    def secrets(**environ: str) -> dict[str, str]:
        done = shell("doctor", "--format", "json", "--server-url", url, **environ)
        return checks(done.out)["secrets"][0]

    assert "env PASSWORD, env TOKEN" in secrets()["detail"]
    assert secrets(**SECRETS)["detail"] == "all 2 available"
    wrong = secrets(**SECRETS, CLOUDTRUTH_API_KEY=SECRETS["TOKEN"])
    assert wrong["status"] == "fail"


@pytest.mark.parametrize(
    ("environ", "detail", "fix"),
    [
        ({}, "the server cannot be reached: connection refused", "check the host and the port"),
        ({"REQUESTS_CA_BUNDLE": "/canary/nowhere.pem"},
         "the connection cannot be made as configured", "correct REQUESTS_CA_BUNDLE"),
        ({"SSL_CERT_FILE": "/canary/nowhere.pem"},
         "the connection cannot be made as configured", "correct SSL_CERT_FILE"),
    ],
)  # fmt: skip
def test_an_unreachable_server(
    shell: Shell, environ: dict[str, str], detail: str, fix: str
) -> None:
    """One failure, not five, has the cause and the first step, without a host or a path."""
    with closed_port() as url:
        url = url.replace("http:", "https:")
        done = shell("doctor", "--server-url", url, "--format", "json",
                     CLOUDTRUTH_API_KEY="k" * 9, **environ)  # fmt: skip
    every = checks(done.out)
    (found,) = every["http"]
    assert every.keys().isdisjoint({"schema", "organization", "role", "webhooks"})
    assert (done.code, found["detail"], found["status"]) == (1, detail, "fail")
    assert found["fix"].startswith(fix)
    assert "canary" not in done.out
