"""The manifest of the Slack app."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from reconciler.errors import UsageError
from reconciler.slack.manifest import STEPS, as_json, as_yaml, link, manifest, scopes
from tests.cli.conftest import Shell


def test_it_asks_for_what_deliveries_need() -> None:
    """The bot may post, post anywhere public, and under the webhook's username."""
    bot = manifest()["oauth_config"]["scopes"]["bot"]
    assert bot == ["chat:write", "chat:write.public", "chat:write.customize"]


@pytest.mark.parametrize(
    "name", ["CloudTruth Webhook", 'a "b": #c', "yes", "Überwachung 🚨", "- x"]
)
def test_json_yaml_and_link_say_the_same(name: str) -> None:
    """Whatever the app is called, all three forms hold one manifest."""
    app = manifest(name)
    assert json.loads(as_json(app)) == app
    assert yaml.safe_load(as_yaml(app)) == app
    query = parse_qs(urlsplit(link(app)).query)
    assert query["new_app"] == ["1"]
    assert json.loads(query["manifest_json"][0]) == app


@pytest.mark.parametrize("name", ["", "  ", "x" * 36, "a\nb", "a\x1b[31m"])
def test_a_name_that_slack_refuses_is_refused(name: str) -> None:
    """A name that is empty, too long or of several lines is a usage error."""
    with pytest.raises(UsageError):
        manifest(name)


def test_the_documentation_knows_every_scope() -> None:
    """docs/slack.md explains each scope that the manifest can ask for."""
    text = (Path(__file__).parents[2] / "docs/slack.md").read_text("utf-8")
    for scope in scopes(see_channels=True):
        assert f"| `{scope}` |" in text


def test_standard_output_is_the_manifest_alone(shell: Shell) -> None:
    """The result can be piped; link and steps go to standard error."""
    done = shell("slack", "manifest")
    assert done.code == 0
    assert yaml.safe_load(done.out) == manifest()
    assert link(manifest()) in done.err
    assert all(f"  {number}. " in done.err for number in range(1, len(STEPS) + 1))


def test_the_link_alone(shell: Shell) -> None:
    """--url prints one line to click on or to hand on."""
    done = shell("slack", "manifest", "--url", "--name", "Ops")
    assert (done.out, done.err) == (link(manifest("Ops")) + "\n", "")
