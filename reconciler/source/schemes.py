"""The places that keep secrets: how a reference looks, what it may name, how its value is read.

`SCHEMES` has a row for each key of a reference, such as `{env: NAME}`. All code that distinguishes
them uses this table, and `scripts/schema.py` generates the definitions in the schemas from it.

Anyone who can edit a configuration file can refer to any variable and any file on the machine that
applies it, and send the value anywhere. So credentials of the machine or of the run are forbidden.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from reconciler.errors import UsageError
from reconciler.findings import Finding, error, masked
from reconciler.kinds import slack
from reconciler.model import SecretRef
from reconciler.source.files import (
    MissingFileError,
    NotReadableError,
    file_name,
    limited,
    read_regular,
)
from reconciler.source.history import Commit

NOT_ALLOWED: Final = "secret-not-allowed"
"""The rule of a secret that is not in the list of allowed secrets."""


class Machine(NamedTuple):
    """Where values are read: variables, files, and `commit`, whose files are read from it.

    Relative paths start at `directory`, the working directory.
    """

    environ: Mapping[str, str]
    directory: Path
    commit: Commit | None = None


class UnresolvedError(Exception):
    """A secret has no usable value; the finding has the reason, without the value."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


_Check = Callable[[Path], None]
"""Raises UnresolvedError if a file, with links resolved, may not be used."""


class Scheme(NamedTuple):
    """One place that keeps secrets.

    `title`, `description` and `name_title`, `name_description`, `example` are for editors;
    `placeholder` is a name in messages, and `plan_description` describes it in saved plans.
    `pattern` is the schema's pattern of a name, "" for any text, and `bad_name` the error for
    another one. `read` returns the value of a name, or raises UnresolvedError. `forbidden` returns
    what a name belongs to if it is never sent, None if it may be sent; `another` is where to keep
    the secret instead.

    Names are paths if `is_path`: in a configuration file relative to that file, in a `SecretRef`
    to the working directory; git may have them. Names are variables of the process if
    `is_variable`: GitHub's workflows set them.
    """

    key: str
    placeholder: str
    title: str
    description: str
    name_title: str
    name_description: str
    plan_description: str
    example: str
    read: Callable[[str, Machine, _Check], str]
    forbidden: Callable[[str], str | None] = lambda name: None
    another: str = "another place"
    pattern: str = ""
    bad_name: Finding | None = None
    is_path: bool = False
    is_variable: bool = False

    def accepts(self, name: str) -> bool:
        """Return whether a reference may have this name, as the schema checks it."""
        return name != "" and (not self.pattern or re.fullmatch(self.pattern, name) is not None)


def unresolved(message: str, hint: str) -> Finding:
    """Return the error about a secret without a usable value."""
    return error("unresolved-secret", message, hint)


# Variables

_FORBIDDEN_VARIABLES: Final = (
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

OF_CLOUDTRUTH: Final = "CLOUDTRUTH_* variables"
"""The forbidden variables that may hold an API key."""


@lru_cache(maxsize=4096)
def forbidden_variable(name: str) -> str | None:
    """Return the forbidden variables that a name belongs to, None if it may be sent."""
    for prefix in _FORBIDDEN_VARIABLES:
        if name.upper().startswith(prefix):
            return f"{prefix}* variables"
    return None


def _read_variable(name: str, machine: Machine, check: _Check) -> str:
    value = machine.environ.get(name)
    if not value:
        problem = "empty" if name in machine.environ else "not set"
        raise UnresolvedError(
            unresolved(
                f"the variable {masked(name)} is {problem}",
                how_to_set(masked(name), machine.environ),
            )
        )
    return value


def how_to_set(name: str, environ: Mapping[str, str], verb: str = "set") -> str:
    """Return the step that sets or corrects a variable, on GitHub for the job's environment.

    The workflows pass the name of the job's environment in WEBHOOKS_ENVIRONMENT, and a secret that
    the environment lacks as an empty variable.
    """
    environment = environ.get("WEBHOOKS_ENVIRONMENT")
    if not environment or not name.isidentifier():
        return f"{verb} {name} in the environment of this command"
    words = ["gh", "secret", "set", name, "--env", environment]
    repository = github_repository(environ)
    if repository:
        words += ["--repo", repository]
    command = f"run `{shlex.join(words)}`"
    # The command alone would not help: without another workflow, the next job lacks it, too.
    if name not in environ:
        return f"{command}, and `webhooks init --github`: the workflows do not pass it"
    return command


def github_repository(environ: Mapping[str, str]) -> str:
    """Return the repository of a job on GitHub as `gh` expects it, empty elsewhere."""
    repository = environ.get("GITHUB_REPOSITORY", "")
    host = urlsplit(environ.get("GITHUB_SERVER_URL", "")).netloc
    if not repository or host in ("", "github.com"):
        return repository
    return f"{host}/{repository}"


# Files

_FORBIDDEN_FOLDERS: Final = (
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

_MAX_BYTES: Final = 64 * 1024
_READABLE: Final = "use a readable text file with only the value"


def _forbidden_file(path: str) -> str | None:
    """Return what a path is if it is in a folder with credentials of the machine or the run."""
    # normpath keeps two leading slashes, which mean the same as one.
    path = posixpath.normpath(path).replace("//", "/").casefold()
    path = path.removeprefix("/private")  # /private/var is /var on a Mac
    if path.startswith("/var/run/"):
        path = path.removeprefix("/var")
    parts = path.split("/")
    owner = "system files and credentials of other programs"
    forbidden_folders = tuple(f"{folder}/" for folder in _FORBIDDEN_FOLDERS)
    if f"{path}/".startswith(forbidden_folders) or not _FORBIDDEN_PARTS.isdisjoint(parts):
        return owner
    programs = {program for folder, program in pairwise(parts) if folder in (".config", "roaming")}
    return None if _CREDENTIAL_FOLDERS.isdisjoint(programs) else owner


def _read_file(name: str, machine: Machine, check: _Check) -> str:
    shown = masked(name)
    try:
        if machine.commit is not None:
            with suppress(MissingFileError):
                return limited(machine.commit.read_file(name).raw, _MAX_BYTES).decode()
        # Check the target of a link, not its name.
        path = Path(os.path.realpath(machine.directory / name))
        check(path)
        return read_regular(path, limit=_MAX_BYTES).decode()
    except NotReadableError as cause:
        raise UnresolvedError(unresolved(f"cannot read {shown}: it {cause}", _READABLE)) from None
    except (ValueError, OSError):  # the text of the decoding error contains the value
        raise UnresolvedError(unresolved(f"{shown} is not a UTF-8 text file", _READABLE)) from None


# The table

SCHEMES: Final[Mapping[str, Scheme]] = {
    "env": Scheme(
        key="env",
        placeholder="NAME",
        title="Secret from a variable",
        description="The value of an environment variable",
        name_title="Variable",
        name_description="Name of an environment variable. CloudTruth, CI and cloud credentials "
        "are rejected.",
        plan_description="The name of an environment variable.",
        example="SLACK_BOT_TOKEN",
        read=_read_variable,
        forbidden=forbidden_variable,
        another="a variable with another name",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        bad_name=error(
            "bad-variable-name",
            "this is not a valid variable name",
            "write the name of the variable that holds the secret, not the secret",
        ),
        is_variable=True,
    ),
    "file": Scheme(
        key="file",
        placeholder="PATH",
        title="Secret from a file",
        description="The content of a file",
        name_title="File",
        name_description="Path relative to the configuration file. At most 64 KiB; a trailing "
        "line break is removed.",
        plan_description="A path relative to the working directory.",
        example="/run/secrets/slack-token",
        read=_read_file,
        forbidden=_forbidden_file,
        another="a separate file",
        is_path=True,
    ),
}
"""Every known scheme. A new one is a row here."""


KEYS: Final = "|".join(SCHEMES)
"""The keys of references as a part of a regular expression."""

REFERENCE: Final = " or ".join(
    f"`{{{key}: {scheme.placeholder}}}`" for key, scheme in SCHEMES.items()
)
"""The forms of a reference in a file, for messages."""

ARGUMENT: Final = " or ".join(f"{key}:{scheme.placeholder}" for key, scheme in SCHEMES.items())
"""The forms of a reference on the command line."""


def paths(references: Iterable[SecretRef]) -> set[str]:
    """Return the files that references name, relative to the working directory."""
    return {ref.name for ref in references if is_file(ref)}


def is_file(ref: SecretRef) -> bool:
    """Return whether a reference names a file, which git may track."""
    return not ref.is_literal and SCHEMES[ref.scheme].is_path


def is_variable(ref: SecretRef) -> bool:
    """Return whether a reference names a variable."""
    return not ref.is_literal and SCHEMES[ref.scheme].is_variable


# Which secrets may be used


def refusal(ref: SecretRef, allow: Sequence[str] = ()) -> Finding | None:
    """Return why `ref` may not be sent to a webhook, by its name; None if it may."""
    if ref.is_literal:
        return None
    scheme, name = SCHEMES[ref.scheme], ref.name
    # Otherwise `secrets/../id_rsa` would match the pattern `file:secrets/*`.
    if scheme.is_path:
        name = posixpath.normpath(name)
    owner = scheme.forbidden(name)
    if owner is not None:
        return forbidden(ref, owner)
    if not allow or _is_allowed(ref, name, allow):
        return None
    # A line may name an organization, and then allows the secret for it only.
    listed = (
        f"add '{masked(pattern(ref))}' to --allow-secret or WEBHOOKS_ALLOW_SECRETS, in the line of "
        "the organization if it has one"
    )
    return error(
        NOT_ALLOWED,
        f"{ref.scheme} {masked(ref.name)} is not in the list of allowed secrets",
        f"if it may be sent, {listed}; for GitHub's workflows, run `webhooks init --github` again",
    )


def target_refusal(
    ref: SecretRef, target: Path, allow: Sequence[str], directory: Path
) -> Finding | None:
    """Return why the file `target`, to which the links of an allowed path lead, may not be sent.

    Relative patterns of `allow` start at `directory`.
    """
    name = target.as_posix()
    owner = SCHEMES[ref.scheme].forbidden(name)
    if owner is not None:
        return forbidden(ref, owner)
    # The target's path has no links, so the folders of the patterns must not have any, either.
    patterns = [fixed for pattern in allow for fixed in _resolved(pattern, directory)]
    if not allow or _is_allowed(ref, name, patterns):
        return None
    # A link leads there, or the `..` of a name, which `*` matches, too.
    return error(
        NOT_ALLOWED,
        f"{ref.scheme} {masked(ref.name)} leads out of the list of allowed secrets",
        "if that file may be sent, add its path without links to the list, where a relative glob "
        "ends at the working directory",
    )


def _is_allowed(ref: SecretRef, name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(f"{ref.scheme}:{name}", pattern) for pattern in patterns)


def forbidden(ref: SecretRef, owner: str, use: str = "sent to a webhook") -> Finding:
    """Return the error about a secret that belongs to `owner`, so it must not have this `use`."""
    return error(
        "forbidden-secret",
        f"{owner} are never {use}: {masked(ref.name)}",
        f"store the value in {SCHEMES[ref.scheme].another}",
    )


def allow_patterns(lines: Iterable[str], organization: str | None = None) -> tuple[str, ...]:
    """Return the patterns in `lines` of `--allow-secret` for an organization, as its files name it.

    A line has patterns for all organizations, or for the one that it begins with. Raises UsageError
    if a pattern cannot match anything.
    """
    patterns: list[str] = []
    lines = tuple(lines)
    for line in lines:
        # An organization's name may have colons and spaces, so it ends only before a reference.
        prefix = re.match(rf"(?!(?:{KEYS}):)(.+?):\s+(?=(?:{KEYS}):)", line)
        rest = line if prefix is None else line[prefix.end() :]
        for pattern in re.split(r"[\s,]+", rest.strip()):
            if re.match(rf"(?:{KEYS}):.", pattern) is None:
                raise UsageError(
                    f"--allow-secret takes {ARGUMENT} (globs allowed), not '{pattern}'",
                    hint="for example --allow-secret 'env:SLACK_*'",
                )
            if prefix is None or prefix[1] == organization:
                patterns.append(pattern)
    # A valid pattern that no variable matches: an empty list would allow all secrets.
    if lines and not patterns:
        return ("env:-",)
    return tuple(patterns)


def _resolved(pattern: str, directory: Path) -> Iterator[str]:
    """Yield a pattern for files with links resolved in its folders before the first glob, if any.

    The folders of an absolute path may be links, because the user of the command chose them. Those
    of a relative path may come from the repository, so its links must not lead out of the working
    directory.
    """
    key, _, path = pattern.partition(":")
    match = re.fullmatch(r"((?:[^*?\[]*/)?)(.*)", path)
    if match is None:
        return
    root = os.path.realpath(directory)
    folder = Path(os.path.realpath(directory / match[1]))
    has_no_link = folder == Path(os.path.normpath(Path(root, match[1])))
    if os.path.isabs(match[1]) or folder.is_relative_to(root) or has_no_link:
        # The path of the working directory is not a glob, even if it contains wildcards.
        fixed = re.sub(r"[*?\[]", r"[\g<0>]", folder.as_posix())
        yield f"{key}:{posixpath.join(fixed, match[2])}"


def pattern(ref: SecretRef) -> str:
    """Return a pattern of `--allow-secret` that allows a reference."""
    # Spaces and commas separate patterns, and a glob in a name would allow others.
    return re.sub(r"[\s,*?\[]", "?", ref.argument)


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
    # A token in place of a path would be written into the file.
    if key not in SCHEMES or not SCHEMES[key].accepts(name) or slack.TOKEN.search(name):
        raise UsageError(
            f"invalid secret reference: use {ARGUMENT}",
            hint="for example env:SLACK_BOT_TOKEN",
        )
    ref = SecretRef(scheme=key, name=name)
    problem = refusal(ref)
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint)
    return ref
