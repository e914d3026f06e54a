"""What exactly is sent for a declared webhook."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import UnresolvedSecretsError
from reconciler.model import Secret, SecretRef, Webhook
from reconciler.planning.changes import Create, Update
from reconciler.planning.plan import Plan
from reconciler.ports import Draft


def draft(webhook: Webhook, secrets: Mapping[SecretRef, Secret]) -> Draft:
    """Put the values of secrets in; without all of them there is no configuration to send."""
    configuration: dict[str, str | bool | Secret] = {}
    complete = True
    for name, value in sorted(webhook.configuration.items()):
        if not isinstance(value, SecretRef):
            configuration[name] = value
        elif value in secrets:
            configuration[name] = secrets[value]
        else:
            complete = False
    return Draft(
        name=webhook.name,
        type=webhook.type,
        event_types=tuple(sorted(webhook.event_types)),
        configuration=configuration if complete else None,
    )


def require_secrets(plan: Plan, secrets: Mapping[SecretRef, Secret]) -> None:
    """Raise UnresolvedSecretsError, every reference named, if a change lacks what it sends."""
    missing: set[str] = set()
    for change in plan.changes:
        if isinstance(change, Create) or (
            isinstance(change, Update) and "configuration" in change.sends
        ):
            missing |= {
                str(value)
                for value in change.after.configuration.values()
                if isinstance(value, SecretRef) and value not in secrets
            }
    if missing:
        raise UnresolvedSecretsError(
            f"no value is at hand for {', '.join(sorted(missing))}; nothing was written",
            hint="set them where the apply runs",
        )
