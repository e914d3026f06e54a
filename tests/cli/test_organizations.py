"""One command works on the files of several organizations, as one run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Cloud, Done, MakeCloud, Shell, expect
from tests.folders import write

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


def test_equal_changes_are_shown_once(run: Run) -> None:
    """A plan lists the organizations of each change; the last line is the total."""
    plan = "plan orgs --detailed-exitcode"
    expect(run("validate orgs/*.yaml"), 0, "Valid: 2 webhooks in 2 files of 2 organizations.")
    done = run(plan)
    expect(done, 2, "In 2 organizations: Acme, Globex:\n  + A  generic")
    assert done.out.splitlines()[-1] == "2 organizations: 2 to change. 2 to create, 0 to delete."
    expect(run(f"{plan} -v"), 2, "In 2 organizations: Acme, Globex:\n  + A  generic")
    assert run("apply -f orgs --yes").code == 0
    expect(run(plan), 0, "2 organizations: 2 unchanged. No changes.", without=("  ~ A",))
    failed = "Failed: Globex (authentication).\n2 organizations: 1 unchanged, 1 failed."
    done = run(plan, GLOBEX_KEY="wrong")
    expect(done, 4, failed, "Globex (orgs/Globex.yaml): 127.0.0.1", without=("No changes",))


@pytest.mark.parametrize(
    ("heads", "more", "expected"),
    [
        ({"Globex": "api_key: {env: NONE}"}, {}, "the variable NONE is not set"),
        ({"Globex": "api_key: {env: ACME_KEY}"}, {}, "'Acme', not to 'Globex'"),
        ({"Globex": ""}, {}, "there is no CloudTruth API key"),
        ({"Globex": "api_key: {env: AWS_KEY}"}, {"CI": "true"}, "AWS_* variables are never used"),
    ],
)
def test_an_apply_checks_every_key_before_its_first_write(
    both: Cloud, run: Run, tmp_path: Path,
    heads: dict[str, str], more: dict[str, str], expected: str,
) -> None:  # fmt: skip
    """With a missing, forbidden or wrong key nothing is written."""
    files(tmp_path, **heads)
    done = run("apply -f orgs --yes", **more)
    assert (done.code in (3, 4), expected in done.err) == (True, True)
    assert both.writes() == []


@pytest.mark.parametrize(
    ("head", "more", "code", "expected"),
    [
        ("api_key: {env: GLOBEX_KEY}", {"GLOBEX_KEY": "wrong"}, 4, "not accept the API key"),
        ("api_key: {env: NONE}", {}, 4, "NONE is not set"),
        ("profile: far", {}, 1, "cannot be reached"),
        ("api_key: {env: ACME_KEY}", {}, 4, "belongs to organization 'Acme'"),
        (
            "api_key: {env: GLOBEX_KEY}\nlimits: {max_deletes: 0}",
            {},
            5,
            "): the plan is blocked: nothing was written",
        ),
        (
            "api_key: {env: GLOBEX_KEY}\ndefaults: {configuration: {token: {env: NONE}}}",
            {},
            3,
            "secrets to send are not available: env NONE",
        ),
    ],
)
def test_keep_going_continues_after_every_error_of_one_organization(
    both: Cloud, run: Run, tmp_path: Path, head: str, more: dict[str, str], code: int, expected: str
) -> None:
    """The error names the organization and its file; the last line shows the result of each."""
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
    expect(done, code, expected, named, "Not started: Acme, Initech.", "--keep-going continues")
    rest = dict.fromkeys(("Acme", "Initech"), "not started")
    expect_report(run(f"{line} {JSON}", **more), tmp_path, code, {**rest, "Globex": state})
    assert len(both.writes()) == before
    done = run(f"{line} --keep-going", **more)
    expect(done, 7, expected, named, f"3 organizations: 1 applied, 1 unchanged, 1 {state}.")
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


JSON = "--format json --report r.json"


def expect_report(done: Done, folder: Path, code: int, states: dict[str, str]) -> None:
    """Check that exit code, printed and written report, and its totals agree."""
    report = json.loads(done.out)
    assert (done.code, report["exit_code"]) == (code, code)
    assert json.loads((folder / "r.json").read_text()) == report
    assert {
        each["organization"]["name"]: each["state"] for each in report["organizations"]
    } == states
    totals = report["totals"]
    assert totals.pop("organizations") == len(states)
    numbers = Counter(state.replace(" ", "_") for state in states.values())
    assert {state: number for state, number in totals.items() if number} == numbers


def test_a_plan_file_a_digest_and_a_report_cover_the_run(run: Run, tmp_path: Path) -> None:
    """One file has the plans of all organizations, one digest approves all of their operations."""
    planned = json.loads(run("plan orgs --format json").out)
    counted = {"organizations": 2, "to_change": 2, "create": 2, "failed": 0}
    assert counted.items() <= planned["totals"].items()
    other = "sha256:" + "0" * 64
    line = "apply -f orgs --yes --expect-digest"
    expect(run(f"{line} {other}"), 6, f"reviewed  {other}", f"now       {planned['digest']}")
    expect(run(f"{line} {planned['digest']} --keep-going"), 64, "--keep-going cannot be used")
    digest_of_one = json.loads(run("plan orgs/Acme.yaml --format json").out)["digest"]
    assert run("plan orgs -o p.json").code == 0
    expect(run("show p.json"), 0, "In 2 organizations: Acme, Globex:")
    expect(run("apply orgs/Globex.yaml --yes"), 0, "1 created")
    assert json.loads(run("plan orgs --format json").out)["digest"] == digest_of_one
    done = run(f"apply p.json --yes --expect-digest {planned['digest']} --report r.json")
    expect(done, 0, "2 organizations: 1 applied, 1 unchanged.")
    report = json.loads((tmp_path / "r.json").read_text())
    states = {each["organization"]["name"]: each["state"] for each in report["organizations"]}
    assert (report["exit_code"], states) == (0, {"Acme": "applied", "Globex": "unchanged"})
    expect(run(f"{line} {other}"), 0, "already applied, or these files lack the change")


@pytest.mark.parametrize(
    ("limits", "names", "code", "shown"),
    [
        ("", 22, 5, "42 webhooks would be deleted in 2 organizations, more than 20"),
        ("", 22, 5, "--allow-deletes 42, or set `limits: {max_deletes: 21}` in a file that they"),
        ("limits: {max_deletes: 30}", 22, 0, "2 organizations: 2 to change. 0 to create"),
        ("limits: {max_deletes: 3}", 5, 5, "4 webhooks would be deleted; limits.max_deletes is 3"),
    ],
)
def test_deletes_of_all_organizations_are_limited_together(
    run: Run, tmp_path: Path, limits: str, names: int, code: int, shown: str
) -> None:
    """An organization with a limit in its files is judged by that alone."""
    entry = '  - {{name: {0}, type: generic, event_types: ["*"], configuration: {{url: "https://x.example"}}}}\n'
    many = "".join(entry.format(f"hook-{number}") for number in range(names))
    one = entry.format("hook-0")
    for text, head in ((many, ""), (one, limits)):
        for name in ("Acme", "Globex"):
            key = f"organization: {name}\napi_key: {{env: {name.upper()}_KEY}}\n{head}\nwebhooks:\n"
            write(tmp_path, {f"orgs/{name}.yaml": key + text})
        if text == many:
            assert run("apply -f orgs --yes").code == 0
    shown = shown.replace("0 to create", f"{2 * names - 2} to delete")
    expect(run("plan orgs"), code, shown)
    if code:
        total = 2 * names - 2
        expect(run(f"apply orgs --yes --allow-deletes {total - 1}"), 5, f"delete {total}")
        expect(run(f"apply orgs --yes --allow-deletes {total}"), 0, f"{total} deleted")


def test_a_resend_belongs_to_one_organization(run: Run, tmp_path: Path) -> None:
    """--resend-secret names a secret or a webhook of any organization, also in a saved plan."""
    token = 'configuration: {{url: "https://a.example.com", token: {{env: T_{0}}}}}'
    for name, key in (("Acme", "ACME_KEY"), ("Globex", "GLOBEX_KEY")):
        text = FILE.format(name=name, head=f"api_key: {{env: {key}}}")
        text = text.replace('configuration: {url: "https://a.example.com"}', token.format(name))
        write(tmp_path, {f"orgs/{name}.yaml": text})
    values = {"T_Acme": "acme-token-1", "T_Globex": "globex-token-1"}
    assert run("apply orgs --yes", **values).code == 0
    resend = "--resend-secret env:T_Acme"
    expect(run(f"plan orgs -o p.json {resend}", **values), 0, "1 to change, 1 unchanged.")
    expect(run("apply p.json --yes", **values), 0, "2 organizations: 1 applied, 1 unchanged.")
    expect(run(f"apply orgs --yes {resend}", **values), 0, "1 applied, 1 unchanged.")
    expect(run("plan orgs --resend-secret env:NONE"), 3, "matches no declared secret", "2 failed")


def test_two_names_of_one_organization_are_rejected(both: Cloud, run: Run, tmp_path: Path) -> None:
    """Each file would delete what the other declares."""
    text = FILE.format(name=both.emulator.organization, head="api_key: {env: ACME_KEY}")
    write(tmp_path, {"orgs/Globex.yaml": text})
    for line in ("apply -f orgs --yes", "plan orgs"):
        expect(run(line), 4, "use keys of the same organization")
    write(tmp_path, {"orgs/workflow.yml": "name: ci\n"})
    expect(run("plan orgs"), 3, "orgs/workflow.yml:1:1", without=("of the same organization",))
    assert both.writes() == []


@pytest.mark.parametrize(
    ("token", "command"),
    [
        ("COPY", "apply -f orgs/Acme.yaml --yes"),
        ("OTHER", "apply -f orgs --yes"),
        ("OTHER", "plan orgs"),
        ("ACME_KEY", "validate orgs/Acme.yaml"),
        ("GLOBEX_KEY", "validate orgs"),
        ("GLOBEX_KEY", "plan orgs"),
    ],
)
def test_no_webhook_contains_a_key_of_the_run(
    both: Cloud, run: Run, tmp_path: Path, token: str, command: str
) -> None:
    """A webhook has no organization's key, neither by value nor by reference."""
    text = FILE.format(name="Acme", head="api_key: {env: ACME_KEY}")
    url = '"https://a.example.com"'
    text = text.replace(url, f"{url}, token: {{env: {token}}}")
    write(tmp_path, {"orgs/Acme.yaml": text})
    copies = {"COPY": KEYS["ACME_KEY"], "OTHER": KEYS["GLOBEX_KEY"]}
    shown = ["[forbidden-secret]", *[": nothing was written"] * command.startswith("apply")]
    expect(run(command, **copies), 3, *shown, without=tuple(KEYS.values()))
    assert both.writes() == []


def test_an_invalid_file_stops_an_apply_before_its_first_write(
    both: Cloud, run: Run, tmp_path: Path
) -> None:
    """It stops every command, because it may belong to any organization."""
    write(tmp_path, {"orgs/Globex.yaml": FILE.format(name="Globex", head="webhook: x")})
    assert (run("apply -f orgs --yes --keep-going").code, both.writes()) == (3, [])
    expect(run("plan orgs"), 3, "orgs/Globex.yaml:2:1", without=("Acme",))


OVERLAYS = {
    f"{name}.yaml": f"extends: [b.yaml, b2.yaml]\norganization: {name}\n" for name in ("A", "B")
}


@pytest.mark.parametrize(
    ("more", "line", "code", "shown", "valid"),
    [
        ({"C.yaml": "webhooks: [\n"}, "Acme.yaml Globex.yaml C.yaml", 3, "[yaml-syntax]", 0),
        ({}, "Acme.yaml Globex.yaml none.txt", 3, "there is no file none.txt", 0),
        ({"C.yaml": "webhooks: []\n"}, "Acme.yaml Globex.yaml C.yaml", 3,
         "'C.yaml' names no organization, but 'Acme.yaml' does", 0),
        # No overlay is valid without its base, and a note about parents does not combine them.
        ({**OVERLAYS, "b.yaml": "webhooks: [\n", "b2.yaml": "webhooks: []\n"}, "A.yaml B.yaml", 3,
         "b.yaml:1:11", 0),
    ],
    ids=["invalid", "missing", "no organization", "broken base"],
)  # fmt: skip
def test_files_with_findings_do_not_combine_organizations(
    shell: Shell, tmp_path: Path, more: dict[str, str], line: str, code: int, shown: str, valid: int
) -> None:
    """Findings are shown once, and do not make organizations differ."""
    own = {f"{name}.yaml": FILE.format(name=name, head="") for name in ("Acme", "Globex")}
    write(tmp_path, {**own, **more})
    done = shell("validate", *line.split())
    expect(done, code, shown, without=("organizations-differ",))
    assert (f"Valid: {valid} webhooks in" in done.out) == bool(valid)


def test_a_saved_plan_is_applied_with_the_key_of_its_file(
    both: Cloud, run: Run, tmp_path: Path
) -> None:
    """The plan has the reference to the key, whose value must be available for the apply."""
    assert run("plan orgs/Globex.yaml -o p.json").code == 0
    (tmp_path / "orgs/Globex.yaml").unlink()
    expect(run("apply p.json --yes", GLOBEX_KEY=""), 4, "GLOBEX_KEY is empty")
    assert both.writes() == []
    done = run("apply p.json --yes", CLOUDTRUTH_API_KEY=KEYS["ACME_KEY"], CI="true")
    expect(done, 0, "webhooks for Globex", "1 created")


def test_a_file_declares_a_profile(run: Run, tmp_path: Path) -> None:
    """The key of the profile is used, also for a saved plan; suggested commands need no option."""
    profile = f"profiles: {{globex: {{api_key: {KEYS['GLOBEX_KEY']}}}}}"
    write(tmp_path, {".config/cloudtruth/cli.yml": profile})
    files(tmp_path, Globex="profile: globex")
    done = run("plan orgs -v")
    assert (done.code, done.err.count("globex (from profile in orgs/Globex.yaml)")) == (0, 1)
    assert "--profile" not in done.out
    assert run("plan orgs/Globex.yaml -o p.json").code == 0
    assert run("apply p.json --yes").code == 0


def test_earlier_files_of_several_organizations(run: Run, tmp_path: Path) -> None:
    """`--base` takes a directory: each organization is compared with its file there."""
    one = "1 to change, 1 unchanged. 1 to update"
    expect(run("apply -f orgs --yes"), 0)
    (tmp_path / "orgs").rename(tmp_path / "before")
    text = FILE.format(name="Acme", head="api_key: {env: ACME_KEY}").replace(
        "a.example", "b.example"
    )
    files(tmp_path, Globex="api_key: {env: GLOBEX_KEY}")
    write(tmp_path, {"orgs/Acme.yaml": text})
    expect(run("plan orgs --base before"), 0, "(this change)", one, without=("drift",))


def test_results_of_several_organizations_are_one_stream(shell: Shell, tmp_path: Path) -> None:
    """YAML has a document for each organization."""
    files(tmp_path, Acme="", Globex="")
    for command in ("render", "validate"):
        assert json.loads(shell(*command.split(), "-f", "orgs", "--format", "json").out)
    found = list(yaml.safe_load_all(shell("render", "orgs").out))
    assert [each["organization"] for each in found] == ["Acme", "Globex"]


def test_the_prompt_names_the_organization(shell: Shell, tmp_path: Path) -> None:
    """One confirmation covers all organizations; after a `no` nothing is written."""
    files(tmp_path, Acme="", Globex="")
    line = ("apply", "-f", "orgs", "--local")
    done = shell(*line, terminal=True, keys="no\n")
    question = "Apply 2 changes in 2 organizations? Type `yes` to confirm: "
    expect(done, 8, question, "the answer was not `yes`: nothing was written")
    expect(shell(*line, terminal=True, keys="yes\n"), 0, question, "2 organizations: 2 applied.")


@pytest.mark.parametrize(
    ("selected", "code", "shown"),
    [
        (("Globex",), 0, "webhooks for Globex"),
        (("Gl*",), 0, "webhooks for Globex"),
        (("Acme",), 0, "webhooks for Acme"),  # its file declares the id
        (("ID",), 0, "webhooks for Acme"),
        (("Acme", "Globex"), 0, "2 organizations: 2 to change"),
        (("*",), 0, "2 organizations: 2 to change"),
        (("Globex", "Initech"), 64, "--organization 'Initech' matches no organization of the"),
        (("globex",), 64, "use a name, an id or a glob of:"),
    ],
)
def test_organizations_are_selected_by_name_id_or_glob(
    both: Cloud, run: Run, tmp_path: Path, selected: tuple[str, ...], code: int, shown: str
) -> None:
    """The key tells the name of a file that declares an id; every file must be valid."""
    id_ = both.emulator.organization
    text = FILE.format(name=id_, head="api_key: {env: ACME_KEY}")
    write(tmp_path, {"orgs/Acme.yaml": text})
    options = " ".join(f"--organization {each.replace('ID', id_)}" for each in selected)
    expect(run(f"plan orgs {options}"), code, shown)
    write(tmp_path, {"orgs/Acme.yaml": f"{text}webhook: x\n"})
    expect(run(f"plan orgs {options}"), 3, "orgs/Acme.yaml:5:1")


def test_a_selected_organization_needs_only_its_own_key(run: Run) -> None:
    """No request is sent for the organizations that a name excludes."""
    expect(run("plan orgs --organization Globex", ACME_KEY="wrong"), 0, "webhooks for Globex")
    expect(run("apply orgs --yes --organization Acme", GLOBEX_KEY=""), 0, "1 created")


def test_a_server_that_cannot_be_reached_is_found_out_once(run: Run, tmp_path: Path) -> None:
    """One organization tries it four times; for the others no request is sent."""
    more = dict.fromkeys(("INITECH_KEY", "HOOLI_KEY"), "some-example-key")
    files(
        tmp_path, **{name: f"api_key: {{env: {name.upper()}_KEY}}" for name in ("Initech", "Hooli")}
    )
    done = run("plan orgs --debug", CLOUDTRUTH_SERVER_URL="http://127.0.0.1:9", **more)
    expect(done, 1, "Failed: Acme (unreachable), Globex (unreachable), Hooli (unreachable),")
    assert done.err.count("GET /api/v1/organizations/ no response") == 4
    assert done.err.count("no request was sent for this organization") == 1


@pytest.mark.parametrize(
    ("selected", "code", "text"),
    [("Acme", 0, "2 to create"), ("Ac*", 0, "2 to create"), ("Z*", 3, "error[no-organization]")],
)
def test_a_file_without_organization_belongs_to_the_selected_one(
    shell: Shell, tmp_path: Path, selected: str, code: int, text: str
) -> None:
    """A name or a glob that selects exactly one organization is that of the other files."""
    for name, organization in (("a", ""), ("b", "organization: Acme\n")):
        hook = f"{{name: {name}, type: generic, event_types: ['*'],"
        hook += " configuration: {url: {env: U}}}"
        (tmp_path / f"{name}.yaml").write_text(f"{organization}webhooks: [{hook}]\n")
    files = ("-f", "a.yaml", "-f", "b.yaml")
    expect(shell("plan", "--local", *files, "--organization", selected), code, text)


def test_doctor_shows_equal_checks_once(run: Run, both: Cloud) -> None:
    """A check that differs names its organizations; JSON only counts them."""
    expect(run("doctor -f orgs"), 0, "✓ key           accepted\n", "found (Acme, id ", ", Globex, ")
    broken = {"GLOBEX_KEY": "globex-revoked-key"}
    done = run("doctor -f orgs", **broken)
    expect(done, 1, "accepted, in 1 of 2 organizations (Acme)", "in 1 of 2 organizations (Globex")
    done = run("doctor -f orgs --format json", **broken)
    expect(done, 1, "in 1 of 2 organizations", without=("Acme", "Globex"))
    expect(run("doctor -f orgs --organization Acme", **broken), 0, "(Acme, id ")
    expect(run("doctor -f orgs --probe --yes"), 64, "--probe works with one organization")
    assert both.writes() == []
    expect(run("doctor -f orgs --probe --yes --organization Globex"), 0, "Probe\n")


def test_kept_webhooks_have_their_organization(shell: Shell, tmp_path: Path) -> None:
    """A webhook that is excluded, live and protected is named with its organization."""
    text = "organization: {}\nprotect: [Deploys]\nwebhooks:\n  - {{name: Deploys, type: generic, "
    text += "event_types: [value_updated], configuration: {{url: https://hooks.example.com}}}}\n"
    write(tmp_path, {"a.yaml": text.format("Acme"), "b.yaml": text.format("Globex")})
    files = ("--local", "-f", "a.yaml", "-f", "b.yaml")
    expect(shell("apply", *files, "--yes"), 0)
    other = text.format("Globex").replace("name: Deploys", "name: Hook")
    write(tmp_path, {"b.yaml": other})
    expect(shell("plan", *files), 0, "Kept: 1 (protected, not declared: Deploys in Globex)")
