"""Errors of one organization, and documents of a run over several; see sessions/."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from reconciler.report import Report
from reconciler.workflow import executing
from tests.cli.conftest import Cloud, Done, MakeCloud, Shell, expect
from tests.emulated.faults import Rule, Script, status
from tests.folders import write
from tests.goldens import rows

FILE = """\
organization: {name}
{head}
webhooks:
  - {{name: A, type: generic, event_types: ["*"], configuration: {{url: "https://a.example.com"}}}}
"""
KEYS = {"ACME_KEY": "acme-example-key", "GLOBEX_KEY": "globex-example-key"}


def files(folder: Path, **heads: str) -> None:
    """Write a file for each organization."""
    write(folder, {f"orgs/{n}.yaml": FILE.format(name=n, head=head) for n, head in heads.items()})


@pytest.fixture
def both(cloud: MakeCloud, tmp_path: Path) -> Cloud:
    """Two organizations of one server, with a key and a file each."""
    made = cloud()
    store = made.emulator.store
    store.add_user(made.emulator.organization, key=KEYS["ACME_KEY"], role="ADMIN")
    store.add_user(store.add_organization("Globex").id, key=KEYS["GLOBEX_KEY"], role="ADMIN")
    files(tmp_path, Acme="api_key: {env: ACME_KEY}", Globex="api_key: {env: GLOBEX_KEY}")
    return made


Run = Callable[..., Done]


@pytest.fixture
def run(both: Cloud, shell: Shell) -> Run:
    """Run a command line with both keys, or with `more` variables."""
    server = {"CLOUDTRUTH_SERVER_URL": both.environ["CLOUDTRUTH_SERVER_URL"]}
    return lambda line, **more: shell(*line.split(), **{**server, **KEYS, **more})


@pytest.mark.parametrize(
    ("head", "more", "code", "expected"), rows(Path(__file__).with_name("kept_going.yaml"))
)
def test_keep_going_continues_after_every_error_of_one_organization(
    both: Cloud, run: Run, tmp_path: Path, head: str, more: dict[str, str], code: int, expected: str
) -> None:
    """The error names the organization and its file; the last line shows the result of each.

    The digest is that of the plan, whatever is applied, and --expect-digest accepts that one.
    """
    expect(run("apply -f orgs --yes"), 0, "2 organizations: 2 applied.")
    text = FILE.format(name="Globex", head=head).replace("name: A,", "name: B,")
    profile = "profiles: {far: {api_key: some-example-key, server_url: 'http://127.0.0.1:9'}}"
    write(tmp_path, {"orgs/Globex.yaml": text, ".config/cloudtruth/cli.yml": profile})
    files(tmp_path, Initech="api_key: {env: INITECH_KEY}")
    store = both.emulator.store
    store.add_user(store.add_organization("Initech").id, key="initech-example-key", role="ADMIN")
    before = len(both.writes())
    more["INITECH_KEY"] = "initech-example-key"
    if head.startswith("profile"):
        more["CLOUDTRUTH_SERVER_URL"] = ""
        keyed = f"{KEYS['ACME_KEY']}, server_url: '{both.environ['CLOUDTRUTH_SERVER_URL']}'"
        profile = profile.replace("profiles: {", f"profiles: {{default: {{api_key: {keyed}}}, ")
        write(tmp_path, {".config/cloudtruth/cli.yml": profile})
    named = "Globex (orgs/Globex.yaml"
    state = "blocked" if code == 5 else "failed"
    line = "apply -f orgs --yes --deadline 5"
    done = run(line, **more)
    expect(done, code, expected, named, "Not started: Initech.", "orgs --deadline 5 --keep-going")
    rest = {"Acme": "unchanged", "Initech": "not started"}
    expect_report(run(f"{line} {JSON}", **more), tmp_path, code, {**rest, "Globex": state})
    planned = json.loads(run("plan orgs --format json --deadline 5", **more).out)["digest"]
    expect(run(f"{line} --expect-digest {planned}", **more), code, expected)
    assert len(both.writes()) == before
    done = run(f"{line} --keep-going --report r.json", **more)
    expect(done, 7, expected, named, f"3 organizations: 1 applied, 1 unchanged, 1 {state}.")
    expect(done, 7, f"Digest {planned}\n")
    assert json.loads((tmp_path / "r.json").read_text())["digest"] == planned
    assert len(both.writes()) == before + 1
    rest = dict.fromkeys(("Acme", "Initech"), "unchanged")
    done = run(f"{line} --keep-going {JSON}", **more)
    expect_report(done, tmp_path, code, {**rest, "Globex": state})
    alone = "apply -f orgs/Globex.yaml --yes --deadline 5"
    expect_report(run(f"{alone} {JSON}", **more), tmp_path, code, {"Globex": state})
    report = (tmp_path / "r.json").read_text()
    (tmp_path / "r.json").unlink()
    expect(run(f"{alone} --report r.json", **more), code, expected.removeprefix("): "))
    assert (tmp_path / "r.json").read_text() == report
    planned = run("plan orgs --format json --deadline 5", **more)
    totals = json.loads(planned.out)["totals"]
    if "secret" not in expected:  # a plan works without the values
        assert (planned.code, totals[state], totals["unchanged"]) == (code, 1, 2)
    done = run(f"{line} --format markdown --keep-going", **more)
    expect(done, code, f": `Globex`.\n\n3 organizations: 2 unchanged, 1 {state}.")


WEBHOOK = """  - {{name: {name}, type: generic, event_types: ["*"],
     configuration: {{url: "https://a.example.com"}}}}
"""


def move(folder: Path, acme: str, globex: str) -> None:
    """Declare A and another webhook in each organization."""
    for organization, name in (("Acme", acme), ("Globex", globex)):
        text = FILE.format(name=organization, head=f"api_key: {{env: {organization.upper()}_KEY}}")
        text += WEBHOOK.format(name=name) if name else ""
        write(folder, {f"orgs/{organization}.yaml": text})


def test_a_webhook_that_moves_is_created_first(both: Cloud, run: Run, tmp_path: Path) -> None:
    """Whichever file comes first. If it is not created, it stays; if both swap one, for one run."""
    move(tmp_path, "Pager", "")
    expect(run("apply -f orgs --yes"), 0, "2 organizations: 2 applied.")
    move(tmp_path, "", "Pager")
    both.emulator.faults = Script([Rule(fault=status(400), method="POST", times=None)])
    for absent in ("", "  - {name: Pager, state: absent}\n"):
        with (tmp_path / "orgs" / "Acme.yaml").open("a") as file:
            file.write(absent)
        done = run("apply -f orgs --yes --keep-going")
        expect(done, 1, "Globex declares it, but had not created it", "2 organizations: 2 failed.")
        done = run("apply -f orgs --yes --keep-going", GLOBEX_KEY="wrong")
        expect(done, 1, "Globex declares it, and may not have created it")
    assert both.names() == ["A", "A", "Pager"]
    both.emulator.faults = Script([])
    done = run("apply -f orgs --yes")
    expect(done, 0, "(2 of 2): creating Pager\nAcme (1 of 2): deleting Pager")
    # The outcomes are in the order of the files.
    assert done.out.index("In Acme") < done.out.index("In Globex")
    move(tmp_path, "Circle", "Pager")
    expect(run("apply -f orgs --yes"), 0, "1 applied")
    move(tmp_path, "Pager", "Circle")
    done = run("apply -f orgs --yes")
    expect(done, 7, "'Acme' also moves webhooks here, so it creates 'Pager' afterwards")
    expect(done, 7, "Acme declares it, but had not created it", "3 of 4 changes", "1 incomplete.")
    assert both.names() == ["A", "A", "Circle", "Pager", "Pager"]
    expect(run("apply -f orgs --yes"), 0, "deleting Pager", "2 organizations: 1 applied")


def test_what_is_written_is_reported_after_an_internal_error(
    both: Cloud, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a review, a stale operation stops its organization before the first write."""
    move(tmp_path, "Circle", "Pager")
    expect(run("apply -f orgs --yes"), 0, "2 organizations: 2 applied.")
    move(tmp_path, "Pager", "Other")
    monkeypatch.setattr("reconciler.source.elsewhere.read", None)  # no file is read a second time
    digest = json.loads(run("plan -f orgs --format json").out)["digest"]
    execute, calls = executing.execute, count()

    def execute_or_fail(*args: Any, **kwargs: Any) -> Report:
        number = next(calls)
        if number == 0:
            both.emulator.change("Circle", event_types=["value_updated"])
        report = execute(*args, **kwargs)
        # The second organization of one run, and the first of another.
        if number > 1:
            raise TypeError
        return report

    monkeypatch.setattr(executing, "execute", execute_or_fail)
    done = run(f"apply -f orgs --yes --expect-digest {digest}")
    expect(done, 6, "Failed (stale-plan): Acme.", "Not started: Globex.")
    done = run("apply -f orgs --yes")
    expect(done, 70, "+ Pager   created", "? Other  unconfirmed  internal error: TypeError")
    move(tmp_path, "New", "Pager")
    done = run("apply -f orgs --yes --format json")
    expect(done, 70, '"incomplete": 1', '"not_started": 1', "error: Globex: internal error: ")
    assert both.names() == ["A", "A", "Pager", "Pager"]


def test_a_missing_variable_of_a_shared_file_is_printed_once(run: Run, tmp_path: Path) -> None:
    """It names the first overlay, and the error after it all organizations."""
    overlay = "extends: ../base.yaml\norganization: {name}\napi_key: {{env: {key}}}\n"
    base = FILE.partition("webhooks")[2].format().replace("generic,", "slack,")
    base = f"webhooks{base}".replace(
        'url: "https://a.example.com"', 'token: {env: NONE}, username: a, channel: "#a"'
    )
    write(tmp_path, {"base.yaml": base})
    for name in ("Acme", "Globex"):
        text = overlay.format(name=name, key=f"{name.upper()}_KEY")
        write(tmp_path, {f"orgs/{name}.yaml": text})
    done = run("apply -f orgs --yes")
    expect(done, 3, "[unresolved-secrets]: Acme (orgs/Acme.yaml), Globex (orgs/Globex.yaml): ")
    assert done.err.count("the variable NONE is not set") == 1


def test_a_rejected_write_names_the_variable_of_the_key(both: Cloud, run: Run) -> None:
    """Each organization has another one."""
    both.emulator.faults = Script([Rule(fault=status(403), method="POST", times=None)])
    done = run("apply -f orgs --yes --keep-going")
    expect(done, 4, "(key from env ACME_KEY)", "(key from env GLOBEX_KEY)")


def test_a_plan_that_is_not_saved_warns_about_an_earlier_one(run: Run, tmp_path: Path) -> None:
    """The file could be applied as the new plan."""
    expect(run("plan orgs --out q.json"), 0)
    for line in ("plan orgs", "plan orgs/Globex.yaml"):
        done = run(f"{line} --out q.json", GLOBEX_KEY="wrong")
        expect(done, 4, "warning: q.json still contains an earlier plan\n")
        assert "earlier" not in run(f"{line} --out new.json", GLOBEX_KEY="wrong").err


JSON = "--format json --report r.json"


def expect_report(done: Done, folder: Path, code: int, states: dict[str, str]) -> None:
    """Check that exit code, printed and written report, and its totals agree."""
    report = json.loads(done.out)
    assert (done.code, report["exit_code"]) == (code, code)
    assert json.loads((folder / "r.json").read_text()) == report
    results = report["organizations"]
    assert {result["organization"]["name"]: result["state"] for result in results} == states
    totals = report["totals"]
    assert totals.pop("organizations") == len(states)
    numbers = Counter(state.replace(" ", "_") for state in states.values())
    assert {state: number for state, number in totals.items() if number} == numbers


def test_a_server_that_cannot_be_reached_is_found_out_once(run: Run, tmp_path: Path) -> None:
    """One organization tries it four times; for the others, or unselected ones, none is sent."""
    more = dict.fromkeys(("INITECH_KEY", "HOOLI_KEY"), "some-example-key")
    files(
        tmp_path, **{name: f"api_key: {{env: {name.upper()}_KEY}}" for name in ("Initech", "Hooli")}
    )
    done = run("plan orgs --debug", CLOUDTRUTH_SERVER_URL="http://127.0.0.1:9", **more)
    expect(done, 1, "Failed (unreachable): Acme, Globex, Hooli, Initech.")
    assert done.err.count("GET /api/v1/organizations/ no response") == 4
    assert done.err.count("no request was sent for this organization") == 1
    done = run("plan orgs --organization Ac* --debug", **more)
    assert done.err.count("GET /api/v1/organizations/") == 1
