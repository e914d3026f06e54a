"""Match declarations with live webhooks.

For each live webhook the first matching row applies:

    matches `ignore`                          not changed, and counted, declared or not
    unknown type or event                     kept
    keyed by an entry (id, else name)         paired; `state: absent`: deleted
    in `previously` of an entry not yet live  paired: a rename
                                              (for both rows, a name outside the scope of the
                                              entry's file needs `adopt: true`)
    same name as a matched webhook            if equal: duplicates, all but the smallest id are
                                              deleted; if different or protected: all are kept,
                                              and reported;
                                              beside one keyed by id, only where a file prunes
    in scope of a file that prunes            deleted, unless protected, or named like an entry with
                                              `state: absent` whose id is not live
    otherwise                                 unmanaged

Fields are compared in compare.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from reconciler.findings import Finding, Position, Related, Severity, error, note, warning
from reconciler.kinds import EVENT_TYPES, KINDS
from reconciler.model import Absent, Desired, LiveWebhook, Pattern, Policy, Webhook
from reconciler.planning.compare import compare, compare_live
from reconciler.planning.names import PREVIOUSLY_UNUSED, Globs, lookalike_key
from reconciler.planning.plan import Delete, Kept, Reason
from reconciler.planning.readback import Reading, hides_destination, snapshot

_KNOWN_EVENTS: Final = frozenset(EVENT_TYPES)

_COPY_ID: Final = "copy it from `webhooks status -v`, or remove `id` if no other entry has the name"

_PROTECTED: Final = "protected (to delete one, remove it from `protect`, too)"


def unknown_type_or_event(live: LiveWebhook) -> tuple[Reason, str] | None:
    """Return what this version does not know about a live webhook: the type, or the events."""
    if live.type not in KINDS:
        return Reason.UNKNOWN_TYPE, live.type
    if live.event_types <= _KNOWN_EVENTS:
        return None
    return Reason.UNKNOWN_EVENT, ", ".join(sorted(live.event_types - _KNOWN_EVENTS))


class Match:
    """The live and declared webhooks, grouped by decision.

    If `findings` contains an error, no plan is made. `pairs` are declared webhooks with their live
    ones; `adopted` holds the ids of those outside the scope. `new` are declared webhooks that are
    not live. `any_declared_live` is true if any declaration matches a live webhook. `ignore` are
    the globs of the policy.
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
        self._rules = _Rules(desired.policy, only, prune=prune)
        self.ignore = self._rules.ignore
        # In the same order for every listing, so that all runs decide the same.
        self._live = sorted(live, key=lambda webhook: (webhook.name, webhook.id))
        self._by_id: dict[str | None, LiveWebhook] = {webhook.id: webhook for webhook in self._live}
        self._by_name: dict[str, list[LiveWebhook]] = {}
        for webhook in self._live:
            self._by_name.setdefault(webhook.name, []).append(webhook)
        self._webhooks = list(desired.webhooks)
        self._absent = list(desired.absent)
        # The ids that no other entry may match. An id identifies one webhook, so no name may match
        # that webhook.
        self._taken = {entry.id for entry in self._entries() if entry.id in self._by_id}
        self._ignored_ids: set[str] = set()
        self._absent_without_match: dict[str, Absent] = {}
        self.any_declared = any(map(self.is_selected, self._entries()))
        self._match_entries()

    def _match_entries(self) -> None:
        """Classify all webhooks. The order matters: each step takes webhooks from the next ones."""
        self._drop_ignored()
        self._match_missing_ids()
        for entry in self._webhooks:
            self._classify(entry)
            if entry.id is not None:
                self._classify_same_name(entry)
        for absent in self._absent:
            self._classify(absent)
        self._check_names()
        self._note_unprotected()
        self._classify_unmatched()

    def is_selected(self, entry: Webhook | Absent) -> bool:
        """Return whether `--only` selects an entry by one of its names."""
        live = self._by_id.get(entry.id)
        if live is not None:
            return self._rules.selects(entry.name, live.name)
        return self._rules.selects(entry.name, *_former_names(entry))

    def _drop_ignored(self) -> None:
        """Remove entries whose declared or live name is ignored (row 1)."""
        if not self._rules.has_ignored:
            return  # most plans
        self._webhooks = [entry for entry in self._webhooks if not self._ignore(entry)]
        self._absent = [entry for entry in self._absent if not self._ignore(entry)]
        self._ignored_ids.update(
            webhook.id for webhook in self._live if self.ignore.match(webhook.name)
        )
        self._taken |= self._ignored_ids

    def _ignore(self, entry: Webhook | Absent) -> bool:
        """Return whether `ignore` matches the declared or live name; warn if it is selected."""
        live = self._by_id.get(entry.id)
        ignoring = self._rules.ignoring(entry.name)
        if ignoring is None and live is not None:
            ignoring = self._rules.ignoring(live.name)
        if ignoring is None:
            return False
        if self.is_selected(entry):
            message = f"{entry.name!r} is declared but also ignored, so it is not changed"
            hint = "remove it from `ignore` to manage it"
            related = _matched_by(ignoring)
            self.findings.append(
                warning("ignored-and-declared", message, hint, entry.position, related)
            )
        # The webhook with a former name would not be renamed, so it must not be deleted.
        webhooks = self._free(*_former_names(entry))
        if live is not None:  # no pattern may match the name of a pinned webhook
            webhooks.append(live)
        self._ignored_ids.update(webhook.id for webhook in webhooks)
        return True

    def _match_missing_ids(self) -> None:
        """Match by name each declared webhook whose id is not live.

        The pinned webhook was deleted by hand, or the id is mistyped.
        """
        gone: dict[str, list[Webhook]] = {}
        declared: list[Webhook] = []
        for webhook in self._webhooks:
            if not self._is_gone(webhook):
                declared.append(webhook)
                continue
            gone.setdefault(webhook.name, []).append(webhook)
            self._note_missing_id(webhook, _COPY_ID)
        self._keep_missing_absent()
        self._webhooks = declared
        names = {webhook.name for webhook in declared}
        for name, webhooks in gone.items():
            if len(webhooks) == 1 and name not in names:  # the name identifies the webhook
                self._webhooks.append(replace(webhooks[0], id=None))
            else:
                self._match_by_content(name, webhooks)

    def _keep_missing_absent(self) -> None:
        """Protect the live webhooks with the name of a `state: absent` whose id is not live."""
        for absent in self._absent:
            if self._is_gone(absent) and self._free(absent.name):
                self._absent_without_match[absent.name] = absent
                self._note_missing_id(absent, f"nothing is deleted; {_COPY_ID}, to delete by name")

    def _is_gone(self, entry: Webhook | Absent) -> bool:
        return entry.id is not None and entry.id not in self._by_id

    def _note_missing_id(self, entry: Webhook | Absent, hint: str) -> None:
        if self._rules.selects(entry.name):
            message = f"no live webhook has the id that {entry.name!r} is pinned to"
            self.findings.append(note("unknown-id", message, hint, entry.position))

    def _match_by_content(self, name: str, entries: Sequence[Webhook]) -> None:
        """Match entries with the same name whose ids are no longer live.

        The name does not distinguish them, so each only matches an identical webhook. If others
        with the name remain, they may be the pinned ones and are kept. If none remains, one entry
        is matched by name and therefore created. Each apply creates only one webhook with a name,
        so that it can identify the webhook that it created.
        """
        unmatched: list[Webhook] = []
        candidates = self._free(name)
        # In the order of ids, so that every run matches the same ones.
        for entry in sorted(entries, key=lambda entry: entry.id or ""):
            identical = _identical(entry, candidates)
            if identical is None:
                unmatched.append(entry)
            else:
                candidates.remove(identical)
                self._taken.add(identical.id)
                self._webhooks.append(replace(entry, id=identical.id))
        if not unmatched:
            return
        if candidates:
            # One of them may be the webhook of an entry: neither delete it nor create another one.
            self._taken.update(webhook.id for webhook in candidates)
            if self._rules.selects(name):
                self.any_declared_live = True
                self._keep_ambiguous(candidates, entries[0])
            return
        first, *later = unmatched
        self._webhooks.append(replace(first, id=None))
        if self._rules.selects(name):
            for entry in later:
                kept = Kept((snapshot(entry),), Reason.LATER, entry.position, unapplied=True)
                self.kept.append(kept)

    def _classify(self, entry: Webhook | Absent) -> None:
        """Classify the webhooks that match an entry (rows 2 to 5).

        If none matches, the declared webhook is new. A match under another name is a rename: by
        `id`, or by `previously` while no webhook has the new name.
        """
        named, former = self._matching(entry)
        webhooks = named or former
        # Also for an entry that is not selected: its webhook is not matched by another one.
        self._taken.update(webhook.id for webhook in webhooks)
        if not self._rules.selects(entry.name, *(webhook.name for webhook in webhooks)):
            return
        self.any_declared_live |= bool(webhooks)
        if isinstance(entry, Absent):
            for webhook in webhooks:
                if not self._keep_unknown(webhook, entry.position, unapplied=True):
                    self._delete_absent(entry, webhook)
        elif not webhooks:
            self.new.append(entry)
        else:
            self._classify_declared(entry, named, former)

    def _classify_declared(
        self, entry: Webhook, named: Sequence[LiveWebhook], former: Sequence[LiveWebhook]
    ) -> None:
        """Pair a declared webhook with a live one of its name, else with its former name."""
        if not named and len(former) > 1:
            # Only the author knows which of them is meant.
            listed = ", ".join(f"{webhook.name!r} (id {webhook.id})" for webhook in former)
            message = f"more than one live webhook would be renamed to {entry.name!r}: {listed}"
            hint = "keep only one name in `previously`, or set `id` to the intended one"
            self.findings.append(error("several-previous", message, hint, entry.position))
            return
        if named:
            for name in dict.fromkeys(webhook.name for webhook in former):
                message = f"{entry.name!r} already exists, so `previously: {name}` has no effect"
                hint = "remove `previously`"
                self.findings.append(note(PREVIOUSLY_UNUSED, message, hint, entry.position))
        self._pair_known(entry, named or former)

    def _matching(self, entry: Webhook | Absent) -> tuple[list[LiveWebhook], list[LiveWebhook]]:
        """Return the live webhooks of an entry, and those with its former names."""
        if entry.id is None:
            return self._free(entry.name), self._free(*_former_names(entry))
        pinned = self._by_id.get(entry.id)
        return ([] if pinned is None else [pinned]), []

    def _pair_known(self, webhook: Webhook, matching: Sequence[LiveWebhook]) -> None:
        """Pair an entry with its webhook (rows 2 to 5).

        If several webhooks with the name are equal, the one with the smallest id stays. If they
        differ or are protected, all of them stay. Webhooks with an unknown type or event stay in
        any case.
        """
        known = [live for live in matching if unknown_type_or_event(live) is None]
        for live in matching:
            self._keep_unknown(live, webhook.position, unapplied=not known)
        if not known:
            return
        # Runs at the same time keep the same one, so that they never delete both.
        keeper, *others = sorted(known, key=lambda live: live.id)
        if any(self._original(other, [keeper]) is None for other in others):
            self._keep_ambiguous(known, webhook)
            return
        if self._refuse_outside(webhook, keeper):
            return
        self.pairs.append((webhook, keeper))
        for duplicate in others:
            self._delete_duplicate(duplicate, webhook, keeper)

    def _delete_absent(self, entry: Absent, live: LiveWebhook) -> None:
        """Delete every webhook with the name, or the one with the id, for `state: absent`."""
        position = entry.position
        if self._refuse_outside(entry, live):
            return
        protecting = self._rules.protecting(live.name)
        if protecting is None:
            before = snapshot(live)
            self.deletes.append(Delete(before=before, reason=Reason.ABSENT, position=position))
        else:
            # The files contradict each other, and only their author knows which one is meant.
            message = f"{live.name!r} is both declared absent and protected"
            hint = "remove it from `protect`, or remove this entry"
            related = _matched_by(protecting)
            self.findings.append(error("absent-and-protected", message, hint, position, related))

    def _classify_same_name(self, webhook: Webhook) -> None:
        """Classify the other webhooks under the name of an entry with an id.

        Duplicates are deleted; different ones are kept, and reported where a file prunes.
        """
        others = self._free(webhook.name)
        self._taken.update(live.id for live in others)
        if not others or not self._rules.selects(webhook.name):
            return
        pins = {entry.id for entry in self._webhooks if entry.name == webhook.name}
        pinned = [live for live in self._by_name[webhook.name] if live.id in pins]
        different: list[LiveWebhook] = []
        for live in others:
            if self._keep_unknown(live, webhook.position):
                continue
            keeper = self._original(live, pinned)
            if keeper is None:
                different.append(live)
            else:
                self._delete_duplicate(live, webhook, keeper)
        if different:
            self._keep_beside_pinned(different, webhook)

    def _keep_beside_pinned(self, different: Sequence[LiveWebhook], webhook: Webhook) -> None:
        """Keep webhooks that differ from those of their name that entries identify by `id`."""
        if not self._rules.prunes(webhook.name):
            # Like any other webhook that no file declares.
            self._taken.difference_update(live.id for live in different)
            return
        # Its entry may have been removed, or it is a copy: only the author knows, so a run that
        # leaves it is not a success.
        kept = tuple(map(snapshot, different))
        detail = ""
        if self._rules.protecting(webhook.name) is not None:
            detail = f"and is {_PROTECTED}"
        self.kept.append(Kept(kept, Reason.NAME_PINNED, webhook.position, detail, unapplied=True))

    def _check_names(self) -> None:
        """Refuse the renames and creates that need a name which another webhook has.

        No operation of a plan frees a name for another one: deletes come last, and renames are not
        ordered.
        """
        renamed = {live.id: webhook for webhook, live in self.pairs if webhook.name != live.name}
        self._check_renames(renamed)
        self._check_creates(renamed)
        refused = self._refused(Reason.NAME_TAKEN)
        self.pairs = [(webhook, live) for webhook, live in self.pairs if live.id not in refused]

    def _note_unprotected(self) -> None:
        """Note each rename after which `protect` no longer keeps the webhook."""
        for webhook, live in self.pairs:
            if webhook.name == live.name or self._rules.protecting(webhook.name) is not None:
                continue
            protecting = self._rules.protecting(live.name)
            if protecting is not None:
                message = f"{live.name!r} is protected, but its new name {webhook.name!r} is not"
                hint = "add the new name to `protect` to keep the webhook protected"
                related = _matched_by(protecting)
                self.findings.append(
                    note("unprotected-rename", message, hint, webhook.position, related)
                )

    def _check_renames(self, renamed: Mapping[str, Webhook]) -> None:
        # Entries with an `id` may share a name.
        sharing = {live.id for _, live in self.pairs} - renamed.keys()
        for id_, webhook in renamed.items():
            live = self._by_id[id_]
            for holder in self._by_name.get(webhook.name, ()):
                if holder.id not in sharing:
                    finding = _taken_error(webhook, live.name, holder, renamed)
                    self._refuse(webhook, live, finding, Reason.NAME_TAKEN)
                    break

    def _check_creates(self, renamed: Mapping[str, Webhook]) -> None:
        """Refuse the creates whose name is that of a webhook which is renamed, or should be.

        If the rename failed, two webhooks would have the name. A create may use the name of a
        webhook that is deleted afterwards.
        """
        holding = renamed.keys() | self._refused(Reason.LIVE_OUT_OF_SCOPE)
        for webhook in self.new:
            for holder in self._by_name.get(webhook.name, ()):
                if holder.id in holding:
                    self.findings.append(_taken_error(webhook, None, holder, renamed))
                    break

    def _classify_unmatched(self) -> None:
        """Classify the live webhooks that match no entry (rows 1, 2, 6 and 7)."""
        # What the plan shows is counted, even if its live name is not selected.
        shown = {live.id for _, live in self.pairs}
        shown.update(delete.before.id for delete in self.deletes)
        left_out = self._lookalikes_left_out()
        for live in self._live:
            if live.id not in shown:
                if not self._rules.selects(live.name):
                    continue
                if left_out and lookalike_key(live.name) in left_out:
                    continue
            if live.id in self._ignored_ids:
                self.ignored_count += 1
            else:
                self._classify_undeclared(live)

    def _lookalikes_left_out(self) -> set[str]:
        """Return the keys of declared names that are neither live nor selected.

        A server that changes names may store a declared webhook under another spelling. A complete
        plan creates the declared one before it deletes the other one; a plan without the create
        must not have the delete either.
        """
        return {
            lookalike_key(webhook.name)
            for webhook in self._webhooks
            if webhook.name not in self._by_name and not self._rules.selects(webhook.name)
        }

    def _classify_undeclared(self, live: LiveWebhook) -> None:
        """Count a webhook that is in scope; delete or keep it if no entry matches it."""
        # Guards compare the deletes with all webhooks in scope, whatever happens to them.
        is_in_scope = self._rules.is_in_scope(live.name)
        if is_in_scope:
            self.in_scope_count += 1
        if live.id in self._taken or self._keep_unknown(live, None):
            return
        before = snapshot(live)
        if not self._rules.prunes(live.name):
            reason = Reason.PRUNE_OFF if is_in_scope else Reason.OUT_OF_SCOPE
            self.unmanaged.append(Kept((before,), reason))
            return
        protecting = self._rules.protecting(live.name)
        absent = self._absent_without_match.get(live.name)
        if protecting is not None:
            self.kept.append(Kept((before,), Reason.PROTECTED, protecting.position))
        elif absent is not None:
            # Its entry has an `id` so that no other webhook of the name is deleted.
            detail = "the `id` of its entry with `state: absent` is not live"
            self.kept.append(Kept((before,), Reason.PROTECTED, absent.position, detail))
        else:
            self.deletes.append(Delete(before=before, reason=Reason.NOT_DECLARED))

    # Steps that several rows share

    def _entries(self) -> list[Webhook | Absent]:
        return [*self._webhooks, *self._absent]

    def _free(self, *names: str) -> list[LiveWebhook]:
        """Return the live webhooks that are not matched yet, by name, then id."""
        webhooks = chain.from_iterable(self._by_name.get(name, ()) for name in names)
        return [webhook for webhook in webhooks if webhook.id not in self._taken]

    def _refuse_outside(self, entry: Webhook | Absent, live: LiveWebhook) -> bool:
        """Return whether a live name is not in the scope of the entry's file; refuse it.

        A webhook that is adopted may have such a name.
        """
        if live.name == entry.name or self._rules.is_in_scope_of(entry.file, live.name):
            return False
        verb, hint = "delete", "delete it in the file whose scope includes it, or extend `scope`"
        if isinstance(entry, Webhook):
            if entry.adopt:
                self.adopted.add(live.id)
                return False
            verb = "take over"
            hint = "add `adopt: true`, or remove the `id` or `previously` that matches it"
            if entry.id is not None:  # `id` may be needed, because others have the declared name
                hint = "rename it back in CloudTruth, add `adopt: true`, or correct the `id`"
        message = (
            f"{entry.name!r} would {verb} {live.name!r} (id {live.id}), which is not in "
            "the scope of this file"
        )
        finding = error("live-out-of-scope", message, hint, entry.position)
        self._refuse(entry, live, finding, Reason.LIVE_OUT_OF_SCOPE)
        return True

    def _refuse(
        self, entry: Webhook | Absent, live: LiveWebhook, finding: Finding, reason: Reason
    ) -> None:
        """Keep a webhook that cannot get its declared name, and report it.

        Anyone may rename a pinned webhook live, which must not stop the others. A match by name is
        a mistake in the file.
        """
        if entry.id is not None:
            finding = finding._replace(severity=Severity.WARNING)
        self.findings.append(finding)
        kept = Kept((snapshot(live),), reason, entry.position, entry.name, unapplied=True)
        self.kept.append(kept)

    def _refused(self, reason: Reason) -> set[str]:
        """Return the ids of the webhooks that are refused for a reason."""
        return {kept.webhooks[0].id for kept in self.kept if kept.reason is reason}

    def _original(self, live: LiveWebhook, candidates: Iterable[LiveWebhook]) -> LiveWebhook | None:
        """Return the first webhook of which `live` is a duplicate, as far as the server shows it.

        A protected webhook is none: it may be the one that was copied.
        """
        if self._rules.protecting(live.name) is not None:
            return None
        for candidate in candidates:
            if compare_live(candidate, live) is not Reading.DIFFERENT:
                return candidate
        return None

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

    def _keep_ambiguous(self, webhooks: Sequence[LiveWebhook], entry: Webhook) -> None:
        """Keep webhooks of a declared name, as one entry."""
        snapshots = tuple(map(snapshot, webhooks))
        details = []
        # Without their destinations, even webhooks that look equal may deliver to two places.
        if any(map(hides_destination, webhooks)):
            details.append("or their destinations are hidden")
        if self._rules.protecting(entry.name) is not None:
            details.append(f"or are {_PROTECTED}")
        detail = ", ".join(details)
        self.kept.append(Kept(snapshots, Reason.AMBIGUOUS, entry.position, detail, unapplied=True))

    def _keep_unknown(
        self, live: LiveWebhook, position: Position | None, *, unapplied: bool = False
    ) -> bool:
        """Keep webhooks with an unknown type or event (row 2)."""
        unknown = unknown_type_or_event(live)
        if unknown is not None:
            reason, detail = unknown
            self.kept.append(Kept((snapshot(live),), reason, position, detail, unapplied))
        return unknown is not None


class _Rules:
    """What `--only` and the policy say about a name."""

    def __init__(self, policy: Policy, only: Sequence[str], *, prune: bool) -> None:
        self._policy = policy
        self._prune = prune
        self._only = Globs(only or ("*",))
        self.ignore = Globs(pattern.glob for pattern in policy.ignore)
        self._protect = Globs(pattern.glob for pattern in policy.protect)
        self._scopes = [(scope, Globs(scope.globs)) for scope in policy.scopes]

    def selects(self, *names: str) -> bool:
        """Return whether `--only` selects a webhook by its declared or its live name.

        It only filters the result. Entries that it does not select are still matched with their
        live webhooks, so that these are neither matched by other entries nor pruned.
        """
        return any(map(self._only.match, names))

    @property
    def has_ignored(self) -> bool:
        """Return whether the policy ignores any name."""
        return bool(self._policy.ignore)

    def ignoring(self, name: str) -> Pattern | None:
        """Return the pattern that ignores a name, or None."""
        return _first_match(self.ignore, self._policy.ignore, name)

    def protecting(self, name: str) -> Pattern | None:
        """Return the pattern that protects a name, or None."""
        return _first_match(self._protect, self._policy.protect, name)

    def is_in_scope(self, name: str) -> bool:
        """Return whether any file includes a live name in its scope."""
        return any(globs.match(name) for _, globs in self._scopes)

    def is_in_scope_of(self, file: str, name: str) -> bool:
        """Return whether a file includes a live name in its scope."""
        return any(globs.match(name) for scope, globs in self._scopes if scope.file == file)

    def prunes(self, name: str) -> bool:
        """Return whether a live webhook of this name is deleted if no file declares it."""
        return self._prune and any(
            scope.prune and globs.match(name) for scope, globs in self._scopes
        )


def _taken_error(
    webhook: Webhook, old: str | None, holder: LiveWebhook, renamed: Mapping[str, Webhook]
) -> Finding:
    """Return the error about a name that `holder` has; `old` is the former name of a rename."""
    other = renamed.get(holder.id)
    why = "is still live"
    hint = "delete or rename that one in an earlier apply, or choose another name"
    entry, paired = webhook, old
    if other is not None:
        why = f"is renamed to {other.name!r} in this plan"
        hint = (
            f"rename that one in an earlier apply, with --only {shlex.quote(other.name)}; names "
            "that are exchanged need a temporary one"
        )
        if webhook.id is None:
            entry, paired = other, holder.name
    if entry.id is not None:  # possibly a wrong id
        check = f"check the `id` of {entry.name!r}, which is the id of {paired!r}"
        if entry is webhook:
            check += f"; to accept a rename in CloudTruth, declare {paired!r}"
        hint = f"{check}; if the rename is intended, {hint}"
    verb = "cannot create"
    if old is not None:
        verb = f"{old!r} cannot be renamed to"
    message = f"{verb} {webhook.name!r}: another webhook with that name {why}"
    return error("name-taken", message, hint, webhook.position)


def _matched_by(pattern: Pattern) -> tuple[Related, ...]:
    """Return the position of the glob that causes a finding."""
    if pattern.position is None:
        return ()
    return (Related(message=f"matched by {pattern.glob!r}", position=pattern.position),)


def _first_match(globs: Globs, patterns: Iterable[Pattern], name: str) -> Pattern | None:
    """Return the first pattern that matches `name`, to show where it was written."""
    if not globs.match(name):
        return None  # most names, and all patterns take longer
    return next(pattern for pattern in patterns if Globs((pattern.glob,)).match(name))


def _former_names(entry: Webhook | Absent) -> tuple[str, ...]:
    return entry.previously if isinstance(entry, Webhook) else ()


def _identical(entry: Webhook, candidates: Iterable[LiveWebhook]) -> LiveWebhook | None:
    """Return the first webhook that is completely visible and equal to the entry."""
    for live in candidates:
        if not hides_destination(live) and not compare(entry, live).fields:
            return live
    return None
