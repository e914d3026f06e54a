"""Previous revisions of the files: what they declared, and what changed since and is not sent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import product, takewhile
from typing import Final

from reconciler.errors import ConfigurationError, RunConfigurationError
from reconciler.findings import Finding, note, shorten
from reconciler.model import Desired, Secret, SecretRef, Webhook
from reconciler.planning.plan import Plan
from reconciler.planning.resend import Resends
from reconciler.render.quote import repeated
from reconciler.source import files, secrets
from reconciler.source.history import (
    Change,
    Commit,
    NoBaseError,
    commit_at,
    commit_of,
    is_revision,
    last_change,
    renames,
    tracked,
)
from reconciler.source.lint import Rules
from reconciler.source.load import Parsed, load_parsed, parse_files
from reconciler.source.schemes import is_file
from reconciler.workflow.inputs import Checked, Gathered, Inputs, organizations

_EARLIER: Final = Rules(allow_literal_secrets=True)
"""The rules for an earlier version of the files: this run's options do not apply to it."""
_NOT_SENT: Final = "version-not-sent"
_MAX_CHANGES: Final = 20
"""The maximum number of file changes that may not be applied yet."""
_REVISIONS: Final = (
    ("HEAD", "uncommitted edits change", "for two commits"),
    ("HEAD^", "the last commit changes", "until the next commit"),
)
_ANOTHER_REVISION: Final = (
    "pass a revision from `git log` (a shallow clone has few, and a force push removes some), or "
    "the previous files"
)


def previous(named: tuple[str, ...], checked: Checked) -> Desired:
    """Read the previous configuration for `PlanOptions.previous`, from paths or a git revision.

    A single name that is not a path is a revision. Earlier files are matched with this run's files
    by name, so that references and scopes compare correctly. Raises ConfigurationError.
    """
    inputs = checked.inputs
    if not is_revision(named, inputs.directory):
        sources = files.read(named, directory=inputs.directory, stdin=inputs.stdin)
        if sources.findings:
            raise _no_base("--base", sources.findings[0].message)
        return _declared(parse_files(sources), f"--base {named[0]}", checked).desired
    repository = checked.other_repository
    if repository:
        raise _no_base(
            f"--base {named[0]}",
            f"the files are in the repository {repository}; run the command there",
        )
    commit = commit_at(named[0], inputs.directory, inputs.git)
    if commit is None:
        raise _no_base(
            f"--base {named[0]}", "not an existing path, and git has no such revision in this clone"
        )
    return _previous(commit, f"--base {named[0]}", checked).desired


def previous_at(commit: str, checked: Checked) -> Checked:
    """Read the configuration of a commit that exists, by its hash. Raises ConfigurationError."""
    inputs = checked.inputs
    # The user has not named it.
    name = f"commit {commit[:12]}"
    return _previous(Commit(commit, inputs.directory, inputs.git), name, checked)


def _previous(commit: Commit, name: str, checked: Checked) -> Checked:
    """Read the configuration of a commit, which messages call `name`."""
    inputs = checked.inputs
    current = frozenset(inputs.run.files).union(checked.loaded.documents)
    try:
        parsed = parsed_at(commit, inputs.paths, inputs.commit, current)
    except NoBaseError as problem:
        raise _no_base(name, str(problem), problem.hint or _ANOTHER_REVISION) from None
    earlier = _declared(parsed, name, checked)
    return earlier._replace(desired=_with_committed(earlier.desired, commit, inputs))


@lru_cache(maxsize=32)  # a run has up to 60 organizations, and drift of each looks at 20 commits
def parsed_at(
    commit: Commit, paths: tuple[str, ...], now: Commit | None, current: frozenset[str] | None
) -> Parsed:
    """Parse all files of a commit: a layer is only one beside the files that extend it.

    A file that has another name in `now`, or else in the index, has that. If the commit has all
    `current` files, none is searched for. Raises NoBaseError.
    """
    sources = commit.read(paths)
    names = {source.file for source in sources.files}
    if current is not None and current <= names:
        return parse_files(sources)
    renamed = renames(commit, paths, now)
    read_files = list(sources.files)
    contents = {source.raw for source in sources.files}
    for name in sorted(renamed.keys() - names):
        with suppress(files.NotReadableError):
            earlier = commit.read_file(name)
            # Behind a link it was read already, under the name of the link.
            if earlier.raw not in contents:
                read_files.append(earlier)
    parsed = parse_files(sources._replace(files=tuple(read_files)))
    # Only now: paths in `extends` are relative to the earlier name.
    documents = [
        document._replace(file=renamed.get(document.file, document.file))
        for document in parsed.documents
    ]
    return parsed._replace(documents=tuple(documents))


def possible_bases(run: Sequence[Checked]) -> Iterator[str]:
    """Yield HEAD, and the commits before the last file changes of a run, the newest first.

    Raises NoBaseError if git cannot list them.
    """
    for checked in run:
        if checked.other_repository:
            raise NoBaseError(f"the files are in the repository {checked.other_repository}")
    inputs = run[0].inputs
    head = commit_of("HEAD", inputs.git)
    if head is None:
        raise NoBaseError("git finds no commit here")
    yield head
    names = set[str]().union(*(checked.loaded.files for checked in run))
    for change in file_changes(names, (), inputs, head):
        yield change.before


def file_changes(
    names: set[str], others: Collection[str], inputs: Inputs, until: str
) -> Iterator[Change]:
    """Yield the commits that changed the files, the newest first.

    At most the last 20. `names` grows from one commit to the next: by the earlier names of renamed
    files here, and by what the caller adds. `others` do not count. Raises NoBaseError.
    """
    targets = files.behind_links(names, inputs.directory)
    names.update(tracked(targets, directory=inputs.directory, git=inputs.git))
    *default_names, default_folder = files.DEFAULT_FILES
    if not inputs.paths:
        names.update(default_names)
    # A folder also had the files that are gone.
    folders = {
        files.display_name(inputs.directory / path, inputs.directory)
        for path in inputs.paths or (default_folder,)
    } - names
    for _ in range(_MAX_CHANGES):
        newest = Commit(until, inputs.directory, inputs.git)
        change = last_change(names, folders, others, newest)
        if change is None:
            return
        names.update(change.renamed)
        until = change.before
        yield change


def _no_base(name: str, problem: str, hint: str = _ANOTHER_REVISION) -> RunConfigurationError:
    return RunConfigurationError(f"{name}: {problem}", hint=hint)


def _declared(parsed: Parsed, name: str, checked: Checked) -> Checked:
    """Return what earlier files declare, with the names of this run's files."""
    parsed = _earlier_files(parsed, checked)
    # The checks take longer than the comparison.
    if parsed.documents == (*checked.loaded.documents.values(),):
        return checked
    current = [*checked.loaded.documents]
    names = _counterparts([document.file for document in parsed.documents], current)
    renamed = [document._replace(file=names[document.file]) for document in parsed.documents]
    # In the order of today, so that files which only moved declare the same.
    renamed.sort(key=lambda document: (*current, document.file).index(document.file))
    loaded = load_parsed(parsed._replace(documents=tuple(renamed)), _EARLIER)
    if loaded.desired is None:
        findings = load_parsed(parsed, _EARLIER).findings  # with the earlier names
        message = f"the files of {name} are invalid"
        raise ConfigurationError(message, findings=findings)
    return Checked(loaded.desired, loaded, checked.inputs)


def _earlier_files(parsed: Parsed, checked: Checked) -> Parsed:
    """Return previous files without those of other organizations."""
    groups = organizations(checked.inputs._replace(parsed=parsed))
    # They may have named their only organization otherwise.
    if len(groups) == 1 and not checked.other_files:
        return parsed
    names = checked.loaded.documents.keys()
    renamed = Parsed()
    for group in groups:
        documents = group.inputs.parsed or Parsed()
        if group.organization == checked.desired.organization:
            return documents
        if names >= {document.file for document in documents.documents}:
            renamed = documents
    return renamed


def _with_committed(desired: Desired, commit: Commit, inputs: Inputs) -> Desired:
    """Add the secret files of a commit, so far as it has them."""
    committed: dict[SecretRef, Secret] = {}
    # With the earlier content of a file, a plan shows that it changed.
    for reference in filter(is_file, secrets.references(desired.webhooks)):
        with suppress(files.NotReadableError, UnicodeDecodeError):
            committed[reference] = secrets.wrap(commit.read_file(reference.name).raw.decode())
    inputs.hide(committed.values())
    return desired._replace(committed=committed)


def _counterparts(earlier: list[str], current: list[str]) -> dict[str, str]:
    """Match each earlier file with the file of this run whose path ends most like its own."""
    # A single file is the same one, whatever its path was.
    if len(earlier) == len(current) == 1:
        return {earlier[0]: current[0]}

    def shared(pair: tuple[str, str]) -> int:
        steps = zip(*(path.split("/")[::-1] for path in pair), strict=False)
        return len(list(takewhile(lambda step: step[0] == step[1], steps)))

    # The longest common endings first, each file once.
    matches: dict[str, str] = {}
    for name, other in sorted(product(earlier, current), key=shared, reverse=True):
        if shared((name, other)) and name not in matches and other not in matches.values():
            matches[name] = other
    return {name: matches.get(name, name) for name in earlier}


def may_be_unsent(gathered: Gathered, plan: Plan) -> bool:
    """Return whether there are secrets of which no plan shows whether they were sent.

    Only if messages may name the command that sends them: on GitHub, comments show what was sent.
    """
    has_command = gathered.checked.inputs.apply_options is not None
    return has_command and bool(plan.not_shown or gathered.missing_references)


def notes_on_unsent(gathered: Gathered, plan: Plan) -> list[Finding]:
    """Return what `unsent` returns, or a note that git does not show it here."""
    checked = gathered.checked
    if not may_be_unsent(gathered, plan):
        return []
    message = "git does not show which secrets were changed and not sent, because "
    repository = checked.other_repository
    if repository:
        message += f"the files are in the repository {repository}"
        return [note(_NOT_SENT, message, f"run the command in {repository}")]
    notes = unsent(gathered, plan)
    further = checked.further_repositories
    if further and not notes:
        message += f"some of the files are in {shorten(further, 3)}"
        notes = [note(_NOT_SENT, message, "--resend-secret sends one that was changed there")]
    return notes


def unsent(gathered: Gathered, plan: Plan) -> list[Finding]:
    """Return a note about hidden values that were changed in git and that the plan does not send.

    CloudTruth stores neither the reference nor the version of a secret, so this compares with git.
    The note has the command that sends them.
    """
    inputs, not_shown = gathered.checked.inputs, plan.fields_not_shown
    if not may_be_unsent(gathered, plan) or gathered.checked.other_repository:
        return []
    # Uncommitted edits first: they include what the last commit changed.
    for revision, who, until in _REVISIONS:
        commit = commit_at(revision, inputs.directory, inputs.git)
        if commit is None:  # then there is none before it, either
            break
        changed, what, options = _changed_since(commit, gathered, plan)
        if changed:
            hidden = any((webhook.id, field) in not_shown for webhook, field in changed)
            why = "CloudTruth does not show" if hidden else "without the value, it is not known"
            reason = f"{why} whether it was already sent, so this note stays {until}"
            # The first word is the option that the others repeat, or its value.
            command = inputs.command("apply", *options, without=options[:1])
            return [_not_sent(f"{who} {what}", changed, command, reason)]
    return []


def _changed_since(
    commit: Commit, gathered: Gathered, plan: Plan
) -> tuple[list[tuple[Webhook, str]], str, list[str]]:
    """Return the fields that changed since a commit, what that is, and options that send it."""
    contents = _changed_files(commit, gathered, plan)
    # A changed file has the same reference, so only --resend-secret can send it.
    if contents:
        values = [webhook.configuration[field] for webhook, field in contents]
        names = sorted({value.name for value in values if isinstance(value, SecretRef)})
        options = repeated("--resend-secret", names)
        return contents, f"the content of {', '.join(names)}", options
    changed: list[tuple[Webhook, str]] = []
    with suppress(ConfigurationError):  # not in git, or not valid there
        earlier = previous_at(commit.id, gathered.checked).desired
        resends = Resends(gathered.checked.desired, earlier)
        changed = changed_fields(resends, gathered, plan)
    return changed, _declared_change(changed), ["--base", commit.id]


def _declared_change(changed: Sequence[tuple[Webhook, str]]) -> str:
    values = [(webhook.configuration[field], field) for webhook, field in changed]
    references = {str(value) for value, _ in values if isinstance(value, SecretRef)}
    plain = {field for value, field in values if not isinstance(value, SecretRef)}
    what = [f"`{field}`" for field in sorted(plain)]
    if references:
        what.append(f"the reference or `version` of {', '.join(sorted(references))}")
    return " and ".join(what)


def _not_sent(
    what: str,
    changed: Sequence[tuple[Webhook, str]],
    command: str,
    reason: str,
) -> Finding:
    """Return the note about fields that are changed, and the `reason` that it stays."""
    distinct = {(webhook.file, webhook.index): repr(webhook.name) for webhook, _ in changed}
    names = shorten(sorted(distinct.values()), 3)  # webhooks may share a name
    message = f"{what} for {names}, but this plan does not send the secret; {reason}"
    hint = "if it was sent, ignore this"
    if command:
        hint = f"if it was not sent yet, run: {command}"
    return note(_NOT_SENT, message, hint)


def _changed_files(commit: Commit, gathered: Gathered, plan: Plan) -> list[tuple[Webhook, str]]:
    """Return each hidden secret in a file that git tracks, with another content than at a commit.

    They are returned as webhook and field, without those that the plan sends.
    """
    changed: set[SecretRef] = set()
    for reference, secret in gathered.secrets.items():
        if is_file(reference):
            with suppress(files.NotReadableError):
                before = commit.read_file(reference.name).raw.decode(errors="replace")
                if secrets.wrap(before) != secret:
                    changed.add(reference)
    if not changed:
        return []  # most plans
    not_shown = plan.fields_not_shown
    return [
        (webhook, field)
        for webhook, _ in _unsent_webhooks(plan)
        for field, reference in webhook.references
        if (webhook.id, field) in not_shown and reference in changed
    ]


def changed_fields(resends: Resends, gathered: Gathered, plan: Plan) -> list[tuple[Webhook, str]]:
    """Return each field that `resends` sends and that cannot be compared.

    They are secrets, by reference and version, and plain fields that the server hides, as webhook
    and field, without those that the plan sends.
    """
    not_shown = plan.fields_not_shown
    changed: list[tuple[Webhook, str]] = []
    for webhook, live_name in _unsent_webhooks(plan):
        unknown = [
            field
            for field, value in webhook.configuration.items()
            if (webhook.id, field) in not_shown
            or (isinstance(value, SecretRef) and value not in gathered.secrets)
        ]
        if unknown:
            causes = resends.causes(webhook, webhook.id or "", live_name)
            changed += [(webhook, field) for field in unknown if field in causes]
    return changed


def _unsent_webhooks(plan: Plan) -> list[tuple[Webhook, str]]:
    """Return the webhooks whose configuration the plan does not send, with their live names.

    Each has its live id.
    """
    unsent = {id_: (webhook, webhook.name) for id_, webhook in plan.matched.items()}
    for update in plan.updates:
        if not update.sends_configuration:
            unsent[update.before.id] = update.after, update.before.name
    return [(replace(webhook, id=id_), name) for id_, (webhook, name) in unsent.items()]
