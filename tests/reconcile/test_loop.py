"""What a reconciler writes, withholds and reports, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode, Terminated
from reconciler.model import Secret
from reconciler.planning.plan import Attribution, Create
from reconciler.planning.run import RunPlan
from reconciler.reconcile import Round
from reconciler.reconcile.withhold import Suspensions
from reconciler.report import Applied, Report, RunReport, Skipped
from tests.emulated import faults
from tests.emulated.faults import Script
from tests.emulated.variant import ReadBack, Variant
from tests.goldens import rows
from tests.planning import builders
from tests.planning.builders import desired, make_plan
from tests.reconcile.history import check_month
from tests.reconcile.world import Process, World, configuration, slack

MINUTE = 60.0
A, B = slack("alpha", "a"), slack("beta", "b")


@pytest.fixture
def world() -> World:
    world = World()
    world.repository.commit(configuration(A, B))
    return world


def outcomes(result: Round) -> dict[str, str]:
    """Return, by name, what an apply did, with the reason of what it skipped."""
    assert isinstance(result.run, RunReport), result.problem
    (organization,) = result.organizations
    if organization.problem is not None:
        return {"problem": organization.problem.message}
    assert organization.value is not None
    return {
        outcome.operation.name: outcome.message
        if isinstance(outcome, Skipped)
        else type(outcome).__name__.lower()
        for outcome in organization.value.outcomes
    }


def reconciled(world: World, **options: Any) -> Process:
    """Return a process after its first round."""
    process = Process(world, "first", every=5 * MINUTE, **options)
    process.next_rounds(1)
    return process


def version(number: int, name: str = "alpha") -> str:
    token = f"{{env: TOK, version: {number}}}"
    return f'{{name: {name}, configuration: {{channel: "#{name[0]}", token: {token}}}}}'


def test_a_round_without_changes_costs_two_requests(world: World) -> None:
    """Organization and listing: no more, also with a base."""
    process = reconciled(world)
    assert [row["name"] for row in world.live()] == ["alpha", "beta"]
    before = process.requests
    (result,) = process.next_rounds(1)
    assert (outcomes(result), process.requests - before) == ({}, 2)


def test_without_apply_nothing_is_written(world: World) -> None:
    """A report has the difference of each round."""
    process = reconciled(world, apply=False)
    (result,) = process.next_rounds(1)
    assert isinstance(result.run, RunPlan)
    assert result.run.totals.create == 2
    assert world.writes == []


def test_a_value_that_the_server_normalizes_is_written_once_an_hour() -> None:
    """A write that does not converge suspends the webhook at once."""
    world = World(variant=Normalizing())
    world.repository.commit(configuration(A))
    process = reconciled(world)
    process.next_rounds(11)
    assert len(world.writes) <= 2, world.writes
    assert "stored other values" in outcomes(process.rounds[-1][1])["alpha"]


def test_only_writes_count_against_a_script_that_undoes_them() -> None:
    """What was done already, a commit or another secret, three times an hour, suspends nothing."""
    plan, suspensions = make_plan(desired(builders.slack())), Suspensions()
    (operation,) = plan.operations
    assert isinstance(operation, Create)
    ((_, reference),) = operation.after.references
    new = replace(operation, attribution=Attribution.THIS_CHANGE)
    for outcome, values, suspended in (
        (Applied(operation, already_made=True), "aaa", 0),
        (Applied(new), "aaa", 0),
        (Applied(operation), "abc", 0),
        (Applied(operation), "ccc", 1),
    ):
        for value in values:
            secrets = {reference: Secret(value)}
            suspensions.record(Report(plan, (outcome,)), secrets, 0.0)
        assert len(suspensions.reasons(plan, secrets, 1.0)) == suspended


@pytest.mark.parametrize(("code", "writes"), [(400, 1), (429, 80)])
def test_what_the_server_does_not_write_suspends_nothing(
    world: World, code: int, writes: int
) -> None:
    """Each round reports its error; the first one after the outage writes."""
    process = reconciled(world)
    world.faults.add(faults.status(code), times=None, method="POST")
    world.repository.commit(configuration(A, B, slack("gamma", "c")))
    for _ in range(5):
        sent = len(world.writes)
        assert outcomes(process.next_rounds(1)[0]) == {"gamma": "failed"}
        assert len(world.writes) - sent <= writes
    world.emulator.faults = Script()
    assert outcomes(process.next_rounds(1)[0]) == {"gamma": "applied"}


def test_an_unconfirmed_create_is_not_repeated_while_it_may_still_happen(world: World) -> None:
    """For a minute a new commit does not change that; then it is found, and nothing is created."""
    process = Process(world, "first", every=10.0)
    world.faults.add(faults.status(503, commit_after=55), times=None, method="POST")
    assert set(outcomes(process.next_rounds(1)[0]).values()) == {"unconfirmed"}
    sent = len(world.writes)
    world.repository.commit(configuration(slack("alpha", "new"), B))
    began = world.scheduler.now
    while world.scheduler.now < began + 300:
        process.next_rounds(1)
    assert not [
        entry for _, entry in world.writes[sent:] if entry.status and entry.method == "POST"
    ]
    assert channels(world) == {"alpha": "#new", "beta": "#b"}
    assert len(world.live()) == 2
    assert outcomes(process.next_rounds(1)[0]) == {}


class Normalizing(Variant):
    """A server that stores another username."""

    def configuration(self, kind: str, sent: dict[str, Any], patched: Any) -> dict[str, Any]:
        return {**super().configuration(kind, sent, patched), "username": "normalized"}


def test_a_renamed_webhook_is_not_created_again(world: World) -> None:
    """Create and delete are withheld while an undeclared webhook has the type and destination, also
    if the webhook is suspended."""
    process = reconciled(world)
    for number in range(2):
        world.emulator.configure("alpha", channel=f"#{number}")
        assert outcomes(process.next_rounds(1)[0]) == {"alpha": "applied"}
    world.emulator.configure("alpha", channel="#a")
    rename(world, "alpha", "renamed by a script")
    for result in process.next_rounds(3):
        found = outcomes(result)
        assert "is not declared and has the same type, destination and events" in found["alpha"]
        assert "may be a declared webhook" in found["renamed by a script"]
    assert sorted(row["name"] for row in world.live()) == ["beta", "renamed by a script"]
    rename(world, "renamed by a script", "alpha")
    assert outcomes(process.next_rounds(1)[0]) == {}


def other_team(world: World, name: str, **fields: Any) -> None:
    """Save a webhook like the declared alpha, with other fields."""
    configuration = {"channel": "#a", "username": "CT", "token": "xoxb-2222222222-golden"}
    row = {
        "name": name,
        "type": "slack",
        "event_types": ["parameter_created"],
        "organization": world.organization,
    }
    world.emulator.store.save({**row, "configuration": configuration, **fields})


@pytest.mark.parametrize(("head", "fields"), rows(Path(__file__).with_name("other_teams.yaml")))
def test_a_webhook_of_another_team_in_the_channel_withholds_nothing(
    world: World, head: str, fields: dict[str, Any]
) -> None:
    """Without a base, only one of the files' names that looks renamed does."""
    other_team(world, "other-team", **fields)
    world.repository.commit(configuration(A, head=head))
    assert outcomes(reconciled(world).rounds[0][1]) == {"alpha": "applied"}


def test_a_declaration_that_is_new_was_not_renamed(world: World) -> None:
    """A new declaration is created beside a webhook like it, also if its first create fails; a
    missing one that was applied is not, whatever name a webhook like it has."""
    head = "ignore: ['other-*']\n"
    world.repository.commit(configuration(B, head=head))
    process = reconciled(world)
    other_team(world, "other-team")
    world.faults.add(faults.status(400), method="POST", times=2)
    world.repository.commit(configuration(A, B, head=head))
    results = [outcomes(result)["alpha"] for result in process.next_rounds(3)]
    assert results == ["failed", "failed", "applied"]
    world.emulator.store.delete(world.emulator.webhook("other-team")["id"])
    rename(world, "alpha", "other-name")
    assert "other-name is not declared" in outcomes(process.next_rounds(1)[0])["alpha"]


def rename(world: World, name: str, to: str) -> None:
    world.emulator.store.save({**world.emulator.webhook(name), "name": to})


def test_a_name_that_a_commit_replaces_is_applied(world: World) -> None:
    """A removal that git shows is not a rename by a script."""
    process = reconciled(world)
    world.repository.commit(configuration(slack("gamma", "a"), B))
    assert outcomes(process.next_rounds(1)[0]) == {"alpha": "applied", "gamma": "applied"}


def test_a_rotation_is_sent_once(world: World) -> None:
    """Each process sends a version once, also if another webhook of the round fails."""
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    world.repository.commit(configuration(version(1), B))
    process = reconciled(world)
    world.faults.add(faults.status(400), method="PATCH", name="beta", times=2)
    world.repository.commit(configuration(version(2), slack("beta", "c")))
    results = [outcomes(result) for result in process.next_rounds(4)]
    assert [found.get("alpha") for found in results] == ["applied", None, None, None]
    assert results[-1] == {}
    again = reconciled(world)
    assert outcomes(again.rounds[0][1]) == {}, "the ref has the commit"
    world.repository.commit(configuration(version(3), B))
    restarted = Process(world, "restarted", every=MINUTE)
    assert outcomes(restarted.next_rounds(1)[0])["alpha"] == "applied", "from the ref"


def test_a_rotation_is_shown_until_this_clone_applied_it(world: World) -> None:
    """Without --apply it is shown as --apply sends it; another clone says that it cannot know."""
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    world.repository.commit(configuration(version(1)))
    applying = reconciled(world)
    reporting, other = (
        Process(world, "reports", every=MINUTE, apply=False, git=git)
        for git in (None, world.repository.clone(0))
    )

    def updates(process: Process) -> int:
        (result,) = process.next_rounds(1)
        assert isinstance(result.run, RunPlan)
        assert process is other or result.notes == ()
        return result.run.totals.update

    assert (updates(reporting), updates(other)) == (0, 0)
    assert "before its next apply are not resent" in other.rounds[0][1].notes[0]
    world.repository.commit(configuration(version(2)))
    before = reporting.requests
    assert (updates(reporting), updates(reporting), updates(other)) == (1, 1, 0)
    assert reporting.requests - before == 4
    assert outcomes(applying.next_rounds(1)[0]) == {"alpha": "applied"}
    assert (updates(reporting), updates(other)) == (0, 0)


@pytest.mark.parametrize("has_base", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_webhook_that_was_not_yet_as_declared_gets_its_rotation(
    world: World, has_base: bool, restarts: bool
) -> None:
    """A name that was live twice is resent like the others, also by a restarted process."""
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    world.repository.commit(configuration(version(1, "beta")))
    process = reconciled(world)
    if not has_base:  # a new clone
        world.repository.refs = {"HEAD": world.repository.refs["HEAD"]}
        process = Process(world, "second", every=5 * MINUTE)
    world.repository.commit(configuration(version(1), version(1, "beta")))
    copy = {**world.emulator.webhook("beta"), "name": "alpha"}
    for channel in ("a", "other"):
        changed = {**copy["configuration"], "channel": f"#{channel}"}
        world.emulator.store.save({**copy, "id": channel, "configuration": changed})
    assert outcomes(process.next_rounds(1)[0]) == {}
    world.emulator.store.delete("other")
    if restarts:
        process = Process(world, "restarted", every=5 * MINUTE)
    world.repository.commit(configuration(version(2), version(2, "beta")))
    assert outcomes(process.next_rounds(1)[0]) == {"alpha": "applied", "beta": "applied"}
    assert outcomes(process.next_rounds(1)[0]) == {}


def test_a_rotation_is_sent_once_although_a_namesake_fails(world: World) -> None:
    """Pinned webhooks may share a name: only the one that fails is sent again."""
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    reconciled(world)
    rename(world, "beta", "alpha")
    first, second = (row["id"] for row in world.live())

    def pinned(number: int) -> dict[str, str]:
        token = f"{{token: {{env: TOK, version: {number}}}"
        return configuration(
            f'{{name: alpha, id: {first}, configuration: {token}, channel: "#a"}}}}',
            f'{{name: alpha, id: {second}, configuration: {token}, channel: "#b"}}}}',
        )

    world.repository.commit(pinned(1))
    process = reconciled(world)
    world.faults.add(faults.status(400), method="PATCH", path=f"*{first}*", times=2)
    world.repository.commit(pinned(2))
    before = len(world.writes)
    process.next_rounds(4)
    sent = [write.path for _, write in world.writes[before:]]
    assert sum(second in path for path in sent) == 1, sent


def test_a_first_round_that_fails_in_part_writes_the_ref_later(world: World) -> None:
    """A restarted process has the base of a commit that took two rounds."""
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    world.repository.commit(configuration(version(1), B))
    world.faults.add(faults.status(400), method="POST", name="beta")
    process = reconciled(world)
    assert outcomes(process.rounds[0][1]) == {"alpha": "applied", "beta": "failed"}
    assert outcomes(process.next_rounds(1)[0]) == {"beta": "applied"}
    world.repository.commit(configuration(version(2), B))
    assert outcomes(reconciled(world).rounds[0][1]) == {"alpha": "applied"}


def test_without_a_ref_nothing_is_resent_and_this_is_said(world: World) -> None:
    """A clone that cannot be written has no ref after a restart."""
    world.repository.read_only = True
    world.repository.commit(configuration(version(1)))
    process = reconciled(world)
    (_, first), notes = process.rounds[0], process.rounds[0][1].notes
    assert any("no commit is known" in note for note in notes), first
    assert any("cannot be written" in note for note in notes)
    assert process.next_rounds(2)[0].notes == ()
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    world.repository.commit(configuration(version(2)))
    again = Process(world, "again", every=MINUTE)
    assert outcomes(again.next_rounds(1)[0]) == {}


def test_an_outage_backs_off_up_to_an_hour(world: World) -> None:
    """Rounds go on, but the server gets fewer requests; after the outage all is applied."""
    process = reconciled(world)
    world.faults.add(faults.refuse(), times=None)
    world.repository.commit(configuration(slack("alpha", "new"), B))
    began, before = world.scheduler.now, len(world.emulator.log)
    while world.scheduler.now < began + 6 * 3600:
        process.next_rounds(1)
    tries = len([entry for entry in world.emulator.log[before:] if entry.path.endswith("me/")])
    assert len(world.emulator.log) - before < 80, tries
    waits = [wait for _, result in process.rounds for wait in result.left_out.values()]
    assert min(waits) == 5 * MINUTE, "that of the next round"
    world.emulator.faults = Script()
    recovered = world.scheduler.now
    while outcomes_or_none(process.next_rounds(1)[0]) != {"alpha": "applied"}:
        assert world.scheduler.now < recovered + 3700


def test_a_new_commit_is_tried_at_once(world: World) -> None:
    """It may correct what failed; if it does not, the waits go on as before."""
    process = reconciled(world)
    world.faults.add(faults.refuse(), times=None)
    failed = process.next_rounds(20)
    assert failed[-1].left_out
    world.repository.commit(configuration(slack("alpha", "new"), B))
    assert not process.next_rounds(1)[0].left_out
    assert [bool(result.left_out) for result in process.next_rounds(5)] == [True] * 5
    world.emulator.faults = Script()
    world.repository.commit(configuration(slack("alpha", "newer"), B))
    assert outcomes(process.next_rounds(1)[0]) == {"alpha": "applied"}


def outcomes_or_none(result: Round) -> dict[str, str] | None:
    return outcomes(result) if isinstance(result.run, RunReport) else None


def test_a_revoked_key_writes_nothing_and_is_reported_each_time(world: World) -> None:
    """A rejected key needs a person, so it is no reason to wait longer."""
    process = reconciled(world)
    world.faults.add(faults.status(401), times=None)
    world.repository.commit(configuration(slack("alpha", "new"), B))
    for result in process.next_rounds(4):
        assert "problem" in outcomes(result)
        assert not result.left_out
    world.emulator.faults = Script()
    assert outcomes(process.next_rounds(1)[0]) == {"alpha": "applied"}


def test_two_reconcilers_make_no_duplicate(world: World) -> None:
    """Two processes that start at once on an empty organization create each webhook once."""
    first, second = (Process(world, name, every=MINUTE) for name in ("first", "second"))
    first.start()
    second.start()
    world.scheduler.sleep(10 * MINUTE)
    for process in (first, second):
        process.state.killed = True
    assert [row["name"] for row in world.live()] == ["alpha", "beta"]
    last = [result for process in (first, second) for _, result in process.rounds[-2:]]
    assert [outcomes(result) for result in last] == [{}] * 4


def test_a_signal_while_connecting_ends_the_process(world: World) -> None:
    """It is not a problem of the organization, after which the rounds would go on."""

    def interrupt(*names: str) -> str:
        raise Terminated(ExitCode.SIGTERM)

    process = reconciled(world)
    world.key = interrupt
    with pytest.raises(Terminated):
        process.next_rounds(1)


def test_a_long_round_pauses_before_the_next(world: World) -> None:
    """A round longer than the interval does not keep the server busy all the time."""
    process = reconciled(world)
    world.faults.add(faults.delay(20), times=None)
    slow = Process(world, "slow", every=10.0)
    slow.next_rounds(3)
    ends = [when for when, _ in slow.rounds]
    assert all(end - begin >= 41 for begin, end in pairwise(ends)), process.rounds


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 9, 12])
def test_a_month_of_faults(seed: int) -> None:
    """Every promise holds at each moment; `python -m tests.reconcile histories` runs more."""
    assert check_month(seed) == []


def channels(world: World) -> dict[str, str]:
    return {row["name"]: row["configuration"]["channel"] for row in world.live()}


def test_an_older_clone_puts_back_old_values_until_it_fetches(world: World) -> None:
    """A run of a newer commit and a reconciler at any two moments make no duplicate."""
    for offset in range(20):
        reconciler = Process(
            world, f"r{offset}", every=5 * MINUTE, git=world.repository.clone(12 * MINUTE)
        )
        reconciler.start()
        world.scheduler.sleep(13 * MINUTE)
        commit = configuration(A, slack("beta", f"b-{offset}"), slack(f"gamma-{offset}", "c"))
        world.repository.commit(commit)
        world.scheduler.sleep(2 * MINUTE - 1 + offset / 10)  # a round begins now
        ci = Process(world, f"ci{offset}", every=None)
        ci.run()
        assert ci.rounds[-1][1].problem is None
        world.scheduler.sleep(25 * MINUTE)
        reconciler.state.killed = True
        assert sorted(row["name"] for row in world.live()) == ["alpha", "beta", f"gamma-{offset}"]
        assert channels(world)["beta"] == f"#b-{offset}"
        assert outcomes(reconciler.rounds[-1][1]) == {}


def test_an_older_commit_that_is_checked_out_is_applied(world: World) -> None:
    """REV decides: a revert puts back values, and a version that goes back is sent once."""
    world.emulator.behavior = Variant(read_back=ReadBack.MASK)
    older = world.repository.commit(configuration(version(1), B))
    process = reconciled(world)
    world.repository.commit(configuration(version(2), slack("beta", "new")))
    assert outcomes(process.next_rounds(1)[0]) == {"alpha": "applied", "beta": "applied"}
    world.repository.refs["HEAD"] = older
    assert [outcomes(result) for result in process.next_rounds(2)] == [
        {"alpha": "applied", "beta": "applied"}, {},
    ]  # fmt: skip
    assert channels(world)["beta"] == "#b"


def test_organizations_fail_and_recover_separately(world: World) -> None:
    """One that is unreachable waits longer; the others go on with two requests a round."""
    world.add_organization("Globex")
    files = configuration(A) | {"globex.yaml": configuration(B, organization="Globex")[FILE]}
    world.repository.commit(files)
    process = Process(world, "both", every=5 * MINUTE)
    process.paths = (FILE, "globex.yaml")
    names = {"Acme": {"alpha"}, "Globex": {"beta"}}
    assert applied(process.next_rounds(1)[0]) == names
    before = process.requests
    assert applied(process.next_rounds(1)[0]) == {"Acme": set(), "Globex": set()}
    assert process.requests - before == 4
    world.unreachable.add("Globex")
    world.emulator.configure("alpha", channel="#by-script")
    assert applied(process.next_rounds(1)[0]) == {"Acme": {"alpha"}}
    for result in process.next_rounds(6):
        assert applied(result) == {"Acme": set()}
    assert any("Globex" in result.left_out for _, result in process.rounds)
    world.unreachable.clear()
    for row in world.emulator.store.webhooks():
        if row["name"] == "beta":
            world.emulator.store.delete(row["id"])
    recovered = [applied(result) for result in process.next_rounds(13)]
    assert {"Acme": set(), "Globex": {"beta"}} in recovered
    assert recovered[-1] == {"Acme": set(), "Globex": set()}


def test_an_organization_that_no_file_declares_any_more_has_a_note(world: World) -> None:
    """The first round after the commit has it, no later one."""
    world.add_organization("Globex")
    globex = configuration(B, organization="Globex")[FILE]
    world.repository.commit({**configuration(A), "globex.yaml": globex})
    process = Process(world, "both", every=5 * MINUTE)
    process.paths = (".",)
    assert set(applied(process.next_rounds(1)[0])) == {"Acme", "Globex"}
    world.repository.commit(configuration(A))
    first, second = process.next_rounds(2)
    assert [note for note in first.notes if "no file" in note] == [
        "Globex: no file declares it any more, so nothing in it is read or changed"
    ]
    assert second.notes == ()


@pytest.mark.parametrize("is_id_first", [False, True])
def test_an_organization_that_is_declared_otherwise_has_no_note(
    world: World, is_id_first: bool
) -> None:
    """Its id instead of its name, or its name instead of its id, changes no organization."""
    forms = ["Globex", world.add_organization("Globex")]
    world.keys[forms[1]] = world.keys["Globex"]
    process = Process(world, "both", every=5 * MINUTE)
    process.paths = (".",)
    for form in reversed(forms) if is_id_first else forms:
        globex = configuration(B, organization=form)[FILE]
        world.repository.commit({**configuration(A), "globex.yaml": globex})
        (result,) = process.next_rounds(1)
        assert not [note for note in result.notes if "no file" in note]


def test_a_round_that_raises_loses_no_note(world: World) -> None:
    """Two files of one organization stop all; the next commit corrects this."""
    forms = ["Globex", world.add_organization("Globex")]
    world.keys[forms[1]] = world.keys["Globex"]
    twice = [configuration(B, organization=form)[FILE] for form in forms]
    world.repository.commit({**configuration(A), "globex.yaml": twice[0]})
    process = Process(world, "both", every=5 * MINUTE)
    process.paths = (".",)
    process.next_rounds(1)
    world.repository.commit(dict(zip(("globex.yaml", "again.yaml"), twice, strict=True)))
    (raised,) = process.next_rounds(1)
    assert raised.problem is not None
    world.repository.commit({"globex.yaml": twice[0]})
    notes = [note for result in process.next_rounds(2) for note in result.notes]
    assert [note.partition(":")[0] for note in notes if "no file" in note] == ["Acme"]


def test_the_key_of_another_organization_adds_no_note_about_that_one(world: World) -> None:
    """The error about the key is all that is to be corrected."""
    world.add_organization("Globex")
    world.key = lambda name: world.keys["Globex"]
    world.repository.commit(configuration(A))
    process = Process(world, "wrong", every=5 * MINUTE)
    (result,) = process.next_rounds(1)
    assert "belongs to organization 'Globex'" in str(result.organizations[0].problem)
    assert result.notes == ()


def test_the_deletes_of_organizations_that_wait_count(world: World) -> None:
    """After an outage they return at different times: together they still need a permission."""
    names = [f"Org{number}" for number in range(24)]
    for name in names:
        world.add_organization(name)

    def commit(*webhooks: str) -> None:
        files = {name: configuration(*webhooks, organization=name)[FILE] for name in names}
        world.repository.commit(files)

    commit(A, B, slack("gamma", "c"))
    process = Process(world, "many", every=5 * MINUTE)
    process.paths = tuple(names)
    process.next_rounds(1)
    commit(A, B)
    world.unreachable.update(names)
    process.next_rounds(3)
    world.unreachable.clear()
    results = process.next_rounds(12)
    assert any(0 < len(result.organizations) < len(names) for result in results)
    assert not any(result.left_out for result in results[-2:])
    assert len([row for row in world.emulator.store.webhooks() if row["name"] == "gamma"]) == 24


def test_the_key_of_an_organization_that_waits_is_not_sent(world: World) -> None:
    """Its key is a forbidden value of the others in each round, not only while it is tried."""
    globex_id = world.add_organization("Globex")
    # Unlike the other keys of this world, it does not contain the one of Acme.
    world.keys["Globex"] = key = "another-key-0123456789"
    world.emulator.store.add_user(globex_id, key=key, role="OWNER")
    leak = (
        "organization: Acme\nwebhooks: [{name: leak, type: generic, event_types: [value_updated], "
        "configuration: {url: https://example.com, username: u, password: {env: COPY}}}]"
    )
    globex = configuration(B, organization="Globex")[FILE]
    world.repository.commit({FILE: leak, "globex.yaml": globex})
    process = Process(world, "both", every=5 * MINUTE)
    process.paths = (FILE, "globex.yaml")
    process.environ["COPY"] = key
    world.unreachable.add("Globex")
    results = process.next_rounds(3)
    assert any(result.left_out for result in results)
    for result in results:
        problem = result.organizations[0].problem
        assert problem is not None
        assert [finding.rule for finding in problem.findings] == ["forbidden-secret"]
    assert world.writes == []


FILE = "webhooks.yaml"


def applied(result: Round) -> dict[str, set[str]]:
    """Return the names that were written, for each organization without an error."""
    assert isinstance(result.run, RunReport), result.problem
    return {
        organization.name: {outcome.operation.name for outcome in organization.value.outcomes}
        for organization in result.organizations
        if organization.value is not None and organization.problem is None
    }


def test_a_script_a_merge_and_an_outage(world: World) -> None:
    """A script edits and deletes webhooks every minute for two hours; a merge comes in between,
    and the API is away for ten minutes: the merge is applied, no write storm begins, and an hour
    after the script ends everything is as declared."""
    every = 5 * MINUTE
    process = Process(world, "first", every=every)
    process.start()
    merged, down = 40, range(70, 80)
    for minute in range(120):
        world.scheduler.sleep(MINUTE)
        if minute == merged:
            world.repository.commit(configuration(slack("alpha", "merged"), B))
        world.unreachable = {"Acme"} if minute in down else set()
        if minute == merged + 6:
            # A changed declaration is written although the earlier one is suspended.
            assert any('"#merged"' in entry.body for _, entry in world.writes)
        for row in world.live():
            if row["name"] == "alpha":
                world.emulator.configure("alpha", channel=f"#by-script-{minute}")
            elif minute % 2:
                world.emulator.store.delete(row["id"])
    for declared in ('"#a"', '"#merged"', '"#b"'):
        times = [when for when, entry in world.writes if declared in entry.body]
        assert all(sum(begin <= t < begin + 3600 for t in times) <= 3 for begin in times), declared
    assert len(times) == 6, "after an hour, three more"
    results = [outcomes_or_none(result) or {} for _, result in process.rounds]
    reasons = {text for result in results for text in result.values()}
    assert any("reverted 3 times within an hour" in text for text in reasons)
    world.scheduler.sleep(65 * MINUTE)
    process.state.killed = True
    assert channels(world) == {"alpha": "#merged", "beta": "#b"}
    assert len(world.live()) == 2
