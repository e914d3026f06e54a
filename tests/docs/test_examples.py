"""The examples: files, the program that uses the library, and many organizations."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import pytest

import reconciler.workflow
from tests.cli.conftest import MakeCloud, Shell
from tests.folders import ROOT, commit, git, python, write

PAGE = (ROOT / "docs" / "library.md").read_text("utf-8")
TOKEN = "xoxb-" + "0123456789-abcdef"
SECRETS = {
    **dict.fromkeys(("SLACK_BOT_TOKEN", "STAGING_SLACK_BOT_TOKEN"), TOKEN),
    **dict.fromkeys(("PAYMENTS_SLACK_TOKEN", "PLATFORM_SLACK_TOKEN"), TOKEN),
    **dict.fromkeys(("PAGER_TOKEN", "BUILDS_TOKEN"), "an example token"),
    **dict.fromkeys(("PAGER_PASSWORD", "TICKETS_PASSWORD"), "an example password"),
    "CHAT_BRIDGE_URL": "https://bridge.example.com/hooks/123",
}
EXAMPLES = ROOT / "examples"
ORGANIZED = EXAMPLES / "organizations"
TEXTS = {each.stem: each.read_text("utf-8") for each in ORGANIZED.glob("*.yaml")}
ORGANIZATIONS = sorted(name for name, text in TEXTS.items() if "\norganization:" in text)


def test_the_page_lists_the_public_names() -> None:
    """The list on the page and `__all__` have the same names."""
    section = PAGE.partition("## Public names")[2]
    named = re.findall(r"^- `(\w+)`:", section, flags=re.M)
    assert sorted(named) == sorted(reconciler.workflow.__all__)
    assert set(re.findall(r"from (reconciler[\w.]*) import", PAGE)) == {"reconciler.workflow"}


def test_the_example_plans_two_organizations(cloud: MakeCloud) -> None:
    """The example prints the plan of each organization and writes nothing."""
    both = cloud()
    store = both.emulator.store
    staging = store.add_organization("Acme Staging").id
    for name, organization in (("production", both.emulator.organization), ("staging", staging)):
        store.add_user(organization, key=f"{name}-example-key", role="ADMIN")
    keys = {f"{each.upper()}_API_KEY": f"{each}-example-key" for each in ORGANIZATIONS}
    done = python(ROOT, "examples/library.py", **{**both.environ, **SECRETS, **keys})
    assert done.returncode == 2, done.stderr
    second = done.stdout.index("for Acme Staging")
    assert done.stdout.index("for Acme (") < done.stdout.index("Plan: 3 to create") < second
    assert "Plan: 1 to create" in done.stdout[second:]
    assert both.writes() == []


def test_the_index_lists_every_example() -> None:
    """The index links to every file of the folder."""
    index = (EXAMPLES / "README.md").read_text("utf-8")
    for each in EXAMPLES.iterdir():
        if each.name not in ("README.md", "__pycache__"):
            assert f"({each.name}" in index, each.name


@pytest.mark.parametrize(
    "name",
    [
        *sorted(each.name for each in EXAMPLES.glob("*.yaml")),
        *("team", "team/payments.yaml"),
        *(f"organizations/{name}.yaml" for name in ORGANIZATIONS),
        *("organizations", "brands", "repositories/one", "repositories/five/organizations"),
        "repositories/sixty/organizations",
    ],
)
def test_an_example_is_valid(shell: Shell, tmp_path: Path, name: str) -> None:
    """The example passes without a warning, also compared with the commit that has it."""
    copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    write(tmp_path, {"secrets/slack-token": TOKEN})
    if "sixty" in name:
        assert python(tmp_path, "repositories/sixty/generate.py").returncode == 0
        assert python(tmp_path, "repositories/sixty/generate.py", "--check").stdout == ""
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    plan = "plan --local --detailed-exitcode"
    both = {plan, f"{plan} --base HEAD"}
    texts = "".join(path.read_text("utf-8") for path in EXAMPLES.rglob("*.yaml"))
    secrets = {**dict.fromkeys(re.findall(r"\{env: (\w+)\}", texts), "example"), **SECRETS}
    for lines, code in (
        ({"validate --strict"}, 0),
        (both, 2),
        ({"apply --local --yes --base HEAD"}, 0),
        ({*both, "drift --local", "drift --local --base HEAD"}, 0),
    ):
        done = [shell(*line.split(), "-f", name, **secrets) for line in lines]
        assert [each.code for each in done] == [code] * len(lines), done
        assert not any("slack-token-in-file" in each.out for each in done)
        digests = {tuple(re.findall(r"--expect-digest (\S+)", each.out)) for each in done}
        assert len(digests) == 1
