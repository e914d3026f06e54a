"""`webhooks export`: the live webhooks as a file."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Final

from reconciler import workflow
from reconciler.cli.commands.plan import ONLY
from reconciler.cli.connection import read_live
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import UsageError
from reconciler.findings import plural, shorten
from reconciler.model import Live, Secret, SecretRef, Webhook
from reconciler.planning.names import require_matches
from reconciler.planning.readback import nonempty, plausible
from reconciler.render.quote import command_line, prose, quote
from reconciler.source.elsewhere import variables_elsewhere
from reconciler.source.export import Export, export
from reconciler.source.files import STDIN, default_path, is_glob
from reconciler.source.new_references import SLACK_TOKEN, Tokens, declared_tokens, username
from reconciler.source.output import check_writable, write_atomically
from reconciler.source.schemes import ARGUMENT, is_variable, parse_reference
from reconciler.source.secrets import references

TOKEN: Final = Option(
    "--token", group="Files", multiple=True, metavar="[USERNAME=]REF",
    help=f"Reference for Slack tokens: {ARGUMENT}; USERNAME= limits it to one username. "
    f"[default: env:{SLACK_TOKEN.name}, others by username]",
)  # fmt: skip
_NAMED: Final = re.compile(r"(?s)(?P<username>.+?)=(?P<reference>(?:env|file):.+)")


@command(
    connects=True,
    options=(
        Option("-f", "--file", group="Files", multiple=True, metavar="PATH", env="WEBHOOKS_FILE",
               expose_value=False,
               help="For hidden Slack tokens, use the references of these files. [default: those "
               "in this folder]"),
        TOKEN,
        ONLY,
        Option("-o", "--out", group="Output", metavar="FILE",
               help="Write to a new file; - is standard output."),
    ),
)  # fmt: skip
def run(session: Session, out: str | None, only: tuple[str, ...], token: tuple[str, ...]) -> None:
    """Secrets become references: one per visible value. Hidden Slack tokens with the same username
    and mask are assumed to be the same, as a comment notes; if configuration files declare webhooks
    with this username, their reference is used. Webhooks that a file cannot express are added to
    `ignore`, with the reason.

    Examples:
        # adopt an organization
        webhooks export -o webhooks.yaml
        # choose the Slack token's variable
        webhooks export --token env:SLACK_TOKEN
        # choose it for the webhooks with one username
        webhooks export --token CloudTruth=env:SLACK_TOKEN
        # adopt part of it
        webhooks export --only 'team-a-*' -o team-a.yaml
    """
    tokens = parse_tokens(token)
    console, path = session.console, session.path(out)
    if path is not None:
        check_writable(path)
    # Before the first request, like every error of files.
    sources = _sources(session, tokens)
    live = read_live(session)
    # An empty file would look like success.
    require_matches(only, {webhook.name for webhook in live.webhooks}, "live webhook")
    tokens = with_visible(tokens, live)
    # Before the file is written: a misspelled username would leave its token assumed.
    in_files = _with_declared(tokens, sources, live, session.inputs, out or STDIN)
    exported = export(live, only=only, tokens=in_files)
    require_usernames(tokens, exported)
    if path is None:
        console.result(exported.text, essential=True)
    else:
        write_atomically(path, exported.text.encode())
        console.result(
            f"{plural(len(exported.declarations), 'webhook')} written to {quote(str(out))}."
        )
    print_notes(session, exported, out or STDIN)


def _sources(session: Session, tokens: Tokens) -> Sequence[workflow.Source]:
    """Return the configuration files; hidden tokens have their references unless `tokens` has all.

    Raises ConfigurationError for files that the command line names.
    """
    inputs = session.inputs._replace(allow_literals=True)
    if "file" in session.command_line and tokens.shared is None:
        return workflow.load_all(inputs)
    directory = session.process.directory
    paths = session.files or (default_path(directory),)
    if not any(_may_exist(path, directory) for path in paths):
        return ()
    sources, _ = workflow.validate_all(inputs)
    # They may be what an export is to replace.
    if not sources and tokens.shared is None:
        session.console.message(
            "warning",
            "the configuration files are invalid, so their token references are not used: see "
            "`webhooks validate`",
        )
    return sources


def _may_exist(path: str, directory: Path) -> bool:
    """Return whether a path may have files: it exists, or is standard input or a glob."""
    return path == STDIN or is_glob(path, directory) or os.path.lexists(directory / path)


def _with_declared(
    tokens: Tokens,
    sources: Sequence[workflow.Source],
    live: Live,
    inputs: workflow.Inputs,
    out: str,
) -> Tokens:
    """Return `tokens` with the variables of files, for other usernames with declared references.

    A new reference for a token that has one would replace the token at the next update.
    """
    known = (None, live.organization.id, live.organization.name)
    webhooks: list[Webhook] = []
    # The new file may be beside those that are named; the shell may write to any folder here.
    folders = [*inputs.paths, *map(os.path.dirname, inputs.paths)]
    if out == STDIN:
        folders += glob("*/", root_dir=inputs.directory)
    names = {out}
    for source in sources:
        if source.files.organization in known:
            webhooks += source.checked.desired.webhooks
            names |= source.checked.loaded.documents.keys()
    in_files = variables_elsewhere(
        names, inputs.directory, inputs.git, inputs.environ, live.organization, folders
    )
    in_files |= {reference.name: None for reference in references(webhooks)}
    declared = declared_tokens(webhooks)
    tokens = tokens._replace(in_files=in_files, uses=declared.uses)
    if tokens.shared is not None:
        return tokens
    unnamed = frozenset(declared.named.keys() - tokens.named.keys())
    return tokens._replace(named={**declared.named, **tokens.named}, declared=unnamed)


# Shared with init


def parse_tokens(values: Sequence[str]) -> Tokens:
    """Return the references of `--token`. Raises UsageError; the message has no value."""
    shared: SecretRef | None = None
    named: dict[str, SecretRef] = {}
    for value in values:
        match = _NAMED.fullmatch(value)
        if match is not None:
            named[match["username"]] = parse_reference(match["reference"])
            continue
        reference = parse_reference(value)
        if shared is not None:
            raise UsageError(
                "--token gives two references for all hidden tokens",
                hint="add the username to each: --token USERNAME=env:NAME",
            )
        shared = reference
    return Tokens(shared, named)


def with_visible(tokens: Tokens, live: Live) -> Tokens:
    """Return `tokens`, and for tokens that the server shows the references of their usernames.

    Raises UsageError unless equal tokens have one reference, and different ones different ones.
    """
    slack = [webhook for webhook in live.webhooks if webhook.type == "slack"]
    webhooks = [webhook for webhook in slack if plausible(webhook.value("token"))]
    # Equal tokens have the same number.
    numbers = Secret.groups(nonempty(webhook.value("token")) or Secret("") for webhook in webhooks)
    references: dict[int, SecretRef] = {}
    token_of: dict[SecretRef, int] = {}
    for webhook, number in zip(webhooks, numbers, strict=True):
        reference = tokens.named.get(username(webhook))
        if reference is None:
            continue
        has_other = references.setdefault(number, reference) != reference
        if has_other or token_of.setdefault(reference, number) != number:
            raise UsageError(
                "--token gives different tokens one reference, or equal ones several",
                hint="CloudTruth shows these tokens: give each one reference, or edit the file "
                "later",
            )
    visible = {
        webhook.id: references[number]
        for webhook, number in zip(webhooks, numbers, strict=True)
        if number in references
    }
    return tokens._replace(visible=visible)


def require_usernames(tokens: Tokens, exported: Export) -> None:
    """Raise UsageError for a username of `--token` that no exported Slack webhook has."""
    webhooks = chain.from_iterable(token.webhooks for token in exported.tokens)
    known = set(map(username, webhooks))
    unknown = sorted(tokens.named.keys() - known)
    if unknown:
        hint = f"usernames: {shorten([*map(quote, sorted(known))], 10)}" if known else None
        raise UsageError(
            f"--token: no Slack webhook has the username {quote(unknown[0])}", hint=hint
        )


def print_notes(session: Session, exported: Export, file: str) -> None:
    """Print what an export to a file assumes and leaves out, and at most five of its references."""
    message = session.console.message
    for assumption in exported.unassigned:
        message("warning", f"CloudTruth hides tokens; assumed {prose(assumption)}")
    if exported.unassigned:
        # An emulator makes no requests to Slack.
        check = "" if session.local else "; `webhooks check` shows where a token can post"
        message(
            "note",
            "an update sends the assumed token; for a webhook of another Slack app, change its "
            "`token`, or delete the file and run this again with --token USERNAME=env:NAME"
            f"{check}",
        )
    unseen: defaultdict[str, list[str]] = defaultdict(list)
    for declaration in exported.declarations.values():
        for field in declaration.unseen:
            unseen[field].append(quote(declaration.data["name"]))
    for field, names in unseen.items():
        what = f"CloudTruth shows no {field} of {shorten(names, 5)}"
        message("warning", f"{what}: if one is set, declare it, or an update removes it")
    for name, reason in exported.left_out:
        message("note", f"{quote(name)} is ignored in the file: {prose(reason)}")
    names = [use.name if is_variable(use) else str(use) for use in exported.references]
    if names:
        more = ""
        command = command_line(["webhooks", "validate", file])
        if len(names) > 5 and command and file != STDIN:
            more = f"; `{command}` lists all that are not set"
        before = "before you change a `configuration`, set its secrets"
        message("note", f"{before}: {shorten(names, 5)}{more}")
