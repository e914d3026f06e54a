"""The manifest of the Slack app has the needed scopes in every output."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    "name", ["CloudTruth Webhook", 'a "b": #c', "yes", "Überwachung 🚨", "- x"]
)
def test_json_yaml_and_link_have_the_same_manifest(shell: Shell, name: str) -> None:
    """The outputs agree for any name; the link and the steps are not on standard output."""
    as_json, as_yaml = (
        shell("slack", "manifest", "--name", name, "--format", form) for form in ("json", "yaml")
    )
    app = json.loads(as_json.out)
    assert yaml.safe_load(as_yaml.out) == app
    assert app["features"]["bot_user"]["display_name"] == name
    link = re.search(r"https://\S+", as_json.err)
    assert link is not None
    query = parse_qs(urlsplit(link[0]).query)
    assert query["new_app"] == ["1"]
    assert json.loads(query["manifest_json"][0]) == app
    assert all(f"\n  {number}. " in as_json.err for number in range(1, 6))


@pytest.mark.parametrize("name", ["", "  ", "x" * 36, "a\nb", "a\x1b[31m"])
def test_a_name_that_slack_rejects_is_an_error(shell: Shell, name: str) -> None:
    """An empty, too long or multi-line name is a usage error."""
    assert shell("slack", "manifest", "--name", name).code == 64


def test_the_scopes_are_those_of_deliveries(shell: Shell) -> None:
    """The bot may post, in any public channel, under the username; the docs explain each scope."""
    needed = ["chat:write", "chat:write.public", "chat:write.customize"]
    text = (Path(__file__).parents[2] / "docs/deliveries.md").read_text("utf-8")
    for options, scopes in ([], needed), (["--see-channels"], [*needed, "channels:read"]):
        app = yaml.safe_load(shell("slack", "manifest", *options).out)
        assert app["oauth_config"]["scopes"]["bot"] == scopes
        assert all(f"| `{scope}` |" in text for scope in scopes)
