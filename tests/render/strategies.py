"""Any plan, report or finding, with malicious strings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.findings import Finding, Place, Position, Related
from reconciler.kinds import EVENT_TYPES
from reconciler.model import UNKNOWN, Organization, SecretRef, Unknown, Webhook
from reconciler.planning.plan import (
    Counts,
    Create,
    Delete,
    FieldRemoved,
    Kept,
    Operation,
    Plan,
    SecretChange,
    SecretUse,
    SetChange,
    Snapshot,
    Update,
    ValueChange,
)
from reconciler.planning.run import WebhookStatus
from reconciler.report import (
    Applied,
    Failed,
    Outcome,
    RemovedDuplicate,
    Report,
    Skipped,
    Unconfirmed,
)
from tests.goldens import rows
from tests.render.cases import plan

SNIPPETS: tuple[str, ...] = tuple(rows(Path(__file__).with_name("snippets.yaml")))


def pieces(snippets: tuple[str, ...] = SNIPPETS) -> st.SearchStrategy[str]:
    """Return strings made of dangerous and harmless pieces."""
    return st.lists(st.one_of(st.sampled_from(snippets), st.text(max_size=3)), max_size=4).map(
        "".join
    )


texts = pieces()
names = pieces(tuple(each for each in SNIPPETS if each != "\ud800")).filter(bool)
counts = st.integers(0, 10_000)
event_sets = st.frozensets(st.sampled_from(EVENT_TYPES), min_size=1)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: counts,
    bool: st.booleans(),
    NoneType: st.none(),
    Unknown: st.just(UNKNOWN),
    Place: st.none(),
}


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Return any value of a type; dataclasses have any fields."""
    parts = get_args(hint)
    match get_origin(hint):
        case origin if origin is Union or origin is UnionType:
            return st.one_of(*map(of_type, parts))
        case origin if origin is tuple and parts[1:] == (...,):
            return st.lists(of_type(parts[0]), max_size=2).map(tuple)
        case origin if origin is tuple:
            return st.tuples(*map(of_type, parts))
        case origin if origin is frozenset:
            return st.frozensets(of_type(parts[0]), max_size=2)
        case origin if origin is Mapping:
            return st.dictionaries(*map(of_type, parts), max_size=3)
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    assert is_dataclass(hint) or hasattr(hint, "_fields"), hint
    return any_of(hint)


def any_of(kind: Any, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return any value of a dataclass, with the strategies that are given for its fields."""
    hints = {
        name: hint
        for name, hint in get_type_hints(kind).items()
        if name not in given and get_origin(hint) is not ClassVar
    }
    return st.builds(kind, **given, **{name: of_type(hint) for name, hint in hints.items()})


def few(of: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Any]:
    return st.lists(of, max_size=most).map(tuple)


PLAIN[Position] = any_of(
    Position, line=st.integers(1, 99_999), column=st.integers(1, 300), width=st.integers(1, 40)
)
PLAIN[Related] = any_of(Related, position=PLAIN[Position])
PLAIN[SecretRef] = references = any_of(
    SecretRef, scheme=st.sampled_from(("env", "file")), version=st.none() | st.integers(1, 9)
)
PLAIN[Snapshot] = any_of(
    Snapshot,
    name=names,
    type=st.sampled_from(("slack", "generic")) | texts,
    event_types=event_sets | st.frozensets(texts, max_size=3),
    last_run=st.none() | texts | st.just("2026-01-02T03:04:05Z"),
)
PLAIN[Webhook] = st.one_of(
    any_of(
        Webhook,
        name=names,
        type=st.just(kind),
        event_types=event_sets,
        configuration=configuration,
        index=st.just(0),
        adopt=st.just(False),
    )
    for kind, configuration in (
        (
            "slack",
            st.fixed_dictionaries({"token": references, "channel": texts, "username": texts}),
        ),
        (
            "generic",
            st.fixed_dictionaries(
                {"url": references | st.just("https://hooks.example.com/ct")},
                optional={"verify": st.booleans(), "username": texts, "password": references},
            ),
        ),
    )
)
some_findings = of_type(tuple[Finding, ...])
organizations = of_type(Organization)
statuses = st.lists(of_type(WebhookStatus), max_size=3)

configured = st.tuples(st.just("configuration"), texts)
anywhere = st.sampled_from((("name",), ("type",), ("event_types",))) | configured
PLAIN[ValueChange] = any_of(ValueChange, path=anywhere)
PLAIN[SetChange] = any_of(
    SetChange, path=st.just(("event_types",)), removed=event_sets.map(sorted).map(tuple)
)
PLAIN[SecretChange] = any_of(
    SecretChange,
    path=configured,
    after=references | st.just("https://hooks.example.com/path") | texts,
)
PLAIN[FieldRemoved] = any_of(FieldRemoved, path=configured)


fields = st.one_of(*(PLAIN[kind] for kind in (ValueChange, SetChange, SecretChange, FieldRemoved)))
# Webhooks of unknown types are kept.
before = st.builds(replace, PLAIN[Snapshot], type=st.sampled_from(("slack", "generic")))
operations: st.SearchStrategy[Operation] = st.one_of(
    any_of(Create),
    any_of(Update, before=before, fields=st.lists(fields, min_size=1, max_size=3).map(tuple)),
    any_of(Delete, before=before),
)
kept = any_of(Kept, webhooks=st.lists(PLAIN[Snapshot], min_size=1, max_size=3).map(tuple))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return plans whose digests, lists of secrets and guards are consistent."""
    more = st.fixed_dictionaries(
        {
            "origin": texts,
            "organization": organizations,
            "matched": st.dictionaries(texts, of_type(Webhook), max_size=2),
            "kept": few(kept),
            "unmanaged": few(any_of(Kept, webhooks=st.tuples(PLAIN[Snapshot]))),
            "counts": of_type(Counts),
            "notes": some_findings,
            "relaxed": some_findings,
            "not_shown": few(st.tuples(texts, texts, texts)),
            "not_compared": of_type(tuple[SecretUse, ...]),
            "not_equal": of_type(tuple[SecretUse, ...]),
        }
    )
    made = plan(*draw(few(operations, 3)), **draw(more))
    secrets = (each._replace(destination=draw(texts)) for each in made.secrets)
    return made._replace(secrets=tuple(secrets))


def outcomes_of(operation: Operation) -> st.SearchStrategy[Outcome]:
    kinds = (Applied, Failed, Skipped, Unconfirmed)
    return st.one_of(any_of(kind, operation=st.just(operation)) for kind in kinds)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Return reports with an outcome for each operation of their plan, or for the first of them."""
    plan = draw(plans())
    outcomes = [draw(outcomes_of(each)) for each in plan.operations[: draw(st.integers(0, 4))]]
    return Report(
        plan=plan,
        outcomes=tuple(outcomes),
        duplicates_removed=draw(few(of_type(RemovedDuplicate))),
        writes=draw(st.integers(0, 3)),
        verified=draw(st.booleans()),
        stopped=draw(st.none() | st.sampled_from((ExitCode.SIGINT, ExitCode.SIGTERM))),
        problem=draw(st.none() | texts),
    )
