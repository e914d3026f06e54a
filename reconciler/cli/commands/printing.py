"""The commands that only print: a saved plan, a JSON Schema, a completion script, help, and the
manifest of a Slack app.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click
from click.shell_completion import get_completion_class

from reconciler import workflow
from reconciler.cli.options import Group, Option, command, options_page
from reconciler.cli.session import Session
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError
from reconciler.kinds.slack import app_manifest
from reconciler.render.quote import prose

_SCHEMAS: Final = ("webhooks", "plan", "report", "findings", "status", "drift", "checks", "error")
_PAGE: Final = "https://github.com/cloudtruth-webhooks/cloudtruth-webhooks/blob/main/docs/rules.md"
_PACKAGE: Final = Path(__file__).resolve().parents[2]


@command(formats=("text", "json"), options=(click.Argument(["planfile"]),))
def show(session: Session, planfile: str, format: str) -> None:
    """Makes no requests, so the live webhooks may have changed.

    Examples:
        # read it
        webhooks show plan.json
        # as JSON
        webhooks show plan.json --format json
    """
    saved = workflow.load_plan(planfile, session.process.directory)
    # The file may have been edited, so its text is escaped again.
    text = "\n".join(map(prose, saved.text.split("\n")))
    if format == "json":
        text = saved.document
    session.console.result(text, essential=True)


@command(
    options=(
        click.Argument(["name"], metavar="[NAME]", type=click.Choice(_SCHEMAS),
                       default="webhooks"),
    ),
)  # fmt: skip
def schema(session: Session, name: str) -> None:
    """`webhooks` is the configuration file. The others are the output of commands with --format
    json: plan and show (plan), apply (report), validate (findings), status, drift, doctor and check
    (checks), and any command that fails (error).

    Examples:
        # let an editor complete and check your file
        webhooks schema > webhooks.schema.json
        # show the format of a plan's JSON
        webhooks schema plan
    """
    # Imported here, because help and completion need no engine for schemas.
    from reconciler.source.schema import schema_text

    session.console.result(schema_text(f"{name}.schema.json"), essential=True)


@command(options=(click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"])),))
def completion(session: Session, shell: str) -> None:
    """Completes commands, options and the names of declared webhooks.

    Examples:
        # bash: add to ~/.bashrc
        eval "$(webhooks completion bash)"
        # zsh: add to ~/.zshrc
        eval "$(webhooks completion zsh)"
        # fish: once
        webhooks completion fish > ~/.config/fish/completions/webhooks.fish
    """
    complete_class = get_completion_class(shell)
    assert complete_class is not None
    program = click.get_current_context().find_root().command
    complete = complete_class(program, {}, "webhooks", "_WEBHOOKS_COMPLETE")
    # Not `source()`: for bash it starts bash to check its version.
    script = complete.source_template % complete.source_vars()
    session.console.result(script, essential=True)


@command(options=(click.Argument(["words"], nargs=-1, metavar="[options|COMMAND|RULE]"),))
def help(session: Session, words: tuple[str, ...]) -> int:  # noqa: A001 - the command's name
    """A rule is the name in `error[RULE]`.

    Examples:
        # the options that commands share
        webhooks help options
        # help for a command
        webhooks help slack manifest
        # what a finding means, and how to fix it
        webhooks help unknown-key
    """
    context = click.get_current_context()
    program = context.find_root().command
    assert isinstance(program, Group)
    if words == ("options",):
        session.console.result(options_page(context), essential=True)
        return ExitCode.OK
    if len(words) != 1 or words[0] in program.commands:
        # The same console, so that an unknown command is reported like any other mistake.
        return int(
            program.main(
                [*words, "--help"],
                prog_name="webhooks",
                standalone_mode=False,
                obj=session.console,
                terminal_width=context.terminal_width,
            )
        )
    (rule,) = words
    sections, errors = _rules(), dict(_errors(ReconcilerError))
    if rule in errors and rule not in sections:
        session.console.result(errors[rule], essential=True)
        return ExitCode.OK
    if rule not in sections:
        raise click.exceptions.NoSuchCommand(
            rule,
            message=f"No such command or rule {rule!r}",
            possibilities=get_close_matches(rule, [*program.commands, *sections, *errors]),
            ctx=context,
        )
    # The last rule of a chapter ends at the next heading.
    text = re.split(r"^## ", sections[rule], flags=re.MULTILINE)[0].strip()
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("**Fix:**", "Fix:")
    text = click.wrap_text(text, context.terminal_width or 80, preserve_paragraphs=True)
    session.console.result(f"{text}\n\n{_PAGE}#{rule}", essential=True)
    return ExitCode.OK


def _errors(parent: type[ReconcilerError]) -> Iterator[tuple[str, str]]:
    """Yield the code of each error that ends a run, with what it means."""
    for error in parent.__subclasses__():
        # Not the kinds of an error, nor a signal, which has its own exit code.
        if error.code != parent.code and error is not Interrupted:
            meaning = str(error.__doc__).partition("\n")[0]
            yield error.code, f"{meaning}\n\nExit code {int(error.exit_code)}"
        yield from _errors(error)


def _rules() -> dict[str, str]:
    """Return what each rule means, an example and the fix, as Markdown."""
    path = _PACKAGE / "_docs" / "rules.md"  # in a wheel
    if not path.is_file():
        path = _PACKAGE.parent / "docs" / "rules.md"
    parts = re.split(r"^### `(.+)`\n", path.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# The Slack app

_NAME: Final = "CloudTruth Webhook"
_MAX_NAME: Final = 35  # characters; Slack's limit for the name of an app
_STEPS: Final = (
    "Open the link, choose your workspace, review the scopes, and create the app.",
    "OAuth & Permissions: Install to workspace. After changing scopes: Reinstall.",
    "Copy the Bot User OAuth Token (xoxb-...) into the variable that your file names, such as "
    "SLACK_BOT_TOKEN. Keep it out of the file.",
    "In private channels, and in public ones without chat:write.public, type /invite @{app}.",
    "Check it: `webhooks check`, then `webhooks check --send`.",
)


@command(
    summary="Print the manifest of the Slack app, and how to get its token.",
    formats=("yaml", "json"),
    options=(
        Option("--name", group="Slack app", metavar="NAME", default=_NAME, show_default=True,
               help="Name the app and its bot."),
        Option("--see-channels", group="Slack app", is_flag=True,
               help="Add the scope channels:read, so that `check` sees public channels."),
    ),
)  # fmt: skip
def _manifest(session: Session, format: str, name: str, see_channels: bool) -> None:
    """The manifest goes to standard output; the link that creates the app, and the steps after it,
    go to standard error. Makes no request.

    Examples:
        # create the app: open the link, follow the steps
        webhooks slack manifest
        # change an existing app: paste this as its manifest, reinstall it
        webhooks slack manifest --format json
        # let `webhooks check` see public channels
        webhooks slack manifest --see-channels
    """
    # A line break or control character is not printable either.
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise UsageError(
            f"a Slack app name must be 1 to {_MAX_NAME} characters, on one line",
            hint=f"omit --name to use {_NAME!r}",
        )
    # Imported here, because help and completion need no YAML.
    from reconciler.source.writer import yaml_text

    app = app_manifest(name, see_channels=see_channels)
    text = yaml_text(app)
    if format == "json":
        text = json.dumps(app, indent=2, ensure_ascii=False) + "\n"
    console = session.console
    console.result(text, essential=True)
    compact = json.dumps(app, separators=(",", ":"), ensure_ascii=False)
    link = f"https://api.slack.com/apps?new_app=1&manifest_json={quote(compact, safe='')}"
    console.info(f"\nCreate the app:\n\n  {link}\n\nThen:")
    for number, step in enumerate(_STEPS, start=1):
        first = f"  {number}. "
        line = prose(step.format(app=name))
        console.info(click.wrap_text(line, session.view().width, first, " " * len(first)))


slack = Group(
    name=None,
    commands={"manifest": _manifest},
    help="""Examples:
    # create the app
    webhooks slack manifest
    # check whether Slack accepts the declared webhooks
    webhooks check""",
)
