"""The GitHub workflows that `init --github` writes for a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from posixpath import normpath
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler import __version__
from reconciler.ci.marker import Marker, MarkerKind, encode
from reconciler.errors import UsageError
from reconciler.model import Scheme, SecretRef
from reconciler.source.history import Git

_NAMES: Final = ("plan-webhooks.yml", "apply-webhooks.yml", "drift-webhooks.yml")
_FOLDER: Final = ".github/workflows"
_PACKAGE: Final = "cloudtruth-webhooks"
_REPOSITORY: Final = "https://github.com/cloudtruth-webhooks/cloudtruth-webhooks"
GUIDE: Final = f"{_REPOSITORY}/blob/main/docs/github.md"
_RELEASED: Final = False
"""Whether this version is on PyPI. Until then workflows install the repository at a commit."""

_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f\"\\$]+")
_ALLOW: Final = re.compile(r'^(\s*WEBHOOKS_ALLOW_SECRETS: )"[^"\n]*"', re.MULTILINE)
_KEY: Final = re.compile(r"^( *)CLOUDTRUTH_API_KEY: .*$", re.MULTILINE)
_SECRETS: Final = re.compile(
    r"^(?P<indent> *)# Secrets of the configuration:\n"
    r"(?P<lines>(?:^(?P=indent)[A-Za-z_]\w*: .*\n?)*)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The values to fill into the workflows.

    `package` is the requirement for pip, `file` the configuration file or directory, relative to
    the repository's root, with forward slashes. `branch` is the branch whose tip is applied,
    `references` are the secrets that the configuration refers to, `parents` the files that it
    extends, `server` the URL of a server other than the default.
    """

    package: str
    file: str = "webhooks.yaml"
    branch: str = "main"
    references: tuple[SecretRef, ...] = ()
    parents: tuple[str, ...] = ()
    server: str = ""

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the names of the environment variables that `apply` needs."""
        return tuple(sorted({each.name for each in self.references if each.scheme is Scheme.ENV}))

    @property
    def allowed(self) -> str:
        """Return the value of WEBHOOKS_ALLOW_SECRETS for these references."""
        names = (f"{each.scheme}:{each.name}" for each in self.references)
        return " ".join(sorted({re.sub(r"[\s,\[]", "?", name) for name in names}))

    @property
    def commands(self) -> tuple[str, ...]:
        """Return the commands that set up GitHub for the workflows."""
        values = (f"gh secret set {each} --env cloudtruth-production" for each in self.variables)
        return (
            "gh secret set CLOUDTRUTH_API_KEY --env cloudtruth-plan        # a read-only key",
            "gh secret set CLOUDTRUTH_API_KEY --env cloudtruth-production  # a key that can write",
            *values,
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths that trigger the apply workflow: files, parents and secrets."""
        # GitHub matches whole paths from the root of the repository: `./a` and `a//b` never match.
        file = normpath(self.file)
        if not file.lower().endswith((".yaml", ".yml")):
            file = "**" if file == "." else f"{file}/**"
        others = {normpath(each.name) for each in self.references if each.scheme is Scheme.FILE}
        others |= set(map(normpath, self.parents))
        inside = (each for each in sorted(others) if not each.startswith(("/", "..")))
        return (file, *inside)


def workflows(setup: Setup) -> Mapping[str, str]:
    """Return the text of each workflow by its path in the repository.

    Raises UsageError for a name that cannot be written into YAML.
    """
    values = {
        "package": setup.package,
        "file": setup.file,
        "paths": '", "'.join(setup.paths),
        "branch": setup.branch,
        "allow": setup.allowed,
        "server": setup.server,
    }
    for name, value in {**values, "paths": " ".join(setup.paths)}.items():
        if value and not _PLAIN.fullmatch(value):
            raise UsageError(f"the workflow cannot contain the {name} {value!r}")
    # Issues of a job that failed before its command; the next successful command closes them.
    values["failure"] = encode(Marker(kind=MarkerKind.FAILURE, file=setup.file, code="not-run"))
    values["drift"] = encode(Marker(kind=MarkerKind.DRIFT, file=setup.file))
    source = files("reconciler.ci") / "templates"
    found: dict[str, str] = {}
    for name in _NAMES:
        template = (source / name).read_text(encoding="utf-8")
        text = updated(re.sub(r"@([a-z]+)@", lambda each: values[each[1]], template), setup)
        assert text is not None  # each template has the list
        if setup.server:
            text = _KEY.sub(rf'\g<0>\n\g<1>CLOUDTRUTH_SERVER_URL: "{setup.server}"', text)
        found[f"{_FOLDER}/{name}"] = text
    return found


def updated(text: str, setup: Setup) -> str | None:
    """Return an existing workflow with updated lists of secrets.

    Only lines of secrets that the configuration no longer refers to, or newly refers to, change.
    None for a workflow without the list of allowed secrets.
    """
    text, count = _ALLOW.subn(lambda found: f'{found[1]}"{setup.allowed}"', text)
    if not count:
        return None

    def lines(found: re.Match[str]) -> str:
        kept = {
            line.partition(":")[0].strip(): line.rstrip("\n")
            for line in found["lines"].splitlines()
        }
        indent = found["indent"]
        new = (
            kept.get(name, f"{indent}{name}: ${{{{ secrets.{name} }}}}") for name in setup.variables
        )
        return "".join(f"{line}\n" for line in (f"{indent}# Secrets of the configuration:", *new))

    return _SECRETS.sub(lines, text)


def package(commit: str | None) -> str:
    """Return the requirement for pip in a workflow: this version, or the repository at a commit.

    Raises UsageError if no commit is known.
    """
    if _RELEASED:
        return f"{_PACKAGE}=={__version__}"
    if commit is None:
        raise UsageError(
            "this installation does not record the commit that the workflows must install",
            hint="pass it with --commit, as `git rev-parse HEAD` prints it in a clone",
        )
    return f"{_PACKAGE} @ git+{_REPOSITORY}@{commit}"


def installed_commit(git_in: Callable[[Path], Git]) -> str | None:
    """Return the commit that this package was installed from, as pip recorded it (PEP 610)."""
    try:
        text = distribution(_PACKAGE).read_text("direct_url.json")
        record = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    commit = record.get("vcs_info", {}).get("commit_id")
    if commit is None and (url := urlsplit(record.get("url", ""))).scheme == "file":
        found = git_in(Path(unquote(url.path)))(["rev-parse", "HEAD"])
        commit = None if found is None else found.decode().strip()
    return commit if isinstance(commit, str) else None


def default_branch(git: Git) -> str:
    """Return the branch that is applied; `main` if git does not know the default branch."""
    remote = _line(git, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    if remote is not None:
        return remote.removeprefix("origin/")
    found = git(["for-each-ref", "--format=%(refname:short)", "refs/heads"])
    local = () if found is None else tuple(found.decode().split())
    configured = _line(git, "config", "init.defaultBranch")
    current = _line(git, "symbolic-ref", "--short", "HEAD")
    usual = [each for each in (configured, "main", "master", "trunk") if each in local]
    return (usual or [current or "main"])[0]


def _line(git: Git, *arguments: str) -> str | None:
    found = git(arguments)
    return (found or b"").decode().strip() or None
