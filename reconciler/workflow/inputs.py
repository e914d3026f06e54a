"""Load the files and their secrets, without a request to CloudTruth."""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reconciler.errors import (
    ConfigurationError,
    NoKeyError,
    RunConfigurationError,
    StalePlanError,
    UnresolvedSecretsError,
)
from reconciler.findings import (
    Finding,
    Place,
    Severity,
    distinct,
    error,
    findings_by_organization,
    has_errors,
    in_quotes,
    masked,
    warning,
)
from reconciler.model import Desired, Organization, Secret, SecretRef, SecretValues
from reconciler.planning.names import Globs
from reconciler.render.quote import command_line, without_option
from reconciler.source import files, secrets
from reconciler.source.document import Document
from reconciler.source.history import Commit, Git, NoBaseError, folder_in, no_git
from reconciler.source.lint import Rules, without_organization
from reconciler.source.load import Loaded, Parsed, key_references, load_parsed, parse_files
from reconciler.source.schemes import (
    NOT_ALLOWED,
    Machine,
    allow_patterns,
    how_to_set,
    is_variable,
    pattern,
)
from reconciler.source.secrets import fetch_key

_MAX_NAMES: Final = 3
"""The maximum number of organizations that a finding names."""
_UNRESOLVED: Final = "unresolved-secret"
_WRONG_VALUE: Final = frozenset(("malformed-secret", "unreplaced-placeholder"))


class RunInputs(NamedTuple):
    """What the organizations of a run have in common.

    Webhooks must not contain an API key of the run, either as one of `api_keys` or as a reference
    of `key_references`. `files` are the names of all files, each with the organization that it
    names, and `unselected` the files of the organizations that the run does not select. The error
    about a missing list of allowed secrets proposes `allow_lines`, if there are several.
    """

    api_keys: tuple[Secret, ...] = ()
    key_references: frozenset[SecretRef] = frozenset()
    files: Mapping[str, str | None] = MappingProxyType({})
    unselected: tuple[Checked, ...] = ()
    allow_lines: tuple[str, ...] = ()


class Inputs(NamedTuple):
    """The sources of configuration and secrets, and what is allowed in them.

    `paths` are files, directories or `-`, relative to `directory`; () means `webhooks.yaml`.
    `parsed` are the files if they were read before, or the configuration of a saved plan.
    `selected` are names, ids or globs of organizations, () for all; the API key must belong to one
    of them, too, not only to that of the files. `allow_secrets` are lines of patterns that every
    reference must match, see `allow_patterns`, () for all; with `require_allow_list`, an apply
    without the list is an error.
    `hide` is called with every secret as it is fetched, before any use, so that output can be
    redacted; `redacted` does that with a text.
    `git` runs git in `directory`. With `commit`, the files, their parents, policies and tracked
    secret files are read from it. `policies` are JSON Schemas that the configuration must meet,
    read at the commit `policy_base` if it has them, so that a pull request cannot relax its checks.
    `apply_options` are options for suggested `webhooks apply` commands; None suggests none.
    """

    directory: Path
    environ: Mapping[str, str]
    stdin: Callable[[], bytes]
    paths: tuple[str, ...] = ()
    parsed: Parsed | None = None
    selected: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    require_allow_list: bool = False
    allow_literals: bool = False
    strict: bool = False
    hide: Callable[[Iterable[Secret]], None] = lambda secrets: None
    redacted: Callable[[str], str] = str
    git: Git = no_git
    commit: Commit | None = None
    policies: tuple[str, ...] = ()
    policy_base: str | None = None
    apply_options: tuple[str, ...] | None = None
    run: RunInputs = RunInputs()

    def __repr__(self) -> str:
        return f"Inputs({self.paths!r})"  # the environment may have secrets

    def command(self, name: str, *words: str, without: Iterable[str] = ()) -> str:
        """Return a suggested command with the options of this run and more `words`.

        It lacks the options `without`. Empty if none is suggested, or if it cannot be shown.
        """
        if self.apply_options is None:
            return ""
        options = list(self.apply_options)
        for option in without:
            options = without_option(option, options)
        return command_line(["webhooks", name, *options, *words], self.redacted)

    def read_policy(self, path: str) -> bytes:
        """Return a policy. Raises NotReadableError."""
        if self.commit is not None:
            return self.commit.read_file(path).raw
        # A link could lead out of what the base branch protects.
        files.check_real_path(path, self.directory)
        if self.policy_base is not None:
            with suppress(files.MissingFileError):
                return Commit(self.policy_base, self.directory, self.git).read_file(path).raw
        return files.read_regular(self.directory / path)

    def graded(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return the findings; with `strict`, warnings are errors."""
        if not self.strict:
            return tuple(findings)
        # Notes stay notes: they only inform, also in a strict run.
        graded = {Severity.WARNING: Severity.ERROR}
        return tuple(
            finding._replace(severity=graded.get(finding.severity, finding.severity))
            for finding in findings
        )


class Checked(NamedTuple):
    """Files without errors, and their inputs."""

    desired: Desired
    loaded: Loaded
    inputs: Inputs

    def in_run(self, **changed: Any) -> Checked:
        """Return the files with other values of `RunInputs`."""
        return self._replace(inputs=self.inputs._replace(run=self.inputs.run._replace(**changed)))

    @property
    def other_files(self) -> frozenset[str]:
        """Return the files of other organizations of the run."""
        return frozenset(self.inputs.run.files.keys() - self.loaded.documents.keys())

    @property
    def other_repository(self) -> str:
        """Return the repository of the files if git reads another one, else an empty text."""
        return files.other_repository(self._names_for_git, self.inputs.directory)

    @property
    def further_repositories(self) -> list[str]:
        """Return the repositories of some of the files in which git searches no others."""
        return files.further_repositories(self._names_for_git, self.inputs.directory)

    @property
    def _names_for_git(self) -> tuple[str, ...]:
        if self.inputs.commit is not None or self.inputs.git is no_git:
            return ()
        return (*self.loaded.documents, *self.loaded.parents)


class Gathered(NamedTuple):
    """Files without errors, and the available secrets that they refer to.

    `references` are all references of the files, `problems` the errors of those without a usable
    value, `warnings` warnings about the others.
    """

    checked: Checked
    references: frozenset[SecretRef]
    secrets: SecretValues
    problems: Mapping[SecretRef, tuple[Finding, ...]]
    warnings: tuple[Finding, ...] = ()

    @property
    def missing_references(self) -> frozenset[SecretRef]:
        """Return the references without a value on this machine."""
        return self.references - frozenset(self.secrets)

    @property
    def wrong_values(self) -> dict[SecretRef, Finding]:
        """Return the errors of references whose values do not fit their fields."""
        return {
            reference: finding
            for reference, findings in self.problems.items()
            for finding in findings
            if finding.rule in _WRONG_VALUE
        }


class OrganizationFiles(NamedTuple):
    """The files of one organization, and the reference or profile of its key.

    `inputs` are limited to its files, and contain the key references of all organizations.
    """

    organization: str | None
    inputs: Inputs
    paths: tuple[str, ...]
    api_key: SecretRef | None = None
    profile: str | None = None

    @property
    def name(self) -> str:
        """The declared organization, with a possible secret masked."""
        return masked(self.organization or "no organization")

    @property
    def keys(self) -> frozenset[SecretRef | str]:
        """The reference or profile of the key, if there is one."""
        return frozenset(filter(None, [self.api_key, self.profile]))

    def key(self) -> Secret | None:
        """Return the API key that the files refer to, if any.

        Raises NoKeyError if it has no value, ConfigurationError if it is a credential of the
        machine or of the run.
        """
        if self.api_key is None:
            return None
        inputs = self.inputs
        machine = Machine(inputs.environ, inputs.directory, inputs.commit)
        key = fetch_key(self.api_key, machine)
        if isinstance(key, Finding):
            kind = NoKeyError if key.rule == _UNRESOLVED else ConfigurationError
            findings = self._located(key)
            raise kind(f"there is no API key for {', '.join(self.paths)}", findings=findings)
        # Before any use, so that no message can contain it.
        inputs.hide([key])
        return key

    def _located(self, problem: Finding) -> tuple[Finding, ...]:
        """Return a problem of the key, with an excerpt of the file that refers to it."""
        from reconciler.source.position import add_positions  # only problems have excerpts

        parsed = self.inputs.parsed or Parsed()
        documents = (document for document in parsed.documents if "api_key" in document.data)
        places = (Place(document.file, ("api_key",)) for document in documents)
        return tuple(add_positions(parsed.files, [problem._replace(place=next(places, None))]))


class Source(NamedTuple):
    """The files of one organization of a run, without errors."""

    files: OrganizationFiles
    checked: Checked

    @classmethod
    def without_files(cls, inputs: Inputs) -> Source:
        """Return the source of an organization that only its key names."""
        files = OrganizationFiles(None, inputs, paths=())
        return cls(files, Checked(Desired(), Loaded(None), inputs))

    @property
    def name(self) -> str:
        """Return the declared organization, with a possible secret masked."""
        return self.files.name


def parse(inputs: Inputs) -> Parsed:
    """Read and parse the files, without checking their content.

    Files that name no organization belong to that of the run, if other files name one. Raises
    StalePlanError for a saved plan of another folder.
    """
    # A saved plan, or files that the caller has read, are not read again.
    parsed = inputs.parsed or parse_files(_sources(inputs))
    if parsed.folder is not None:
        _require_folder(inputs, parsed.folder)
    data = {document.file: document.data for document in parsed.documents if document.usable}
    organization = _only_selected(inputs)
    if organization is not None:
        return _with_organization(parsed, data, organization)
    if inputs.parsed is None and inputs.commit is None:
        return parsed._replace(findings=(*parsed.findings, *_only_layers(inputs, data)))
    return parsed


def _with_organization(
    parsed: Parsed, data: Mapping[str, dict[str, Any]], organization: str
) -> Parsed:
    """Return the files, in which those that name no organization belong to this one."""
    unnamed = {finding.place.file for finding in without_organization(data) if finding.place}
    documents = []
    for document in parsed.documents:
        if document.file in unnamed:
            document = document._replace(data={**document.data, "organization": organization})
        documents.append(document)
    return parsed._replace(documents=tuple(documents))


def _require_folder(inputs: Inputs, folder: str) -> None:
    """Raise StalePlanError unless the working directory is this folder of the repository.

    In another one, the paths of secrets could be those of other files.
    """
    here = folder_in(inputs.git)
    if here is None:
        # A checkout without git may be anywhere, but its folders have the same names.
        real = Path(os.path.realpath(inputs.directory))
        is_same = f"/{real.as_posix()}".endswith(f"/{folder}") or not folder
        step = "change to this folder"
    else:
        is_same = here == folder
        step = f"run `{shlex.join(['cd', posixpath.relpath(folder or '.', here or '.')])}`"
    if not is_same:
        where = f"the folder {in_quotes(folder)}" if folder else "the top folder"
        raise StalePlanError(
            f"the plan was saved in {where} of the repository, and names secrets or policies by "
            "paths from there; nothing was written",
            hint=f"{step}, and apply the plan there",
        )


def _only_layers(inputs: Inputs, data: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield an error for each file that only others make complete, if no file has an organization.

    Alone, it would be applied to the organization of any key, which may exclude its webhooks.
    """
    if any(key in values for values in data.values() for key in files.IDENTITY):
        return
    for file, folder in files.folders_of_overlays(data, inputs.directory):
        yield error(
            "no-organization",
            f"{in_quotes(file)} names no organization, but files of organizations extend it",
            f"pass these: `-f {shlex.quote(folder)}`; to apply this file, too, set "
            "`organization` in it",
            Place(file, ()),
        )


def _only_selected(inputs: Inputs) -> str | None:
    """Return the organization that the run selects; None if it may select several, as by a glob."""
    if len(inputs.selected) != 1:
        return None
    (wanted,) = inputs.selected
    # An id, or a name that no file has, may still be that of the key.
    return None if any(char in wanted for char in "*?[") else wanted


def _sources(inputs: Inputs) -> files.Sources:
    """Read the files of the working tree or of the commit. Raises RunConfigurationError."""
    commit = inputs.commit
    if commit is None:  # the working tree
        return files.read(inputs.paths, directory=inputs.directory, stdin=inputs.stdin)
    try:
        sources = commit.read(inputs.paths)
    except NoBaseError as problem:
        raise RunConfigurationError(f"cannot read commit {commit.id}: {problem}") from None
    # A file that is not in the commit would look like webhooks to delete.
    names = [source.file for source in sources.files]
    matchers = {path: files.file_matcher(inputs.directory, path) for path in inputs.paths}
    missing = [path for path, is_read in matchers.items() if not any(map(is_read, names))]
    if not names and not matchers:
        missing = [files.DEFAULT_FILE]
    findings = [
        error(
            "unreadable-file",
            f"there is no file {path} in commit {commit.id}",
            "commit it, or name the files with `-f`; a path is relative to the repository's folder",
        )
        for path in missing
    ]
    return sources._replace(findings=tuple(findings))


def organizations(inputs: Inputs) -> tuple[OrganizationFiles, ...]:
    """Read the files, and return the organizations that they declare, in the order of the files.

    Files that name no organization are an error if other files name one.
    """
    parsed = parse(inputs)
    groups = _by_organization(parsed)
    keys = {name: next(key_references(documents), None) for name, documents in groups.items()}
    problems = parsed.findings
    if len(groups) > 1:
        data = {document.file: document.data for document in parsed.documents if document.usable}
        problems = (*problems, *without_organization(data))
    run = inputs.run._replace(
        key_references=frozenset(filter(None, keys.values())),
        files={document.file: name for name, documents in groups.items() for document in documents},
    )
    # Paths also name files that are gone, so they are kept where git knows these.
    keeps_paths = len(groups) == 1 or _has_history(inputs)
    result = []
    for name, documents in groups.items():
        # Problems of all files are reported once: by the only group, or by that without a name.
        findings = problems if len(groups) == 1 or name is None else ()
        paths = tuple(map(_path, documents))
        profiles = (_text(document, "profile") for document in documents)
        group_inputs = inputs._replace(
            parsed=parsed._replace(
                documents=tuple(documents),
                folder=None,  # checked once
                findings=findings,
            ),
            paths=inputs.paths if keeps_paths else paths,
            run=run,
        )
        result.append(
            OrganizationFiles(
                organization=name,
                inputs=group_inputs,
                paths=paths,
                api_key=keys[name],
                profile=next(filter(None, profiles), None),
            )
        )
    return tuple(result)


def _path(document: Document) -> str:
    return files.STDIN if document.file == files.STDIN_NAME else document.file


def _has_history(inputs: Inputs) -> bool:
    """Return whether all paths are files or folders, neither globs nor standard input."""
    return not any(
        path == files.STDIN or files.is_glob(path, inputs.directory) for path in inputs.paths
    )


def _by_organization(parsed: Parsed) -> dict[str | None, list[Document]]:
    """Group the files by their organization.

    If they name only one, all of them belong to it. Problems of files have a group without a name,
    which may have no files.
    """
    groups: dict[str | None, list[Document]] = {}
    for document in parsed.documents:
        groups.setdefault(_text(document, "organization"), []).append(document)
    if parsed.findings or not groups:
        groups.setdefault(None, [])
    if len(groups) == 2 and None in groups:
        (name,) = groups.keys() - {None}
        return {name: list(parsed.documents)}
    return groups


def _text(document: Document, key: str) -> str | None:
    value = document.data.get(key)
    return value if isinstance(value, str) else None


def validate(inputs: Inputs) -> Loaded:
    """Check the files. `desired` is None if and only if a finding is an error."""
    parsed = parse(inputs)
    names = (_text(document, "organization") for document in parsed.documents)
    # References to keys of any organization of the run are forbidden in all of them.
    rules = Rules(
        allow_secrets=allow_patterns(inputs.allow_secrets, next(filter(None, names), None)),
        allow_literal_secrets=inputs.allow_literals,
        api_keys=inputs.run.key_references,
    )
    declared = load_parsed(parsed, rules)
    if declared.desired is not None:
        declared = judge(declared, inputs, inputs.policies, parsed.policies)
    findings = inputs.graded(declared.findings)
    desired = None if has_errors(findings) else declared.desired
    return declared._replace(findings=findings, desired=desired)


def judge(
    declared: Loaded,
    inputs: Inputs,
    policies: tuple[str, ...],
    saved: Mapping[str, str],
    organization: Organization | None = None,
) -> Loaded:
    """Return files with the violations of policies as findings; see `check_policies`."""
    if not policies and not saved:
        return declared
    # Imported here, because it takes time, and few runs have policies.
    from reconciler.source.policy import check_policies

    return check_policies(declared, policies, inputs.read_policy, saved, organization)


def accept(declared: Loaded, inputs: Inputs) -> Checked:
    """Return files without errors. Raises ConfigurationError with all findings."""
    if declared.desired is None:
        raise ConfigurationError("the files are invalid", findings=declared.findings)
    return Checked(desired=declared.desired, loaded=declared, inputs=inputs)


def load(inputs: Inputs) -> Checked:
    """Read and check the files. Raises ConfigurationError with all findings."""
    return accept(validate(inputs), inputs)


def validate_all(inputs: Inputs) -> tuple[tuple[Source, ...], tuple[Finding, ...]]:
    """Read and check the files of all organizations.

    Return the organizations in the order of the files, none if a file has an error, and the
    findings of all files, each once: organizations may have the same parents.
    """
    groups = organizations(inputs)
    loaded = [_validated(group) for group in groups]
    sources = [
        Source(group, accept(declared, group.inputs))
        for group, declared in zip(groups, loaded, strict=True)
        if declared.desired is not None
    ]
    if len(groups) > 1:
        lines = _allow_lines(sources)
        sources = [
            source._replace(checked=source.checked.in_run(allow_lines=lines)) for source in sources
        ]
    # All or none: an invalid file may belong to any organization.
    is_valid = len(sources) == len(groups)
    return tuple(sources) if is_valid else (), tuple(_findings(groups, loaded))


def _findings(groups: Sequence[OrganizationFiles], loaded: Sequence[Loaded]) -> list[Finding]:
    """Return the findings of all files, each once, with the organizations whose list is wrong."""
    if len(groups) == 1:
        return distinct(loaded[0].findings)
    findings: list[Finding] = []
    unlisted: list[tuple[str, list[Finding]]] = []
    for group, declared in zip(groups, loaded, strict=True):
        findings += [finding for finding in declared.findings if finding.rule != NOT_ALLOWED]
        # A secret of a file that several extend may be missing in the list of only one of them.
        refused = [finding for finding in declared.findings if finding.rule == NOT_ALLOWED]
        unlisted.append((group.name, [finding._replace(related=()) for finding in refused]))
    return distinct([*findings, *findings_by_organization(unlisted, _MAX_NAMES)])


def _validated(group: OrganizationFiles) -> Loaded:
    """Check the files of an organization; without the list of secrets if it is not selected."""
    # `gather` checks the list again, also for an id that is selected by its name.
    allowed = group.inputs.allow_secrets if _is_selected(group) else ()
    return validate(group.inputs._replace(allow_secrets=allowed))


def _is_selected(group: OrganizationFiles) -> bool:
    """Return whether the run selects an organization, by what its files write."""
    name, selected = group.organization, group.inputs.selected
    return not selected or name is None or name in selected or Globs(selected).match(name)


def load_all(inputs: Inputs) -> tuple[Source, ...]:
    """Read and check the files of all organizations, in the order of the files.

    Raises ConfigurationError with the findings of all files, if one has an error: it may belong to
    any organization.
    """
    sources, findings = validate_all(inputs)
    if not sources:
        raise ConfigurationError("the files are invalid", findings=findings)
    return sources


def gather(
    checked: Checked,
    api_key: Secret | None = None,
    *,
    writing: bool = False,
    checking: bool = False,
) -> Gathered:
    """Fetch the secrets that the files refer to; missing ones are not an error yet.

    If only `checking`, a value that does not fit its field is missing, too. Raises
    ConfigurationError for a value that must never be sent and, if `writing`, for references without
    the required list of allowed secrets.
    """
    inputs, webhooks = checked.inputs, checked.desired.webhooks
    references = frozenset(secrets.references(webhooks))
    unlisted = _unlisted(references, inputs, writing=writing)
    values, problems = secrets.fetch(
        webhooks,
        Machine(inputs.environ, inputs.directory, inputs.commit),
        literals=checked.desired.literals,
        api_keys=(*inputs.run.api_keys, *filter(None, [api_key])),
        # The key must belong to this organization, so no file can use the list of another one.
        allow=allow_patterns(inputs.allow_secrets, checked.desired.organization),
    )
    inputs.hide(values.values())  # before any message can contain one
    return Gathered(
        checked=checked,
        references=references,
        secrets=values,
        problems=problems,
        warnings=(*unlisted, *_unfit(problems, checked, writing=writing, checking=checking)),
    )


def _unfit(
    problems: Mapping[SecretRef, Iterable[Finding]],
    checked: Checked,
    *,
    writing: bool,
    checking: bool,
) -> tuple[Finding, ...]:
    """Return the warnings about values that should not be sent.

    Raises ConfigurationError for those that must not be sent.
    """
    # A value that is missing is an error of the apply, one that must not be sent of every command.
    missing = {_UNRESOLVED, *(_WRONG_VALUE if checking else ())}
    unfit = [
        (reference, finding)
        for reference, findings in problems.items()
        for finding in findings
        if finding.rule not in missing
    ]
    invalid = checked.inputs.graded(located(unfit, checked))
    if has_errors(invalid):
        raise _must_not_be_sent(unfit, invalid, checked.inputs, writing=writing)
    return invalid


def _must_not_be_sent(
    unfit: Iterable[tuple[SecretRef, Finding]],
    invalid: tuple[Finding, ...],
    inputs: Inputs,
    *,
    writing: bool,
) -> ConfigurationError:
    """Return the error for invalid secrets; `invalid` are the unfit ones, with their places."""
    effect = ": nothing was written" if writing else ""
    message = f"some secrets are invalid{effect}"
    rules = {finding.rule for finding in invalid if finding.severity is Severity.ERROR}
    wrong = [reference for reference, finding in unfit if finding.rule in _WRONG_VALUE]
    # No edit of the files helps against such a value of a variable.
    if rules <= _WRONG_VALUE and all(map(is_variable, wrong)):
        names = dict.fromkeys(masked(ref.name) for ref in wrong)
        steps = [how_to_set(name, inputs.environ, "correct") for name in names]
        return UnresolvedSecretsError(message, findings=invalid, hint="; ".join(steps))
    return ConfigurationError(message, findings=invalid)


def located(problems: Sequence[tuple[SecretRef, Finding]], checked: Checked) -> tuple[Finding, ...]:
    """Return problems of references, with an excerpt: at their place, or at the first reference."""
    if not problems:
        return ()
    # Imported here, because only problems have excerpts.
    from reconciler.source.position import add_positions

    wanted = {reference for reference, _ in problems}
    places: dict[SecretRef, Place] = {}
    for webhook in checked.desired.webhooks:
        for name, reference in webhook.references:
            if reference in wanted and reference not in places:
                path = ("webhooks", webhook.index, "configuration", name)
                places[reference] = Place(webhook.file, path)
    findings = []
    for reference, problem in problems:
        place = problem.place or places[reference]
        findings.append(problem._replace(position=None, place=place))
    return tuple(add_positions(checked.loaded.files, findings))


def _unlisted(
    references: Iterable[SecretRef], inputs: Inputs, *, writing: bool
) -> tuple[Finding, ...]:
    """Return a warning if a required list of allowed secrets is missing.

    Raises ConfigurationError instead if `writing`, or if warnings are errors.
    """
    # The list protects secrets of the machine; a literal is in the files anyway.
    named = [use for use in references if not use.is_literal]
    if not named or inputs.allow_secrets or not inputs.require_allow_list:
        return ()
    message = "in CI, apply sends only secrets listed in WEBHOOKS_ALLOW_SECRETS, which is not set"
    wanted = f"={shlex.quote(_patterns(named))}"
    if inputs.run.allow_lines:
        wanted = f" to the lines {', '.join(map(shlex.quote, inputs.run.allow_lines))}"
    hint = f"if all of these may be sent, set WEBHOOKS_ALLOW_SECRETS{wanted}"
    if writing or inputs.strict:
        raise RunConfigurationError(message, hint=hint)
    return (warning("no-allow-list", message, hint),)


def _patterns(references: Iterable[SecretRef]) -> str:
    """Return the patterns of the allow-list for references."""
    return " ".join(sorted({masked(pattern(use)) for use in references}))


def _allow_lines(sources: Iterable[Source]) -> tuple[str, ...]:
    """Return the lines of the allow-list that the selected organizations need, as `init` does."""
    lines = []
    for source in sources:
        used = secrets.references(source.checked.desired.webhooks)
        named = [reference for reference in used if not reference.is_literal]
        if named and _is_selected(source.files):
            lines.append(f"{source.name}: {_patterns(named)}")
    return tuple(lines)
