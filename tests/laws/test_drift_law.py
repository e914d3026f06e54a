"""`drift --accept` makes the files declare what changed live, and nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings, strategies as st

from reconciler.kinds import EVENT_TYPES, expand
from reconciler.model import Live, LiveWebhook, Secret
from reconciler.planning.plan import Attribution, OperationDigest
from reconciler.planning.planner import PlanOptions
from reconciler.source.writer import ChangeItems, Item, edit_file, scalar
from reconciler.source.yaml import parse
from reconciler.workflow import Inputs, Target, load_all, previous
from reconciler.workflow.accepting import find_drift
from reconciler.workflow.drift import Base, MergedChanges
from reconciler.workflow.inputs import gather
from reconciler.workflow.planning import plan_of_live
from reconciler.workflow.run import Planned
from tests.execute.world import memory
from tests.laws.written import CHANNELS, URLS, USERNAMES, entries, written

TOKEN = "xoxb-1111111111-AAAA"
FIELDS = {"channel": CHANNELS, "username": USERNAMES, "url": URLS}
events = st.frozensets(st.sampled_from(EVENT_TYPES), min_size=1)


def live_webhook(number: str, entry: dict[str, Any]) -> LiveWebhook:
    """Return the live webhook of a declaration."""
    configuration = {
        name: Secret(TOKEN if name == "token" else value) if name in ("token", "url") else value
        for name, value in entry["configuration"].items()
    }
    globs = (expand(glob) for glob in entry["event_types"])
    return LiveWebhook(
        id=number,
        name=entry["name"],
        type=entry["type"],
        event_types=frozenset().union(*globs),
        configuration=configuration,
    )


@st.composite
def changed(draw: st.DrawFn, webhook: LiveWebhook) -> LiveWebhook | None:
    """Return a webhook as it might be changed live, None if it was deleted."""
    assert isinstance(webhook.configuration, dict)
    what = draw(st.sampled_from(("deleted", "renamed", "changed", "kept")))
    if what == "deleted":
        return None
    if what == "renamed" and not webhook.name.startswith("o"):  # by hand, in an overlay
        return replace(webhook, name=f"{webhook.name} [new]*")
    if what == "kept":
        return webhook
    configuration = dict(webhook.configuration)
    for name in sorted(FIELDS.keys() & configuration.keys()):
        value = draw(st.none() | FIELDS[name])
        if value is not None:
            configuration[name] = Secret(value) if name == "url" else value
    event_types = draw(st.just(webhook.event_types) | events)
    return replace(webhook, configuration=configuration, event_types=event_types)


def planned(inputs: Inputs, live: Live, base: Sequence[str]) -> Planned:
    """Return the plan of files with the live webhooks, and with earlier files."""
    (source,) = load_all(inputs)
    target = Target(source, options=PlanOptions(previous=previous(tuple(base), source.checked)))
    gathered = gather(source.checked)
    plan, live = plan_of_live(gathered, memory(*live.webhooks), options=target.options, review=None)
    return Planned(target, gathered, plan, live)


@st.composite
def overlays(draw: st.DrawFn) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Return an overlay and its parent, which it may override, and the merged declarations."""
    parent, declared = draw(written(prefix="o"))
    lines = ["extends: base.yaml", 'scope: ["o*"]  # only ours']
    if draw(st.booleans()):
        field = "url" if declared[0]["type"] == "generic" else "channel"
        value = declared[0]["configuration"][field] = draw(FIELDS[field])
        override = f"{field}: {scalar(value)}"
        name = f"name: {declared[0]['name']}"
        block = [f"  - {name}", "    configuration:", f"      {override}  # ours"]
        flow = [f"  - {{{name}, configuration: {{{override}}}}}"]
        lines += ["webhooks:", *draw(st.sampled_from((block, flow)))]
    return {"o.yaml": "\n".join(lines).encode(), "base.yaml": parent}, declared


def entry_texts(raw: bytes) -> list[bytes]:
    """Return the lines of each entry of a file."""
    lines = raw.splitlines(keepends=True)
    starts = [position.line - 1 for position in parse(raw, "f.yaml").items.get("webhooks", ())]
    texts = []
    for start, end in pairwise([*starts, len(lines)]):
        block = lines[start:end]
        while not block[-1].strip() or block[-1].lstrip().startswith((b"#", b"protect:")):
            block.pop()
        texts.append(b"".join(block).rstrip())
    return texts


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_accepting_makes_the_files_declare_the_live_webhooks(data: st.DataObject) -> None:
    """Every change is an edit; then no drift is left, and a change of the user is still planned.

    The text of other webhooks is unchanged.
    """
    files, declared = data.draw(overlays())
    first, of_first = data.draw(written('scope: ["a*"]', prefix="a"))
    second, of_second = data.draw(written('scope: ["b*"]', prefix="b"))
    files |= {"a.yaml": first, "b.yaml": second}
    declared += of_first + of_second
    live: list[LiveWebhook] = []
    unchanged: set[str] = set()
    for number, entry in enumerate(declared):
        before = live_webhook(f"id {number}", entry)
        webhook = data.draw(changed(before))
        if webhook == before:
            unchanged.add(webhook.name)
        if webhook is not None:
            live.append(webhook)
    if data.draw(st.booleans()):
        live.append(
            live_webhook("added", data.draw(entries(data.draw(st.sampled_from(("a x", "o x"))))))
        )
    listing = Live("", memory().organization(), tuple(live))
    # The user's own edit, which is not applied yet.
    mine = Item({**of_first[0], "name": "a of mine"})
    base = dict(files)
    files["a.yaml"] = edit_file(first, [ChangeItems(("webhooks",), added=(mine,))])
    with tempfile.TemporaryDirectory() as name:
        now, earlier = Path(name, "now"), Path(name, "earlier")
        for folder, contents in ((now, files), (earlier, base)):
            folder.mkdir()
            for file, raw in contents.items():
                (folder / file).write_bytes(raw)
        inputs = Inputs(now, {"TOKEN": TOKEN}, bytes, paths=("a.yaml", "b.yaml", "o.yaml"))
        earlier_files = [str(earlier / path) for path in inputs.paths]
        organization = planned(inputs, listing, earlier_files)
        base = Base(organization.target.options.previous)
        (drift,) = find_drift([organization], [base], accept=True).drifts
        assert {webhook.refusal for webhook in drift.drifted} <= {""}, drift
        changes = [drift.plan.operations[change.operation] for change in drift.not_applied]
        assert [change.name for change in changes] == ["a of mine"]
        left = planned(inputs, listing, earlier_files).plan
        assert left is not None
        assert [operation.name for operation in left.operations] == ["a of mine"]
        for file, raw in files.items():
            edited = (now / file).read_bytes()
            assert edited.count(b"\r\n") in (0, edited.count(b"\n"))
            for text in entry_texts(raw):
                if any(f"{name}" in text.decode() for name in unchanged):
                    assert text in edited


def test_a_rename_that_waits_is_overdue_a_day_after_its_merge(tmp_path: Path) -> None:
    """Its review knows the webhook by id, whatever the file and CloudTruth call it since then."""
    values = {"url": "https://example.com"}
    entry = {"name": "b", "type": "generic", "event_types": ["*"], "configuration": values}
    (tmp_path / "webhooks.yaml").write_text(json.dumps({"prune": False, "webhooks": [entry]}))
    live = Live("", memory().organization(), (live_webhook("id-1", {**entry, "name": "c"}),))
    organization = planned(Inputs(tmp_path, {}, bytes), live, [str(tmp_path / "webhooks.yaml")])
    merged = [OperationDigest("", "id-1", "a")]
    base = Base(organization.target.options.previous, merged=MergedChanges(merged, late=merged))
    (drift,) = find_drift([organization], [base]).drifts
    assert (drift.merged, drift.overdue) == ([(0, Attribution.WAITING, "", True)], 1)
