"""Options: those that every command shares, given before or after its name, and how all look.

Environment variables are shown in an option's help but not read here: settings.py and the
commands do that, so that one rule of precedence holds.
"""

from __future__ import annotations

from typing import Any, Final

import click

from reconciler.cli.colour import Colour

ALLOWED_BY: Final = "WEBHOOKS_ALLOW_SECRETS"


class Option(click.Option):
    """An option whose help names the environment variable that stands in for it.

    `common` ones are shown apart from a command's own.
    """

    def __init__(
        self, *names: str, env: str | None = None, common: bool = False, **attributes: Any
    ) -> None:
        super().__init__(names, **attributes)
        self.env = env
        self.common = common

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Refuse the name of a file that is empty, as an unset variable of a script leaves it."""
        if value == "" and self.metavar == "FILE":
            raise click.BadParameter("it is empty", ctx=ctx, param=self)
        return super().type_cast_value(ctx, value)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help, the variable at the end."""
        record = super().get_help_record(ctx)
        if record is None or self.env is None:
            return record
        return record[0], f"{record[1]}  [env: {self.env}]"


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Remember what was really given, wherever it stood; the later place wins, lists add up."""
    source = ctx.get_parameter_source(parameter.name or "")
    if ctx.obj is not None and source is click.core.ParameterSource.COMMANDLINE:
        ctx.obj.give(parameter.name, value)
    return value


def _common(*names: str, **attributes: Any) -> Option:
    return Option(*names, common=True, expose_value=False, callback=_keep, **attributes)


def COMMON() -> list[click.Parameter]:  # noqa: N802 - a table that must be made anew each time
    """Make the options of a command that reads files and connects."""
    return [
        _common(
            "-f",
            "--file",
            multiple=True,
            metavar="PATH",
            shell_complete=_paths,
            help="A file, a directory with all *.yaml and *.yml below it, or - for standard input; "
            "may be repeated. Without it: webhooks.yaml.",
        ),
        _common(
            "--organization",
            metavar="NAME",
            env="WEBHOOKS_ORGANIZATION",
            help="Stop unless the API key belongs to this organization (name or id).",
        ),
        _common(
            "--server-url",
            metavar="URL",
            env="CLOUDTRUTH_SERVER_URL",
            help="The CloudTruth server; https://api.cloudtruth.io if nothing else is said.",
        ),
        _common(
            "--profile",
            metavar="NAME",
            env="CLOUDTRUTH_PROFILE",
            help="A profile of CloudTruth's own command line (its cli.yml).",
        ),
        _common(
            "--api-key-file",
            metavar="FILE",
            env="WEBHOOKS_API_KEY_FILE",
            shell_complete=_paths,
            help="Read the API key from a file. The key itself comes from CLOUDTRUTH_API_KEY; no "
            "option takes it, since command lines can be seen by others.",
        ),
        _common(
            "--timeout",
            type=float,
            metavar="SECONDS",
            env="CLOUDTRUTH_REQUEST_TIMEOUT",
            help="How long one request may take; 30.",
        ),
        _common(
            "--deadline",
            type=float,
            metavar="SECONDS",
            env="WEBHOOKS_DEADLINE",
            help="How long the whole run may take; 600.",
        ),
        _common(
            "--local",
            is_flag=True,
            help="Use an emulated CloudTruth inside this process: no account, no network, no key.",
        ),
        _common(
            "--local-db",
            metavar="FILE",
            env="WEBHOOKS_LOCAL_DB",
            shell_complete=_paths,
            help="Where --local keeps its webhooks; .webhooks-local/webhooks.db.",
        ),
        _common(
            "--allow-secret",
            multiple=True,
            metavar="PATTERN",
            env=ALLOWED_BY,
            help="Allow only secrets that match, such as 'env:SLACK_*' or 'file:secrets/*'; may be "
            "repeated. In the variable: separated by spaces or commas.",
        ),
        _common(
            "--allow-literal-secrets",
            is_flag=True,
            help="Accept Slack tokens written into files. Think twice.",
        ),
        _common("--strict", is_flag=True, env="WEBHOOKS_STRICT", help="Warnings are errors."),
        *OUTPUT(),
    ]


def OUTPUT() -> list[click.Parameter]:  # noqa: N802
    """Make the options about output, which every command has."""
    return [
        _common(
            "--color",
            type=click.Choice([str(each) for each in Colour]),
            env="NO_COLOR, FORCE_COLOR",
            help="Colour always, never, or on a terminal (auto).",
        ),
        _common("-q", "--quiet", is_flag=True, help="Say errors and results only."),
        _common("-v", "--verbose", count=True, help="Say more."),
        _common(
            "--debug",
            is_flag=True,
            help="Show each request: method, path, status, time. Never bodies or headers.",
        ),
        Option(
            "-h",
            "--help",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_help,
            help="Show this and exit.",
        ),
    ]


def _show_help(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.obj.console.result(ctx.get_help())
        ctx.exit()


def format_option(*choices: str) -> Option:
    """Make `--format`; the first choice is the default."""
    return Option(
        "--format",
        type=click.Choice(choices),
        default=choices[0],
        callback=_remember_format,
        help=f"How to print the result: {', '.join(choices)}.",
    )


def _remember_format(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """Let failures be JSON where results are."""
    if ctx.obj is not None:
        ctx.obj.machine_readable = value == "json"
    return value


def _paths(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
