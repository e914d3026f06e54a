"""Every example of the repository is valid, can be planned, applied, and is then in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Shell

EXAMPLES = Path(__file__).parents[2] / "examples"
TOKEN = "xoxb-" + "0123456789-abcdef"
SECRETS = {
    "SLACK_BOT_TOKEN": TOKEN,
    "PAYMENTS_SLACK_TOKEN": TOKEN,
    "PLATFORM_SLACK_TOKEN": TOKEN,
    "PAGER_PASSWORD": "example password",
    "TICKETS_PASSWORD": "example password",
    "BUILDS_TOKEN": "example token",
    "CHAT_BRIDGE_URL": "https://bridge.example.com/hooks/123",
}


@pytest.mark.parametrize(
    "name", [*sorted(each.name for each in EXAMPLES.glob("*.yaml")), "team", "team/payments.yaml"]
)
def test_example(shell: Shell, tmp_path: Path, name: str) -> None:
    """The example does what it says, without a warning, in a folder of its own."""
    source = EXAMPLES / name
    for each in [source] if source.is_file() else source.iterdir():
        target = tmp_path / each.relative_to(EXAMPLES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(each.read_bytes())
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/slack-token").write_text(SECRETS["SLACK_BOT_TOKEN"])
    assert shell("validate", "-f", name, "--strict", **SECRETS).code == 0
    assert shell("plan", "-f", name, "--local", "--detailed-exitcode", **SECRETS).code == 2
    assert shell("apply", "-f", name, "--local", "--yes", **SECRETS).code == 0
    assert shell("plan", "-f", name, "--local", "--detailed-exitcode", **SECRETS).code == 0


def test_local_example_of_the_readme(shell: Shell, tmp_path: Path) -> None:
    """The first example says how it is tried, and that is how it works."""
    text = (EXAMPLES / "webhooks.yaml").read_text()
    assert "webhooks apply -f examples/webhooks.yaml --local" in text
    assert "SLACK_BOT_TOKEN=" in text
    assert "PAGER_PASSWORD=" in text
