"""Somebody else at work between the plan and the first write."""

from __future__ import annotations

from dataclasses import replace

from tests.execute.world import Fault, Memory, memory, outcomes, planned, row, run, slack


def renamed(id: str, name: str) -> Fault:
    """Somebody gives a webhook another name before the listing that precedes the first write."""

    def meanwhile(api: Memory) -> None:
        api.rows[id] = replace(api.rows[id], name=name)

    return Fault(call="list", meanwhile=meanwhile)


def test_a_matched_webhook_takes_the_name_of_a_create() -> None:
    """A create is skipped when a webhook of the plan has got its name meanwhile."""
    api = memory(row("kept", "zz"))
    plan = planned(api, slack("kept"), slack("new"))
    api.faults = [renamed("zz", "new")]
    report = run(api, plan)
    assert api.names() == ["new"], outcomes(report)


def test_an_updated_webhook_takes_the_name_of_a_create() -> None:
    """A create is skipped when a webhook to be updated has got its name meanwhile."""
    api = memory(row("kept", "zz", "#other"))
    plan = planned(api, slack("kept"), slack("new"))
    api.faults = [renamed("zz", "new")]
    report = run(api, plan)
    assert api.names() == ["new"], outcomes(report)


def test_a_renamed_webhook_takes_the_name_of_another_rename() -> None:
    """A rename is skipped when a webhook that was to be renamed has got its new name meanwhile."""
    api = memory(row("a", "1"), row("c", "2"))
    plan = planned(api, slack("b", previously=("a",)), slack("d", previously=("c",)))
    api.faults = [renamed("2", "b")]
    report = run(api, plan)
    assert api.names() == ["a", "b"], outcomes(report)
