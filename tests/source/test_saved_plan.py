"""A saved plan is loaded unchanged, or rejected."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from reconciler.errors import ConfigurationError, ExitCode, StalePlanError
from reconciler.findings import Position, Severity
from reconciler.model import Desired, Live, SecretRef
from reconciler.planning.planner import PlanOptions, plan
from reconciler.planning.review import approve_all
from reconciler.planning.run import RunPlan
from reconciler.planning.tree import checksum
from reconciler.render import RENDERERS
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_parsed
from reconciler.source.saved_plan import SavedPlan, parse_plan, save_run
from tests.goldens import cases, rows
from tests.laws.strategies import declarations, live_organizations
from tests.loading import load_texts, loaded as files
from tests.planning.builders import (
    TOKEN_REF,
    desired as declared,
    generic,
    live,
    live_generic,
    live_slack,
    slack,
)

FILE = "plan.json"
few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)

TEXTS = cases(Path(__file__).with_name("texts.txt"))
TEAM = TEXTS["a team"][0]
OTHER = TEXTS["another team"][0]


def saved(desired: Desired, found: Live | None = None, **options: Any) -> bytes:
    """Return the plan file of a configuration, by default with nothing live."""
    chosen = PlanOptions(**options)
    made = plan(desired, live() if found is None else found, {}, chosen)
    return save_run(RunPlan.of(made), [files(desired)], chosen)


def edit_plan(raw: bytes, path: str, value: Any, *, sealed: bool = True) -> bytes:
    """Return a saved plan with another value at a path, or without it if that is `removed`.

    The checksum is corrected if the plan is `sealed`.
    """
    tree = node = json.loads(raw)
    *keys, last = path.split(".")
    for key in keys:
        node = node[int(key) if key.isdigit() else key]
    node[last] = value
    if value == "removed":
        del node[last]
    if sealed:
        tree["checksum"] = checksum(tree)
    return json.dumps(tree).encode()


def reread(raw: bytes, allow: tuple[str, ...] = ()) -> Loaded:
    """Return the declarations in a saved plan."""
    return load_parsed(parse_plan(raw, FILE).parsed, Rules(allow_secrets=allow))


JSON = RENDERERS["json"]()
ONE = declared(slack())
SAVED = saved(ONE)


def positions(desired: Desired) -> list[str]:
    policy = desired.policy
    entries = [each.position for each in (*desired.webhooks, *desired.absent)]
    return [*map(str, entries), *(str(each.position) for each in (*policy.ignore, *policy.protect))]


def test_several_files_round_trip() -> None:
    """The saved plan keeps the scopes, guards, references and lines of the planned files."""
    files = load_texts({"team.yaml": TEAM, "teams/other.yaml": OTHER})
    desired = files.desired
    assert desired is not None
    found = live(live_generic("other-pager", "id-7"))
    raw = save_run(RunPlan.of(plan(desired, found, {})), [files], PlanOptions())
    loaded = reread(raw)
    assert loaded.desired == desired
    assert positions(loaded.desired) == positions(desired)


@few
@given(declarations(), live_organizations())
def test_any_configuration_round_trips(desired: Desired, found: Live) -> None:
    """Declarations and the review round-trip; invalid ones are rejected."""
    try:
        raw = saved(desired, found)
    except ConfigurationError:
        assume(False)
    loaded = reread(raw)
    assert raw.isascii()
    if loaded.desired is None:
        assert {each.severity for each in loaded.findings} >= {Severity.ERROR}
        return
    assert loaded.desired == desired
    assert parse_plan(raw, FILE).reviews[0] == approve_all(plan(desired, found, {}))


def test_the_review_and_the_options_round_trip() -> None:
    """The saved plan keeps operations with their webhooks, resends, and the options of planning."""
    rotated = TOKEN_REF._replace(version=2)
    desired = declared(slack(token=rotated), generic())
    found = live(live_slack(token="*****"), live_generic(url="https://hooks.example.com/***"))
    raw = saved(desired, found, resend=("*",), only=("Dep*", "Pager"), prune=False)
    loaded = parse_plan(raw, FILE)
    planned = plan(desired, found, {}, PlanOptions(resend=("*",)))
    assert loaded.reviews[0] == approve_all(planned)
    assert loaded.reviews[0].digest == planned.digest
    values = [each.value for each in loaded.reviews[0].resends]
    assert values == [rotated, "https://hooks.example.com/ct"]
    assert loaded.options == PlanOptions(only=("Dep*", "Pager"), prune=False)
    # They are for a command that plans again: the apply resends what the review has.
    assert loaded.values["resend_secret"] == ("*",)


def test_formatting_does_not_matter() -> None:
    """A plan that a tool wrote again with other spaces and order of keys is the same."""
    tree = json.loads(SAVED)
    again = json.dumps(dict(reversed(tree.items())), indent=7, ensure_ascii=False).encode()
    assert parse_plan(again, FILE)._replace(document="") == parse_plan(SAVED, FILE)._replace(
        document=""
    )


CHANGED = r"^plan\.json was changed after it was saved$"
NO_PLAN = r"^plan\.json is not a saved plan"
PART = "organizations.0.configuration.0"
EDITS = rows(Path(__file__).with_name("edited_plans.yaml"))

OTHERS = [
    *(
        (raw, "")
        for raw in (
            *(b"webhooks: []\n", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000),
            *(b'{"kind": "plan", "kind": "plan"}', b'{"kind": "plan", "x": NaN}'),
        )
    ),
    *((raw, "") for raw in (b"", SAVED[:300], JSON.render_findings(()).encode())),
    (JSON.render_run(RunPlan.of(plan(ONE, live(), {}))).encode(), ""),
]
INVALID = [
    *((edit_plan(SAVED, path, value, sealed=False), CHANGED) for path, value in EDITS["unsealed"]),
    *((edit_plan(SAVED, path, value), message) for path, value, message in EDITS["sealed"]),
    *((raw, f"{NO_PLAN}{why}$") for raw, why in OTHERS),
]


@pytest.mark.parametrize(
    ("raw", "message"), INVALID, ids=[re.sub(r"\W+", " ", each) for _, each in INVALID]
)
def test_another_or_a_changed_file_is_rejected(raw: bytes, message: str) -> None:
    """The error gives the reason and the next step, but does not quote the content."""
    with pytest.raises((ConfigurationError, StalePlanError), match=message) as odd:
        parse_plan(raw, FILE)
    invalid = NO_PLAN in message
    assert odd.value.exit_code is (ExitCode.INVALID if invalid else ExitCode.STALE)
    assert "--out FILE" in (odd.value.hint or "")
    assert odd.value.__cause__ is None


@few
@given(st.data())
def test_no_edit_causes_a_crash(data: st.DataObject) -> None:
    """Any edit with a correct checksum gives a typed error, findings, or a plan."""
    tree = json.loads(SAVED)
    node: Any = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        assume(keys)
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans()):
            node = node[key]
        else:
            break
    node[key] = data.draw(
        st.sampled_from((None, 0, -1, 1.5, True, "", "x", "\ud800", [], {}, ["x"], {"env": "X"}))
    )
    tree["checksum"] = checksum(tree) if key != "checksum" else node[key]
    try:
        loaded = parse_plan(json.dumps(tree).encode(), FILE)
    except (ConfigurationError, StalePlanError):
        return
    assert isinstance(loaded, SavedPlan)


def test_a_literal_secret_cannot_be_saved() -> None:
    """A literal must not be stored, and the configuration is useless without it."""
    webhook = replace(slack(), position=Position(file="w.yaml", line=4))
    literal = SecretRef(scheme="literal", name="Deploys/token")
    webhook = replace(webhook, configuration={**webhook.configuration, "token": literal})
    with pytest.raises(ConfigurationError, match="cannot be saved") as odd:
        saved(declared(webhook))
    assert odd.value.exit_code is ExitCode.INVALID
    (finding,) = odd.value.findings
    assert finding.message == 'token of webhook "Deploys" is a literal value in the file'
    assert finding.position == webhook.position


@pytest.mark.parametrize(("name", "token", "allow", "rules"), EDITS["declared"])
def test_a_saved_plan_declares_only_what_a_file_may(
    name: str, token: Any, allow: list[str], rules: list[str]
) -> None:
    """A saved plan that was edited is checked like a file, and not shown."""
    raw = edit_plan(SAVED, f"{PART}.content.webhooks.0.name", name)
    raw = edit_plan(raw, f"{PART}.content.webhooks.0.configuration.token", token)
    loaded = reread(raw, tuple(allow))
    assert [each.rule for each in loaded.findings] == rules
    assert (loaded.desired is None) == bool(rules)
    assert str(token) not in repr(loaded.findings)


def test_allow_deletes_is_not_saved() -> None:
    """`--allow-deletes` must be given again to apply the saved plan."""
    raw = saved(declared(), live(live_slack()), allow_deletes=1)
    assert [each["rule"] for each in json.loads(raw)["organizations"][0]["blocked"]] == [
        "nothing-declared"
    ]
    assert parse_plan(raw, FILE).options.allow_deletes is None


def test_a_plan_without_a_folder_is_read() -> None:
    """It was saved by a version that did not know it."""
    raw = edit_plan(saved(declared(slack())), "options.folder", "removed")
    assert parse_plan(raw, FILE).parsed.folder is None
