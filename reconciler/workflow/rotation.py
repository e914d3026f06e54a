"""What git knows of the secrets of a plan: where they lead, and which were rotated."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from typing import Final

from reconciler.findings import Finding, Severity
from reconciler.kinds import KINDS
from reconciler.model import Desired, Scheme, Secret, SecretRef
from reconciler.planning.plan import Plan
from reconciler.planning.resend import Requests, Resends
from reconciler.source.desired import Rules, declare
from reconciler.source.files import Sources
from reconciler.source.history import Base, read_revision, tracked
from reconciler.workflow.inputs import Checked, Inputs

_REVISIONS: Final = (("HEAD", "uncommitted edits bump"), ("HEAD^", "the last commit bumps"))


def destinations(
    desired: Desired, secrets: Mapping[SecretRef, Secret], inputs: Inputs
) -> dict[SecretRef, str]:
    """Return scheme and host of each URL in a file that git tracks, which a reviewer can read."""
    urls = (each.configuration.get(KINDS[each.type].destination) for each in desired.webhooks)
    files = {
        each: origin
        for each in urls
        if isinstance(each, SecretRef) and each.scheme is Scheme.FILE
        if each in secrets and (origin := secrets[each].origin()) is not None
    }
    names = {each.name for each in files}
    there = tracked(names, directory=inputs.directory, git=inputs.git)
    return {each: origin for each, origin in files.items() if each.name in there}


def unsent(checked: Checked, made: Plan, secrets: Mapping[SecretRef, Secret]) -> Finding | None:
    """Return a note on versions that git shows to be bumped and that `made` does not send.

    Nothing stores which version was sent last, and a hidden secret does not tell. The note has the
    command that sends them.
    """
    inputs = checked.inputs
    doubtful = _doubtful(made, secrets)
    if inputs.again is None or not doubtful:
        return None
    for revision, who in _REVISIONS:
        before = _declared(revision, inputs)
        if before is None:
            continue
        resends = Resends(Requests(), (), before, checked.desired, {})
        bumped = {
            (webhook.name, field, webhook.configuration[field])
            for webhook in checked.desired.webhooks
            for field in resends.bumped(webhook)
            if (webhook.name, field) in doubtful
        }
        if bumped:
            references = ", ".join(sorted({str(value) for _, _, value in bumped}))
            names = ", ".join(sorted({repr(name) for name, _, _ in bumped}))
            command = shlex.join(["webhooks", "apply", *inputs.again, "--base", revision])
            return Finding(
                rule="version-not-sent",
                severity=Severity.NOTE,
                message=f"{who} `version`, and this plan does not send it: {references} of {names}",
                hint=f"if it was not sent yet: {command}",
            )
    return None


def _doubtful(made: Plan, secrets: Mapping[SecretRef, Secret]) -> Collection[tuple[str, str]]:
    """Return the secrets with a version that a plan does not send and live does not show."""
    unreadable = set(made.unreadable)
    left = [each.webhook for each in made.matched]
    left += [each.after for each in made.updates if "configuration" not in each.sends]
    return {
        (webhook.name, field)
        for webhook in left
        for field, value in webhook.configuration.items()
        if isinstance(value, SecretRef) and value.version is not None
        if value not in secrets or (webhook.name, field) in unreadable
    }


def _declared(revision: str, inputs: Inputs) -> Desired | None:
    found = read_revision(revision, inputs.paths, directory=inputs.directory, git=inputs.git)
    if not isinstance(found, Base):
        return None
    return declare(Sources(files=found.files), rules=Rules(allow_literal_secrets=True)).desired
