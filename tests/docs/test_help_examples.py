"""Every example in a command's help runs as written, in a folder with the files it names."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from reconciler.cli.main import program
from tests.cli.conftest import Shell
from tests.cli.test_help import COMMANDS
from tests.deliveries.fake_slack import FakeSlack
from tests.docs.block_setups import EXAMPLE, SECRETS
from tests.emulated.emulator import Emulator
from tests.emulated.variant import Variant
from tests.folders import ROOT, write
from tests.goldens import rows
from tests.served import served


class Expected(NamedTuple):
    """The result of an example, and what it needs beyond the common folder.

    Undeclared `live` webhooks of these names exist, and the declared ones if they are `applied`;
    `without` is not in the folder.
    """

    prints: str = ""
    live: tuple[str, ...] = ()
    without: str = ""
    code: int = 0
    applied: bool = False


EXPECTED: Final[Mapping[str, Expected]] = {
    line: Expected(**options)
    for line, options in rows(Path(__file__).with_name("help_examples.yaml")).items()
}
"""Examples with checks beyond success."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "ci": "tests/ci/test_workflow_steps.py",  # the environment of a GitHub runner
    "completion": "tests/cli/test_completion.py",  # as a shell completes
    "reconcile": "tests/reconcile/test_command.py",  # runs until it is stopped
}
"""Commands whose examples are run in another test."""


EXAMPLES = [
    (path, line)
    for path, command in {"": program(), **COMMANDS}.items()
    for line in command.examples.splitlines()
    if not line.startswith("#")
]
RUN = sorted({line for path, line in EXAMPLES if path not in ELSEWHERE})


def test_every_entry_is_used() -> None:
    """Every entry belongs to an existing example or test."""
    assert set(EXPECTED) <= set(RUN)
    assert set(ELSEWHERE) <= {path for path, _ in EXAMPLES}
    assert all((ROOT / file).exists() for file in ELSEWHERE.values())


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Emulator, Mapping[str, str]]]:
    """One emulated CloudTruth and one fake Slack for all examples, and the environment for both."""
    emulator = Emulator(behavior=Variant(any_key=True), seed=1)
    with served(emulator) as url, served(FakeSlack()) as slack:
        cloudtruth = {"CLOUDTRUTH_SERVER_URL": url, "CLOUDTRUTH_API_KEY": "an-example-key"}
        yield emulator, {**SECRETS, **cloudtruth, "WEBHOOKS_SLACK_URL": slack}


@pytest.mark.parametrize("line", RUN)
def test_an_example_works(
    line: str, shell: Shell, tmp_path: Path, site: tuple[Emulator, Mapping[str, str]]
) -> None:
    """The example exits 0 and has the effect that it demonstrates."""
    emulator, environ = site
    expected = EXPECTED.get(line, Expected())
    write(tmp_path, dict.fromkeys(("webhooks.yaml", "webhooks/all.yaml"), EXAMPLE))
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for each in emulator.store.webhooks():
        emulator.store.delete(each["id"])
    assert shell("plan", "--out", "plan.json", **environ).code == 0
    digest = json.loads((tmp_path / "plan.json").read_text())["digest"]
    if expected.without:
        (tmp_path / expected.without).unlink()
        shutil.rmtree(tmp_path / "webhooks")  # the default without the file
    if expected.live:
        hooks = [
            {"name": each, "type": "generic", "event_types": ["*"],
             "configuration": {"url": "https://hooks.example.com/ct"}} for each in expected.live
        ]  # fmt: skip
        (tmp_path / "live.yaml").write_text(json.dumps({"webhooks": hooks}))
        assert shell("apply", "-f", "live.yaml", "--yes", **environ).code == 0
        (tmp_path / "live.yaml").unlink()
    if expected.applied:
        assert shell("apply", "--yes", **environ).code == 0
    words = shlex.split(line.replace("sha256:9c1e...", digest))
    if ">" in words:
        words = words[: words.index(">")]
    assert words[0] == "webhooks"
    done = shell(*words[1:], keys="yes\nyes\n", terminal=True, **environ)
    assert done.code == expected.code, done.out + done.err
    assert expected.prints in done.out
