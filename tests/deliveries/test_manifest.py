"""The manifest of the Slack app has the needed scopes in every output."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from reconciler.deliveries.manifest import STEPS, link, manifest, rendered
from reconciler.errors import UsageError
from tests.cli.conftest import Shell


def test_the_scopes_are_those_of_deliveries() -> None:
    """The bot may post, post in any public channel, and use the webhook's username."""
    bot = manifest()["oauth_config"]["scopes"]["bot"]
    assert bot == ["chat:write", "chat:write.public", "chat:write.customize"]


@pytest.mark.parametrize(
    "name", ["CloudTruth Webhook", 'a "b": #c', "yes", "Überwachung 🚨", "- x"]
)
def test_json_yaml_and_link_have_the_same_manifest(name: str) -> None:
    """The three outputs agree for any name of the app."""
    app = manifest(name)
    assert json.loads(rendered(app, "json")) == app
    assert yaml.safe_load(rendered(app, "yaml")) == app
    query = parse_qs(urlsplit(link(app)).query)
    assert query["new_app"] == ["1"]
    assert json.loads(query["manifest_json"][0]) == app


@pytest.mark.parametrize("name", ["", "  ", "x" * 36, "a\nb", "a\x1b[31m"])
def test_a_name_that_slack_rejects_is_an_error(name: str) -> None:
    """An empty, too long or multi-line name is a usage error."""
    with pytest.raises(UsageError):
        manifest(name)


def test_the_docs_explain_every_scope() -> None:
    """docs/deliveries.md explains each scope of the manifest."""
    text = (Path(__file__).parents[2] / "docs/deliveries.md").read_text("utf-8")
    for scope in manifest(see_channels=True)["oauth_config"]["scopes"]["bot"]:
        assert f"| `{scope}` |" in text


def test_standard_output_has_only_the_manifest(shell: Shell) -> None:
    """The manifest can be piped; the link and the steps go to standard error."""
    done = shell("slack", "manifest")
    assert done.code == 0
    assert yaml.safe_load(done.out) == manifest()
    assert link(manifest()) in done.err
    assert all(f"  {number}. " in done.err for number in range(1, len(STEPS) + 1))


def test_the_link_has_the_name(shell: Shell) -> None:
    """`--name` names the app, also in the link."""
    assert link(manifest("Ops")) in shell("slack", "manifest", "--name", "Ops").err
