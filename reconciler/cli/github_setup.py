"""The GitHub workflows of `webhooks init --github`, and what to set up for them in GitHub."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from difflib import unified_diff
from itertools import chain
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Final, NamedTuple

from reconciler import workflow
from reconciler.api.origin import DEFAULT_SERVER, Origin
from reconciler.ci import workflows
from reconciler.cli.session import Session
from reconciler.errors import NotConfirmedError, UsageError
from reconciler.findings import Finding, Severity, shorten
from reconciler.render.quote import quote
from reconciler.settings import LOCAL_SERVER
from reconciler.source.elsewhere import beside
from reconciler.source.files import behind_links
from reconciler.source.history import Git, default_branch, folder_in, git_in, has_branch
from reconciler.source.output import FileKind, check_kind
from reconciler.source.schemes import is_variable, paths
from reconciler.source.secrets import references
from reconciler.workflow.inputs import OrganizationFiles

_MAX_SECRETS: Final = 100
"""The maximum number of secrets of an environment on GitHub."""


def require_possible(
    directory: Path, targets: Iterable[str], commit: str | None, *, may_remove: bool
) -> None:
    """Raise UsageError for a folder in a repository, and if no commit to install is known.

    Raises NotConfirmedError unless the workflows keep their files, or `may_remove` some. `init`
    calls it before it writes the configuration, so that an error leaves nothing half done.
    """
    # GitHub reads no workflows in such a folder.
    folder = folder_in(git_in(directory))
    if folder:
        options = file_options(f"{folder}/{target}" for target in targets)
        raise UsageError(
            "GitHub reads workflows only in the top folder of a repository: nothing was written",
            hint=f"run `webhooks init --github{options}` there",
        )
    workflows.pinned(commit)  # for its error
    removed = not_covered(workflows.configured_files(directory), targets)
    if removed and not may_remove:
        raise NotConfirmedError(
            f"this would remove {', '.join(removed)} from the workflows: nothing was written",
            hint="name all files with -f; to remove some, name existing ones, without --yes",
        )


def file_options(paths: Iterable[str]) -> str:
    """Return the options that name files, as a part of a command."""
    return "".join(f" -f {shlex.quote(path)}" for path in paths)


def not_covered(files: Iterable[str], by: Iterable[str]) -> list[str]:
    """Return the files and directories that are neither among others nor below one of them."""
    others = [PurePosixPath(normpath(path)) for path in by]
    return [
        path for path in files if not any(map(PurePosixPath(normpath(path)).is_relative_to, others))
    ]


def write_workflows(
    session: Session,
    targets: tuple[str, ...],
    *,
    branch: str | None,
    policies: tuple[str, ...],
    commit: str | None,
    yes: bool,
) -> None:
    """Write the workflows for the configuration in `targets`; print what to set up in GitHub.

    An option overrides the settings of existing workflows. These keep their version, too, unless
    the user has chosen a `commit`.

    Raises ConfigurationError and UsageError before the first write, NotConfirmedError.
    """
    # A later run updates workflows, so what users have set in them must stay.
    existing = [session.process.directory / name for name in workflows.NAMES]
    texts = [path.read_text("utf-8", "replace") for path in existing if path.is_file()]
    settings = workflows.settings_in(texts)
    package, lock = workflows.pinned(commit)
    if commit is not None:
        settings = {**settings, "package": package, "lock": lock}
    policies = policies or tuple(filter(None, settings.get("policy", "").split(r"\n")))
    if branch is None:
        branch = _branch(session, settings.get("branch"))
    if not branch:
        branch = "main"
        text = "no branch found in git: the workflows apply pushes to main; see --branch"
        session.console.message("warning", text)
    organizations, parents = _organizations(session, targets, policies)
    setup = workflows.Setup(
        package=package,
        lock=lock,
        files=targets,
        branch=branch,
        organizations=organizations,
        parents=parents,
        policies=policies,
        server=_server_of_workflows(session),
        settings=settings,
    )
    _write(session, setup, yes=yes)
    session.console.result(_instructions(setup))


def _branch(session: Session, applied: str | None) -> str:
    """Return the branch that existing workflows apply, or the default one; empty without both."""
    git = git_in(session.process.directory)
    default = default_branch(git)
    # What existing workflows apply stays, whatever is checked out here.
    branch = applied or default
    if default not in ("", branch) and not has_branch(git, branch):
        text = f"the workflows apply pushes to {branch}, which is no branch here or of origin"
        command = shlex.join(["webhooks", "init", "--github", "--branch", default])
        session.console.message("warning", f"{text}; if it was renamed, run `{command}`")
    return branch


def _organizations(
    session: Session, targets: tuple[str, ...], policies: tuple[str, ...]
) -> tuple[tuple[workflows.RequiredSecrets, ...], tuple[str, ...]]:
    """Return the secrets of each organization in the files, and what else starts an apply.

    These are the files' parents, targets of links, and the named files. The files must conform to
    the policies. Raises ConfigurationError, UsageError.
    """
    # The workflows have their own list of allowed secrets, which is made from these files.
    inputs = session.inputs._replace(
        paths=targets, allow_secrets=(), strict=False, policies=policies
    )
    organizations: list[workflows.RequiredSecrets] = []
    parents: set[str] = set()
    documents: set[str] = set()
    warnings: dict[Finding, None] = {}
    for source in workflow.load_all(inputs):
        checked = source.checked
        for finding in checked.loaded.findings:
            if finding.severity is Severity.WARNING:
                warnings[finding] = None
        parents.update(checked.loaded.parents)
        documents.update(checked.loaded.documents)
        # All versions of a secret are read from the same variable.
        secrets = {use.unversioned for use in references(checked.desired.webhooks)}
        organizations.append(
            workflows.RequiredSecrets(
                name=source.files.organization or "",
                references=tuple(secrets),
                key=_key_variable(source.files),
                environment=checked.desired.environment,
            )
        )
    keys = {organization.key for organization in organizations}
    if len(keys) < len(organizations):
        text = (
            "several organizations use one API key, but each needs its own: set "
            "`api_key: {env: NAME}` in their files, and run this again"
        )
        session.console.message("warning", text)
    ignored = _ignored(organizations, inputs.git)
    if ignored:
        text = f"GitHub's runners do not have {shorten(ignored, 3)}, which git ignores"
        session.console.message("warning", f"{text}: refer to a variable instead")
    directory = session.process.directory
    others = [document.file for document in beside(documents | parents, directory)]
    # For those that the workflows read until now, there is another warning.
    others = not_covered(others, workflows.configured_files(directory))
    if others:
        text = f"not in the workflows, although they declare webhooks: {shorten(others, 3)}"
        session.console.message("warning", f"{text}; to apply them, name all files with -f")
    if warnings:
        session.warn(warnings)
        session.console.message("warning", "in the workflows these warnings are errors: fix them")
    named = documents.intersection(map(normpath, targets))  # those with any suffix
    return tuple(organizations), tuple(
        sorted({*parents, *named, *behind_links(documents, directory)})
    )


def _ignored(organizations: Iterable[workflows.RequiredSecrets], git: Git) -> list[str]:
    """Return the secret files that git ignores, as far as it is known: none without git."""
    used = chain.from_iterable(organization.references for organization in organizations)
    # One after the other, because git fails for all if one is outside of the repository.
    return [path for path in sorted(paths(used)) if git(["check-ignore", "--", path])]


def _key_variable(files: OrganizationFiles) -> str:
    """Return the variable of an organization's key.

    Raises UsageError for a key that GitHub's runners do not have.
    """
    key = files.api_key
    if files.profile is None:
        if key is None:
            return "CLOUDTRUTH_API_KEY"
        if is_variable(key):
            return key.name
    what, kind = "profile", "in cli.yml"
    if key is not None:
        what, kind = "api_key", f"a {key.scheme}"
    raise UsageError(
        f"`{what}` in {', '.join(files.paths)} is {kind}, which GitHub's runners do not have; no "
        "workflow was written",
        hint="refer to a variable instead, such as `api_key: {env: ACME_API_KEY}`",
    )


def _server_of_workflows(session: Session) -> str:
    """Return the server to write into workflows, and print it; empty for the default."""
    server, source = session.settings.server_url
    if server in (DEFAULT_SERVER, LOCAL_SERVER):
        return ""
    # A test server on this machine is never what GitHub's runners should use.
    if Origin.parse(server).is_loopback:
        text = f"{server} (from {source}) is this machine: new workflows use {DEFAULT_SERVER}"
        session.console.message("warning", text)
        return ""
    session.console.result(f"New workflows use the server {server} (from {source})")
    return server


class _Change(NamedTuple):
    """A workflow to write, with the text that it replaces, if any."""

    name: str
    text: str
    old: str | None


def _write(session: Session, setup: workflows.Setup, *, yes: bool) -> None:
    """Write the workflows; differences to existing ones are shown and confirmed first.

    Settings are kept, other edits are not: --yes refuses to remove them. Raises NotConfirmedError,
    and UsageError for another file with that name.
    """
    directory, console = session.process.directory, session.console
    removed = not_covered(workflows.configured_files(directory), setup.files)
    changes = list(_changes(session, setup))
    if removed:
        names = ", ".join(removed)
        warning = (
            f"{names}: the workflows read this no longer, so it is neither planned, applied nor "
            "checked; to keep it, name it with -f, too"
        )
        console.message("warning", warning)
    replaced = {change.name: change.old for change in changes if change.old is not None}
    edited = [name for name, old in replaced.items() if workflows.is_edited(old)]
    if edited:
        names = ", ".join(edited)
        console.message("warning", f"{names}: edits that are not settings are removed, see above")
        if yes:
            raise NotConfirmedError(
                "these workflows were edited, or are from an earlier version; none was written",
                hint="read the difference, and run the command without --yes",
            )
    if replaced and not yes:
        session.confirm("Write these workflows?", consequence="no workflow was written")
    # Only after the question, so that a refusal leaves all of them as they were.
    for change in changes:
        session.write_file(change.name, change.text, over=FileKind.WORKFLOW)


def _changes(session: Session, setup: workflows.Setup) -> Iterator[_Change]:
    """Yield the workflows to write, and print how they differ from existing ones."""
    for name, text in workflows.workflows(setup).items():
        path = session.process.directory / name
        check_kind(path, FileKind.WORKFLOW)
        old = None
        if path.exists():
            old = path.read_text("utf-8", "replace")
            # Nothing to confirm, and the time of an unchanged file stays.
            if text == old:
                session.console.info(f"kept {name}, which is up to date")
                continue
            lines = unified_diff(old.splitlines(), text.splitlines(), name, name, lineterm="")
            session.console.result("\n".join(lines))
        yield _Change(name, text, old)


def _instructions(setup: workflows.Setup) -> str:
    """Return what to set up in GitHub."""
    unused_names = setup.unused
    used = {name: names for name, names in setup.environments.items() if name not in unused_names}
    applies = ", ".join(used)
    commands = "\n".join(f"  {line}" for line in setup.commands)
    over_limit = ""
    checks: list[str] = []
    for name, secrets in {setup.plan_environment: setup.keys, **used}.items():
        if secrets:  # files may name others only
            checks.append(f"  gh secret list --env {name}  # {shorten(secrets, 10)}")
        # GitHub refuses the next one, after a user has set a hundred of them.
        if len(secrets) > _MAX_SECRETS:
            step = (
                "give\nsome of its organizations another environment with "
                "`github: {environment: NAME}`"
            )
            # It has the keys of all organizations, also of those that name an environment.
            if name == setup.plan_environment:
                step = (
                    "split\nthe files, each part with its own calling workflows: "
                    "docs/organizations.md"
                )
            over_limit += (
                f"\n{name} needs {len(secrets)} secrets, more than GitHub's limit of "
                f"{_MAX_SECRETS}: {step}."
            )
    missing = "\n".join(checks)
    unused = ""
    if unused_names:
        names = ", ".join(unused_names)
        unused = (
            f"\nNo file names {names} any more: remove it from `environments`\n"
            f"in {workflows.CALLER}, and delete it in GitHub."
        )
    return f"""\
The workflows install {setup.settings.get("package", setup.package)}
Environments: {setup.plan_environment}, {applies}.
In the repository's settings, restrict {applies} to branch {quote(setup.branch)}
and add required reviewers: this is the security boundary. The commands below only
create the environments and set the secrets:
{commands}
You can set a webhook's secret later: apply needs it only to create the
webhook or to change its `configuration`.{over_limit}
To see which names are missing:
{missing}{unused}
Each step is explained in {workflows.GUIDE}"""
