"""Which references to secrets are allowed. A reference is judged by its name alone.

Whoever can change a declaration can name any variable and any file of the machine that applies
it, and have it sent anywhere. So what belongs to the machine or to the run itself is never sent,
and a run may allow only a list.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Final, assert_never

from reconciler.errors import UsageError
from reconciler.findings import Finding, error, warning
from reconciler.model import Scheme, SecretRef
from reconciler.source.files import STDIN_NAME
from reconciler.source.literals import masked

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
"""Beginnings of the names of variables that belong to the machine or to the run."""

FORBIDDEN_FOLDERS: Final = (
    "/proc", "/sys", "/dev",
    "/run/secrets/kubernetes.io", "/run/secrets/eks.amazonaws.com", "/run/secrets/azure",
    "/etc/kubernetes", "/etc/rancher", "/etc/shadow", "/etc/ssh", "/var/lib/kubelet",
)  # fmt: skip
_CONFIGURED: Final = frozenset({"cloudtruth", "gcloud", "gh", "glab-cli"})
"""Programs whose folder under `.config` holds their credentials."""

FORBIDDEN_PARTS: Final = frozenset(
    {
        ".aws", ".azure", ".cargo", ".docker", ".git", ".git-credentials", ".gnupg", ".kube",
        ".netrc", ".npmrc", ".pypirc", ".ssh", ".terraform.d", ".terraformrc", ".vault-token",
        ".yarnrc.yml", "com.cloudtruth.cloudtruth-cli",
    }
)  # fmt: skip
"""Names of folders and files that hold the credentials of other programs, wherever they are."""


def refusal(ref: SecretRef, allow: Sequence[str] = ()) -> Finding | None:
    """Return why `ref` may not be used, None if it may. Looks at names only."""
    match ref.scheme:
        case Scheme.LITERAL:
            return None
        case Scheme.ENV:
            prefix = forbidden_prefix(ref.name)
            if prefix is not None:
                return error(
                    "forbidden-secret",
                    f"{prefix}* variables are never sent to a webhook: {shown(ref)}",
                    "put the secret into a variable of another name",
                )
        case Scheme.FILE:
            if is_forbidden(ref.name):
                return forbidden_file(ref)
        case _:
            assert_never(ref.scheme)
    name = posixpath.normpath(ref.name) if ref.scheme is Scheme.FILE else ref.name
    if allow and not any(fnmatchcase(f"{ref.scheme}:{name}", each) for each in allow):
        return not_allowed(ref)
    return None


def forbidden_prefix(name: str) -> str | None:
    """Return the beginning of a variable's name for which it is never sent, None if it may be."""
    upper = name.upper()
    return next((each for each in FORBIDDEN_VARIABLES if upper.startswith(each)), None)


def allow_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return `patterns` of `--allow-secret`. Raises UsageError for one that can match nothing."""
    found = tuple(patterns)
    for pattern in found:
        scheme, separator, name = pattern.partition(":")
        if not separator or not name or scheme not in (Scheme.ENV, Scheme.FILE):
            raise UsageError(
                f"--allow-secret takes env:NAME or file:PATH (globs work), not '{pattern}'",
                hint="for example --allow-secret 'env:SLACK_*'",
            )
    return found


def file_name(path: str, declaring: str) -> str:
    """Return the name of a referenced file, relative to the working directory if it can be.

    `path` is relative to the file that says it, whose own name is `declaring`.
    """
    folder = "" if declaring == STDIN_NAME else posixpath.dirname(declaring)
    return posixpath.normpath(posixpath.join(folder, path.replace(os.sep, "/")))


def leads_to(path: Path, pattern: str, directory: Path) -> bool:
    """Say whether `pattern` allows `path`, in which no links are left.

    The folders of `pattern` before its first glob may be links themselves: they were chosen by
    whoever runs the command.
    """
    scheme, _, name = pattern.partition(":")
    if scheme != Scheme.FILE:
        return False
    folder, slash, last = name.rpartition("/")
    fixed, rest = f"{folder}{slash}", ""
    glob = re.search(r"[*?\[]", fixed)
    if glob is not None:
        cut = fixed.rfind("/", 0, glob.start()) + 1
        fixed, rest = fixed[:cut], fixed[cut:]
    home = Path(os.path.realpath(directory / fixed)).as_posix()
    # Where the folder itself lies is no glob, whatever characters are in its name.
    home = re.sub(r"[*?\[]", r"[\g<0>]", home.rstrip("/"))
    return fnmatchcase(path.as_posix(), f"{home}/{rest}{last}")


def is_forbidden(name: str) -> bool:
    """Return whether a path is in a folder that holds credentials of the machine or the run."""
    # Two slashes at the start are kept by normpath, and mean the same as one.
    path = posixpath.normpath(name)
    path = f"/{path.lstrip('/')}" if path.startswith("/") else path
    path = path.removeprefix("/private").casefold()  # /private/var is /var on a Mac
    path = f"/run{path.removeprefix('/var/run')}" if path.startswith("/var/run/") else path
    parts = path.split("/")
    return (
        any(path == each or path.startswith(f"{each}/") for each in FORBIDDEN_FOLDERS)
        or not FORBIDDEN_PARTS.isdisjoint(parts)
        or any(pair[0] == ".config" and pair[1] in _CONFIGURED for pair in pairwise(parts))
    )


def forbidden_file(ref: SecretRef) -> Finding:
    """Return the error for a file that is never sent."""
    return error(
        "forbidden-secret",
        f"files of the system and credentials of other programs are never sent: {shown(ref)}",
        "keep the secret of this webhook in a separate file",
    )


def not_allowed(ref: SecretRef) -> Finding:
    """Say that no pattern allows `ref`."""
    return error(
        "secret-not-allowed",
        f"{ref.scheme} {shown(ref)} is not among the secrets that this run allows",
        f"add --allow-secret '{ref.scheme}:{shown(ref)}' if it may be sent",
    )


def no_list(refs: Iterable[SecretRef]) -> Finding:
    """Return the warning that a CI job does not list the references that may be sent."""
    names = {f"{each.scheme}:{shown(each)}" for each in refs}
    # Blanks and commas separate patterns, and a glob in a name would not match itself.
    patterns = " ".join(re.sub(r"[\s,*?\[]", "?", each) for each in sorted(names))
    return warning(
        "no-allow-list",
        "in CI, apply sends only the secrets that WEBHOOKS_ALLOW_SECRETS lists, and it is not set",
        f"if all of these may be sent, set WEBHOOKS_ALLOW_SECRETS={shlex.quote(patterns)}",
    )


def shown(ref: SecretRef) -> str:
    """Return the name of a reference for a message; somebody may have put a token there."""
    return masked(ref.name)
