"""`webhooks init`: write the first file, and the GitHub workflows."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from difflib import unified_diff
from importlib.resources import files
from pathlib import Path
from typing import Final

from reconciler import workflow
from reconciler.api.origin import DEFAULT_SERVER, Origin
from reconciler.ci import workflows
from reconciler.cli.commands.export import TOKEN, parse_tokens, print_notes, require_usernames
from reconciler.cli.connection import connected
from reconciler.cli.options import CONNECTION_OPTIONS, Option, command
from reconciler.cli.session import Session
from reconciler.errors import CredentialError, NotConfirmedError, UsageError
from reconciler.findings import Finding, Severity
from reconciler.model import Live, Organization, SecretRef
from reconciler.planning.plan import Plan, RunPlan
from reconciler.render import RENDERERS
from reconciler.render.quote import quote
from reconciler.render.words import plural, shorten
from reconciler.settings import LOCAL_SERVER
from reconciler.source.elsewhere import beside
from reconciler.source.export import SLACK_TOKEN, Tokens, export
from reconciler.source.files import (
    DEFAULT_FILE,
    FileKind,
    check_kind,
    default_path,
    write_atomically,
)
from reconciler.source.history import git_in
from reconciler.source.rendered import scalar
from reconciler.source.schemes import ARGUMENT, SCHEMES, parse_reference
from reconciler.source.secrets import references
from reconciler.workflow.inputs import OrganizationFiles

_MAX_QUESTIONS: Final = 12
"""User names whose token `init` asks for; the others keep separate references."""

_MAX_SECRETS: Final = 100
"""The maximum number of secrets of an environment on GitHub."""

_UNSET: Final = "# organization: Acme"
"""The line of the starter that is replaced if there is an API key."""

_ORGANIZATION: Final = re.compile(r"^organization: .*$", re.MULTILINE)


@command(
    connects=True,
    options=(
        Option("-f", "--file", "named", group="Files", metavar="FILE",
               help="Write this file. With --github, it can be an existing directory. "
               f"[default: {DEFAULT_FILE}]"),
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
    named: str | None,
    token: tuple[str, ...],
    github: bool,
    branch: str | None,
    policy: tuple[str, ...],
    commit: str | None,
    yes: bool,
) -> None:
    """With an API key, exports the live webhooks and plans the file. Without one, writes a
    commented starter file, which a later run replaces if you have not edited it. Nothing is written
    beside files that declare webhooks, or with -f, webhooks of the same organization.

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
    directory = session.process.directory
    default = default_path(directory)
    if (directory / default).is_dir():
        default += "/"
    target = (named or default).replace(os.sep, "/")  # it is written into workflows
    # The options that name the configuration in suggested commands.
    file = ""
    if target != default:
        file = f" -f {shlex.quote(target)}"
    is_new = not (directory / target).exists() or _is_starter(directory / target)
    # --github also updates the workflows of an existing file.
    if is_new:
        _require_writable(target, default)
        if named is None:
            _require_no_declarations(directory, target)
    elif not github:
        hint = f"compare it with `webhooks plan{file}`"
        if not (directory / target).is_dir():
            hint += "; to write it again, delete it first"
        raise UsageError(f"{target} already exists", hint=hint)
    installed = ("", "")
    if github:
        _require_top(directory, target)
        # An unknown commit is an error before a write.
        installed = workflows.pinned(commit)
    steps: list[str] = []
    if is_new:
        steps = _write_configuration(session, target, file, tokens, yes=yes)
    add_workflows = f"run `webhooks init{file} --github`"
    if github:
        setup = _setup(
            session, target, installed, branch=branch, policies=policy, is_chosen=commit is not None
        )
        _write_workflows(session, setup, yes=yes)
        session.console.result(_instructions(setup))
        steps += [
            "commit the workflows, and open a pull request with a change",
            f"after you change which secrets the files use, {add_workflows} again",
        ]
    else:
        steps.append(f"{add_workflows} to add GitHub workflows")
    session.console.info("Next:")
    for number, step in enumerate(steps, 1):
        session.console.info(f"  {number}. {step}")


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
            hint="use a file, such as webhooks.yaml; `webhooks export` writes to standard output",
        )


def _require_top(directory: Path, target: str) -> None:
    """Raise UsageError in a folder of a repository: GitHub reads no workflows there."""
    prefix = os.fsdecode(git_in(directory)(["rev-parse", "--show-prefix"]) or b"").strip()
    if prefix:
        path = shlex.quote(prefix + target)
        raise UsageError(
            "GitHub reads workflows only in the top folder of a repository: nothing was written",
            hint=f"run `webhooks init --github -f {path}` there",
        )


def _setup(
    session: Session,
    target: str,
    installed: tuple[str, str],
    *,
    branch: str | None,
    policies: tuple[str, ...],
    is_chosen: bool,
) -> workflows.Setup:
    """Return what the workflows contain; an option overrides the settings of existing ones.

    These keep their version, too, unless the user has chosen the `installed` one.
    """
    # A later run updates workflows, so what users have set in them must stay.
    package, lock = installed
    existing = [session.process.directory / name for name in workflows.NAMES]
    texts = [path.read_text("utf-8", "replace") for path in existing if path.is_file()]
    settings = workflows.settings_in(texts)
    if is_chosen:
        settings = {**settings, "package": package, "lock": lock}
    policies = policies or tuple(filter(None, settings.get("policy", "").split(r"\n")))
    # What existing workflows apply stays, whatever is checked out here.
    if branch is None:
        git = git_in(session.process.directory)
        branch = settings.get("branch") or workflows.default_branch(git)
    if not branch:
        branch = "main"
        text = "git shows no branch here: the workflows apply pushes to main; see --branch"
        session.console.message("warning", text)
    organizations, parents = _organizations(session, target, policies)
    return workflows.Setup(
        package=package,
        lock=lock,
        file=target,
        branch=branch,
        organizations=organizations,
        parents=parents,
        policies=policies,
        server=_server_of_workflows(session),
        settings=settings,
    )


def _instructions(setup: workflows.Setup) -> str:
    """Return what to set up in GitHub."""
    applies = ", ".join(setup.environments)
    commands = "\n".join(f"  {line}" for line in setup.commands)
    many, checks = "", []
    for name, secrets in {setup.plan_environment: setup.keys, **setup.environments}.items():
        checks.append(f"  gh secret list --env {name}  # {shorten(secrets, 10)}")
        # GitHub refuses the next one, after a user has set a hundred of them.
        if len(secrets) > _MAX_SECRETS:
            many += (
                f"\n{name} needs {len(secrets)} secrets, more than GitHub's limit of 100: give\n"
                "some of its organizations another environment with `github: {environment: NAME}`."
            )
    missing = "\n".join(checks)
    return f"""\
The workflows install {setup.settings.get("package", setup.package)}
Create these environments in GitHub: {setup.plan_environment}, {applies}.
Restrict {applies} to branch {quote(setup.branch)}, and add required reviewers,
in the repository's settings: they are the security boundary. These commands do not
do that; they create the environments and set the secrets:
{commands}
You can set a webhook's secret later: apply needs it only to create the
webhook or to change its `configuration`.{many}
To see which names are missing:
{missing}
Each step is explained in {workflows.GUIDE}"""


def _write_configuration(
    session: Session, target: str, file: str, tokens: Tokens, *, yes: bool
) -> list[str]:
    """Write an export, or the starter if there is nothing to export; return the next steps.

    `file` are the options that name the configuration in commands.
    """
    # Without a key there is nothing to export, but a starter needs none.
    live = None
    with suppress(CredentialError), connected(session) as connection:
        live = workflow.read_live(connection.api, session.organizations)
    if live is not None:
        _require_no_declarations(session.process.directory, target, live.organization)
    if live is not None and live.webhooks:
        return _adopt(session, live, target, file, tokens, yes=yes)
    missing, text = "API key", _starter()
    if live is not None:
        missing = "live webhooks"
        name = scalar(live.organization.name or live.organization.id)
        text = text.replace(_UNSET, f"organization: {name}")
    session.console.info(f"No {missing}: writing a starter, not an export.")
    _write(session, target, text)
    return [
        f"review {target}, and check its `organization`",
        f"set CLOUDTRUTH_API_KEY and SLACK_BOT_TOKEN, then run `webhooks plan{file}`; "
        f"without an account: `webhooks plan{file} --local`",
        f"run `webhooks apply{file}`",
    ]


def _require_no_declarations(
    directory: Path, target: str, organization: Organization | None = None
) -> None:
    """Raise UsageError if a file beside the new one declares webhooks.

    With an `organization` only its files count: those of several organizations share folders.
    """
    for document in beside([target], directory):
        declared = document.data.get("organization")
        if organization is None or declared in (organization.id, organization.name):
            raise UsageError(
                f"{document.file} beside it already declares webhooks: {target} was not written",
                hint=f"compare it with `webhooks plan -f {shlex.quote(document.file)}`; a webhook "
                "that two files declare is an error",
            )


def _starter() -> str:
    return (files("reconciler.cli") / "starter.yaml").read_text(encoding="utf-8")


def _is_starter(path: Path) -> bool:
    """Return whether a file is the starter without edits, so that replacing it loses nothing."""
    with suppress(OSError, ValueError):
        if path.is_file():
            return _ORGANIZATION.sub(_UNSET, path.read_text(encoding="utf-8")) == _starter()
    return False


def _adopt(
    session: Session, live: Live, target: str, file: str, tokens: Tokens, *, yes: bool
) -> list[str]:
    """Write the live webhooks to a file, and print its plan; return the next steps.

    Raises NotConfirmedError.
    """
    if session.console.interactive and not yes:
        count = plural(len(live.webhooks), "webhook")
        question = f"{quote(live.organization.name)} has {count}. Write to {target}? [Y/n] "
        # The file is new, so writing it loses nothing.
        if session.console.ask(question) not in ("", "y", "Y", "yes", "Yes"):
            raise NotConfirmedError("nothing was written", hint="answer `y` to write the file")
        if tokens.shared is None and any(webhook.type == "slack" for webhook in live.webhooks):
            tokens = _ask_tokens(session, live, tokens)
    # Before the file is written: a misspelled user name would leave its token assumed.
    exported = export(live, tokens=tokens)
    require_usernames(tokens, exported)
    _write(session, target, exported.text)
    print_notes(session, exported)
    steps = [f"review {target}, and commit it"]
    if exported.assumptions:
        steps.insert(0, f"check the assumptions at the top of {target}, and delete them")
    # The new file is planned as if it was named on the command line.
    if file:
        session.command_line["file"] = (target,)
    if _show_plan(session).operations:
        steps.append(f"edit {target} until the plan shows only changes that you want")
    connection = session.words(CONNECTION_OPTIONS)
    options = file + "".join(f" {shlex.quote(word)}" for word in connection)
    steps.append(f"after an edit, run `webhooks plan{options}` and `webhooks apply{options}`")
    return steps


def _show_plan(session: Session) -> Plan:
    """Print and return the plan of the new file."""
    (source,) = session.load_all()
    with connected(session) as connection:
        gathered = workflow.gather(source.checked, connection.key)
        plan = workflow.plan(gathered, connection.api, options=workflow.PlanOptions())
    view = session.view()._replace(missing=gathered.missing_references)
    session.show(RENDERERS["text"]().render_run(RunPlan.of(plan), view))
    return plan


def _ask_tokens(session: Session, live: Live, tokens: Tokens) -> Tokens:
    """Ask for the reference of each hidden Slack token, by user name; of any token without one."""
    hidden = [
        group for group in export(live, tokens=tokens).hidden if group.username not in tokens.named
    ]
    if len(hidden) < 2:
        return tokens._replace(shared=_ask_reference(session, "Slack token", SLACK_TOKEN))
    number = sum(group.number for group in hidden)
    session.console.info(
        f"{number} webhooks have hidden tokens, with {len(hidden)} user names. The next update of "
        "a webhook sends the token that you name here in place of the hidden one."
    )
    named = dict(tokens.named)
    for group in hidden[:_MAX_QUESTIONS]:
        whose = f"{quote(group.username)} ({plural(group.number, 'webhook')})"
        named[group.username] = _ask_reference(session, f"Token of {whose}", group.reference)
    return tokens._replace(named=named)


def _ask_reference(session: Session, noun: str, default: SecretRef) -> SecretRef:
    """Ask for a reference, again after another text. Raises NotConfirmedError for Ctrl-D."""
    question = f"{noun}: {ARGUMENT} [{default.scheme}:{default.name}] "
    while True:
        answer = session.console.ask(question)
        if answer is None:
            raise NotConfirmedError("no reference was given: nothing was written")
        if answer in ("", "y", "yes"):
            return default
        try:
            return parse_reference(answer)
        except UsageError as problem:  # its message does not repeat the text, which may be a token
            session.console.error(problem)


def _write_workflows(session: Session, setup: workflows.Setup, *, yes: bool) -> None:
    """Write the workflows; differences to existing ones are shown and confirmed first.

    Settings are kept, other edits are not: --yes refuses to remove them. Raises NotConfirmedError,
    and UsageError for another file with that name.
    """
    directory, console = session.process.directory, session.console
    texts: dict[str, str] = {}
    changed, edited = False, list[str]()
    for name, text in workflows.workflows(setup).items():
        path = directory / name
        check_kind(path, FileKind.WORKFLOW)
        if path.exists():
            old = path.read_text(encoding="utf-8")
            # Nothing to confirm, and the time of an unchanged file stays.
            if text == old:
                console.info(f"kept {name}, which is up to date")
                continue
            changed = True
            if workflows.is_edited(old):
                edited.append(name)
            lines = unified_diff(old.splitlines(), text.splitlines(), name, name, lineterm="")
            console.result("\n".join(lines))
        texts[name] = text
    if edited:
        names = ", ".join(edited)
        console.message("warning", f"{names}: edits that are not settings are removed, see above")
        if yes:
            raise NotConfirmedError(
                "these workflows have edits, or are of an earlier version: no workflow was written",
                hint="read the difference, and run the command without --yes",
            )
    if changed and not yes:
        session.confirm("Write these workflows?", consequence="no workflow was written")
    # Only after the question, so that a refusal leaves all of them as they were.
    for name, text in texts.items():
        _write(session, name, text)


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


def _write(session: Session, name: str, text: str) -> None:
    path = session.process.directory / name
    verb, kind = "wrote", FileKind.WORKFLOW
    if path.exists():
        verb = "updated"
        if path.read_text(encoding="utf-8") == text:
            session.console.info(f"kept {name}, which is up to date")
            return
    if _is_starter(path):
        kind = FileKind.WEBHOOKS
    write_atomically(path, text.encode(), over=kind, parents=True)
    path.chmod(0o644)  # files of the repository, without secrets
    session.console.result(f"{verb} {name}")


def _organizations(
    session: Session, target: str, policies: tuple[str, ...]
) -> tuple[tuple[workflows.RequiredSecrets, ...], tuple[str, ...]]:
    """Return the secrets of each organization in the files, and the files' parents.

    The files must conform to the policies. Raises ConfigurationError, UsageError.
    """
    # The workflows have their own list of allowed secrets, which is made from these files.
    inputs = session.inputs._replace(
        paths=(target,), allow_secrets=(), strict=False, policies=policies
    )
    organizations: list[workflows.RequiredSecrets] = []
    parents: set[str] = set()
    warnings: dict[Finding, None] = {}
    for source in workflow.load_all(inputs):
        checked = source.checked
        for finding in checked.loaded.findings:
            if finding.severity is Severity.WARNING:
                warnings[finding] = None
        parents.update(checked.loaded.parents)
        secrets = {use._replace(version=None) for use in references(checked.desired.webhooks)}
        organizations.append(
            workflows.RequiredSecrets(
                name=source.files.organization or "",
                references=tuple(secrets),
                key=_key_variable(source.files),
                environment=checked.desired.environment,
            )
        )
    if warnings:
        session.warn(warnings)
        session.console.message("warning", "in the workflows these warnings are errors: fix them")
    return tuple(organizations), tuple(sorted(parents))


def _key_variable(files: OrganizationFiles) -> str:
    """Return the variable of an organization's key.

    Raises UsageError for a key that GitHub's runners do not have.
    """
    key = files.api_key
    if files.profile is None:
        if key is None:
            return "CLOUDTRUTH_API_KEY"
        if SCHEMES[key.scheme].is_variable:
            return key.name
    what, kind = "profile", "in cli.yml"
    if key is not None:
        what, kind = "api_key", f"a {key.scheme}"
    raise UsageError(
        f"`{what}` in {', '.join(files.paths)} is {kind}, which GitHub's runners do not have; no "
        "workflow was written",
        hint="refer to a variable instead: `api_key: {env: CLOUDTRUTH_API_KEY}`",
    )
