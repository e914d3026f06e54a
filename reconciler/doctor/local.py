"""Checks that need no network: version, settings, files, secrets, empty variables."""

from __future__ import annotations

import platform
import shlex
import ssl
import sys
from collections.abc import Sequence
from typing import Final

from reconciler import __version__
from reconciler.checks import Check, Section, fail, ok, unknown
from reconciler.errors import ReconcilerError
from reconciler.findings import Severity
from reconciler.model import Desired, Scheme, Secret
from reconciler.render.quote import quote
from reconciler.render.words import plural, reference
from reconciler.settings import DEFAULT_SERVER, Settings
from reconciler.source.files import DEFAULT_FILE, suggestion
from reconciler.source.load import Loaded
from reconciler.workflow import Gathered, Inputs, accept, gather, validate

KEY: Final = "CLOUDTRUTH_API_KEY"


def check_settings(settings: Settings | ReconcilerError) -> Section:
    """Check the settings, each with its source; an error if they could not be resolved."""
    python, tls = platform.python_version(), ssl.OPENSSL_VERSION.split("  ")[0]
    version = f"webhooks {__version__}, Python {python}, {sys.platform}, {tls}"
    return Section(name="Settings", checks=(ok("version", version), *_settings(settings)))


def check_files(
    inputs: Inputs, key: Secret | None, words: Sequence[str]
) -> tuple[Section, Desired | None]:
    """Check the configuration files and the secrets that `apply` needs; return what they declare.

    `words` are the options that name the files, for suggested commands; empty to name no file.
    """
    wanted, declared = {KEY}, None
    if inputs.paths or (inputs.directory / DEFAULT_FILE).exists():
        declared = validate(inputs)
    desired = None if declared is None else declared.desired
    checks = [_files(inputs, declared, words)]
    if declared is not None and desired is not None:
        try:
            gathered = gather(accept(declared, inputs), key)
            wanted |= {each.name for each in gathered.references if each.scheme is Scheme.ENV}
            checks.append(_secrets(gathered))
        except ReconcilerError as problem:
            commands = f"`{reading('validate', words)}` and `{reading('plan', words)}`"
            fix = f"run {commands} for details"
            checks.append(fail("secrets", problem.message, fix=fix))
    empty = sorted(each for each in wanted if inputs.environ.get(each, "?").strip() == "")
    if empty:
        checks.append(
            fail(
                "empty",
                f"set, but empty: {', '.join(quote(each) for each in empty)}",
                fix="set a value; CI passes a secret that does not exist, or that is not available "
                "to the job, as an empty value",
            )
        )
    return Section(name="Files", checks=tuple(checks)), desired


def reading(name: str, words: Sequence[str]) -> str:
    """Return a command that reads the files of `words`."""
    return f"webhooks {shlex.join([*name.split(), *words])}"


def _settings(found: Settings | ReconcilerError) -> tuple[Check, ...]:
    if isinstance(found, ReconcilerError):
        cause = found.findings[0] if found.findings else found  # a missing key of a file
        fix, aside = cause.hint or "set a valid value", quote(cause.message)
        return (fail("settings", "a setting is invalid", fix=fix, aside=aside),)
    if found.local:
        return (ok("server", "the emulator in this process (--local), no key"),)
    server, profile = found.server_url, found.profile
    return (
        ok("server", f"{DEFAULT_SERVER}, {_source(server.source)}")
        if server.value == DEFAULT_SERVER
        else ok("server", f"not the default, {_source(server.source)}", aside=server.value),
        ok("profile", "default")
        if profile.source == "default"
        else ok("profile", f"set, {_source(profile.source)}", aside=quote(profile.value)),
        ok("key", f"set, {_source(found.key.source)}")
        if found.key is not None
        else fail(
            "key",
            "no CloudTruth API key",
            fix=f"set {KEY}, or pass --api-key-file or --profile",
        ),
        ok("timeout", f"{found.timeout.value:g} s per request, {_source(found.timeout.source)}"),
        ok("deadline", f"{found.deadline.value:g} s per run, {_source(found.deadline.source)}"),
    )


def _source(source: str) -> str:
    """Return the source of a setting, without the name of a profile."""
    if source == "default":
        return "by default"
    if source.startswith(("api_key in ", "profile in ")):
        return "from a configuration file"
    return "from a profile" if source.startswith("profile ") else f"from {source}"


def _files(inputs: Inputs, declared: Loaded | None, words: Sequence[str]) -> Check:
    if declared is None:
        fix = suggestion(inputs.directory / DEFAULT_FILE, inputs.directory)
        fix = fix or "create one with `webhooks init`, or name files with -f"
        return unknown("files", f"no {DEFAULT_FILE} in the working directory", fix=fix)
    names = ", ".join(map(quote, declared.documents or inputs.paths)) or DEFAULT_FILE
    if declared.desired is None:
        errors = sum(each.severity is Severity.ERROR for each in declared.findings)
        fix = f"run `{reading('validate', words)}`"
        return fail("files", f"invalid: {plural(errors, 'error')}", aside=names, fix=fix)
    count = len(declared.desired.webhooks)
    return ok("files", f"valid, {plural(count, 'webhook')} declared", aside=names)


def _secrets(gathered: Gathered) -> Check:
    missing = sorted(gathered.missing_references, key=str)
    if not missing:
        count = len(gathered.references)
        return ok("secrets", f"all {count} available" if count else "none declared")
    names = [reference(each) for each in missing if each.scheme is Scheme.ENV]
    files = len(missing) - len(names)
    shown = ", ".join([*names, *([plural(files, "file")] if files else [])])
    return unknown(
        "secrets",
        f"not set here: {shown}",
        fix="set them before apply creates a webhook or changes its configuration; "
        "nothing else needs them",
    )
