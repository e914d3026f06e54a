"""Every change of configuration is applied exactly, however the server shows secrets.

A key can be missed only if nothing shows whether it is set: the configuration is hidden, or only
the token of a generic webhook differs and the server shows none. The plan names a declared key, and
`--resend-secret '*'` sends it.
"""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler.errors import ExitCode
from reconciler.model import Secret, SecretRef, Webhook
from reconciler.planning.plan import FieldRemoved
from reconciler.planning.run import RunPlan
from reconciler.render import RENDERERS
from reconciler.report import RunReport
from tests.api.support import EmulatedApi
from tests.cli.conftest import MakeCloud, Shell
from tests.emulated.emulator import Emulator
from tests.emulated.variant import ReadBack

pytestmark = pytest.mark.slow
SECRETS: Final = {
    "URL": "https://hooks.example.com/ct",
    "TOKEN": "a bearer token",
    "PASSWORD": "correct horse battery",
    "BOT": "xoxb-" + "0123456789-abcdef",
}
ADDRESS: Final = {"url": {"env": "URL"}}
CREDENTIALS: Final = {"username": "me", "password": {"env": "PASSWORD"}}
BEARER: Final = {"token": {"env": "TOKEN"}}
SLACK: Final = {"token": {"env": "BOT"}, "channel": "#deploys", "username": "CloudTruth"}
CONFIGURATIONS: Final[tuple[dict[str, Any], ...]] = (
    ADDRESS, ADDRESS | {"verify": True}, ADDRESS | {"verify": False}, ADDRESS | CREDENTIALS,
    ADDRESS | CREDENTIALS | {"verify": False}, ADDRESS | CREDENTIALS | {"username": "another"},
    ADDRESS | BEARER, ADDRESS | BEARER | {"verify": False}, ADDRESS | BEARER | CREDENTIALS, SLACK,
    SLACK | {"channel": "#another"},
)  # fmt: skip
PAIRS: Final = {
    f"{one}-{two}": (CONFIGURATIONS[one], CONFIGURATIONS[two])
    for one, two in product(range(len(CONFIGURATIONS)), repeat=2)
}
reference = partial(SecretRef, scheme="env")
REFERENCES: Final = {reference(name=name): Secret(value) for name, value in SECRETS.items()}
NONE: Final = (ReadBack.OMITTED, ReadBack.NULL, ReadBack.EMPTY)
"""The forms in which a set secret looks like one that is not set."""


def kind(configuration: dict[str, Any]) -> str:
    return "generic" if "url" in configuration else "slack"


def values(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return what CloudTruth stores for a configuration."""
    return {
        key: SECRETS[value["env"]] if isinstance(value, dict) else value
        for key, value in configuration.items()
    }


def without_defaults(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return stored values without the server's own defaults."""
    return {key: value for key, value in configuration.items() if (key, value) != ("verify", True)}


def insert(emulator: Emulator, name: str, live: dict[str, Any]) -> None:
    """Store the live webhook of a pair."""
    row = {"name": name, "event_types": ["value_updated"], "organization": emulator.organization}
    emulator.store.save({**row, "type": kind(live), "configuration": values(live)})


def missing(emulator: Emulator) -> set[str]:
    """Return the names of webhooks that are not stored as declared."""
    return {
        each["name"]
        for each in emulator.store.webhooks()
        if without_defaults(each["configuration"])
        != without_defaults(values(PAIRS[each["name"]][1]))
        or each["type"] != kind(PAIRS[each["name"]][1])
    }


def without_token(configuration: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in without_defaults(configuration).items() if key != "token"}


def may_be_missed(name: str, form: ReadBack) -> bool:
    """Return whether no form of reading back can show the difference."""
    live, declared = PAIRS[name]
    if kind(live) != kind(declared):
        return False
    if form.startswith("configuration"):
        return True
    return form in NONE and without_token(live) == without_token(declared)


@pytest.mark.parametrize("form", list(ReadBack))
@pytest.mark.parametrize("saved", [False, True])
def test_all_pairs_at_once(
    shell: Shell, tmp_path: Path, cloud: MakeCloud, form: ReadBack, saved: bool
) -> None:
    """Webhooks can reveal how the server treats others; a saved plan has the same result."""
    server = cloud(read_back=str(form), default_keys=saved)
    declared: list[Any] = []
    for name, (live, wanted) in PAIRS.items():
        insert(server.emulator, name, live)
        declared.append({"name": name, "type": kind(wanted), "configuration": wanted})
    document = {"defaults": {"event_types": ["value_updated"]}, "webhooks": declared}
    (tmp_path / "webhooks.yaml").write_text(json.dumps(document))

    def run(*arguments: str) -> str:
        done = shell(*arguments, **(server.environ | SECRETS))
        assert done.code == 0, done.err
        return done.out

    for shape in ("text", "markdown", "json"):
        shown = run("plan", "--out", "plan.json", "--format", shape)
    run("show", "plan.json")
    run("apply", *(["plan.json"] if saved else []), "--yes")

    left = missing(server.emulator)
    assert {name for name in left if not may_be_missed(name, form)} == set()
    named = {
        (each["webhook"], each["field"])
        for each in json.loads(shown)["organizations"][0]["unreadable"]
    }
    for name in left:
        live, wanted = PAIRS[name]
        assert {(name, key) for key in without_defaults(wanted).keys() - live.keys()} <= named
    assert json.loads(run("plan", "--format", "json"))["organizations"][0]["operations"] == []
    run("apply", "--yes", "--resend-secret", "*")
    hidden = form.startswith("configuration")
    assert [each for each in missing(server.emulator) if hidden or "token" in PAIRS[each][1]] == []


@pytest.mark.parametrize("form", list(ReadBack))
def test_each_pair_separately(form: ReadBack) -> None:
    """A single webhook reveals nothing about how the server treats others."""
    for name, (live, declared) in PAIRS.items():
        emulated = EmulatedApi(read_back=str(form), default_keys=True)
        insert(emulated.emulator, name, live)
        webhook = Webhook(
            name=name,
            type=kind(declared),
            event_types=frozenset({"value_updated"}),
            configuration={
                key: reference(name=value["env"]) if isinstance(value, dict) else value
                for key, value in declared.items()
            },
        )
        report = emulated.apply(webhook, secrets=REFERENCES, reviewed=True)
        is_removed = kind(live) != kind(declared) or "token" not in declared
        if "token" in live and is_removed and report.writes:
            changes = [change for update in report.plan.updates for change in update.fields]
            assert FieldRemoved(path=("configuration", "token")) in changes or any(
                note.rule == "undeclared-secret" for note in report.plan.notes
            )
        assert report.exit_code is ExitCode.OK
        for render in RENDERERS.values():
            assert render().render_run(RunPlan.of(report.plan))
            assert render().render_run_report(RunReport.of(report))
        (stored,) = emulated.emulator.store.webhooks()
        if without_defaults(stored["configuration"]) != without_defaults(values(declared)):
            # Without other webhooks, a missing value proves nothing.
            gains = "token" not in live and without_token(live) == without_token(declared)
            assert may_be_missed(name, form) or gains
            hidden = {(name, key) for key in without_defaults(declared).keys() - live.keys()}
            assert hidden <= {(webhook, field) for webhook, field, _ in report.plan.not_shown}
        assert emulated.apply(webhook, secrets=REFERENCES).writes == 0
