"""What every write of one run needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.errors import ApiError
from reconciler.execute.ledger import Ledger
from reconciler.execute.settle import Settle
from reconciler.model import LiveWebhook, Secret, SecretRef
from reconciler.planning.changes import Create, FieldChange, KeyLost, Update
from reconciler.planning.plan import Plan
from reconciler.planning.readback import Evidence
from reconciler.planning.standing import Standing, evidence_in, standings, unmet
from reconciler.ports import Clock, WebhookAPI
from reconciler.report import Applied, Failed, FieldMessage, Unconfirmed

_REMAINS = (
    "it keeps a field that is no longer declared: delete the webhook with `state: absent`, then "
    "declare it anew"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run: the plan, the world outside, and the listing from before the first write.

    `known` is that listing by id: a webhook with another id came into being since.
    `evidence` is what it proves about secrets. `duplicates` maps the id of a webhook
    to the places of the deletes of its duplicates.
    """

    plan: Plan
    secrets: Mapping[SecretRef, Secret]
    api: WebhookAPI
    clock: Clock
    settle: Settle
    ledger: Ledger
    reviewed: bool
    known: Mapping[str, LiveWebhook]
    evidence: Evidence
    duplicates: Mapping[str, Sequence[int]]

    def differences(
        self, change: Create | Update, live: LiveWebhook, evidence: Evidence | None = None
    ) -> tuple[FieldChange, ...]:
        """Return how `live` still differs from what `change` is to bring about."""
        return unmet(change, live, self.secrets, evidence or self.evidence)

    def copies(self, change: Create, listing: Sequence[LiveWebhook]) -> list[LiveWebhook]:
        """Return the webhooks of the create's name that were not there before, smallest id first.

        As the name was free when the run began, one of them may be what was sent.
        """
        found = [each for each in listing if each.name == change.name and each.id not in self.known]
        return sorted(found, key=lambda each: each.id)

    def equal(self, change: Create, listing: Sequence[LiveWebhook]) -> list[LiveWebhook]:
        """Return those of the copies that are as they were sent, as far as the server shows."""
        copies = self.copies(change, listing)
        if not copies:
            return []
        evidence = self.evidence_in(listing)
        return [each for each in copies if not self.differences(change, each, evidence)]

    def evidence_in(self, listing: Sequence[LiveWebhook]) -> Evidence:
        """Gather what a listing proves about secrets."""
        return evidence_in(self.plan, listing, self.secrets)

    def standing(self, change: Update, live: LiveWebhook) -> Standing:
        """Say how an update fits a webhook that was just read."""
        alone = replace(self.plan, changes=(change,))
        return standings(alone, (live,), self.secrets)[0]

    def answered(
        self, change: Create | Update, live: LiveWebhook
    ) -> Applied | Failed | Unconfirmed:
        """Judge a write by its answer.

        An answer that differs is not believed at once, as some servers answer less than they
        store: the webhook is then read. What that cannot tell is left to the listing at the end.
        """
        if not self.differences(change, live):
            return Applied(change=change, id=live.id)
        try:
            again = self.api.get(live.id)
        except ApiError as error:
            return Unconfirmed(
                change=change,
                message=f"the answer is not what was sent, and then: {error.message}",
            )
        if again is not None and (differing := self.differences(change, again)):
            return unlike(change, differing)
        return Applied(change=change, id=live.id)


def unlike(change: Create | Update, differing: Sequence[FieldChange]) -> Failed:
    """Say that the server stores something else than was sent, and in which fields."""
    paths = [tuple(str(part) for part in each.path) for each in differing]
    named = ", ".join(".".join(path) for path in paths)
    return Failed(
        change=change,
        code="does-not-converge",
        message=f"CloudTruth does not hold what was sent: {named}",
        hint=_REMAINS
        if all(isinstance(each, KeyLost) for each in differing)
        else "declare it the way CloudTruth stores it, or the next apply will try again",
        fields=tuple(
            FieldMessage(path=path, message="differs from what was sent") for path in paths
        ),
    )
