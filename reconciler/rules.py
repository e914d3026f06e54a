"""The rules of findings: the id, the problem in one line, and the function that raises it.

The last column is a function or a table of findings in `reconciler`; if several raise a rule, the
main one. docs/rules.md has a section for each id, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RULES: Final[Mapping[str, tuple[str, str]]] = {
    # Reading the file
    "unreadable-file": ("a path that cannot be read", "source.files.read"),
    "file-too-large": ("a file is larger than 64 MiB", "source.text.decode"),
    "encoding": ("a file is not UTF-8", "source.text.decode"),
    "control-character": ("an invisible control character", "source.text._ODD"),
    "line-break": ("a line break other than LF or CR LF", "source.text._ODD"),
    "typographic-quote": ("a typographic quote around a value", "source.text._ODD"),
    "tab": ("a tab outside of a comment", "source.text._CHECKS"),
    "directive": ("a YAML directive", "source.text._CHECKS"),
    "yaml-syntax": ("invalid YAML", "source.syntax.explain"),
    "empty-document": ("the file is empty", "source.yaml._Reader.document"),
    "root-not-mapping": ("the file is not a mapping", "source.yaml._Reader.document"),
    "several-documents": ("a second YAML document", "source.yaml._Reader.document"),
    "duplicate-key": ("a duplicate key in a mapping", "source.yaml.parse"),
    "key-not-text": ("a key that is not text", "source.yaml._Reader._key"),
    "tag": ("a YAML tag", "source.yaml._Reader._tag"),
    "number-too-large": ("a number that is too large to be exact", "source.yaml._Reader._scalar"),
    "too-deep": ("values nested more than 32 levels deep", "source.text.TOO_DEEP"),
    "unknown-alias": ("an undefined YAML alias", "source.yaml._Reader._alias"),
    "alias-cycle": ("an alias inside the value that it refers to", "source.yaml._Reader._alias"),
    "alias-expansion": ("aliases that expand to too much text", "source.yaml._Reader._alias"),
    "merge": ("an invalid `<<` merge", "source.yaml._Reader._merge"),
    # Files that extend others
    "bad-parent": ("an invalid parent file", "source.extend._Reader._extended"),
    "guard-removed": ("an overlay that removes a guard", "source.extend._Merge._is_removed"),
    "exclude-unknown": ("an excluded webhook without a parent", "source.extend._Merge._changes"),
    "extends-twice": ("a webhook in two parent files", "source.extend._Merge._twice"),
    "keys-differ": ("two API keys for one organization", "source.identity._keys_differ"),
    # The form of the file
    "unknown-key": ("a key that the schema does not know", "source.explain._unknown_keys"),
    "missing-field": ("a required key is missing", "source.explain._missing"),
    "null-value": ("a key without a value", "source.explain._not"),
    "comment-value": ("a value that YAML reads as a comment", "source.explain._commented"),
    "not-text": ("a number or boolean instead of text", "source.explain._not"),
    "wrong-type": ("a value of the wrong type", "source.explain._not"),
    "empty-text": ("empty text", "source.explain._MESSAGES"),
    "text-too-long": ("text that is too long", "source.explain._MESSAGES"),
    "empty-list": ("an empty list", "source.explain._MESSAGES"),
    "duplicate-item": ("a duplicate item in a list", "source.explain._duplicates"),
    "out-of-range": ("a number that is too small", "source.explain._MESSAGES"),
    "unsupported-version": ("an unknown version of the file format", "source.explain._MESSAGES"),
    "unknown-type": ("an unknown webhook type", "source.explain._unknown_constant"),
    "unknown-state": ("a state other than `absent`", "source.explain._unknown_constant"),
    "unknown-event": ("an unknown event", "source.explain._bad_event"),
    "bad-reference": ("a malformed secret reference", "source.explain._bad_secret"),
    "bad-variable-name": ("an invalid variable name", "source.allowed.BAD_NAME"),
    "bad-channel": ("an invalid name or id of a Slack channel", "source.explain._MESSAGES"),
    "bad-url": ("a value that is not an absolute http or https URL", "source.explain._MESSAGES"),
    # Names and files together
    "empty-name": ("an empty name", "source.lint.name_findings"),
    "unsafe-name": (
        "a name with control or text direction characters",
        "source.lint.name_findings",
    ),
    "spaces-around-name": ("spaces around a name", "source.lint.name_findings"),
    "invisible-characters": ("a name with invisible characters", "source.lint.name_findings"),
    "name-not-normalized": ("a name that is not NFC-normalized", "source.lint.name_findings"),
    "names-look-alike": ("two names that look alike", "source.identity._lookalikes"),
    "declared-twice": ("two entries for one webhook", "source.identity._names_twice"),
    "out-of-scope": ("a name outside its file's scope", "source.identity._out_of_scope"),
    "previously-itself": ("its own name in `previously`", "source.identity._renames"),
    "previously-twice": ("one name in `previously` of two entries", "source.identity._renames"),
    "previously-declared": ("a previous name that is also declared", "source.identity._renames"),
    "organizations-differ": (
        "two organizations in one run",
        "source.identity._organizations_differ",
    ),
    "limits-differ": ("two values of `max_deletes` in one run", "source.identity._limits_differ"),
    # Secrets
    "slack-token-in-file": ("a Slack token in a file", "source.lint._slack_token"),
    "literal-secret": ("a secret in a file", "source.lint._literal"),
    "unreplaced-placeholder": ("a placeholder that is not expanded", "source.lint._literal"),
    "unfit-secret": ("a value that does not fit its field", "source.secrets._misused"),
    "trimmed-secret": ("a value with surrounding whitespace", "source.secrets._unsuitable"),
    "slack-token-elsewhere": ("a Slack token for another host", "source.secrets._misused"),
    "unusable-secret": ("a secret that cannot be sent", "source.lint._literal"),
    "forbidden-secret": ("a secret of the machine or the CI job", "source.allowed.refusal"),
    "secret-not-allowed": ("a secret that is not in the allow list", "source.allowed.not_allowed"),
    "no-allow-list": ("a CI job without a list of allowed secrets", "source.allowed.no_list"),
    "reference-not-allowed": ("a reference in a field that is not secret", "source.lint._value"),
    "unresolved-secret": ("a reference without a usable value", "source.secrets._unusable"),
    "not-a-bot-token": ("a Slack token that is not a bot token", "source.secrets._misused"),
    "literal-in-plan": ("a literal secret in a plan to save", "source.saved_plan._refuse_literals"),
    "unknown-resend": ("`--resend-secret` without a match", "planning.resend.Resends.unmatched"),
    "version-not-sent": (
        "a changed secret reference that is not sent",
        "workflow.planning._unsent",
    ),
    "resent-each-time": ("secrets that every apply resends", "workflow.applying._reviewed"),
    # Declared and live
    "only-matches-nothing": ("a glob of `--only` without a match", "planning.names.unmatched"),
    "unknown-id": ("an id that is not live", "planning.match._Table.drop_missing_ids"),
    "live-out-of-scope": ("a live webhook outside the scope", "planning.match._Table.outside"),
    "live-secret-mistaken": ("a live value that is not a valid secret", "planning.guards.mistaken"),
    "ignored-and-declared": (
        "a webhook both declared and ignored",
        "planning.match._Table.is_ignored",
    ),
    "several-previous": (
        "several live webhooks to rename",
        "planning.match._Table.several_previous",
    ),
    "previously-inert": ("a rename that is already done", "planning.match._Table.settle"),
    "name-held": ("a name that is taken", "planning.match._Table.taken_names"),
    "absent-and-protected": (
        "a webhook both absent and protected",
        "planning.match._Table.delete_absent",
    ),
    "looks-like-rename": ("a delete and a create of one webhook", "planning.guards.rename_hints"),
    "dropped-unseen": ("a removed secret that may still be set", "planning.resend.Resends.unseen"),
    # Guards
    "too-many-deletes": ("more deletes than the limit", "planning.guards.guard"),
    "nothing-declared": ("no declared webhooks, but live ones", "planning.guards.guard"),
    "no-declared-live": ("deletes, and no declared webhook is live", "planning.guards.guard"),
    "allow-deletes-differs": (
        "a number of deletes other than `--allow-deletes`",
        "planning.guards.guard",
    ),
    "relaxed-prune": ("a file that now deletes undeclared webhooks", "planning.guards.relaxed"),
    "relaxed-scope": ("a scope with more globs", "planning.guards.relaxed"),
    "relaxed-protect": ("`protect` with fewer globs", "planning.guards.relaxed"),
    "relaxed-ignore": ("`ignore` with fewer globs", "planning.guards.relaxed"),
    "relaxed-limits": ("a higher delete limit", "planning.guards.relaxed"),
    "policy": ("a policy violation", "source.policy.judge"),
    "policy-changed": ("a policy changed by a pull request", "ci.plan.plan"),
    "relaxed-organization": ("a removed organization check", "planning.guards.relaxed"),
    # On GitHub
    "only-validated": ("a run without access to secrets", "ci.plan.only_checked"),
    "no-api-key": ("a job without an API key", "ci.plan.only_checked"),
    "no-base": ("no base commit to compare with", "ci.plan._no_base"),
    "no-review": ("a pull request without an approved plan", "ci.plan._judge_group"),
    "not-reviewed": ("a change without a review", "ci.plan._judge_group"),
    "comment-not-edited": ("a plan comment that could not be updated", "ci.plan._invalidate"),
    "no-token": ("no GitHub token", "ci.drift.drift"),
    "outcome-not-commented": (
        "an outcome that could not be posted",
        "ci.apply._Attempt._settle",
    ),
    "failure-not-reported": (
        "a failure that could not be reported",
        "ci.apply._Attempt._report_failure",
    ),
    "issue-not-written": ("a drift issue that could not be written", "ci.drift._cannot_run"),
    "issue-not-closed": (
        "a failure issue that could not be closed",
        "ci.apply._Attempt._close_issues",
    ),
    "review-frozen": ("a closed pull request", "ci.plan._comment"),
    "older-commit": ("a pull request with a newer commit", "ci.plan._comment"),
}
"""By id: the problem, and the function that raises it."""
