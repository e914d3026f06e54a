"""Match declarations with live webhooks.

For each live webhook the first matching row applies:

    matches `ignore`                          not changed, and counted, declared or not
    unknown type or event                     kept
    keyed by an entry (id, else name)         paired; `state: absent`: deleted
    in `previously` of an entry not yet live  paired: a rename
                                              (for both rows, a name outside the scope of the
                                              entry's file is an error without `adopt: true`)
    same name as a matched webhook            if equal: duplicates, all but the smallest id are
                                              deleted; if different: all are kept
    in scope of a file that prunes            deleted, unless protected
    otherwise                                 unmanaged

Fields are compared in compare.py.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.findings import Finding, Position, Related, error, note, warning
from reconciler.kinds import KINDS
from reconciler.model import EVENT_TYPES, Absent, Desired, LiveWebhook, Pattern, Webhook
from reconciler.planning.compare import compare, likeness
from reconciler.planning.names import Globs, first_match, lookalike_key
from reconciler.planning.plan import (
    Delete,
    Kept,
    Reason,
    Snapshot,
    Unmanaged,
    declared_snapshot,
    snapshot,
)
from reconciler.planning.readback import Evidence, Reading

_KNOWN_EVENTS: Final = frozenset(EVENT_TYPES)


@dataclass(slots=True, kw_only=True)
class Match:
    """The result of matching. With a finding of severity error there is no plan.

    `pairs` are declared webhooks with their live ones; `adopted` has the ids of those outside the
    scope. `new` are declared webhooks that are not live. `declared` is true if anything is
    declared, `found` if any declaration matches a live webhook.
    """

    pairs: list[tuple[Webhook, LiveWebhook]] = field(default_factory=list)
    new: list[Webhook] = field(default_factory=list)
    deletes: list[Delete] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    unmanaged: list[Unmanaged] = field(default_factory=list)
    ignored: int = 0
    in_scope: int = 0
    declared: bool = False
    found: bool = False
    adopted: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def match(
    desired: Desired, live: Sequence[LiveWebhook], *, only: tuple[str, ...], prune: bool
) -> Match:
    """Return how the declarations match the live webhooks, by the table above."""
    return _Table(desired, live, only, prune).fill()


def not_understood(found: LiveWebhook) -> tuple[Reason, str] | None:
    """Return what this version does not know about a live webhook: the type, or the events."""
    if found.type not in KINDS:
        return Reason.UNKNOWN_TYPE, found.type
    if found.event_types <= _KNOWN_EVENTS:
        return None
    return Reason.UNKNOWN_EVENT, ", ".join(sorted(found.event_types - _KNOWN_EVENTS))


class _Table:
    """The state of one call of `match`.

    `taken` has the ids of live webhooks that are already matched, which no other entry may match.
    `ignored` are those that match the policy's `ignore`.
    """

    def __init__(
        self, desired: Desired, live: Sequence[LiveWebhook], only: tuple[str, ...], prune: bool
    ) -> None:
        self.policy = desired.policy
        self.prune = prune
        self.only = Globs(only) if only else None
        self.ignore = Globs(pattern.glob for pattern in self.policy.ignore)
        self.protect = Globs(pattern.glob for pattern in self.policy.protect)
        self.scopes = [(each, Globs(each.globs)) for each in self.policy.scopes]
        self.live = sorted(live, key=lambda each: (each.name, each.id))
        self.by_id = {each.id: each for each in self.live}
        self.by_name: dict[str, list[LiveWebhook]] = {}
        for each in self.live:
            self.by_name.setdefault(each.name, []).append(each)
        self.webhooks = list(desired.webhooks)
        self.absent = list(desired.absent)
        # An id identifies one webhook, so no name may match that webhook.
        self.taken = {each.id for each in self.entries() if each.id in self.by_id}
        self.ignored: set[str] = set()
        self.out = Match()

    def fill(self) -> Match:
        self.out.declared = any(map(self.is_selected, self.entries()))
        self.drop_ignored()
        self.drop_missing_ids()
        for webhook in self.webhooks:
            self.settle(webhook)
            if webhook.id is not None:
                self.settle_others(webhook)
        for absent in self.absent:
            self.settle(absent)
        self.out.findings.extend(self.taken_names())
        self.rest()
        return self.out

    def entries(self) -> list[Webhook | Absent]:
        return [*self.webhooks, *self.absent]

    # Names

    def selects(self, *names: str) -> bool:
        """Return whether `--only` selects a webhook by its declared or its live name.

        It only filters the result. Entries that it does not select are still matched with their
        live webhooks, so that these are neither matched by other entries nor pruned.
        """
        return self.only is None or any(map(self.only.match, names))

    def is_selected(self, entry: Webhook | Absent) -> bool:
        """Return whether an entry is selected by one of its names."""
        if entry.id is not None and entry.id in self.by_id:
            return self.selects(entry.name, self.by_id[entry.id].name)
        return self.selects(entry.name, *(entry.previously if isinstance(entry, Webhook) else ()))

    def free(self, *names: str) -> list[LiveWebhook]:
        """Return the live webhooks that are not matched yet, by name, then id."""
        return [
            each
            for name in names
            for each in self.by_name.get(name, ())
            if each.id not in self.taken and each.id not in self.ignored
        ]

    def is_outside(self, entry: Webhook | Absent, found: LiveWebhook) -> bool:
        """Return whether the name of a live webhook is not in the scope of the entry's file."""
        if found.name == entry.name:
            return False
        scopes = [globs for scope, globs in self.scopes if scope.file == entry.file]
        scopes = scopes or [globs for _, globs in self.scopes]
        return bool(scopes) and not any(globs.match(found.name) for globs in scopes)

    def protecting(self, found: LiveWebhook) -> Pattern | None:
        """Return the pattern that protects a webhook, or None."""
        if not self.protect.match(found.name):
            return None
        return first_match(self.policy.protect, found.name)

    # Results

    def finding(
        self,
        build: Callable[..., Finding],
        rule: str,
        message: str,
        entry: Webhook | Absent,
        hint: str,
        pattern: Pattern | None = None,
    ) -> None:
        """Add an `error`, `warning` or `note` at an entry; `pattern` is the glob that causes it."""
        related: tuple[Related, ...] = ()
        if pattern is not None and pattern.position is not None:
            related = (Related(message=f"matched by {pattern.glob!r}", position=pattern.position),)
        self.out.findings.append(build(rule, message, hint, entry.position, related))

    def delete(
        self,
        live: LiveWebhook,
        reason: Reason,
        position: Position | None = None,
        keeper: LiveWebhook | None = None,
    ) -> None:
        """Add the delete of a live webhook, as a duplicate if there is a `keeper`."""
        self.out.deletes.append(
            Delete(
                before=snapshot(live),
                reason=reason,
                position=position,
                keeps=None if keeper is None else keeper.id,
                hidden=keeper is not None and likeness(keeper, live) is Reading.UNKNOWN,
            )
        )

    def keep(
        self,
        reason: Reason,
        position: Position | None,
        *webhooks: Snapshot,
        detail: str = "",
        unapplied: bool = False,
    ) -> None:
        """Keep webhooks, as one entry."""
        self.out.kept.append(
            Kept(
                webhooks=webhooks,
                reason=reason,
                position=position,
                detail=detail,
                unapplied=unapplied,
            )
        )

    def keep_unknown(
        self, found: LiveWebhook, position: Position | None, *, unapplied: bool = False
    ) -> bool:
        """Keep webhooks with an unknown type or event (row 2)."""
        unknown = not_understood(found)
        if unknown is not None:
            reason, detail = unknown
            self.keep(reason, position, snapshot(found), detail=detail, unapplied=unapplied)
        return unknown is not None

    # The rows of the table

    def drop_ignored(self) -> None:
        """Remove entries whose declared or live name is ignored (row 1)."""
        if not self.policy.ignore:
            return
        self.webhooks = [each for each in self.webhooks if not self.is_ignored(each)]
        self.absent = [each for each in self.absent if not self.is_ignored(each)]
        self.ignored.update(each.id for each in self.live if self.ignore.match(each.name))

    def is_ignored(self, entry: Webhook | Absent) -> bool:
        found = None if entry.id is None else self.by_id.get(entry.id)
        names = [each.name for each in (entry, found) if each and self.ignore.match(each.name)]
        if not names:
            return False
        if self.is_selected(entry):
            self.finding(
                warning,
                "ignored-and-declared",
                f"{entry.name!r} is declared but also ignored, so it is not changed",
                entry,
                "remove it from `ignore` to manage it",
                first_match(self.policy.ignore, names[0]),
            )
        if found is not None:
            self.ignored.add(found.id)
        return True

    def drop_missing_ids(self) -> None:
        """Match by name each entry whose id is not live; an absent one is done.

        A webhook that was pinned was deleted in the web interface, or its id is mistyped.
        """
        gone: dict[str, list[Webhook]] = {}
        declared: dict[str, list[Webhook]] = {}
        names = Counter(each.name for each in self.webhooks)
        for entry in self.entries():
            pinned_to_gone = entry.id is not None and entry.id not in self.by_id
            if isinstance(entry, Webhook):
                (gone if pinned_to_gone else declared).setdefault(entry.name, []).append(entry)
            elif not self.free(entry.name):
                continue
            if pinned_to_gone and self.selects(entry.name):
                hint = "nothing is deleted; remove `id` to delete by name"
                if isinstance(entry, Webhook):
                    hint = self.other_id(entry.name, names[entry.name])
                message = f"no live webhook has the id that {entry.name!r} is pinned to"
                self.finding(note, "unknown-id", message, entry, hint)
        self.webhooks = [each for entries in declared.values() for each in entries]
        for name, entries in gone.items():
            if len(entries) == 1 and name not in declared:
                self.webhooks.append(replace(entries[0], id=None))
            else:
                self.match_by_content(name, entries)

    def other_id(self, name: str, declared: int) -> str:
        """Return how to correct an id that is not live, for one of `declared` webhooks with a name.

        A shared name requires an id.
        """
        if declared < 2 and len(self.by_name.get(name, ())) < 2:
            return (
                "it is matched by name, or created if none matches; remove `id`, or copy the right "
                "one from `webhooks status`"
            )
        free = ", ".join(each.id for each in self.free(name))
        new = f"set `id` to {free}" if free else "after apply, copy its `id` from `webhooks status`"
        return f"other webhooks have this name, so only an identical one is matched; {new}"

    def match_by_content(self, name: str, entries: Sequence[Webhook]) -> None:
        """Match entries with the same name whose ids are no longer live.

        The name does not distinguish them, so each only matches an identical webhook. If others
        with the name remain, they may be the pinned ones and are kept. If none remains, one entry
        is matched by name and therefore created. Each apply creates only one webhook with a name,
        so that it can identify its own.
        """
        left: list[Webhook] = []
        rest = self.free(name)
        for entry in sorted(entries, key=lambda each: each.id or ""):
            same = (each for each in rest if not compare(entry, each, {}, Evidence()).fields)
            if (found := next(same, None)) is None:
                left.append(entry)
            else:
                rest.remove(found)
                self.taken.add(found.id)
                self.webhooks.append(replace(entry, id=found.id))
        if left and rest:
            self.taken.update(each.id for each in rest)
            if self.selects(name):
                self.out.found = True
                first = entries[0].position
                self.keep(Reason.AMBIGUOUS, first, *map(snapshot, rest), unapplied=True)
        elif left:
            self.webhooks.append(replace(left[0], id=None))
            for each in left[1:] if self.selects(name) else ():
                self.keep(Reason.LATER, each.position, declared_snapshot(each), unapplied=True)

    def settle(self, entry: Webhook | Absent) -> None:
        """Classify the webhooks that match an entry (rows 2 to 5).

        If none matches, the declared webhook is new. It is a rename if the match has another name:
        one with its `id`, or one of `previously` while no webhook has the new name.
        """
        earlier: list[LiveWebhook] = []
        if entry.id is not None:
            found = [self.by_id[entry.id]] if entry.id in self.by_id else []
        else:
            found = self.free(entry.name)
            earlier = self.free(*entry.previously) if isinstance(entry, Webhook) else []
        old = list(dict.fromkeys(each.name for each in earlier))
        renaming = not found
        found = found or earlier
        self.taken.update(each.id for each in found)
        if not self.selects(entry.name, *(each.name for each in found)):
            return
        self.out.found |= bool(found)
        known = [each for each in found if not_understood(each) is None]
        if isinstance(entry, Absent):
            for each in found:
                if not self.keep_unknown(each, entry.position, unapplied=True):
                    self.delete_absent(entry, each)
        elif not found:
            self.out.new.append(entry)
        elif renaming and len(found) > 1:
            self.several_previous(entry, old, found)
        else:
            for each in found:
                self.keep_unknown(each, entry.position, unapplied=not known)
            for name in () if renaming else old:
                self.finding(
                    note,
                    "previously-inert",
                    f"{entry.name!r} already exists, so `previously: {name}` has no effect",
                    entry,
                    "remove `previously`",
                )
            if known:
                self.pair(entry, known)

    def pair(self, webhook: Webhook, known: list[LiveWebhook]) -> None:
        """Pair an entry with its webhook (rows 3 to 5).

        If several webhooks with the name are equal, the one with the smallest id stays. If they
        differ, all of them stay.
        """
        found, *others = sorted(known, key=lambda each: each.id)
        if any(likeness(found, each) is Reading.DIFFERENT for each in others):
            shots = map(snapshot, known)
            self.keep(Reason.AMBIGUOUS, webhook.position, *shots, unapplied=True)
            return
        if self.is_outside(webhook, found):
            if not webhook.adopt:
                self.outside(
                    webhook,
                    "take over",
                    found,
                    "add `adopt: true` to take it over, or remove the `id` or `previously` that "
                    "matches it",
                )
                return
            self.out.adopted.add(found.id)
        self.out.pairs.append((webhook, found))
        for each in others:
            self.delete(each, Reason.DUPLICATE, webhook.position, found)

    def outside(self, entry: Webhook | Absent, verb: str, found: LiveWebhook, hint: str) -> None:
        message = (
            f"{entry.name!r} would {verb} {found.name!r} (id {found.id}), which is not in "
            "the scope of this file"
        )
        self.finding(error, "live-out-of-scope", message, entry, hint)

    def several_previous(self, webhook: Webhook, old: list[str], found: list[LiveWebhook]) -> None:
        """Report several former names that are live, and prune none of these webhooks."""
        message = f"more than one live webhook would be renamed to {webhook.name!r}: "
        message += ", ".join(map(repr, old))
        hint = "keep only one of them in `previously`"
        if len(old) == 1:
            message = f"{len(found)} live webhooks are named {old[0]!r}"
            hint = f"set `id` to the intended one: {', '.join(each.id for each in found)}"
        self.finding(error, "several-previous", message, webhook, hint)

    def delete_absent(self, entry: Absent, found: LiveWebhook) -> None:
        """Delete every webhook with the name, or the one with the id, for `state: absent`."""
        if self.is_outside(entry, found):
            hint = "delete it in the file whose scope includes it, or extend `scope`"
            self.outside(entry, "delete", found, hint)
        elif (protecting := self.protecting(found)) is not None:
            self.finding(
                error,
                "absent-and-protected",
                f"{found.name!r} is both declared absent and protected",
                entry,
                "remove it from `protect`, or remove this entry",
                protecting,
            )
        else:
            self.delete(found, Reason.ABSENT, entry.position)

    def settle_others(self, webhook: Webhook) -> None:
        """Delete duplicates and keep different webhooks under the names of entries with an id."""
        others = self.free(webhook.name)
        if not others:
            return
        self.taken.update(each.id for each in others)
        pins = {each.id for each in self.webhooks if each.name == webhook.name}
        pinned = [each for each in self.by_name[webhook.name] if each.id in pins]
        for each in others if self.selects(webhook.name) else ():
            if self.keep_unknown(each, webhook.position):
                continue
            same = (one for one in pinned if likeness(one, each) is not Reading.DIFFERENT)
            if (keeper := next(same, None)) is not None:
                self.delete(each, Reason.DUPLICATE, webhook.position, keeper)
            else:
                self.keep(Reason.AMBIGUOUS, webhook.position, snapshot(each))

    def taken_names(self) -> Iterator[Finding]:
        """Return an error for each name that an operation needs and another live webhook has.

        No operation of a plan frees a name for another one: deletes come last, and renames are not
        ordered. A create may use the name of a webhook that is deleted afterwards, but not of one
        that is renamed: if the rename failed, two webhooks would have the name.
        """
        pairs = [pair for pair in self.out.pairs if pair[0].name != pair[1].name]
        renamed = {found.id: webhook.name for webhook, found in pairs}
        deleted = {each.before.id for each in self.out.deletes}
        wanted = [(webhook, f"{found.name!r} cannot be renamed to") for webhook, found in pairs]
        wanted += [(webhook, "cannot create") for webhook in self.out.new]
        for place, (webhook, verb) in enumerate(wanted):
            for holder in self.by_name.get(webhook.name, ()):
                if holder.id in renamed:
                    new = renamed[holder.id]
                    why = f"is renamed to {new!r} in this plan"
                    hint = f"use two applies: the first with --only {shlex.quote(new)}"
                elif place < len(pairs):
                    why = "is deleted last" if holder.id in deleted else "is kept"
                    hint = "delete or rename it in an earlier apply, or choose another name"
                else:
                    continue
                message = f"{verb} {webhook.name!r}: another webhook with that name {why}"
                yield error("name-held", message, hint, webhook.position)

    def rest(self) -> None:
        """Handle live webhooks that match no entry (rows 1, 2, 6 and 7)."""
        shown = {found.id for _, found in self.out.pairs}
        shown |= {each.before.id for each in self.out.deletes}
        left_out = self.left_out()
        for each in self.live:
            if each.id not in shown and (not self.selects(each.name) or left_out(each.name)):
                continue
            if each.id in self.ignored:
                self.out.ignored += 1
                continue
            within = [scope.prune for scope, globs in self.scopes if globs.match(each.name)]
            self.out.in_scope += bool(within)
            if each.id in self.taken or self.keep_unknown(each, None):
                continue
            if not (self.prune and any(within)):
                reason = Reason.PRUNE_OFF if within else Reason.OUT_OF_SCOPE
                self.out.unmanaged.append(Unmanaged(webhook=snapshot(each), reason=reason))
            elif (protecting := self.protecting(each)) is not None:
                self.keep(Reason.PROTECTED, protecting.position, snapshot(each))
            else:
                self.delete(each, Reason.NOT_DECLARED)

    def left_out(self) -> Callable[[str], bool]:
        """Return whether a live name may be a declared one that `--only` leaves out.

        A server that changes names may store a declared webhook under another spelling. A complete
        plan creates it again before that one is deleted; a plan without the create also leaves out
        the delete.
        """
        declared = (each.name for each in self.webhooks)
        keys = {
            lookalike_key(name)
            for name in declared
            if name not in self.by_name and not self.selects(name)
        }
        return lambda name: bool(keys) and lookalike_key(name) in keys
