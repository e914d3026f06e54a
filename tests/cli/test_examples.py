"""Every example of the repository is valid, can be planned, applied, and is then in order."""

from __future__ import annotations

import re
import shlex
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


def test_the_first_example_says_how_it_is_tried(shell: Shell, tmp_path: Path) -> None:
    """What its head tells people to type works as it stands there."""
    (tmp_path / "examples").mkdir()
    text = (EXAMPLES / "webhooks.yaml").read_text()
    (tmp_path / "examples" / "webhooks.yaml").write_text(text)
    lines = re.findall(r"^#   +(.*?) ?\\?$", text, re.MULTILINE)
    typed = shlex.split(" ".join(lines))
    start = typed.index("webhooks")
    environ = dict(word.split("=", 1) for word in typed[:start])
    done = shell(*typed[start + 1 :], terminal=True, keys="yes\n", **environ)
    assert (done.code, "Applied 3 of 3 changes" in done.out) == (0, True)
