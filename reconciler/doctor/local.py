"""What can be said without asking anybody: versions, settings, files, secrets at hand."""

from __future__ import annotations

import platform
import ssl
import sys
from collections.abc import Sequence

from reconciler import __version__
from reconciler.checks import Check, fail, ok, unknown
from reconciler.errors import ReconcilerError
from reconciler.findings import Severity
from reconciler.model import Scheme
from reconciler.render.quote import quote
from reconciler.render.words import plural, reference
from reconciler.settings import Settings
from reconciler.settings.resolve import DEFAULT_SERVER
from reconciler.source.desired import Declared
from reconciler.source.files import DEFAULT_FILE
from reconciler.workflow import Gathered

_KEY_FIX = "set CLOUDTRUTH_API_KEY, or name a file with --api-key-file, or a profile with --profile"


def versions() -> Check:
    """Say what runs here."""
    return ok(
        "version",
        f"webhooks {__version__}, Python {platform.python_version()}, {sys.platform}, "
        f"{ssl.OPENSSL_VERSION.split('  ')[0]}",
    )


def settings(found: Settings | ReconcilerError) -> tuple[Check, ...]:
    """Say where each setting comes from."""
    if isinstance(found, ReconcilerError):
        return (
            fail(
                "settings",
                "a setting cannot be used",
                fix=found.hint or "correct it",
                aside=quote(found.message),
            ),
        )
    if found.local:
        return (ok("server", "the emulated CloudTruth inside this process (--local), no key"),)
    server, profile = found.server_url, found.profile
    usual = server.value == DEFAULT_SERVER
    checks = [
        ok("server", f"{DEFAULT_SERVER}, {_source(server.source)}")
        if usual
        else ok("server", f"not the usual one, {_source(server.source)}", aside=server.value),
        ok("profile", f"that named {_source(profile.source)}", aside=quote(profile.value))
        if profile.source != "default"
        else ok("profile", "default, by default"),
        fail("key", "there is no CloudTruth API key", fix=_KEY_FIX)
        if found.key is None
        else ok("key", f"at hand, {_source(found.key.source)}"),
        ok("timeout", f"{found.timeout.value:g} s for a request, {_source(found.timeout.source)}"),
        ok("deadline", f"{found.deadline.value:g} s for a run, {_source(found.deadline.source)}"),
    ]
    if found.page_size is not None:
        size, source = found.page_size.value, _source(found.page_size.source)
        checks.append(ok("page size", f"{size}, {source}; webhooks asks for the largest pages"))
    return tuple(checks)


def files(declared: Declared | None, paths: Sequence[str]) -> Check:
    """Say whether the files are in order. `declared` is None if there are none to look at."""
    if declared is None:
        return unknown(
            "files",
            f"there is no {DEFAULT_FILE} in the working directory",
            fix="write one with `webhooks init`, or name files with -f",
        )
    names = ", ".join(quote(name) for name in declared.documents)
    if declared.desired is None:
        errors = sum(each.severity is Severity.ERROR for each in declared.findings)
        return fail(
            "files",
            f"{plural(errors, 'mistake')}",
            aside=names or ", ".join(quote(each) for each in paths) or DEFAULT_FILE,
            fix="`webhooks validate` shows where",
        )
    count = len(declared.desired.webhooks)
    return ok("files", f"valid, {plural(count, 'webhook')} declared", aside=names)


def secrets(gathered: Gathered | ReconcilerError) -> Check:
    """Say whether all that apply needs is at hand."""
    if isinstance(gathered, ReconcilerError):
        return fail(
            "secrets",
            gathered.message,
            fix="`webhooks validate` and `webhooks plan` show which and why",
        )
    missing = sorted(gathered.missing_references, key=str)
    if not gathered.references:
        return ok("secrets", "the files need none")
    if not missing:
        return ok("secrets", f"all {len(gathered.references)} that apply needs are at hand")
    names = [reference(each) for each in missing if each.scheme is Scheme.ENV]
    count = len(missing) - len(names)
    shown = ", ".join([*names, *([plural(count, "file")] if count else [])])
    return unknown(
        "secrets",
        f"not at hand here, and needed by apply: {shown}",
        fix="set them where apply runs; plan works without",
    )


def _source(source: str) -> str:
    """Say where a value comes from; the name of a profile is nobody's business."""
    if source == "default":
        return "by default"
    return "from a profile" if source.startswith("profile ") else f"from {source}"
