"""Decide which secrets may be used, by the names of their references.

Anyone who can edit a configuration file can refer to any variable and any file on the machine that
applies it, and send the value anywhere. So credentials of the machine or of the run are never sent,
and a run can limit secrets to a list.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from reconciler.errors import UsageError
from reconciler.findings import Finding, error
from reconciler.model import Scheme, SecretRef
from reconciler.source.files import file_name
from reconciler.source.text import masked

FORBIDDEN_VARIABLES: Final = (
    "CLOUDTRUTH_",
    # CI systems
    "GITHUB_", "GH_", "ACTIONS_", "RUNNER_", "CI_", "GITLAB_", "SYSTEM_", "BUILDKITE_", "CIRCLE_",
    "BITBUCKET_", "JENKINS_", "TRAVIS_", "DRONE_", "TEAMCITY_", "ATLANTIS_",
    # clouds, clusters and secret stores
    "AWS_", "AZURE_", "ARM_", "GOOGLE_", "GCP_", "GCLOUD_", "CLOUDSDK_", "KUBE", "VAULT_",
    "TF_TOKEN_", "DIGITALOCEAN_", "HCLOUD_", "CLOUDFLARE_", "OP_CONNECT_", "OP_SERVICE_",
    "OP_SESSION_", "DOPPLER_", "INFISICAL_",
    # registries of packages and images, and signing
    "NPM_", "NODE_AUTH_", "YARN_", "PYPI_", "TWINE_", "UV_PUBLISH_", "POETRY_", "PIP_", "CARGO_",
    "GEM_HOST_", "MAVEN_", "NUGET_", "DOCKER_", "COSIGN_", "GPG_", "SSH_", "GIT_",
)  # fmt: skip
"""Prefixes of variables that belong to the machine or to the run."""

FORBIDDEN_FOLDERS: Final = (
    "/proc", "/sys", "/dev",
    "/run/secrets/kubernetes.io", "/run/secrets/eks.amazonaws.com", "/run/secrets/azure",
    "/etc/kubernetes", "/etc/rancher", "/etc/shadow", "/etc/ssh", "/var/lib/kubelet",
)  # fmt: skip
_CREDENTIAL_FOLDERS: Final = frozenset({"cloudtruth", "gcloud", "gh", "github cli", "glab-cli"})
"""Programs whose folder under `.config`, or AppData/Roaming on Windows, contains credentials."""

_FORBIDDEN_PARTS: Final = frozenset(
    {
        ".aws", ".azure", ".cargo", ".docker", ".git", ".git-credentials", ".gnupg", ".kube",
        ".netrc", ".npmrc", ".pypirc", ".ssh", ".terraform.d", ".terraformrc", ".vault-token",
        ".yarnrc.yml", "com.cloudtruth.cloudtruth-cli",
    }
)  # fmt: skip
"""Names of folders and files with credentials of other programs, in any directory."""


def refusal(
    ref: SecretRef,
    allow: Sequence[str] = (),
    *,
    target: Path | None = None,
    directory: Path = Path(),
) -> Finding | None:
    """Return why `ref` may not be used, None if it may.

    Without `target`, only its name is checked. `target` is the path of a file whose name is
    allowed, with links resolved; relative patterns of `allow` then start at `directory`.
    """
    if ref.scheme is Scheme.LITERAL:
        return None
    name, shown = ref.name, masked(ref.name)
    if ref.scheme is Scheme.FILE:
        name = posixpath.normpath(name) if target is None else target.as_posix()
        if _is_forbidden(name):
            message = f"system files and credentials of other programs are never sent: {shown}"
            hint = "keep the secret of this webhook in a separate file"
            return error("forbidden-secret", message, hint)
    elif (prefix := forbidden_prefix(name)) is not None:
        message = f"{prefix}* variables are never sent to a webhook: {shown}"
        hint = "store the secret in a variable with another name"
        return error("forbidden-secret", message, hint)
    patterns = list(allow)
    if target is not None:
        patterns = [found for each in allow for found in _resolved(each, directory)]
    if allow and not any(fnmatchcase(f"{ref.scheme}:{name}", each) for each in patterns):
        if target is not None:
            message = f"a link in {ref.scheme} {shown} leads out of the list of allowed secrets"
            hint = "replace the link by the file, or add the path of its target to the list"
            return error("secret-not-allowed", message, hint)
        message = f"{ref.scheme} {shown} is not in the list of allowed secrets"
        listed = f"add '{masked(pattern(ref))}' to --allow-secret or WEBHOOKS_ALLOW_SECRETS"
        workflows = "for GitHub's workflows, run `webhooks init --github` again"
        return error("secret-not-allowed", message, f"if it may be sent, {listed}; {workflows}")
    return None


def forbidden_prefix(name: str) -> str | None:
    """Return the forbidden prefix of a variable, None if it may be sent."""
    return next((each for each in FORBIDDEN_VARIABLES if name.upper().startswith(each)), None)


_NOTHING: Final = "env:-"
"""A pattern that matches no reference: the list is not empty, which would allow all."""


def allow_patterns(lines: Iterable[str], organization: str | None = None) -> tuple[str, ...]:
    """Return the patterns in `lines` of `--allow-secret` for an organization, as its files name it.

    A line has patterns for all organizations, or for the one that it begins with. Raises UsageError
    if a pattern cannot match anything.
    """
    found: list[str] = []
    lines = tuple(lines)
    for line in lines:
        limited = re.match(r"(?!env:|file:)(.+?):\s+(?=env:|file:)", line)
        for pattern in re.split(r"[\s,]+", line[limited.end() if limited else 0 :].strip()):
            if re.match(r"(?:env|file):(?s:.)", pattern) is None:
                raise UsageError(
                    f"--allow-secret takes env:NAME or file:PATH (globs allowed), not '{pattern}'",
                    hint="for example --allow-secret 'env:SLACK_*'",
                )
            if limited is None or limited[1] == organization:
                found.append(pattern)
    return tuple(found) or ((_NOTHING,) if lines else ())


def _resolved(pattern: str, directory: Path) -> Iterator[str]:
    """Yield a pattern for files with links resolved in its folders before the first glob, if any.

    The folders of an absolute path may be links, because the user of the command chose them. Those
    of a relative path may come from the repository, so its links must not lead out of the working
    directory.
    """
    match = re.fullmatch(r"file:((?:[^*?\[]*/)?)(.*)", pattern, re.DOTALL)
    if match is None:
        return
    root = os.path.realpath(directory)
    folder = Path(os.path.realpath(directory / match[1]))
    has_no_link = folder == Path(os.path.normpath(Path(root, match[1])))
    if os.path.isabs(match[1]) or folder.is_relative_to(root) or has_no_link:
        # The path of the working directory is not a glob, even if it contains wildcards.
        fixed = re.sub(r"[*?\[]", r"[\g<0>]", folder.as_posix().rstrip("/"))
        yield f"file:{fixed}/{match[2]}"


def _is_forbidden(path: str) -> bool:
    """Return whether a path is in a folder with credentials of the machine or the run."""
    # normpath keeps two leading slashes, which mean the same as one.
    path = f"/{path.lstrip('/')}" if path.startswith("/") else path
    path = path.removeprefix("/private").casefold()  # /private/var is /var on a Mac
    path = f"/run{path.removeprefix('/var/run')}" if path.startswith("/var/run/") else path
    parts = path.split("/")
    return (
        f"{path}/".startswith(tuple(f"{each}/" for each in FORBIDDEN_FOLDERS))
        or not _FORBIDDEN_PARTS.isdisjoint(parts)
        or any(
            folder in (".config", "roaming") and each in _CREDENTIAL_FOLDERS
            for folder, each in pairwise(parts)
        )
    )


def pattern(ref: SecretRef) -> str:
    """Return a pattern of `--allow-secret` that allows a reference."""
    # Spaces and commas separate patterns, and a glob in a name would allow others.
    return re.sub(r"[\s,*?\[]", "?", f"{ref.scheme}:{ref.name}")


def reference_in(data: object, file: str, *, versioned: bool = False) -> SecretRef | None:
    """Return the reference that `data` from a file represents; None for other data."""
    if not isinstance(data, dict):
        return None
    version = data.get("version") if versioned else None
    if isinstance(name := data.get("env"), str):
        return _reference(Scheme.ENV, name, "", version)
    if isinstance(path := data.get("file"), str):
        return _reference(Scheme.FILE, path, file, version)
    return None


@lru_cache(maxsize=256)  # most webhooks share their references
def _reference(scheme: Scheme, name: str, file: str, version: int | None) -> SecretRef:
    name = file_name(name, file) if scheme is Scheme.FILE else name
    return SecretRef(scheme=scheme, name=name, version=version)


def parse_reference(text: str) -> SecretRef:
    """Return the reference for `env:NAME` or `file:PATH`.

    Raises UsageError, without the text in the message, because it may be the secret itself.
    """
    scheme, _, name = text.partition(":")
    is_name = VARIABLE.fullmatch(name) if scheme == Scheme.ENV else name and scheme == Scheme.FILE
    if not is_name:
        raise UsageError(
            "invalid secret reference: use env:NAME or file:PATH",
            hint="for example env:SLACK_BOT_TOKEN",
        )
    found = SecretRef(scheme=Scheme(scheme), name=name)
    if (problem := refusal(found)) is not None:
        raise UsageError(problem.message, hint=problem.hint)
    return found


VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A name of a variable. Other text may be the secret, written in place of the name."""

BAD_NAME: Final = error(
    "bad-variable-name",
    "this is not a valid variable name",
    "write the name of the variable that holds the secret, not the secret",
)
