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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.findings import Finding, Position, Related, error, note, warning
from reconciler.kinds import KINDS
from reconciler.kinds.events import EVENT_TYPES
from reconciler.model import Absent, Desired, LiveWebhook, Pattern, Webhook
from reconciler.planning.compare import compare, compare_live
from reconciler.planning.names import Globs, first_match, lookalike_key
from reconciler.planning.plan import (
    Delete,
    Kept,
    Reason,
    snapshot,
)
from reconciler.planning.readback import Evidence, Reading, hides_destination

_KNOWN_EVENTS: Final = frozenset(EVENT_TYPES)


def unknown_type_or_event(found: LiveWebhook) -> tuple[Reason, str] | None:
    """Return what this version does not know about a live webhook: the type, or the events."""
    if found.type not in KINDS:
        return Reason.UNKNOWN_TYPE, found.type
    if found.event_types <= _KNOWN_EVENTS:
        return None
    return Reason.UNKNOWN_EVENT, ", ".join(sorted(found.event_types - _KNOWN_EVENTS))


def _matched_by(pattern: Pattern | None) -> tuple[Related, ...]:
    """Return the position of the glob that causes a finding."""
    if pattern is None or pattern.position is None:
        return ()
    return (Related(message=f"matched by {pattern.glob!r}", position=pattern.position),)


class Match:
    """The live and declared webhooks, grouped by decision.

    If `findings` contains an error, no plan is made. `pairs` are declared webhooks with their live
    ones; `adopted` holds the ids of those outside the scope. `new` are declared webhooks that are
    not live. `any_declared_live` is true if any declaration matches a live webhook.
    """

    def __init__(
        self, desired: Desired, live: Sequence[LiveWebhook], *, only: tuple[str, ...], prune: bool
    ) -> None:
        """Match the declarations with the live webhooks, by the table above."""
        self.pairs: list[tuple[Webhook, LiveWebhook]] = []
        self.new: list[Webhook] = []
        self.deletes: list[Delete] = []
        self.kept: list[Kept] = []
        self.unmanaged: list[Kept] = []
        self.ignored_count = 0
        self.in_scope_count = 0
        self.any_declared_live = False
        self.adopted: set[str] = set()
        self.findings: list[Finding] = []
        self._policy = desired.policy
        self._prune = prune
        self._only = Globs(only) if only else None
        self._ignore = Globs(pattern.glob for pattern in self._policy.ignore)
        self._protect = Globs(pattern.glob for pattern in self._policy.protect)
        self._scopes = [(each, Globs(each.globs)) for each in self._policy.scopes]
        self._live = sorted(live, key=lambda each: (each.name, each.id))
        self._by_id: dict[str | None, LiveWebhook] = {each.id: each for each in self._live}
        self._by_name: dict[str, list[LiveWebhook]] = {}
        for each in self._live:
            self._by_name.setdefault(each.name, []).append(each)
        self._webhooks = list(desired.webhooks)
        self._absent = list(desired.absent)
        # The ids that no other entry may match. An id identifies one webhook, so no name may match
        # that webhook.
        self._taken = {each.id for each in self._entries() if each.id in self._by_id}
        self._ignored_ids: set[str] = set()
        self.any_declared = any(map(self._is_selected, self._entries()))
        if self._policy.ignore:
            # Remove entries whose declared or live name is ignored (row 1).
            self._webhooks = [each for each in self._webhooks if not self._is_ignored(each)]
            self._absent = [each for each in self._absent if not self._is_ignored(each)]
            self._ignored_ids |= {each.id for each in self._live if self._ignore.match(each.name)}
            self._taken |= self._ignored_ids
        self._drop_missing_ids()
        for webhook in self._webhooks:
            self._classify(webhook)
            if webhook.id is not None:
                self._classify_same_name(webhook)
        for absent in self._absent:
            self._classify(absent)
        self.findings.extend(self._taken_names())
        self._classify_unmatched()

    def _entries(self) -> list[Webhook | Absent]:
        return [*self._webhooks, *self._absent]

    # Names

    def _selects(self, *names: str) -> bool:
        """Return whether `--only` selects a webhook by its declared or its live name.

        It only filters the result. Entries that it does not select are still matched with their
        live webhooks, so that these are neither matched by other entries nor pruned.
        """
        return self._only is None or any(map(self._only.match, names))

    def _is_selected(self, entry: Webhook | Absent) -> bool:
        """Return whether an entry is selected by one of its names."""
        if (found := self._by_id.get(entry.id)) is not None:
            return self._selects(entry.name, found.name)
        return self._selects(entry.name, *(entry.previously if isinstance(entry, Webhook) else ()))

    def _free(self, *names: str) -> list[LiveWebhook]:
        """Return the live webhooks that are not matched yet, by name, then id."""
        return [
            each
            for name in names
            for each in self._by_name.get(name, ())
            if each.id not in self._taken
        ]

    def _is_outside(self, entry: Webhook | Absent, found: LiveWebhook) -> bool:
        """Return whether a live name is not in the scope of the entry's file; report it.

        A webhook that is adopted may have such a name.
        """
        if found.name == entry.name:
            return False
        scopes = [globs for scope, globs in self._scopes if scope.file == entry.file]
        scopes = scopes or [globs for _, globs in self._scopes]
        if not scopes or any(globs.match(found.name) for globs in scopes):
            return False
        verb, hint = "delete", "delete it in the file whose scope includes it, or extend `scope`"
        if isinstance(entry, Webhook):
            if entry.adopt:
                self.adopted.add(found.id)
                return False
            verb = "take over"
            hint = "add `adopt: true`, or remove the `id` or `previously` that matches it"
        message = (
            f"{entry.name!r} would {verb} {found.name!r} (id {found.id}), which is not in "
            "the scope of this file"
        )
        self.findings.append(error("live-out-of-scope", message, hint, entry.position))
        return True

    def _protecting_pattern(self, found: LiveWebhook) -> Pattern | None:
        """Return the pattern that protects a webhook, or None."""
        if not self._protect.match(found.name):
            return None
        return first_match(self._policy.protect, found.name)

    # Results

    def _delete_duplicate(self, live: LiveWebhook, webhook: Webhook, keeper: LiveWebhook) -> None:
        """Add the delete of a duplicate of the `keeper`, which stays."""
        self.deletes.append(
            Delete(
                before=snapshot(live),
                reason=Reason.DUPLICATE,
                position=webhook.position,
                kept_id=keeper.id,
                may_differ=compare_live(keeper, live) is Reading.UNKNOWN,
            )
        )

    def _keep_ambiguous(
        self, found: Sequence[LiveWebhook], entry: Webhook, *, unapplied: bool = False
    ) -> None:
        """Keep webhooks of a declared name, as one entry."""
        webhooks = tuple(map(snapshot, found))
        detail = "or their destinations are hidden" if any(map(hides_destination, found)) else ""
        kept = Kept(webhooks, Reason.AMBIGUOUS, entry.position, detail, unapplied)
        self.kept.append(kept)

    def _keep_unknown(
        self, found: LiveWebhook, position: Position | None, *, unapplied: bool = False
    ) -> bool:
        """Keep webhooks with an unknown type or event (row 2)."""
        unknown = unknown_type_or_event(found)
        if unknown is not None:
            reason, detail = unknown
            self.kept.append(Kept((snapshot(found),), reason, position, detail, unapplied))
        return unknown is not None

    # The rows of the table

    def _is_ignored(self, entry: Webhook | Absent) -> bool:
        """Return whether `ignore` matches the declared or live name; warn if it is selected."""
        found = self._by_id.get(entry.id)
        names = [each.name for each in (entry, found) if each and self._ignore.match(each.name)]
        if names and self._is_selected(entry):
            message = f"{entry.name!r} is declared but also ignored, so it is not changed"
            hint = "remove it from `ignore` to manage it"
            related = _matched_by(first_match(self._policy.ignore, names[0]))
            self.findings.append(
                warning("ignored-and-declared", message, hint, entry.position, related)
            )
        if names:
            # The webhook with a former name would not be renamed, so it must not be deleted.
            former = entry.previously if isinstance(entry, Webhook) else ()
            kept = [*filter(None, [found]), *self._free(*former)]
            self._ignored_ids.update(each.id for each in kept)
        return bool(names)

    def _drop_missing_ids(self) -> None:
        """Match by name each entry whose id is not live; one with `state: absent` needs nothing.

        The pinned webhook was deleted in the web interface, or the id is mistyped.
        """
        gone: dict[str, list[Webhook]] = {}
        declared: dict[str, list[Webhook]] = {}
        for entry in self._entries():
            id_is_gone = entry.id is not None and entry.id not in self._by_id
            hint = "nothing is deleted; remove `id` to delete by name"
            if isinstance(entry, Webhook):
                (gone if id_is_gone else declared).setdefault(entry.name, []).append(entry)
                hint = "it is matched by name; remove `id`, or copy it from `webhooks status`"
            elif not self._free(entry.name):
                continue
            if id_is_gone and self._selects(entry.name):
                message = f"no live webhook has the id that {entry.name!r} is pinned to"
                self.findings.append(note("unknown-id", message, hint, entry.position))
        self._webhooks = [each for entries in declared.values() for each in entries]
        for name, entries in gone.items():
            if len(entries) == 1 and name not in declared:
                self._webhooks.append(replace(entries[0], id=None))
            else:
                self._match_by_content(name, entries)

    def _match_by_content(self, name: str, entries: Sequence[Webhook]) -> None:
        """Match entries with the same name whose ids are no longer live.

        The name does not distinguish them, so each only matches an identical webhook. If others
        with the name remain, they may be the pinned ones and are kept. If none remains, one entry
        is matched by name and therefore created. Each apply creates only one webhook with a name,
        so that it can identify the webhook that it created.
        """
        left: list[Webhook] = []
        rest = self._free(name)
        for entry in sorted(entries, key=lambda each: each.id or ""):
            shown = (each for each in rest if not hides_destination(each))
            same = (each for each in shown if not compare(entry, each, {}, Evidence()).fields)
            if (found := next(same, None)) is None:
                left.append(entry)
            else:
                rest.remove(found)
                self._taken.add(found.id)
                self._webhooks.append(replace(entry, id=found.id))
        if left and rest:
            self._taken.update(each.id for each in rest)
            if self._selects(name):
                self.any_declared_live = True
                self._keep_ambiguous(rest, entries[0], unapplied=True)
        elif left:
            self._webhooks.append(replace(left[0], id=None))
            for each in left[1:] if self._selects(name) else ():
                kept = Kept((snapshot(each),), Reason.LATER, each.position, unapplied=True)
                self.kept.append(kept)

    def _classify(self, entry: Webhook | Absent) -> None:
        """Classify the webhooks that match an entry (rows 2 to 5).

        If none matches, the declared webhook is new. A match under another name is a rename: by
        `id`, or by `previously` while no webhook has the new name.
        """
        earlier: list[LiveWebhook] = []
        if entry.id is not None:
            found = [self._by_id[entry.id]] if entry.id in self._by_id else []
        else:
            found = self._free(entry.name)
            if isinstance(entry, Webhook) and entry.previously:
                earlier = self._free(*entry.previously)
        renaming = not found
        found = found or earlier
        self._taken.update([each.id for each in found])
        if not self._selects(entry.name, *[each.name for each in found]):
            return
        self.any_declared_live |= bool(found)
        known = [each for each in found if unknown_type_or_event(each) is None]
        if isinstance(entry, Absent):
            for each in found:
                if not self._keep_unknown(each, entry.position, unapplied=True):
                    self._delete_absent(entry, each)
        elif not found:
            self.new.append(entry)
        elif renaming and len(found) > 1:
            message = f"more than one live webhook would be renamed to {entry.name!r}: "
            message += ", ".join(f"{each.name!r} (id {each.id})" for each in found)
            hint = "keep only one name in `previously`, or set `id` to the intended one"
            self.findings.append(error("several-previous", message, hint, entry.position))
        else:
            for each in found:
                self._keep_unknown(each, entry.position, unapplied=not known)
            for name in () if renaming else dict.fromkeys(each.name for each in earlier):
                message = f"{entry.name!r} already exists, so `previously: {name}` has no effect"
                hint = "remove `previously`"
                self.findings.append(note("previously-unused", message, hint, entry.position))
            if known:
                self._pair(entry, known)

    def _pair(self, webhook: Webhook, known: list[LiveWebhook]) -> None:
        """Pair an entry with its webhook (rows 3 to 5).

        If several webhooks with the name are equal, the one with the smallest id stays. If they
        differ, all of them stay.
        """
        found, *others = sorted(known, key=lambda each: each.id)
        if any(compare_live(found, each) is Reading.DIFFERENT for each in others):
            self._keep_ambiguous(known, webhook, unapplied=True)
            return
        if self._is_outside(webhook, found):
            return
        self.pairs.append((webhook, found))
        for each in others:
            self._delete_duplicate(each, webhook, found)

    def _delete_absent(self, entry: Absent, found: LiveWebhook) -> None:
        """Delete every webhook with the name, or the one with the id, for `state: absent`."""
        position = entry.position
        if self._is_outside(entry, found):
            return
        if (protecting := self._protecting_pattern(found)) is None:
            before = snapshot(found)
            self.deletes.append(Delete(before=before, reason=Reason.ABSENT, position=position))
        else:
            message = f"{found.name!r} is both declared absent and protected"
            hint = "remove it from `protect`, or remove this entry"
            related = _matched_by(protecting)
            self.findings.append(error("absent-and-protected", message, hint, position, related))

    def _classify_same_name(self, webhook: Webhook) -> None:
        """Delete duplicates and keep different webhooks under the names of entries with an id."""
        others = self._free(webhook.name)
        if not others:
            return
        self._taken.update(each.id for each in others)
        pins = {each.id for each in self._webhooks if each.name == webhook.name}
        pinned = [each for each in self._by_name[webhook.name] if each.id in pins]
        for each in others if self._selects(webhook.name) else ():
            if self._keep_unknown(each, webhook.position):
                continue
            same = (one for one in pinned if compare_live(one, each) is not Reading.DIFFERENT)
            if (keeper := next(same, None)) is not None:
                self._delete_duplicate(each, webhook, keeper)
            else:
                self._keep_ambiguous([each], webhook)

    def _taken_names(self) -> Iterator[Finding]:
        """Yield an error for each name that an operation needs but another live webhook has.

        No operation of a plan frees a name for another one: deletes come last, and renames are not
        ordered. A create may use the name of a webhook that is deleted afterwards, but not of one
        that is renamed: if the rename failed, two webhooks would have the name.
        """
        pairs = [pair for pair in self.pairs if pair[0].name != pair[1].name]
        renamed = {found.id: webhook for webhook, found in pairs}
        wanted: list[tuple[Webhook, str | None]] = [(each, found.name) for each, found in pairs]
        for webhook, old in [*wanted, *((each, None) for each in self.new)]:
            for holder in self._by_name.get(webhook.name, ()):
                other = renamed.get(holder.id)
                if other is None and old is None:
                    continue
                why = "is still live"
                hint = "delete or rename that one in an earlier apply, or choose another name"
                if other is not None:
                    why = f"is renamed to {other.name!r} in this plan"
                    hint = f"use two applies: the first with --only {shlex.quote(other.name)}"
                    if self._is_exchanged(old, other, renamed):
                        hint = (
                            "use two applies: the first with a temporary name for this webhook, "
                            f"such as `name: {webhook.name}-temporary`, the second with its name"
                        )
                for entry, paired in ((webhook, old), (other, holder.name)):
                    if entry is not None and entry.id is not None:  # perhaps a wrong id
                        check = f"check the `id` of {entry.name!r}, which is that of {paired!r}"
                        hint = f"{check}; if the rename is intended, {hint}"
                        break
                verb = "cannot create" if old is None else f"{old!r} cannot be renamed to"
                message = f"{verb} {webhook.name!r}: another webhook with that name {why}"
                yield error("name-taken", message, hint, webhook.position)
                break

    def _is_exchanged(
        self, old: str | None, other: Webhook, renamed: Mapping[str, Webhook]
    ) -> bool:
        """Return whether the renames that start with `other` end at the name `old`.

        No order of applies frees one of these names.
        """
        name = other.name
        for _ in renamed:
            if name == old:
                return True
            following = [
                renamed[holder.id] for holder in self._by_name.get(name, ()) if holder.id in renamed
            ]
            if not following:
                return False
            name = following[0].name
        return False

    def _classify_unmatched(self) -> None:
        """Classify the live webhooks that match no entry (rows 1, 2, 6 and 7)."""
        shown = {found.id for _, found in self.pairs}
        shown |= {each.before.id for each in self.deletes}
        # A server that changes names may store a declared webhook under another spelling. A
        # complete plan creates the declared one before it deletes the other one; a plan without the
        # create must not have the delete either.
        left_out = {
            lookalike_key(each.name)
            for each in self._webhooks
            if each.name not in self._by_name and not self._selects(each.name)
        }
        for each in self._live:
            if each.id not in shown and not self._selects(each.name):
                continue
            if each.id not in shown and left_out and lookalike_key(each.name) in left_out:
                continue
            if each.id in self._ignored_ids:
                self.ignored_count += 1
                continue
            within = [scope.prune for scope, globs in self._scopes if globs.match(each.name)]
            self.in_scope_count += bool(within)
            if each.id in self._taken or self._keep_unknown(each, None):
                continue
            if not (self._prune and any(within)):
                reason = Reason.PRUNE_OFF if within else Reason.OUT_OF_SCOPE
                self.unmanaged.append(Kept((snapshot(each),), reason))
            elif (protecting := self._protecting_pattern(each)) is not None:
                kept = Kept((snapshot(each),), Reason.PROTECTED, protecting.position)
                self.kept.append(kept)
            else:
                self.deletes.append(Delete(before=snapshot(each), reason=Reason.NOT_DECLARED))
