"""Saved plans: a reviewed plan as a file that a later `apply` carries out.

The file is the plan document of schemas/plan.schema.json. It holds no secret and may be public;
a literal secret that an operation must send can therefore not be saved. What is loaded is
believed in nothing: a file that is damaged or edited, of another format, or that says what no
plan says is refused as a whole, and what it declares passes the same checks as a file of
webhooks. The checksum is no signature, so a plan is as trustworthy as the place it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NoReturn

from reconciler import __version__
from reconciler.errors import ConfigurationError, StalePlanError
from reconciler.findings import Finding, Severity
from reconciler.model import Scheme, SecretRef
from reconciler.planning.changes import Change, Delete, Update
from reconciler.planning.digest import operation_digest, plan_digest
from reconciler.planning.document import (
    FORMAT_VERSION,
    checksum,
    plan_tree,
    reference_tree,
    write_json,
)
from reconciler.planning.plan import Plan
from reconciler.source.lint import Rules, lint
from reconciler.source.plan_reader import read_plan
from reconciler.source.typed import MalformedError

HINT: Final = "save a plan with `webhooks plan --out FILE`; files of webhooks go with -f"
"""What to do when something else stands where a saved plan belongs."""

_AGAIN: Final = "make a new one with `webhooks plan --out FILE` and have it reviewed"
_NO_RULES: Final = Rules()
_OTHERS: Final = ("checks", "error", "findings", "report", "status")
"""The kinds of the other documents that this program writes."""


def save(plan: Plan) -> bytes:
    """Return the content of a plan file.

    Raises ConfigurationError if an operation sends a secret that is written into a file of
    webhooks itself: the value may not be stored, and without it the plan cannot be carried out.
    """
    _refuse_literals(plan, "the plan cannot be saved: it sends secrets that files hold as text")
    # What was allowed for one run is not saved: the plan is held back until it is allowed again.
    held = replace(plan, blocked=plan.held_back())
    return write_json(plan_tree(held, __version__)).encode("ascii")


def load(raw: bytes, file: str, *, rules: Rules = _NO_RULES) -> Plan:
    """Return the plan that `raw` holds; `file` is its name in messages.

    Raises StalePlanError for a plan that was changed after it was saved or that another format
    version holds, ConfigurationError for what is no saved plan, and with findings for one that
    declares what no file may; `rules` are those of the command line.
    """
    tree = _document(raw, file)
    if tree.get("format_version") != FORMAT_VERSION:
        raise StalePlanError(
            f"{file} is a plan of another format than {FORMAT_VERSION}, which this version reads",
            hint=_AGAIN,
        )
    if tree.get("checksum") != checksum(tree):
        _refuse_edited(file)
    try:
        plan = read_plan(tree)
    except MalformedError as odd:
        raise ConfigurationError(
            f"{file} is not a saved plan: {odd.where} holds something else than plans do",
            hint=_AGAIN,
        ) from None
    if plan_tree(plan, str(tree.get("tool_version"))) != tree or not _is_consistent(plan):
        _refuse_edited(file)
    _refuse_literals(plan, f"{file} cannot be applied: it refers to secrets that it does not hold")
    problems = tuple(_problems(plan, file, rules))
    if problems:
        raise ConfigurationError(f"{file} declares what may not be declared", findings=problems)
    return plan


def _document(raw: bytes, file: str) -> dict[str, Any]:
    if not raw.strip():
        raise ConfigurationError(f"{file} is not a saved plan: it is empty", hint=HINT)
    try:
        tree = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        cut = raw.lstrip()[:1] == b"{" and raw.rstrip()[-1:] != b"}"
        why = ": it ends too early" if cut else ""
        raise ConfigurationError(f"{file} is not a saved plan{why}", hint=HINT) from None
    if not isinstance(tree, dict) or tree.get("kind") != "plan":
        kind = tree.get("kind") if isinstance(tree, dict) else None
        why = f": its kind is {kind}" if kind in _OTHERS else ""
        raise ConfigurationError(f"{file} is not a saved plan{why}", hint=HINT)
    return tree


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("duplicate key")
    return tree


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _is_consistent(plan: Plan) -> bool:
    """Say whether digests, secrets and guards are those of the changes themselves."""
    operations = tuple(operation_digest(change) for change in plan.changes)
    digest = plan_digest(plan.origin, plan.organization.id, operations)
    sent = {
        (change.name, field, ref) for change in plan.changes for field, ref in sent_secrets(change)
    }
    listed = {(use.webhook, use.field, use.reference) for use in plan.secrets}
    said = (plan.operations, plan.digest, listed, plan.blocked)
    return said == (operations, digest, sent, plan.held_back())


def _refuse_edited(file: str) -> NoReturn:
    raise StalePlanError(f"{file} was changed after it was saved", hint=_AGAIN)


def sent_secrets(change: Change) -> Iterator[tuple[str, SecretRef]]:
    """Yield the secrets that a change sends, each with its configuration field."""
    if isinstance(change, Delete):
        return
    if isinstance(change, Update) and "configuration" not in change.sends:
        return
    for field, value in sorted(change.after.configuration.items()):
        if isinstance(value, SecretRef):
            yield field, value


def _refuse_literals(plan: Plan, message: str) -> None:
    findings = tuple(
        Finding(
            rule="literal-in-plan",
            severity=Severity.ERROR,
            message=f"{field} of webhook {json.dumps(change.name)} is written into the file",
            position=change.after.position,
            hint="put the value into a variable or a file and refer to it: {env: NAME}",
        )
        for change in plan.changes
        if not isinstance(change, Delete)
        for field, ref in sent_secrets(change)
        if ref.scheme is Scheme.LITERAL
    )
    if findings:
        raise ConfigurationError(message, findings=findings)


def _problems(plan: Plan, file: str, rules: Rules) -> Iterator[Finding]:
    """Yield what would be an error in a file of webhooks too."""
    declared = [each.after for each in plan.changes if not isinstance(each, Delete)]
    data = {
        "webhooks": [
            {
                "name": each.name,
                "type": each.type,
                "event_types": sorted(each.event_types),
                "configuration": {
                    field: reference_tree(value) if isinstance(value, SecretRef) else value
                    for field, value in each.configuration.items()
                },
            }
            for each in declared
        ]
    }
    # References in a plan are relative to the working directory: no file's directory goes before.
    for problem in lint("", data, rules):
        if problem.remark.severity is Severity.ERROR:
            index = problem.spot.path[1]
            assert isinstance(index, int)
            yield Finding(
                rule=problem.remark.rule,
                severity=Severity.ERROR,
                message=f"webhook {json.dumps(declared[index].name)}: {problem.remark.message}",
                hint=problem.remark.hint,
            )
