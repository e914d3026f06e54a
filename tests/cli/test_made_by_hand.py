"""An organization with hundreds of webhooks made by hand comes under git, and drift shows."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.emulator.store import Store
from tests.cli.conftest import Shell

NAMES = (
    'quotes "and\' more', "a # comment", "emoji \U0001f680", "yes", "~", "007", "Ops", "ops",
    "- dash", "colon: x", "{brace}", "[list]", "star*", "what?", "&anchor", "%x", "@at", "`tick`",
    "null", "1e3", "12:30", "2001-01-01", "\xdcn\xefcode", "on", "back\\slash", "a,b", "| pipe",
    "=", "<<", "!tag",
)  # fmt: skip
CONFIGURATIONS = (
    ("slack", {"token": "xoxb-" + "012345678-ABCDEF", "channel": "#ops", "username": "CloudTruth"}),
    ("generic", {"url": "https://example.com/hook", "verify": True}),
)


def make_by_hand(database: Path) -> None:
    """Fill the emulator with 300 webhooks of both types: every name alone and with a number."""
    store = Store(str(database))
    organization = store.organizations()[0].id
    for number in range(300):
        type_, configuration = CONFIGURATIONS[number % 7 % 2]
        name = NAMES[number % len(NAMES)]
        if number >= len(NAMES):
            name = (f"{name} {number}" + "x" * 256)[:256] if number % 50 == 0 else f"{name}{number}"
        store.insert(
            {
                "id": f"00000000-0000-4000-8000-{number:012}",
                "name": name,
                "organization": organization,
                "type": type_,
                "event_types": ["value_created", "value_updated"][: 1 + number % 2],
                "configuration": configuration,
                "last_run": None,
                "last_error": None,
            }
        )
    store.close()


def test_300_webhooks_made_by_hand_come_under_git(shell: Shell, tmp_path: Path) -> None:
    """Export, check and plan show no change; one webhook edited by hand is the whole next plan."""
    shell("status", "--local")  # makes the local organization
    database = tmp_path / ".webhooks-local/webhooks.db"
    make_by_hand(database)

    checked = shell("export", "--local", "--check", "-o", "webhooks.yaml")
    assert (checked.code, checked.err.count("Traceback")) == (0, 0)
    assert "A plan of the export has no changes. 300 webhooks can be declared." in checked.out
    planned = shell("plan", "--local", "--detailed-exitcode")
    assert (planned.code, "No changes. 300 webhooks match." in planned.out) == (0, True)

    store = Store(str(database))
    edited = next(row for row in store.webhooks() if row["name"] == "star*")
    store.update(edited["id"], {**edited, "event_types": ["project_deleted"]})
    store.close()

    drifted = shell("plan", "--local", "--detailed-exitcode", "--format", "json")
    (change,) = json.loads(drifted.out)["operations"]
    assert (drifted.code, change["action"], change["name"]) == (2, "update", "star*")
