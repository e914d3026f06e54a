"""Options and commands: their help, and the values of a command line.

Each option is listed under a heading of the help. Options that most commands share are explained
once, by `webhooks help options`. They can be passed before or after the command's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from inspect import cleandoc, getdoc
from typing import Any, Final

import click
from click.core import ParameterSource, augment_usage_errors

from reconciler import __version__
from reconciler.findings import MASK
from reconciler.ports import DEFAULT_PARALLELISM, MAX_PARALLELISM

_ORDER: Final = {"Files": 0, "Connection": 2, "Output": 3}
"""The order of help headings; headings specific to a command come after Files."""

OTHER_TOOLS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("--auto-approve", "--approve", "--force"), ("--yes",)),
    **dict.fromkeys(("--json", "--output-format"), ("--format json",)),
    **dict.fromkeys(("--output", "-o"), ("--out", "--report")),
    **dict.fromkeys(("--file", "-f"), ("--out",)),
    **dict.fromkeys(("--config", "--config-file"), ("--file",)),
    **dict.fromkeys(("--target", "--filter"), ("--only",)),
    **dict.fromkeys(("--org", "--workspace"), ("--organization",)),
    "--url": ("--server-url",),
    "--failed": ("--failing",),
    "-V": ("--version",),
}
"""Options of other tools, each with ours; the first one that the command has is suggested."""

_PRINTING: Final = ("show", "schema", "completion", "help", "slack")
"""The commands that share the module `printing`, in which each is a function of its name."""

_SINGLE_DASH: Final = re.compile(r"-[a-z][a-z-]+")
_SHARED_TEXT: Final = """\
Several commands share these options. Pass them before or after the command's name.

An option overrides its environment variable; an empty variable is not set. In a variable, write \
the values of a repeatable option on separate lines; in WEBHOOKS_ALLOW_SECRETS, spaces and commas \
also separate them."""


def _glob(value: str) -> str:
    """Reject what the output has in place of a secret: copied, it would match other names."""
    if MASK in value:
        why = "`***` is printed in place of a secret: write `?` for each of its characters"
        raise click.BadParameter(why)
    return value


# For shell completion, too. Commands report unreadable files themselves.
_PATH: Final = click.Path(readable=False)
_TYPES: Final = {"PATH": _PATH, "FILE": _PATH, "GLOB": _glob}
"""The types of options with these placeholders."""


class Option(click.Option):
    """An option under the heading `group`; a `common` one is shown by `help options` only.

    `env` is the variable that is read if the command line does not have the option; for a
    repeatable option it has one value per line. It is only shown in the help if it is
    `read_elsewhere`: in `settings` or `console`, with another precedence.
    """

    def __init__(
        self,
        *names: str,
        group: str,
        env: str | None = None,
        read_elsewhere: bool = False,
        common: bool = False,
        **attributes: Any,
    ) -> None:
        attributes.setdefault("type", _TYPES.get(attributes.get("metavar", "")))
        attributes.setdefault("callback", _record)
        super().__init__(names, envvar=env, show_envvar=True, **attributes)
        self.group = group
        self.common = common
        self.read_elsewhere = read_elsewhere

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the variable's value in the environment of this run, None if it is empty.

        That of a repeatable option is split.
        """
        if not isinstance(self.envvar, str) or self.read_elsewhere:
            return None
        text = ctx.obj.process.environ.get(self.envvar) or None
        if text is None or not self.multiple:
            return text
        values = [value.strip() for value in re.split(r"[\r\n]+", text)]
        return [value for value in values if value]


class _Command(click.Command):
    """A command with grouped options in its help; the lines after `Examples:` come last."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(add_help_option=False, **attributes)
        text, _, examples = (self.help or "").partition("Examples:\n")
        self.help = text.rstrip()
        self.examples = cleandoc(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments; reject long options with a single dash, as some other tools write them.

        click would read `-out FILE` as `-o ut` and a path.
        """
        holder = [args]  # emptied before an error is raised
        del args  # a traceback must not hold arguments, which may contain a key
        wrong = self._with_single_dash(holder[0])
        if wrong is not None:
            holder.clear()
            raise click.NoSuchOption(wrong, possibilities=[f"-{wrong}"], ctx=ctx)
        with augment_usage_errors(ctx):  # an error about a missing value lacks the command
            return super().parse_args(ctx, holder.pop())

    def _with_single_dash(self, arguments: Sequence[str]) -> str | None:
        """Return the first long option with a single dash, None without one."""
        known = {name for parameter in self.params for name in parameter.opts}
        known.update(ADVICE, OTHER_TOOLS)  # these get a hint
        for argument in arguments:
            if argument == "--" or (isinstance(self, click.Group) and argument[:1] != "-"):
                break  # the rest belongs to the command of a group
            name = argument.partition("=")[0]
            if _SINGLE_DASH.fullmatch(name) and f"-{name}" in known:
                return name
        return None

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summary and the text."""
        for paragraph in filter(None, (self.short_help, self.help)):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(paragraph)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's specific options, by heading."""
        specific = [option for option in self.params if not getattr(option, "common", False)]
        _write_options(ctx, formatter, specific)
        formatter.write_paragraph()
        formatter.write_text("Common options: webhooks help options")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples"):
                # Not `write_text`, which would wrap commands.
                indent = " " * formatter.current_indent
                formatter.write("".join(f"{indent}{line}\n" for line in self.examples.splitlines()))
        super().format_epilog(ctx, formatter)


class Group(_Command, click.Group):
    """A group whose help lists commands in the order of use, the first `everyday` ones apart.

    A command without a callback is a placeholder for the module of its name in `commands`, whose
    `run` is imported when the command is called: help and completion need only its summary. Those
    of `_PRINTING` are in one module.
    """

    def __init__(
        self, *, options: Sequence[Option] = (), everyday: int = 0, **attributes: Any
    ) -> None:
        super().__init__(params=[*_COMMON, *options], **attributes)
        self.everyday = everyday

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(self.commands)

    def load(self, name: str) -> click.Command:
        """Return a command, importing its module if needed."""
        command = self.commands[name]
        if command.callback is None and not isinstance(command, Group):
            summary = command.short_help
            module, function = name, "run"
            if name in _PRINTING:
                module, function = "printing", name
            command = getattr(import_module(f"reconciler.cli.commands.{module}"), function)
            command.short_help = summary
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find and import the command that a command line names."""
        name, stub, rest = super().resolve_command(ctx, args)
        # During completion, click passes on an unknown command as None.
        if stub is None or name is None:
            return name, None, rest
        return name, self.load(name), rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write commands, then options."""
        width = max(map(len, self.commands))
        rows = [
            (name.ljust(width), command.get_short_help_str(formatter.width - 6 - width))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows[: self.everyday or None])
        if self.everyday:
            with formatter.section("More commands"):
                formatter.write_dl(rows[self.everyday :])
        _write_options(ctx, formatter, [option for option in self.params if option not in _COMMON])


def command(
    *,
    summary: str | None = None,
    options: Sequence[click.Parameter] = (),
    formats: Sequence[str] = (),
    reads: bool = False,
    paths: bool = False,
    connects: bool = False,
) -> Callable[[Callable[..., int | None]], _Command]:
    """Turn a function into a command; its docstring is the help.

    The function receives the session, and its options by name. It returns the exit code; None is
    success. `reads` adds the options of files, `paths` those and arguments for paths without `-f`,
    `connects` the options of the connection, `formats` the option `--format`, whose default is the
    first of them; the options of output are always added. The first example is the simplest.
    Commands of the program have their `summary` in main.py.
    """
    params: list[click.Parameter] = []
    if reads or paths:
        params += FILE_OPTIONS
    params += options
    if paths:
        params.append(_PATHS)
    if formats:
        params.append(
            Option("--format", group="Output", type=click.Choice(formats), default=formats[0],
                   help="Output format.")
        )  # fmt: skip
    if connects:
        params += CONNECTION_OPTIONS
    params += _OUTPUT_OPTIONS

    def wrap(body: Callable[..., int | None]) -> _Command:
        callback = click.pass_context(partial(_run, body))
        return _Command(
            name=None, help=getdoc(body), short_help=summary, params=params, callback=callback
        )

    return wrap


def _run(body: Callable[..., int | None], ctx: click.Context, /, **values: Any) -> int:
    """Run the function of a command with its session and the values of its options."""
    console = ctx.obj
    _require_known_options(ctx)
    # Printed if the command fails: a forgotten variable is a common cause.
    console.variables = [
        f"{option.envvar} ({option.opts[-1]})"
        for option in ctx.command.params
        if option.name in console.environment_options and option.name not in console.command_line
    ]
    # Imported here, because help runs no command.
    from reconciler.cli.session import Session

    session = Session(console)
    session.suggest(SUGGESTED_OPTIONS, console.command_line.get("file", ()))
    return body(session, **values) or 0


def _require_known_options(ctx: click.Context) -> None:
    """Raise NoSuchOption for an option before the command's name that the command lacks.

    There, the program accepts all common options.
    """
    names = {parameter.name for parameter in ctx.command.params}
    for option in _COMMON:
        if option.name in ctx.obj.command_line and option.name not in names:
            raise click.NoSuchOption(option.opts[-1], ctx=ctx)


def _write_options(
    ctx: click.Context, formatter: click.HelpFormatter, options: Sequence[click.Parameter]
) -> None:
    """Write options under their headings."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for option in options:
        record = option.get_help_record(ctx)
        if isinstance(option, Option) and record is not None:
            groups.setdefault(option.group, []).append(record)
    for title in sorted(groups, key=lambda group: _ORDER.get(group, 1)):
        with formatter.section(title):
            formatter.write_dl(groups[title])


def options_page(ctx: click.Context) -> str:
    """Return the page of the options that commands share."""
    formatter = ctx.make_formatter()
    formatter.write_text(_SHARED_TEXT)
    _write_options(ctx, formatter, _COMMON)
    return formatter.getvalue().rstrip("\n")


def _record(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Record a value in the options of the console; arguments are files.

    A later value replaces an earlier one; lists are extended. An empty value is rejected, because
    it is usually an unset shell variable.
    """
    is_list = isinstance(value, tuple)
    if value == "" or (is_list and "" in value):
        raise click.BadParameter("empty value")
    line = ctx.obj.command_line
    name = "file" if parameter is _PATHS else parameter.name
    match ctx.get_parameter_source(parameter.name or ""):
        case ParameterSource.ENVIRONMENT:
            ctx.obj.environment_options[name] = value
        case ParameterSource.COMMANDLINE:
            # A list may be given before and after the command's name, and files as arguments.
            line[name] = (*line.get(name, ()), *value) if is_list else value
    return value


def show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the version, and exit."""
    if value:
        _show(ctx, f"webhooks {__version__}")


def _show_help(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the help, and exit."""
    if value:
        _show(ctx, ctx.get_help())


def _show(ctx: click.Context, text: str) -> None:
    # Completion parses the line, too, but must not print anything.
    if not ctx.resilient_parsing:
        ctx.obj.result(text, essential=True)
        ctx.exit()


_shared = partial(Option, common=True, expose_value=False)
_read = partial(_shared, group="Files")
_connect = partial(_shared, group="Connection")
_output = partial(_shared, group="Output")

FILE_OPTION: Final = _read(
    "-f", "--file", common=False, multiple=True, metavar="PATH", env="WEBHOOKS_FILE",
    help="Read a file, a directory, a glob or standard input (-).",
)  # fmt: skip
FILE_OPTIONS: Final = (
    FILE_OPTION,
    _read("--strict", is_flag=True, help="Treat warnings as errors."),
    _read("--policy", multiple=True, metavar="FILE", env="WEBHOOKS_POLICY",
          help="Validate the files against this JSON Schema."),
    _read("--allow-secret", multiple=True, metavar="PATTERN", env="WEBHOOKS_ALLOW_SECRETS",
          help="Allow only secrets like 'env:SLACK_*', or in one organization 'NAME: env:*'."),
    _read("--allow-literal-secrets", is_flag=True,
          help="Accept Slack tokens written into files."),
)  # fmt: skip
"""The options of commands that read configuration files."""

CONNECTION_OPTIONS: Final = (
    _connect("--local", common=False, is_flag=True,
             help="Use the built-in emulator: no account, no network, no key."),
    _connect("--local-db", metavar="FILE", help="Use the emulator with this database."),
    _connect("--organization", multiple=True, metavar="NAME", env="WEBHOOKS_ORGANIZATION",
             type=_glob,
             help="Select the files of this organization, by name, id or glob; the key must belong "
                  "to it."),
    _connect("--api-key-file", metavar="FILE", env="WEBHOOKS_API_KEY_FILE", read_elsewhere=True,
             help="Read the API key from a file."),
    _connect("--profile", metavar="NAME", env="CLOUDTRUTH_PROFILE", read_elsewhere=True,
             help="Use a profile from CloudTruth's cli.yml."),
    _connect("--server-url", metavar="URL", env="CLOUDTRUTH_SERVER_URL", read_elsewhere=True,
             help="Use this server."),
    _connect("--timeout", type=float, metavar="SECONDS", env="CLOUDTRUTH_REQUEST_TIMEOUT",
             read_elsewhere=True, help="Timeout per request in seconds. [default: 30]"),
    _connect("--deadline", type=float, metavar="SECONDS",
             help="Time limit for the run in seconds. [default: 600]"),
    _connect("--parallelism", type=click.IntRange(1, MAX_PARALLELISM), metavar="N",
             help=f"Maximum number of concurrent requests. [default: {DEFAULT_PARALLELISM}]"),
)  # fmt: skip
"""The options of commands that connect."""

SUGGESTED_OPTIONS: Final = (FILE_OPTION, *CONNECTION_OPTIONS)
"""The options that suggested commands have, too."""

_OUTPUT_OPTIONS: Final = (
    _output("-q", "--quiet", is_flag=True, help="Print only errors."),
    _output("-v", "--verbose", count=True,
            help="List kept, unmanaged, unchanged and resent webhooks, notes about files, and "
                 "sources of settings."),
    _output("--debug", is_flag=True, help="Print method, path, status and time of each request."),
    _output("--no-color", is_flag=True, env="NO_COLOR", read_elsewhere=True,
            help="Print without colors."),
    _output("-h", "--help", is_flag=True, is_eager=True, callback=_show_help,
            help="Show help and exit."),
)  # fmt: skip
"""The options of every command."""

_COMMON: Final = (*FILE_OPTIONS, *CONNECTION_OPTIONS, *_OUTPUT_OPTIONS)

_PATHS: Final = click.Argument(
    ["paths"], nargs=-1, metavar="[PATH]...", expose_value=False, type=_PATH, callback=_record
)

_KEY: Final = "set CLOUDTRUTH_API_KEY or use --api-key-file; other users can see command lines"
_DRY_RUN: Final = "`webhooks plan` shows what apply would do"
_OFFLINE: Final = "leave it out: this command does not connect"
REMOVE: Final = "remove the webhook from the file, or set `state: absent`; then `webhooks apply`"
_VARIABLES: Final = "set an environment variable and refer to it in the file: `{env: NAME}`"
ADVICE: Final = {
    **dict.fromkeys(("--api-key", "--key", "--token", "--apikey"), _KEY),
    **dict.fromkeys(("--dry-run", "--dryrun", "--check"), _DRY_RUN),
    **dict.fromkeys(("--var", "--var-file"), _VARIABLES),
    **dict.fromkeys(("--destroy", "--delete"), REMOVE),
    "--prune": "`prune` in the file decides; it is true by default",
    "--out": "`webhooks plan --out FILE` saves a plan for `apply FILE`; redirect other output",
    **{option.opts[-1]: _OFFLINE for option in CONNECTION_OPTIONS},
}
"""Options that no option of the command replaces, each with what to do."""
