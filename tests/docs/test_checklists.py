"""The checklists of docs/architecture.md, followed exactly in a copy of the program.

Each addition below follows only its list: it changes exactly the files of the list, and works. The
webhook type is validated, planned, applied and exported.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest

from reconciler.render import RENDERERS
from tests.folders import ROOT, Edit, ProgramCopy, line_after, new_file, replacing, write
from tests.goldens import rows

TABLES = rows(Path(__file__).with_suffix(".yaml"))

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
TOYS = Path(__file__).parent / "additions"


def checklist(title: str, name: str) -> set[str]:
    """Return the places of a list, with the addition's name filled in."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    places = set()
    for item in re.findall(r"^- \[ \] ([^:]+):", section, flags=re.M):
        first, *others = re.findall(r"`([^`]+)`", item)
        places |= {first, *(f"{first.rpartition('/')[0]}/{other}" for other in others)}
    return {place.replace("NAME", name) for place in places}


EXAMPLE = (TOYS / "pager.yaml").read_text("utf-8")
SECRET = {"PAGER_ROUTING_KEY": "a-routing-key-of-the-example"}
SHARED = """\
defaults: {event_types: ["*"], configuration: {username: CloudTruth bot}}
webhooks:
  - name: Deploys
    type: slack
    configuration: {token: {env: SLACK_BOT_TOKEN}, channel: deploys}
"""
"""Defaults without a type: the value fits one of the types that have the field."""
STEPS: dict[str, Callable[..., Edit]] = {
    "after": line_after,
    "after file": lambda anchor, name: line_after(anchor, (TOYS / name).read_text("utf-8")),
    "replace": replacing,
    "new": lambda name: new_file(TOYS / name),
}


def edit_of(steps: list[list[str]]) -> Edit:
    """Return the edit with these steps; without any, a script of the program writes the file."""
    edits = [STEPS[kind](*texts) for kind, *texts in steps]
    return lambda text: reduce(lambda edited, edit: edit(edited), edits, text)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> ProgramCopy:
    """A copy of the program with all additions and the output of its scripts."""
    made = ProgramCopy(tmp_path_factory.mktemp("copy"), "scripts", "docs", "examples")
    for addition in TABLES["additions"].values():
        made.add({file: edit_of(steps) for file, steps in addition["edits"].items()})
    assert made.python("scripts/schema.py", "--check").returncode == 1
    for script in ("scripts/schema.py", "scripts/commands.py"):
        assert made.python(script).returncode == 0
    assert made.python("scripts/schema.py", "--check").returncode == 0
    return made


@pytest.mark.parametrize("title", TABLES["additions"])
def test_a_list_is_complete(title: str) -> None:
    """An addition touches exactly the files of its list."""
    addition = TABLES["additions"][title]
    assert checklist(title, addition["name"]) == set(addition["edits"])


def test_the_list_of_a_field_follows_the_events() -> None:
    """It has each module that copies or compares `event_types`, but not those about events."""
    about_events = ("match.py", "lint.py", "policy.py", "proof.py", "check.py", "messages.py")
    named = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "reconciler").rglob("*.py")
        if path.name not in about_events and re.search(r"\bevent_types\b", path.read_text("utf-8"))
    }
    assert checklist("How to send a new field of webhooks", "") == named


@pytest.mark.slow
def test_a_new_command_works(copy: ProgramCopy) -> None:
    """A new command runs, is in the help, and is written to docs/commands.md."""
    done = copy.webhooks("count", "-f", "examples/webhooks.yaml")
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert "count " in copy.webhooks("--help").stdout
    assert "## `webhooks count`" in (copy.folder / "docs" / "commands.md").read_text("utf-8")


@pytest.mark.slow
def test_a_new_output_works(copy: ProgramCopy) -> None:
    """The new format can be selected, and shows plans, reports and drift."""
    secrets = {"SLACK_BOT_TOKEN": "xoxb-" + "0123456789-abcdef", "PAGER_PASSWORD": "example"}
    file = ("-f", "examples/webhooks.yaml", "--local", "--format", "brief")
    for command, shown in (
        ("plan", "3 planned\n"),
        ("apply --yes", "3 applied\n"),
        ("drift", "0 drifted\n"),
    ):
        done = copy.webhooks(*command.split(), *file, **secrets)
        assert (done.returncode, done.stdout) == (0, shown), done.stderr
    assert "|markdown|brief]" in (copy.folder / "docs" / "commands.md").read_text("utf-8")


def test_the_third_type_works(copy: ProgramCopy) -> None:
    """A webhook of the third type can be planned and applied; its secret is masked."""
    file, plan = "-f examples/pager.yaml", "plan --detailed-exitcode --local-db pager.db"
    for line, code, shown in (
        (f"validate --strict {file}", 0, "Valid: 1 webhook"),
        (f"{plan} {file}", 2, "pager night-shift"),
        (f"apply --yes --local-db pager.db {file}", 0, "1 created"),
        (f"{plan} {file}", 0, "No changes."),
        ("export --local-db pager.db", 0, "type: pager"),
    ):
        done = copy.webhooks(*line.split(), **SECRET)
        assert (done.returncode, shown in done.stdout) == (code, True), done.stdout + done.stderr
        assert SECRET["PAGER_ROUTING_KEY"] not in done.stdout + done.stderr


VAULTED = EXAMPLE.replace("env: PAGER_ROUTING_KEY", "vault: pager")


def test_a_third_place_for_secrets_works(copy: ProgramCopy) -> None:
    """A secret in a vault is sent, also from a saved plan, limited by a list and never shown."""
    secret = "routing-key-in-the-vault"
    files = {"vaulted.yaml": VAULTED, "vault/pager": secret}
    write(copy.folder, files)
    database = "--local-db vaulted.db"
    plan = f"plan {database} -f vaulted.yaml"
    for line, code, shown in (
        ("validate --strict -f vaulted.yaml", 0, "Valid: 1 webhook"),
        (f"{plan} --out vaulted.plan", 0, "vault pager  -> pager night-shift"),
        (f"{plan} --allow-secret env:*", 3, "add 'vault:pager' to --allow-secret"),
        (f"{plan} --allow-secret vault:p*", 0, "vault pager  -> pager night-shift"),
        (f"apply {database} --yes vaulted.plan", 0, "1 created"),
        (plan, 0, "No changes."),
    ):
        done = copy.webhooks(*line.split())
        output = done.stdout + done.stderr
        assert (done.returncode, shown in output) == (code, True), output
        assert secret not in output
    assert "vault:KEY" in (copy.folder / "docs" / "commands.md").read_text("utf-8")


@pytest.mark.parametrize(("old", "new", "shown"), TABLES["a third place"])
def test_errors_in_a_third_place_for_secrets_are_explained(
    copy: ProgramCopy, old: str, new: str, shown: str
) -> None:
    """Errors in references to the third place have the same messages as in others."""
    write(copy.folder, {"bad.yaml": VAULTED.replace(old, new)})
    done = copy.webhooks("validate", "-f", "bad.yaml", "--strict")
    assert (done.returncode, shown in done.stdout) == (3, True), done.stdout


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        (SHARED, 0, "Valid: 1 webhook"),
        (SHARED + EXAMPLE.partition("webhooks:\n")[2], 3, "`username` is longer than 8 characters"),
    ],
    ids=["one type", "a second type"],
)
def test_types_share_the_name_of_a_field(
    copy: ProgramCopy, text: str, code: int, shown: str
) -> None:
    """A webhook has the limits of its type, also for a value of defaults without a type."""
    text = text.replace("- name: Night shift\n", "- name: Night shift\n    type: pager\n")
    write(copy.folder, {"shared.yaml": text})
    done = copy.webhooks("validate", "-f", "shared.yaml")
    assert (done.returncode, shown in done.stdout) == (code, True), done.stdout


@pytest.mark.parametrize(("url", "code", "shown"), TABLES["a pattern"])
def test_the_pattern_of_a_field_holds_for_the_url_in_a_variable(
    copy: ProgramCopy, url: str, code: int, shown: str
) -> None:
    """A URL that a field refers to has to match the pattern of the field."""
    hook = "      routing_key:"
    write(copy.folder, {"hook.yaml": EXAMPLE.replace(hook, f"      hook: {{env: HOOK}}\n{hook}")})
    command = "plan --local-db hook.db -f hook.yaml"
    done = copy.webhooks(*command.split(), **SECRET, HOOK=url)
    assert (done.returncode, shown in done.stdout + done.stderr) == (code, True), done.stderr


def test_errors_in_the_third_type_are_explained(copy: ProgramCopy) -> None:
    """Errors in the third type have the same messages as in other types."""
    mistakes = rows(Path(__file__).with_name("mistakes.yaml"))
    for number, (old, new, _) in enumerate(mistakes):
        assert old in EXAMPLE
        write(copy.folder, {f"bad/{number}.yaml": EXAMPLE.replace(old, new)})
    done = copy.webhooks("validate", "-f", "bad", "--strict")
    assert done.returncode == 3
    assert [message for _, _, message in mistakes if message not in done.stdout] == []
    assert "in-the-file" not in done.stdout


@pytest.mark.parametrize(("line", "command", "code", "shown"), TABLES["a new key"])
def test_a_new_key_of_a_webhook_works(
    copy: ProgramCopy, line: str, command: str, code: int, shown: str
) -> None:
    """It is loaded, shown in plans and rendered files, and its errors are explained."""
    write(copy.folder, {"noted.yaml": f"{SHARED}    {line}\n"})
    done = copy.webhooks(*command.split(), "-f", "noted.yaml")
    assert (done.returncode, shown in done.stdout) == (code, True), done.stdout + done.stderr


def test_every_format_is_in_the_contract() -> None:
    """The contract in pyproject.toml, which only `lint-imports` reads, includes every format."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = (
        each
        for each in project["tool"]["importlinter"]["contracts"]
        if each["name"] == "Renderers do not know each other"
    )
    assert set(contract["modules"]) == {f"reconciler.render.{name}" for name in RENDERERS}


def test_every_folder_is_explained() -> None:
    """docs/architecture.md explains each folder and module of the package."""
    section = PAGE.partition("## Folders")[2].partition("\n## ")[0]
    for each in sorted((ROOT / "reconciler").iterdir()):
        if each.is_dir() and (each / "__init__.py").exists():
            assert f"`{each.name}/`" in section, each.name
        elif each.suffix == ".py" and not each.name.startswith("__"):
            assert f"`{each.name}`" in section, each.name
    for name in re.findall(r"`(\w+\.py)`", section):
        assert list((ROOT / "reconciler").rglob(name)), name
