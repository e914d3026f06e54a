"""Decide which secrets may be used, by the names of their references.

Credentials of the machine or of the run are never sent (`schemes.py` knows them), and a run can
limit secrets to a list.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Final

from reconciler.errors import UsageError
from reconciler.findings import Finding, error
from reconciler.model import SecretRef
from reconciler.source.files import file_name
from reconciler.source.schemes import ARGUMENT, KEYS, SCHEMES
from reconciler.source.text import masked


def refusal(
    ref: SecretRef,
    allow: Sequence[str] = (),
    *,
    target: Path | None = None,
    directory: Path = Path(),
) -> Finding | None:
    """Return why `ref` may not be sent to a webhook, None if it may.

    Without `target`, only its name is checked. `target` is the path of a file whose name is
    allowed, with links resolved; relative patterns of `allow` then start at `directory`.
    """
    if ref.is_literal:
        return None
    scheme, name, shown = SCHEMES[ref.scheme], ref.name, masked(ref.name)
    if target is not None:
        name = target.as_posix()
    # Otherwise `secrets/../id_rsa` would match the pattern `file:secrets/*`.
    elif scheme.is_path:
        name = posixpath.normpath(name)
    owner = scheme.forbidden(name)
    if owner is not None:
        return forbidden(ref, owner)
    if not allow:
        return None
    patterns = allow if target is None else _all_resolved(allow, directory)
    if any(fnmatchcase(f"{ref.scheme}:{name}", pattern) for pattern in patterns):
        return None
    if target is not None:
        message = f"a link in {ref.scheme} {shown} leads out of the list of allowed secrets"
        hint = "replace the link by the file, or add the path of its target to the list"
        return error("secret-not-allowed", message, hint)
    message = f"{ref.scheme} {shown} is not in the list of allowed secrets"
    listed = f"add '{masked(pattern(ref))}' to --allow-secret or WEBHOOKS_ALLOW_SECRETS"
    workflows = "for GitHub's workflows, run `webhooks init --github` again"
    return error("secret-not-allowed", message, f"if it may be sent, {listed}; {workflows}")


def forbidden(ref: SecretRef, owner: str, *, is_key: bool = False) -> Finding:
    """Return the error about a secret of a webhook, or an API key, that belongs to `owner`."""
    noun, use = ("key", "used as an API key") if is_key else ("secret", "sent to a webhook")
    message = f"{owner} are never {use}: {masked(ref.name)}"
    another = SCHEMES[ref.scheme].another
    return error("forbidden-secret", message, f"store the {noun} in {another}")


_NOTHING: Final = "env:-"
"""A valid pattern that no variable matches: an empty list would allow all secrets."""


def allow_patterns(lines: Iterable[str], organization: str | None = None) -> tuple[str, ...]:
    """Return the patterns in `lines` of `--allow-secret` for an organization, as its files name it.

    A line has patterns for all organizations, or for the one that it begins with. Raises UsageError
    if a pattern cannot match anything.
    """
    patterns: list[str] = []
    lines = tuple(lines)
    for line in lines:
        # An organization's name may have colons and spaces, so it ends only before a reference.
        limited = re.match(rf"(?!(?:{KEYS}):)(.+?):\s+(?=(?:{KEYS}):)", line)
        for pattern in re.split(r"[\s,]+", line[limited.end() if limited else 0 :].strip()):
            if re.match(rf"(?:{KEYS}):(?s:.)", pattern) is None:
                raise UsageError(
                    f"--allow-secret takes {ARGUMENT} (globs allowed), not '{pattern}'",
                    hint="for example --allow-secret 'env:SLACK_*'",
                )
            if limited is None or limited[1] == organization:
                patterns.append(pattern)
    return tuple(patterns) or ((_NOTHING,) if lines else ())


def _all_resolved(patterns: Iterable[str], directory: Path) -> list[str]:
    # The path of the target has no links, so the folders of the patterns must not have any, either.
    return [fixed for pattern in patterns for fixed in _resolved(pattern, directory)]


def _resolved(pattern: str, directory: Path) -> Iterator[str]:
    """Yield a pattern for files with links resolved in its folders before the first glob, if any.

    The folders of an absolute path may be links, because the user of the command chose them. Those
    of a relative path may come from the repository, so its links must not lead out of the working
    directory.
    """
    key, _, path = pattern.partition(":")
    match = re.fullmatch(r"((?:[^*?\[]*/)?)(.*)", path, re.DOTALL)
    if match is None or key not in SCHEMES or not SCHEMES[key].is_path:
        return
    root = os.path.realpath(directory)
    folder = Path(os.path.realpath(directory / match[1]))
    has_no_link = folder == Path(os.path.normpath(Path(root, match[1])))
    if os.path.isabs(match[1]) or folder.is_relative_to(root) or has_no_link:
        # The path of the working directory is not a glob, even if it contains wildcards.
        fixed = re.sub(r"[*?\[]", r"[\g<0>]", folder.as_posix().rstrip("/"))
        yield f"{key}:{fixed}/{match[2]}"


def pattern(ref: SecretRef) -> str:
    """Return a pattern of `--allow-secret` that allows a reference."""
    # Spaces and commas separate patterns, and a glob in a name would allow others.
    return re.sub(r"[\s,*?\[]", "?", f"{ref.scheme}:{ref.name}")


def reference_in(data: object, file: str, *, versioned: bool = False) -> SecretRef | None:
    """Return the reference that `data` from a file represents; None for other data."""
    if not isinstance(data, dict):
        return None
    version = data.get("version") if versioned else None
    for key, scheme in SCHEMES.items():
        name = data.get(key)
        if isinstance(name, str):
            return _reference(key, name, file if scheme.is_path else None, version)
    return None


@lru_cache(maxsize=256)  # most webhooks share their references
def _reference(key: str, name: str, file: str | None, version: int | None) -> SecretRef:
    name = name if file is None else file_name(name, file)
    return SecretRef(scheme=key, name=name, version=version)


def parse_reference(text: str) -> SecretRef:
    """Return the reference for `env:NAME`, `file:PATH` and so on.

    Raises UsageError, without the text in the message, because it may be the secret itself.
    """
    key, _, name = text.partition(":")
    if key not in SCHEMES or not SCHEMES[key].accepts(name):
        raise UsageError(
            f"invalid secret reference: use {ARGUMENT}",
            hint="for example env:SLACK_BOT_TOKEN",
        )
    ref = SecretRef(scheme=key, name=name)
    problem = refusal(ref)
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint)
    return ref
