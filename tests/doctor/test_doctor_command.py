"""The `webhooks doctor` command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from reconciler.source.schema import schema_text
from tests.cli.conftest import SECRETS, File, MakeCloud, Shell
from tests.folders import write


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
