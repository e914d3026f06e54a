"""Which secrets may be used: references by their names, and text that is a secret itself.

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
from urllib.parse import urlsplit

from reconciler.errors import UsageError
from reconciler.findings import Finding, error, warning
from reconciler.kinds.slack import TOKEN, TOKEN_PART
from reconciler.model import Scheme, SecretRef
from reconciler.source.files import STDIN_NAME

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

_FORBIDDEN_PARTS: Final = frozenset(
    {
        ".aws", ".azure", ".cargo", ".docker", ".git", ".git-credentials", ".gnupg", ".kube",
        ".netrc", ".npmrc", ".pypirc", ".ssh", ".terraform.d", ".terraformrc", ".vault-token",
        ".yarnrc.yml", "com.cloudtruth.cloudtruth-cli",
    }
)  # fmt: skip
"""Names of folders and files that hold the credentials of other programs, wherever they are."""

MASK: Final = "***"
LOOKS_SECRET: Final = re.compile(
    TOKEN_PART.pattern + r"|https?://[^\s\"']*[@/?#][^\s\"']*"  # a link with more than a host
)
"""What is hidden wherever text of a file is shown."""

_WORD: Final = re.compile(r"[a-z0-9_*-]{1,40}")
PLACEHOLDER: Final = re.compile(
    r"\$(?:[A-Z_][A-Z0-9_]*|[a-z]+(?:_[a-z0-9]+)+)|%\w+%|<[\w .:-]+>|\*+"
    r"|\{\s*(?:env|file)\s*:.*\}|(?:env|file):\s*[\w./-]+"
    r"|.*(?:\$\{[^{}]*\}|\{\{[^{}]*\}\}).*",
    re.DOTALL,
)
"""Text that another program would replace by a value: `$NAME`, `${NAME}`, `<token>`, `env:NAME`."""

_VARIABLE: Final = re.compile(r"\$[A-Z][A-Z0-9_]+\b")

_AROUND: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""What copying and pasting adds around a value: blanks, line ends, a byte order mark."""

# Hosts whose addresses are the permission to post there: whoever knows one can use it.
_CAPABILITY_HOSTS: Final = (
    ".hooks.slack.com", ".hooks.slack-gov.com",
    ".discord.com", ".discordapp.com",
    ".webhook.office.com", ".webhook.office365.com",
    ".outlook.office.com", ".outlook.office365.com",
    ".logic.azure.com", ".powerplatform.com",
    ".chat.googleapis.com",
    ".hooks.zapier.com", ".make.com", ".integromat.com", ".maker.ifttt.com", ".pipedream.net",
    ".api.telegram.org", ".webhook.site", ".events.pagerduty.com", ".hooks.mattermost.com",
)  # fmt: skip
_PLAIN: Final = re.compile(r"https?://([A-Za-z0-9.-]+)(?::[0-9]+)?(?:/[A-Za-z0-9/_.~%-]*)?")


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
        or not _FORBIDDEN_PARTS.isdisjoint(parts)
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
    return warning(
        "no-allow-list",
        "in CI, apply sends only the secrets that WEBHOOKS_ALLOW_SECRETS lists, and it is not set",
        f"if all of these may be sent, set {setting(refs)}",
    )


def setting(refs: Iterable[SecretRef], allow: Sequence[str] = ()) -> str:
    """Return WEBHOOKS_ALLOW_SECRETS with the patterns `allow` and those of `refs`, for a shell."""
    names = {f"{each.scheme}:{shown(each)}" for each in refs}
    # Blanks and commas separate patterns, and a glob in a name would not match itself.
    patterns = [*allow, *(re.sub(r"[\s,*?\[]", "?", each) for each in sorted(names))]
    return f"WEBHOOKS_ALLOW_SECRETS={shlex.quote(' '.join(patterns))}"


def shown(ref: SecretRef) -> str:
    """Return the name of a reference for a message; somebody may have put a token there."""
    return masked(ref.name)


def bare(text: str) -> str:
    """Return a pasted value without the blanks, line ends and byte order marks around it."""
    return text.strip(_AROUND)


def is_padded(text: str) -> bool:
    """Return whether `bare` removes more than one line end, which editors and `echo` add."""
    return bare(text) != text.removesuffix("\n").removesuffix("\r")


def holds_token(text: str) -> bool:
    """Return whether there is a Slack token in a text."""
    return ("xox" in text or "xapp" in text) and TOKEN.search(text) is not None


def is_placeholder(text: str) -> bool:
    """Return whether visible text is, or holds, what another program would replace."""
    return PLACEHOLDER.fullmatch(text) is not None or _VARIABLE.search(text) is not None


def masked(text: str) -> str:
    """Return text of a user for a message: what looks like a secret hidden, and not too long."""
    safe = LOOKS_SECRET.sub(MASK, text)
    return safe if len(safe) <= 120 else f"{safe[:117]}..."


def quoted(noun: str, word: object) -> str:
    """Return `noun` with the word of a user behind it, unless that may be a secret."""
    text = str(word)
    return f"{noun} `{text}`" if is_word(text) else noun


def is_word(text: str) -> bool:
    """Return whether a text looks like an event, a type or a state."""
    return _WORD.fullmatch(text) is not None and LOOKS_SECRET.search(text) is None


def url_credential(url: str) -> str | None:
    """Return what makes a URL a secret, in words that follow "the URL"; None if nothing does."""
    plain = _PLAIN.fullmatch(url)  # most are, and this is faster
    if plain is not None:
        host = plain[1]
    else:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return "cannot be understood, so it may hold a credential"
        if "@" in parts.netloc:
            return "holds a user or password"
        if parts.query:
            return "has a query, which often holds a key"
    host = host.lower().rstrip(".")
    if f".{host}".endswith(_CAPABILITY_HOSTS):
        return f"of {host} is itself the permission to post there"
    if holds_token(url):
        return "holds a Slack token"
    return None
