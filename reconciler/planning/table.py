"""Which declaration speaks of which live webhook: the table of the documentation, row by row.

For each live webhook the first row that fits decides:

    matches `ignore`                          left alone and counted, declared or not
    unknown type or event                     kept
    keyed by an entry (id, else name)         paired; `state: absent`: deleted
    in `previously` of an entry not yet live  paired: a rename in place
                                              (either one outside the scope of the entry's file:
                                              an error, unless the entry has `adopt: true`)
    bears a declared name, is not the keyed   a twin: equal copies go but the smallest id,
                                              different ones are all left alone
    in scope of a file that prunes            deleted, unless protected
    otherwise                                 unmanaged

The answer holds no comparison of fields: that is compare.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from reconciler.findings import Position, Severity
from reconciler.model import Absent, Desired, LiveWebhook, Pattern, Policy, Webhook
from reconciler.planning.changes import Reason
from reconciler.planning.claims import Claims
from reconciler.planning.globs import Globs, first_match
from reconciler.planning.pairing import Pairing, is_unknown, likeness, not_understood
from reconciler.planning.pins import match_by_name
from reconciler.planning.readback import Reading
from reconciler.planning.remarks import Remarks
from reconciler.planning.renames import ambiguous, check_names
from reconciler.planning.spelling import left_out

_MATCHED_BY_NAME: Final = (
    "it is matched by its name instead, and created if there is none; remove `id`, or set it to "
    "the one that `webhooks status` shows"
)


def pair(
    desired: Desired, live: Sequence[LiveWebhook], *, only: tuple[str, ...], prune: bool
) -> Pairing:
    """Go through the table. Findings of severity error in the answer forbid any plan."""
    return _Table(desired, live, only, prune).fill()


class _Table:
    """One walk through the table; lives for one call of `pair`."""

    def __init__(
        self, desired: Desired, live: Sequence[LiveWebhook], only: tuple[str, ...], prune: bool
    ) -> None:
        self.desired = desired
        self.policy: Policy = desired.policy
        self.prune = prune
        self.only = Globs(only) if only else None
        self.ignore = Globs(pattern.glob for pattern in desired.policy.ignore)
        self.protect = Globs(pattern.glob for pattern in desired.policy.protect)
        self.scopes = [(each, Globs(each.globs)) for each in self.policy.scopes]
        self.live = Claims(live)
        self.webhooks = list(desired.webhooks)
        self.absent = list(desired.absent)
        self.out = Pairing()
        self.remarks = Remarks(self.out.findings)

    def selects(self, *names: str) -> bool:
        """`--only` goes by the declared name and by that of the live webhook it speaks of.

        It leaves rows of the answer out and changes none: entries that it does not select claim
        their live webhooks all the same, so that no other name and no pruning leads to those.
        """
        return self.only is None or any(map(self.only.match, names))

    def spoken_of(self, entry: Webhook | Absent) -> bool:
        """Say whether an entry is selected as far as its names tell, so that it may be judged."""
        if self.only is None:
            return True
        names = [entry.name]
        if entry.id is not None and entry.id in self.live.by_id:
            names.append(self.live.by_id[entry.id].name)
        elif isinstance(entry, Webhook):
            names += entry.previously
        return self.selects(*names)

    def fill(self) -> Pairing:
        entries: list[Webhook | Absent] = [*self.webhooks, *self.absent]
        self.out.declared = any(map(self.spoken_of, entries))
        self.claim_ids()
        self.drop_ignored()
        self.find_again()
        for webhook in self.webhooks:
            self.settle(webhook)
        for entry in self.absent:
            self.settle_absent(entry)
        self.out.findings.extend(
            check_names(
                self.out.pairs,
                self.out.new,
                {each.live.id for each in self.out.doomed},
                self.live.by_name,
            )
        )
        self.rest()
        return self.out

    def claim_ids(self) -> None:
        """An id speaks of one webhook only, so no name may lead to it."""
        entries: list[Webhook | Absent] = [*self.webhooks, *self.absent]
        for entry in entries:
            if entry.id is None:
                continue
            self.live.reserved.add(entry.id)
            if entry.id in self.live.by_id:
                self.live.taken.add(entry.id)

    def find_again(self) -> None:
        """Match entries whose id is not live by their names. An absent one is done."""
        for absent in self.absent:
            if self.is_gone(absent) and self.live.free(absent.name):
                self.unknown_id(absent, "nothing is deleted; to delete by name, remove `id`")
        gone: dict[str, list[Webhook]] = {}
        for webhook in self.webhooks:
            if self.is_gone(webhook):
                gone.setdefault(webhook.name, []).append(webhook)
        declared = Counter(each.name for each in self.webhooks)
        self.webhooks = [each for each in self.webhooks if not self.is_gone(each)]
        for name, entries in gone.items():
            matched, unsure = match_by_name(
                entries, self.live.free(name), shared=declared[name] > 1
            )
            self.webhooks += matched
            self.live.taken.update(each.id for each in matched if each.id is not None)
            for entry in entries:
                self.unknown_id(entry, _MATCHED_BY_NAME)
            if unsure and self.selects(name):
                self.out.found = True
                self.out.spare(unsure, Reason.TWINS, entries[0].position, unapplied=True)
            self.live.taken.update(each.id for each in unsure)

    def is_gone(self, entry: Webhook | Absent) -> bool:
        return entry.id is not None and entry.id not in self.live.by_id

    def unknown_id(self, entry: Webhook | Absent, hint: str) -> None:
        if self.selects(entry.name):
            self.remarks.add(
                Severity.WARNING,
                "unknown-id",
                f"no live webhook has the id that {entry.name!r} is pinned to",
                entry.position,
                hint,
            )

    def drop_ignored(self) -> None:
        """Row 1. An entry whose declared or live name is ignored does nothing at all."""
        if not self.policy.ignore:
            return
        self.webhooks = [each for each in self.webhooks if not self.held(each)]
        self.absent = [each for each in self.absent if not self.held(each)]
        self.live.ignored.update(
            each.id
            for each in self.live.all
            if self.ignore.match(each.name) and each.id not in self.live.taken
        )

    def held(self, entry: Webhook | Absent) -> bool:
        found = None if entry.id is None else self.live.by_id.get(entry.id)
        names = [each.name for each in (entry, found) if each and self.ignore.match(each.name)]
        if not names:
            return False
        if self.spoken_of(entry):
            self.remarks.add(
                Severity.WARNING,
                "ignored-and-declared",
                f"{entry.name!r} is declared and ignored: it is left as it is",
                entry.position,
                "take it out of `ignore` to manage it again",
                first_match(self.policy.ignore, names[0]),
            )
        if found is not None:
            self.live.ignored.add(found.id)
        return True

    def settle(self, webhook: Webhook) -> None:
        """Rows 2 to 5 for one declared webhook."""
        if webhook.id is not None:
            found = self.live.by_id.get(webhook.id)
            if found is not None:
                self.accept(webhook, found)
                self.twins(webhook)
            return
        copies = self.live.free(webhook.name)
        if copies:
            self.inert(webhook)
            if len(copies) == 1:
                self.accept(webhook, copies[0])
            else:
                self.choose(webhook, copies)
            return
        old = [name for name in webhook.previously if self.live.free(name)]
        if old:
            self.rename(webhook, old)
        elif self.selects(webhook.name):
            self.out.new.append(webhook)

    def rename(self, webhook: Webhook, old: list[str]) -> None:
        """Row 4: one live webhook bears one of the earlier names."""
        sources = [each for name in old for each in self.live.free(name)]
        if len(sources) == 1:
            self.accept(webhook, sources[0])
            return
        # Whichever is meant: none of them goes as one that nobody declares.
        self.live.taken.update(each.id for each in sources)
        if not self.selects(webhook.name, *old):
            return
        self.out.findings.append(ambiguous(webhook, old, sources))

    def choose(self, webhook: Webhook, copies: list[LiveWebhook]) -> None:
        """One copy is the keyed one; of several equal ones the smallest id stays."""
        if not self.selects(webhook.name):
            self.live.taken.update(each.id for each in copies)
            return
        plain = [each for each in copies if not is_unknown(each)]
        for each in copies:
            if is_unknown(each):
                self.spare_unknown(each, webhook.position, unapplied=not plain)
        if not plain:
            self.out.found = True
            return
        keeper = min(plain, key=lambda each: each.id)
        if any(likeness(keeper, each) is Reading.DIFFERENT for each in plain):
            self.out.found = True
            self.out.spare(plain, Reason.TWINS, webhook.position, unapplied=True)
            self.live.taken.update(each.id for each in plain)
            return
        self.live.taken.update(each.id for each in plain)
        self.accept(webhook, keeper)
        for each in plain:
            if each is not keeper:
                self.out.duplicate(each, keeper, webhook.position)

    def twins(self, webhook: Webhook) -> None:
        """Others of the name of entries pinned by id: duplicates go, different ones stay."""
        others = self.live.free(webhook.name)
        if not others:
            return
        pins = {each.id for each in self.webhooks if each.name == webhook.name}
        pinned = [each for each in self.live.by_name.get(webhook.name, ()) if each.id in pins]
        for each in others:
            self.live.taken.add(each.id)
            if not self.selects(webhook.name):
                continue
            if is_unknown(each):
                self.spare_unknown(each, webhook.position)
                continue
            same = (one for one in pinned if likeness(one, each) is not Reading.DIFFERENT)
            if (keeper := next(same, None)) is not None:
                self.out.duplicate(each, keeper, webhook.position)
            else:
                self.out.spare([each], Reason.TWINS, webhook.position)

    def accept(self, webhook: Webhook, found: LiveWebhook) -> None:
        """Rows 2 and 3: what is not understood is never updated."""
        self.live.taken.add(found.id)
        if not self.selects(webhook.name, found.name):
            return
        self.out.found = True
        if is_unknown(found):
            self.spare_unknown(found, webhook.position, unapplied=True)
        elif not self.is_outside(webhook, found):
            self.out.pairs.append((webhook, found))
        elif webhook.adopt:
            self.out.adopted.add(found.id)
            self.out.pairs.append((webhook, found))
        else:
            self.remarks.error(
                "live-out-of-scope",
                f"{webhook.name!r} would take over {found.name!r} (id {found.id}), which is not in "
                "the scope of this file",
                webhook.position,
                "add `adopt: true` to take it over, or remove what leads to it: `id` or "
                "`previously`",
            )

    def is_outside(self, entry: Webhook | Absent, found: LiveWebhook) -> bool:
        """Return whether the name of a live webhook is not in the scope of the entry's file."""
        if found.name == entry.name:
            return False
        file = None if entry.position is None else entry.position.file
        scopes = [globs for scope, globs in self.scopes if scope.file == file]
        scopes = scopes or [globs for _, globs in self.scopes]
        return bool(scopes) and not any(globs.match(found.name) for globs in scopes)

    def settle_absent(self, entry: Absent) -> None:
        """`state: absent`: every webhook of that name goes, or the one of that id."""
        if entry.id is None:
            found = self.live.free(entry.name)
        else:
            found = [each for each in (self.live.by_id.get(entry.id),) if each]
        self.live.taken.update(each.id for each in found)
        found = [each for each in found if self.selects(entry.name, each.name)]
        self.out.found |= bool(found)
        for each in found:
            if is_unknown(each):
                self.spare_unknown(each, entry.position, unapplied=True)
            elif self.is_outside(entry, each):
                self.remarks.error(
                    "live-out-of-scope",
                    f"{entry.name!r} would delete {each.name!r} (id {each.id}), which is not in "
                    "the scope of this file",
                    entry.position,
                    "delete it from the file that is responsible for it, or widen `scope`",
                )
            elif (protecting := self.protecting(each)) is not None:
                self.remarks.error(
                    "absent-and-protected",
                    f"{each.name!r} is declared absent and is protected",
                    entry.position,
                    "remove one of the two lines",
                    protecting,
                )
            else:
                self.out.doom(each, Reason.ABSENT, entry.position)

    def rest(self) -> None:
        """Rows 1, 2, 6 and 7 for live webhooks that no entry speaks of."""
        shown = {found.id for _, found in self.out.pairs}
        shown |= {each.live.id for each in self.out.doomed}
        kin = left_out((each.name for each in self.webhooks), self.live.by_name, self.selects)
        for each in self.live.all:
            if each.id not in shown and (not self.selects(each.name) or kin(each.name)):
                continue
            if each.id in self.live.ignored:
                self.out.ignored += 1
                continue
            within = [scope.prune for scope, globs in self.scopes if globs.match(each.name)]
            self.out.in_scope += bool(within)
            if each.id in self.live.taken:
                continue
            if is_unknown(each):
                self.spare_unknown(each, None)
                continue
            if not within:
                self.out.unmanaged.append((each, Reason.OUT_OF_SCOPE))
            elif not self.prune or not any(within):
                self.out.unmanaged.append((each, Reason.PRUNE_OFF))
            elif (protecting := self.protecting(each)) is not None:
                self.out.spare([each], Reason.PROTECTED, protecting.position)
            else:
                self.out.doom(each, Reason.NOT_DECLARED)

    def protecting(self, found: LiveWebhook) -> Pattern | None:
        """Return the pattern that protects a webhook; most are protected by none."""
        if not self.protect.match(found.name):
            return None
        return first_match(self.policy.protect, found.name)

    def spare_unknown(
        self, found: LiveWebhook, position: Position | None, *, unapplied: bool = False
    ) -> None:
        self.live.taken.add(found.id)
        reason, detail = not_understood(found)
        self.out.spare([found], reason, position, detail, unapplied=unapplied)

    def inert(self, webhook: Webhook) -> None:
        """Both the new name and an old one live: renaming is over, or was never possible."""
        if not self.selects(webhook.name):
            return
        for name in webhook.previously:
            if self.live.free(name):
                self.remarks.add(
                    Severity.NOTE,
                    "previously-inert",
                    f"{webhook.name!r} is live already: `previously: {name}` does nothing",
                    webhook.position,
                    "remove `previously`",
                )
