"""Saved plans: whole and as saved, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.errors import ConfigurationError, ExitCode, StalePlanError
from reconciler.findings import Severity
from reconciler.model import Scheme, SecretRef
from reconciler.planning.changes import Create, Delete
from reconciler.planning.document import checksum, plan_tree
from reconciler.planning.plan import Plan
from reconciler.render import RENDERERS
from reconciler.source.lint import Rules
from reconciler.source.saved_plan import load, save
from tests.render.cases import BASED, BLOCKED, FIELDS, KEPT, MIXED, PLANS, plan, slack
from tests.render.strategies import plans

FILE = "plan.json"
few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def everything(of: Plan) -> Any:
    """Return a plan with the positions and ages that its equality leaves out."""
    text = RENDERERS["json"]().render_plan(of)
    return (of, text, [getattr(each, "position", None) for each in (*of.changes, *of.kept)])


def plan_or_refusal(raw: bytes) -> Plan | ConfigurationError:
    try:
        return load(raw, FILE)
    except ConfigurationError as refusal:
        return refusal


def edited(of: Plan, edit: Callable[[dict[str, Any]], object], *, sealed: bool) -> bytes:
    """Return a saved plan after somebody changed it, with the checksum put right if `sealed`."""
    tree = json.loads(save(of))
    edit(tree)
    if sealed:
        tree["checksum"] = checksum(tree)
    return json.dumps(tree).encode()


@pytest.mark.parametrize("name", sorted(set(PLANS) - {"hostile"}))
def test_a_saved_plan_reads_back_equal(name: str) -> None:
    """What is loaded is what was saved, positions and ages included."""
    saved = PLANS[name]
    assert everything(load(save(saved), FILE)) == everything(saved)


@few
@given(plans())
def test_any_plan_reads_back_equal_or_is_refused_for_what_it_declares(saved: Plan) -> None:
    """A plan with names or references that no file may declare is refused; any other comes back."""
    raw = save(saved)
    assert raw.isascii()
    loaded = plan_or_refusal(raw)
    if isinstance(loaded, ConfigurationError):
        assert {each.severity for each in loaded.findings} == {Severity.ERROR}
        return
    assert everything(loaded) == everything(saved)
    assert save(loaded) == raw


def test_formatting_is_no_edit() -> None:
    """A plan that a tool has written again with other spaces and order of keys is the same."""
    tree = json.loads(save(MIXED))
    again = json.dumps(dict(reversed(tree.items())), indent=7, ensure_ascii=False).encode()
    assert load(again, FILE) == MIXED


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: tree.update(tool_version="0"),
        lambda tree: tree.update(organization={**tree["organization"], "id": "o-2"}),
        lambda tree: tree["changes"].pop(),
        lambda tree: tree["changes"][1]["after"]["configuration"].update(channel="#elsewhere"),
        lambda tree: tree.pop("checksum"),
        lambda tree: tree.update(checksum=None),
        lambda tree: tree.update(extra=1),
    ],
)
def test_an_edited_plan_is_refused(edit: Callable[[dict[str, Any]], object]) -> None:
    """Any change after saving is found, whatever it is."""
    with pytest.raises(StalePlanError, match=r"plan\.json was changed after it was saved") as odd:
        load(edited(MIXED, edit, sealed=False), FILE)
    assert odd.value.exit_code is ExitCode.STALE
    assert odd.value.hint


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: tree.update(extra=1),
        lambda tree: tree["changes"][1].update(note="x"),
        lambda tree: tree["counts"].update(delete=0),
        lambda tree: tree.update(digest=f"sha256:{'0' * 64}"),
        lambda tree: tree["changes"][1].update(operation=None),
        lambda tree: tree["changes"][1]["after"]["configuration"].update(channel="#elsewhere"),
        lambda tree: tree["changes"][1].update(name="Other"),
        lambda tree: tree["secrets"].pop(),
        lambda tree: tree["secrets"][0].update(reference={"env": "OTHER"}),
        lambda tree: tree["changes"][1]["after"]["event_types"].reverse(),
        lambda tree: tree.update(origin="https://elsewhere.example"),
    ],
)
def test_a_plan_at_odds_with_itself_is_refused(edit: Callable[[dict[str, Any]], object]) -> None:
    """A right checksum does not help a plan whose parts do not belong together."""
    with pytest.raises(StalePlanError, match="was changed after it was saved"):
        load(edited(MIXED, edit, sealed=True), FILE)


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: tree.update(blocked=[]),
        lambda tree: tree["blocked"].pop(),
        lambda tree: tree["grounds"].update(max_deletes=None),
        lambda tree: tree["grounds"].update(declared=True),
    ],
)
def test_guards_are_judged_anew(edit: Callable[[dict[str, Any]], object]) -> None:
    """Whoever clears what holds a plan back has to clear away the reasons, too."""
    with pytest.raises(StalePlanError, match="was changed after it was saved"):
        load(edited(BLOCKED, edit, sealed=True), FILE)


def test_an_allowance_is_not_saved() -> None:
    """Deletes that were allowed for one run have to be allowed again for the saved plan."""
    allowed = replace(BLOCKED, blocked=BLOCKED.held_back(allow_deletes=6))
    assert allowed.blocked == ()
    assert load(save(allowed), FILE).blocked == BLOCKED.blocked


@pytest.mark.parametrize("version", ["2", "0", 1, None])
def test_another_format_is_refused(version: object) -> None:
    """A plan of another version of the format is stale, however well formed."""
    raw = edited(MIXED, lambda tree: tree.update(format_version=version), sealed=True)
    with pytest.raises(StalePlanError, match="another format") as odd:
        load(raw, FILE)
    assert odd.value.exit_code is ExitCode.STALE


@pytest.mark.parametrize(
    "raw",
    [
        b"webhooks: []\n",
        b"[]",
        b"null",
        b"{}",
        b'{"kind": "plan", "kind": "plan"}',
        b'{"kind": "plan", "x": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_plan_is_an_invalid_file(raw: bytes) -> None:
    """Another kind of file is said to be one, without a word of its content."""
    with pytest.raises(ConfigurationError, match=r"^plan\.json is not a saved plan$") as odd:
        load(raw, FILE)
    assert odd.value.exit_code is ExitCode.INVALID
    assert odd.value.__cause__ is None


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (save(MIXED)[:300], "it ends too early"),
        (RENDERERS["json"]().render_findings(()).encode(), "its kind is findings"),
    ],
)
def test_what_became_of_a_plan_file_is_said(raw: bytes, why: str) -> None:
    """An empty file, half a file and another of our documents are told apart."""
    with pytest.raises(
        ConfigurationError, match=rf"^plan\.json is not a saved plan: {why}$"
    ) as odd:
        load(raw, FILE)
    assert odd.value.hint is not None
    assert "--out FILE" in odd.value.hint
    assert "-f" in odd.value.hint


@pytest.mark.parametrize(
    ("saved", "edit", "where"),
    [
        (MIXED, lambda tree: tree.update(origin=1), "origin"),
        (MIXED, lambda tree: tree.pop("counts"), "counts"),
        (MIXED, lambda tree: tree["counts"].update(live=-1), r"counts\.live"),
        (MIXED, lambda tree: tree["counts"].update(live=True), r"counts\.live"),
        (MIXED, lambda tree: tree.update(changes={}), "changes"),
        (MIXED, lambda tree: tree["changes"].append(1), r"changes\[3\]"),
        (MIXED, lambda tree: tree["changes"][1].update(action="x"), r"changes\[1\]\.action"),
        (MIXED, lambda tree: tree["changes"][1].update(reason="x"), r"changes\[1\]\.reason"),
        (
            MIXED,
            lambda tree: tree["changes"][1]["after"].update(type="teams"),
            r"changes\[1\]\.after\.type",
        ),
        (
            MIXED,
            lambda tree: tree["changes"][1]["after"]["configuration"].update(icon="x"),
            r"changes\[1\]\.after\.configuration\.icon",
        ),
        (
            MIXED,
            lambda tree: tree["changes"][1]["after"]["configuration"].update(token="x"),
            r"changes\[1\]\.after\.configuration\.token",
        ),
        (
            MIXED,
            lambda tree: tree["changes"][1]["after"]["configuration"].update(token={"vault": "x"}),
            r"changes\[1\]\.after\.configuration\.token",
        ),
        (
            FIELDS,
            lambda tree: tree["changes"][0]["after"]["configuration"].update(verify="yes"),
            r"changes\[0\]\.after\.configuration\.verify",
        ),
        (
            MIXED,
            lambda tree: tree["changes"][1]["after"]["event_types"].append("no_event"),
            r"changes\[1\]\.after\.event_types\[7\]",
        ),
        (
            MIXED,
            lambda tree: tree["changes"][0]["fields"][0].update(path=["id"]),
            r"changes\[0\]\.fields\[0\]\.path",
        ),
        (
            MIXED,
            lambda tree: tree["changes"][0]["fields"][0].update(change="x"),
            r"changes\[0\]\.fields\[0\]\.change",
        ),
        (MIXED, lambda tree: tree["kept"][0].update(webhooks=[]), r"kept\[0\]\.webhooks"),
        (MIXED, lambda tree: tree["organization"].update(maintenance=0), "organization"),
        (BLOCKED, lambda tree: tree["blocked"][0].update(severity="bad"), r"blocked\[0\]"),
        (BASED, lambda tree: tree["changes"][0].update(attribution="me"), r"changes\[0\]"),
        (KEPT, lambda tree: tree["matched"][0].update(id=None), r"matched\[0\]\.id"),
    ],
)
def test_every_value_is_checked(
    saved: Plan, edit: Callable[[dict[str, Any]], object], where: str
) -> None:
    """A value of another type or meaning is named by its place, and nothing is believed."""
    with pytest.raises(ConfigurationError, match=f"is not a saved plan: {where}.* holds something"):
        load(edited(saved, edit, sealed=True), FILE)


@few
@given(st.data())
def test_no_edit_makes_anything_else_than_a_refusal(data: st.DataObject) -> None:
    """Whatever is put wherever, with a right checksum: the plan comes back or a typed error."""
    tree = json.loads(save(data.draw(st.sampled_from((MIXED, FIELDS, KEPT, BLOCKED)))))
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
        st.sampled_from((None, 0, -1, 1.5, True, "", "x", [], {}, ["x"], {"env": "X"}))
    )
    tree["checksum"] = checksum(tree) if key != "checksum" else node[key]
    raw = json.dumps(tree).encode()
    try:
        loaded = load(raw, FILE)
    except (ConfigurationError, StalePlanError):
        return
    assert plan_tree(loaded, tree["tool_version"]) == tree


LITERAL = SecretRef(scheme=Scheme.LITERAL, name="Deploys/token")


def with_token(reference: SecretRef) -> Plan:
    webhook = slack("Deploys")
    return plan(
        Create(after=replace(webhook, configuration={**webhook.configuration, "token": reference}))
    )


def test_a_literal_secret_that_is_sent_cannot_be_saved() -> None:
    """The value may not be stored, and the plan is useless without it: both are named."""
    with pytest.raises(ConfigurationError, match="cannot be saved") as odd:
        save(with_token(LITERAL))
    assert odd.value.exit_code is ExitCode.INVALID
    (finding,) = odd.value.findings
    assert finding.message == 'token of webhook "Deploys" is written into the file'
    assert finding.position == slack("Deploys").position


def test_a_literal_secret_that_is_not_sent_can_be_saved() -> None:
    """Where no operation needs the value, a literal is in nobody's way."""
    webhook = replace(MIXED.updates[0].after, configuration={"token": LITERAL, "channel": "#a"})
    fields = tuple(each for each in MIXED.updates[0].fields if each.path[0] != "configuration")
    saved = plan(replace(MIXED.updates[0], after=webhook, fields=fields))
    assert load(save(saved), FILE) == saved


def test_a_literal_cannot_be_smuggled_into_a_saved_plan() -> None:
    """A plan file that wants a literal sent is refused when it is loaded."""
    raw = RENDERERS["json"]().render_plan(with_token(LITERAL)).encode()
    with pytest.raises(ConfigurationError, match="cannot be applied"):
        load(raw, FILE)


@pytest.mark.parametrize(
    "reference",
    [
        SecretRef(scheme=Scheme.ENV, name="CLOUDTRUTH_API_KEY"),
        SecretRef(scheme=Scheme.FILE, name="/proc/self/environ"),
    ],
)
def test_a_saved_plan_may_refer_to_nothing_that_a_file_may_not(reference: SecretRef) -> None:
    """Forbidden references are forbidden in plans too."""
    with pytest.raises(ConfigurationError) as odd:
        load(save(with_token(reference)), FILE)
    assert [each.rule for each in odd.value.findings] == ["forbidden-secret"]
    assert 'webhook "Deploys"' in odd.value.findings[0].message


def test_the_command_line_narrows_what_a_saved_plan_may_refer_to() -> None:
    """--allow-secret holds for plans as for files."""
    saved = with_token(SecretRef(scheme=Scheme.ENV, name="OTHER"))
    assert load(save(saved), FILE) == saved
    with pytest.raises(ConfigurationError):
        load(save(saved), FILE, rules=Rules(allow_secrets=("env:SLACK_*",)))


def test_a_saved_plan_may_declare_no_name_that_a_file_may_not() -> None:
    """A name that nobody can see is refused wherever it comes from."""
    with pytest.raises(ConfigurationError) as odd:
        load(save(plan(Create(after=slack("a\u202eb")))), FILE)
    assert [each.rule for each in odd.value.findings] == ["unsafe-name"]


def test_deletes_declare_nothing() -> None:
    """A webhook may be deleted whatever it is called."""
    hostile = replace(MIXED.deletes[0], before=replace(MIXED.deletes[0].before, name="\x00"))
    assert isinstance(hostile, Delete)
    assert load(save(plan(hostile)), FILE) == plan(hostile)


def test_saving_shows_what_json_output_shows() -> None:
    """The file is the document that is printed."""
    assert save(MIXED).decode() == RENDERERS["json"]().render_plan(MIXED)
