"""Checks that need no network: version, settings, files, secrets."""

from __future__ import annotations

import platform
import shlex
import ssl
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler import __version__
from reconciler.checks import Check, Section, fail, ok, unknown
from reconciler.errors import ReconcilerError
from reconciler.findings import Finding, Severity
from reconciler.model import Secret
from reconciler.render.quote import quote
from reconciler.render.words import plural
from reconciler.settings import LOCAL_SERVER, Setting, Settings
from reconciler.source.files import default_path, suggestion
from reconciler.source.load import Loaded
from reconciler.source.schemes import is_file
from reconciler.workflow import Gathered, Inputs, accept, gather, validate

_EMPTY: Final = "CI passes a secret that is missing, or not available to the job, as an empty value"


def check_settings(settings: Settings | ReconcilerError) -> Section:
    """Check the settings, each with its source; an error if they could not be resolved."""
    python, tls = platform.python_version(), ssl.OPENSSL_VERSION.split("  ")[0]
    version = f"webhooks {__version__}, Python {python}, {sys.platform}, {tls}"
    return Section(name="Settings", checks=(ok("version", version), *_settings(settings)))


def check_files(
    inputs: Inputs, key: Secret | None, file_options: Sequence[str]
) -> tuple[Section, Loaded]:
    """Check the files of an organization and the secrets that `apply` needs.

    Return also what they declare.

    `file_options` are the options that name the files, for suggested commands; empty to name no
    file.
    """
    default = default_path(inputs.directory)
    # A directory without files is no failure: doctor also helps before `init`.
    if not inputs.paths and not (inputs.directory / default).exists():
        fix = suggestion(inputs.directory / default, inputs.directory)
        fix = fix or "create one with `webhooks init`, or name files with -f"
        check = unknown("files", f"no {default} in the working directory", fix=fix)
        return Section(name="Files", checks=(check,)), Loaded(None)
    declared = validate(inputs)
    options = "".join(f" {shlex.quote(option)}" for option in file_options)
    # Private, because the output is made to be pasted into issues.
    names = ", ".join(map(quote, declared.documents or inputs.paths)) or default
    if declared.desired is None:
        errors = sum(finding.severity is Severity.ERROR for finding in declared.findings)
        fix = f"run `webhooks validate{options}`"
        check = fail("files", f"invalid: {plural(errors, 'error')}", private=names, fix=fix)
        return Section(name="Files", checks=(check,)), declared
    count = plural(len(declared.desired.webhooks), "webhook")
    check = ok("files", f"valid, {count} declared", private=names)
    try:
        secrets = _secrets(gather(accept(declared, inputs), key))
    except ReconcilerError as problem:
        fix = f"run `webhooks validate{options}` and `webhooks plan{options}` for details"
        secrets = fail("secrets", problem.message, fix=fix)
    return Section(name="Files", checks=(check, secrets)), declared


def _settings(settings: Settings | ReconcilerError) -> Iterator[Check]:
    if isinstance(settings, ReconcilerError):
        cause: ReconcilerError | Finding = settings
        if settings.findings:  # for a key that a file names
            cause = settings.findings[0]
        fix = cause.hint or "set a valid value"
        yield fail("settings", "a setting is invalid", fix=fix, private=quote(cause.message))
        return
    if settings.server_url.value == LOCAL_SERVER:
        yield ok("server", "the emulator in this process (--local), no key")
        return
    yield ok("server", _source(settings.server_url), private=quote(settings.server_url.value))
    yield ok("profile", _source(settings.profile), private=quote(settings.profile.value))
    # Only its source: no part of a key is ever shown.
    if settings.key is not None:
        yield ok("key", f"set, {_source(settings.key)}")
    else:
        yield fail("key", "no CloudTruth API key", fix=f"{settings.key_hint}. {_EMPTY}")
    yield ok("timeout", f"{settings.timeout.value:g} s per request, {_source(settings.timeout)}")
    yield ok("deadline", f"{settings.deadline.value:g} s per run, {_source(settings.deadline)}")


def _source(setting: Setting[str] | Setting[float] | Setting[Secret]) -> str:
    """Return the source of a setting, without the name of a profile or a file."""
    if setting.source == "default":
        return "by default"
    if setting.source.startswith(("profile ", "api_key in ")):
        return "from a profile or a file"
    return f"from {setting.source}"


def _secrets(gathered: Gathered) -> Check:
    missing = sorted(gathered.missing_references, key=str)
    if not missing:
        count = len(gathered.references)
        if not count:
            return ok("secrets", "none declared")
        return ok("secrets", f"all {count} available")
    shown = [quote(str(reference)) for reference in missing if not is_file(reference)]
    # Paths are private, so files are only counted.
    files = len(missing) - len(shown)
    if files:
        shown.append(plural(files, "file"))
    return unknown(
        "secrets",
        f"not set here, or empty: {', '.join(shown)}",
        fix="set them before apply creates a webhook or changes its configuration; "
        f"nothing else needs them. {_EMPTY}",
    )
