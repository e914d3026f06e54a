"""`webhooks init`: write the first file; `github_setup.py` adds the GitHub workflows."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from posixpath import normpath
from typing import Final, NamedTuple

from reconciler import workflow
from reconciler.ci import workflows
from reconciler.cli import github_setup
from reconciler.cli.commands.export import (
    TOKEN,
    parse_tokens,
    print_notes,
    require_usernames,
    with_visible,
)
from reconciler.cli.commands.plan import missing_references
from reconciler.cli.connection import connected_all, read_live, show_problems
from reconciler.cli.options import SUGGESTED_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import CredentialError, NotConfirmedError, UsageError
from reconciler.findings import plural, shorten
from reconciler.model import Live
from reconciler.planning.plan import FileState, Plan
from reconciler.planning.run import RunPlan
from reconciler.render import RENDERERS
from reconciler.render.quote import quote, with_options
from reconciler.source.elsewhere import Owner, beside, declared_elsewhere, variables_elsewhere
from reconciler.source.export import export
from reconciler.source.files import DEFAULT_FILE, default_path, folders_of_overlays
from reconciler.source.history import git_in
from reconciler.source.new_references import Tokens
from reconciler.source.output import FileKind
from reconciler.source.schemes import ARGUMENT, parse_reference
from reconciler.source.writer import scalar

_UNSET: Final = "# organization: Acme"
"""The line of the starter that is replaced if there is an API key."""

_ORGANIZATION: Final = re.compile(r"^organization: .*$", re.MULTILINE)


@command(
    connects=True,
    options=(
        Option("-f", "--file", "named", group="Files", multiple=True, metavar="FILE",
               help="Write this file. With --github, it can be an existing directory; several must "
               f"exist. [default: those of existing workflows, or {DEFAULT_FILE}]"),
        TOKEN,
        Option("--github", group="Files", is_flag=True,
               help="Write the GitHub workflows, or update them for changed files."),
        Option("--branch", group="Files", metavar="NAME",
               help="Apply on pushes to this branch. [default: the repository's default branch]"),
        Option("--policy", group="Files", multiple=True, metavar="FILE", env="WEBHOOKS_POLICY",
               help="Make the workflows validate the files against this JSON Schema."),
        Option("--commit", group="Files", metavar="SHA",
               help="Make workflows install webhooks at this commit. [default: the installed one]"),
        Option("-y", "--yes", group="Files", is_flag=True, help="Do not prompt."),
    ),
)  # fmt: skip
def run(
    session: Session,
    named: tuple[str, ...],
    token: tuple[str, ...],
    github: bool,
    branch: str | None,
    policy: tuple[str, ...],
    commit: str | None,
    yes: bool,
) -> None:
    """With an API key, exports the live webhooks and plans the file. Without one, writes a
    commented starter file, which a later run replaces if you have not edited it. Refuses to write
    next to files that declare webhooks (with -f: webhooks of the same organization).

    Examples:
        # start
        webhooks init
        # create a file without prompts
        webhooks init --yes --token env:SLACK_BOT_TOKEN
        # add workflows that plan, apply and check for drift
        webhooks init --github
        # the same for a directory of files
        webhooks init --github -f webhooks/
        # update them after an edit
        webhooks init --github --yes
    """
    # Options are checked before the first request and the first write.
    tokens = parse_tokens(token)
    files = _Files.of(session.process.directory, named, github=github)
    session.suggest(SUGGESTED_OPTIONS, files.named)
    if github and not named:
        _require_files_of_workflows(files)
    is_new = _is_new(files, github=github)
    if is_new and not named:
        _require_no_declarations(files, github=github)
    if github:
        # The name of a new file may be a misspelled one.
        may_remove = not (yes or is_new)
        github_setup.require_possible(files.directory, files.targets, commit, may_remove=may_remove)
    steps: list[str] = []
    if is_new:
        steps = _write_configuration(session, files, tokens, github=github, yes=yes)
    if github:
        github_setup.write_workflows(
            session, files.targets, branch=branch, policies=policy, commit=commit, yes=yes
        )
        steps[-1:] = [  # a merge applies
            "commit the workflows, and open a pull request with a change",
            "after you change secrets, organizations or environments in the files, "
            "run `webhooks init --github` again",
        ]
    else:
        steps.append(f"run `webhooks init{files.added} --github` to add GitHub workflows")
    session.console.info("Next:")
    for number, step in enumerate(steps, 1):
        line = with_options(f"  {number}. {step}", session.console.connection)
        session.console.info(line)


class _Files(NamedTuple):
    """The paths of the configuration; only a single one may be new.

    `default` is read without -f. `kept` are those of existing workflows.
    """

    directory: Path
    targets: tuple[str, ...]
    default: str
    kept: tuple[str, ...]

    @classmethod
    def of(cls, directory: Path, named: tuple[str, ...], *, github: bool) -> _Files:
        """Return the files that a user has `named`; workflows keep theirs if there are none."""
        default = default_path(directory)
        if (directory / default).is_dir():
            default += "/"
        kept = workflows.configured_files(directory)
        # They are written into workflows.
        targets = tuple(path.replace(os.sep, "/") for path in named)
        if github:
            unique: dict[str, str] = {}
            for path in targets:
                unique.setdefault(normpath(path), path)
            targets = tuple(unique.values()) or kept
        return cls(directory, targets or (default,), default, kept)

    @property
    def target(self) -> str:
        """The file that is written if it is new."""
        return self.targets[0]

    @property
    def path(self) -> Path:
        """The path of the target."""
        return self.directory / self.target

    @property
    def named(self) -> tuple[str, ...]:
        """The files that suggested commands name: the default needs no option."""
        if self.targets == (self.default,):
            return ()
        return self.targets

    @property
    def added(self) -> str:
        """The options with which workflows also read the target, empty if they do already."""
        if not github_setup.not_covered(self.targets, self.kept):
            return ""
        if self.kept:
            return github_setup.file_options((*self.kept, self.target))
        return github_setup.file_options(self.named)


def _require_files_of_workflows(files: _Files) -> None:
    """Raise UsageError if all files of existing workflows are gone.

    They may have been moved, and an export in their place would have other references.
    """
    names = workflows.files_read(files.directory)
    if names and not files.kept and not files.path.exists():
        raise UsageError(
            f"the workflows read {shorten(names, 3)}, which does not exist",
            hint="if it was moved, run `webhooks init --github -f FILE` with its new path, else "
            f"write it with `webhooks init -f {shlex.quote(names[0])}`",
        )


def _is_new(files: _Files, *, github: bool) -> bool:
    """Return whether a file is written. Raises UsageError if that, or only that, is impossible."""
    missing = [target for target in files.targets if not workflows.exists(target, files.directory)]
    if len(files.targets) > 1:
        if not github:
            raise UsageError("init writes one file", hint="run it once for each -f")
        if missing:
            raise UsageError(
                f"{missing[0]} does not exist, and init writes no file if several are named",
                hint=f"run `webhooks init -f {shlex.quote(missing[0])}` first",
            )
        return False
    if missing or _is_starter(files.path):
        _require_writable(files.target, files.default)
        return True
    # --github also updates the workflows of an existing file.
    if not github:
        raise _already_exists(files)
    return False


def _already_exists(files: _Files) -> UsageError:
    if not files.path.exists():
        return UsageError(f"cannot write to {files.target}, a glob", hint="name one file")
    hint = "compare it with `webhooks plan`"
    if not files.path.is_dir():
        hint += "; to write it again, delete it first"
    return UsageError(f"{files.target} already exists", hint=hint)


def _require_writable(target: str, default: str) -> None:
    """Raise UsageError for a new file that cannot be written, or that would replace the default."""
    # A new file must not silently take the place of the one that is applied now.
    if target == DEFAULT_FILE != default:
        raise UsageError(
            f"{default} is read without -f, and a new {DEFAULT_FILE} would be read in its place",
            hint="compare it with `webhooks plan`; to write a new one, delete it first",
        )
    if target == "-" or target.endswith("/"):
        raise UsageError(
            f"cannot write to {target}",
            hint="use a file, such as webhooks.yaml; to print the YAML, use export",
        )


def _write_configuration(
    session: Session, files: _Files, tokens: Tokens, *, github: bool, yes: bool
) -> list[str]:
    """Write an export, or the starter if there is nothing to export; return the next steps."""
    # Without a key there is nothing to export, but a starter needs none.
    live = None
    with suppress(CredentialError):
        live = read_live(session)
    # Without a key, workflows would read a starter that a misspelled name left beside the file.
    if live is not None or github:
        _require_no_declarations(files, live, github=github)
    if live is not None and live.webhooks:
        return _adopt(session, live, files, tokens, yes=yes)
    missing, text = "API key", _starter()
    plan = (
        "set CLOUDTRUTH_API_KEY and SLACK_BOT_TOKEN, then run `webhooks plan`; "
        "without an account: `webhooks plan --local`"
    )
    if live is not None:
        missing, plan = "live webhooks", "set SLACK_BOT_TOKEN, then run `webhooks plan`"
        name = scalar(live.organization.name or live.organization.id)
        text = text.replace(_UNSET, f"organization: {name}")
    session.console.info(f"No {missing}: writing a starter, not an export.")
    _write(session, files, text)
    return [
        f"review {files.target}, and check its `organization`",
        plan,
        "run `webhooks apply`",
    ]


def _require_no_declarations(
    files: _Files, live: Live | None = None, *, github: bool = False
) -> None:
    """Raise UsageError if another file declares webhooks: beside the new one, or of `live` ones.

    With `live` webhooks only files of their organization count: those of several share folders. Of
    these, all in the repository count. With `github`, workflows for the existing file are what the
    user wants.
    """
    for file in _declaring(files, live):
        folders = dict(folders_of_overlays([file], files.directory))
        path = folders.get(file, file)
        hint = (
            f"compare it with `webhooks plan -f {shlex.quote(path)}`; a webhook that two files "
            "declare is an error"
        )
        if github:
            options = github_setup.file_options((*files.kept, path))
            hint = f"add workflows for it with `webhooks init --github{options}`"
        if live is not None:
            hint += "; for another organization, use its key (with --local: --organization NAME)"
        raise UsageError(
            f"{file} already declares webhooks; {files.target} was not written", hint=hint
        )


def _declaring(files: _Files, live: Live | None) -> Iterator[str]:
    """Yield the other files that declare webhooks, of the `live` organization if it is known."""
    documents = beside([files.target], files.directory)
    if live is None:
        yield from (document.file for document in documents)
        return
    names = (live.organization.id, live.organization.name)
    for document in documents:
        if document.data.get("organization") in names:
            yield document.file
    elsewhere = declared_elsewhere(
        {webhook.name for webhook in live.webhooks},
        [files.target],
        Owner(live.organization.name, names),
        directory=files.directory,
        git=git_in(files.directory),
        base=None,
    )
    # One that is gone may have been deleted to write it again.
    yield from (other.file for other in elsewhere if other.state is FileState.NOT_READ)


def _starter() -> str:
    return (resources.files("reconciler.cli") / "starter.yaml").read_text(encoding="utf-8")


def _is_starter(path: Path) -> bool:
    """Return whether a file is the starter without edits, so that replacing it loses nothing."""
    with suppress(OSError, ValueError):
        if path.is_file():
            return _ORGANIZATION.sub(_UNSET, path.read_text(encoding="utf-8")) == _starter()
    return False


def _write(session: Session, files: _Files, text: str) -> None:
    """Write the configuration, also over the starter; an edited file is never replaced."""
    over = FileKind.WEBHOOKS if _is_starter(files.path) else None
    session.write_file(files.target, text, over=over)


def _adopt(session: Session, live: Live, files: _Files, tokens: Tokens, *, yes: bool) -> list[str]:
    """Write the live webhooks to a file, and print its plan; return the next steps.

    Raises NotConfirmedError.
    """
    directory, target = files.directory, files.target
    # A variable of another organization's file has the secret of that organization.
    in_files = variables_elsewhere(
        [target], directory, git_in(directory), session.process.environ, live.organization
    )
    tokens = with_visible(tokens, live)._replace(in_files=in_files)
    if session.console.interactive and not yes:
        count = plural(len(live.webhooks), "webhook")
        question = f"{quote(live.organization.name)} has {count}. Write to {target}? [Y/n] "
        # The file is new, so writing it loses nothing.
        if session.console.ask(question) not in ("", "y", "Y", "yes", "Yes"):
            raise NotConfirmedError("nothing was written", hint="answer `y` to write the file")
        if tokens.shared is None:
            tokens = _with_answer(session, live, tokens)
    # Before the file is written: a misspelled username would leave its token assumed.
    exported = export(live, tokens=tokens)
    require_usernames(tokens, exported)
    _write(session, files, exported.text)
    if files.named:
        # The new file is planned as if it was named on the command line.
        session.command_line["file"] = (target,)
        session.inputs = session.inputs._replace(paths=(target,))
    print_notes(session, exported, target)
    plan = _show_plan(session)
    steps: list[str] = []
    if exported.assumptions:
        what = f"the references of hidden tokens at the top of {target}"
        steps.append(f"check {what}, and delete these lines")
    steps.append(f"review {target}, and commit it")
    if plan.operations:
        steps.append(f"edit {target} until the plan shows only changes that you want")
    steps.append("after an edit, run `webhooks plan` and `webhooks apply`")
    return steps


def _show_plan(session: Session) -> Plan:
    """Print and return the plan of the new file."""
    (source,) = session.load_all()
    with connected_all(session, [workflow.Target(source)]) as connected:
        planned = workflow.plan_all(connected)
    run_plan = RunPlan((planned[0].result,))
    show_problems(session, run_plan.organizations)
    view = session.view()._replace(missing=missing_references(planned))
    session.show(RENDERERS["text"]().render_run(run_plan, view))
    return run_plan.plans[0]


def _with_answer(session: Session, live: Live, tokens: Tokens) -> Tokens:
    """Ask for the reference of the Slack token. Several tokens keep separate references.

    Asks again after a text that is no reference. Raises NotConfirmedError for Ctrl-D.
    """
    open_tokens = [
        token
        for token in export(live, tokens=tokens).tokens
        if token.username not in tokens.named and token.webhooks[0].id not in tokens.visible
    ]
    if len(open_tokens) != 1:
        return tokens
    default = open_tokens[0].reference
    while True:
        answer = session.console.ask(f"Slack token: {ARGUMENT} [{default.argument}] ")
        if answer is None:
            raise NotConfirmedError("no reference was given: nothing was written")
        try:
            return tokens._replace(shared=parse_reference(answer) if answer else default)
        except UsageError as problem:  # its message does not repeat the text, which may be a token
            session.console.error(problem)
