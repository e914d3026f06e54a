"""The GitHub workflows that `init --github` writes for a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from posixpath import normpath
from typing import Final
from urllib.parse import unquote, urlsplit

import yaml

from reconciler import __version__
from reconciler.errors import UsageError
from reconciler.model import Scheme, SecretRef
from reconciler.source.allowed import pattern
from reconciler.source.history import Git, git_in

_FOLDER: Final = ".github/workflows"
CALLER: Final = f"{_FOLDER}/apply-webhooks.yml"
WORKFLOWS: Final = frozenset((CALLER, f"{_FOLDER}/webhooks.yml"))
"""The workflow that applies pushes, and the one that it calls. A change of either starts it."""

_NAMES: Final = ("webhooks.yml", "plan-webhooks.yml", "apply-webhooks.yml", "drift-webhooks.yml")
_PACKAGE: Final = "cloudtruth-webhooks"
_REPOSITORY: Final = "https://github.com/cloudtruth-webhooks/cloudtruth-webhooks"
GUIDE: Final = f"{_REPOSITORY}/blob/main/docs/github.md"
_RELEASED: Final = False
"""Whether this version is on PyPI. Until then workflows install the repository at a commit."""

_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f\"\\$]+")
_ENVIRONMENTS: Final = (("cloudtruth-plan", "plan"), ("cloudtruth-production", "apply"))
"""Environments for a single organization, and the suffixes appended to the label for several."""
_PATHS: Final = re.compile(r"^( *paths: \[)(.*\])$", re.MULTILINE)
_SECRETS: Final = re.compile(
    r"^(?P<heading>(?P<indent> *)"
    r"# (?P<kind>Names of API keys and secrets|API keys and secrets|API keys)"
    r"(?:, from the environment)?:\n)(?P<lines>(?:^(?P=indent)[A-Za-z_]\w*: .*\n?)*)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredSecrets:
    """The secrets of one organization: references in its files, and the variable of its key."""

    references: tuple[SecretRef, ...] = ()
    key: str = "CLOUDTRUTH_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The values to fill into the workflows.

    `package` is the requirement for pip, `lock` the file or URL of the requirements of its
    dependencies. `file` is the configuration file or directory, relative to the repository's root,
    with forward slashes. `branch` is the branch whose tip is applied. `policies` are JSON Schemas.
    `organizations` has the secrets of each organization by its label, which is empty if there is
    only one. `parents` are the files that the configuration extends, `server` is the URL of a
    server other than the default.
    """

    package: str
    lock: str = "requirements/action.lock"
    file: str = "webhooks.yaml"
    branch: str = "main"
    organizations: Mapping[str, RequiredSecrets] = field(
        default_factory=lambda: {"": RequiredSecrets()}
    )
    parents: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    server: str = ""

    @property
    def references(self) -> frozenset[SecretRef]:
        """Return the references in all files."""
        return frozenset(ref for each in self.organizations.values() for ref in each.references)

    @property
    def allowed(self) -> str:
        """Return the value of WEBHOOKS_ALLOW_SECRETS."""
        return " ".join(sorted(set(map(pattern, self.references))))

    @property
    def commands(self) -> tuple[str, ...]:
        """Return the commands that set the secrets of GitHub's environments."""
        found = []
        for label, needs in self.organizations.items():
            plan, apply = environments_of(label)
            found += [
                f"gh secret set {needs.key} --env {plan}  # a read-only key",
                f"gh secret set {needs.key} --env {apply}  # a key that can write",
                *(f"gh secret set {each} --env {apply}" for each in _variables(needs.references)),
            ]
        return tuple(found)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths that trigger the apply workflow: files, parents, secrets, policies."""
        # GitHub matches whole paths from the root of the repository: `./a` and `a//b` never match.
        file = normpath(self.file)
        if not file.lower().endswith((".yaml", ".yml")):
            file = "**" if file == "." else f"{file}/**"
        others = {normpath(each.name) for each in self.references if each.scheme is Scheme.FILE}
        others |= set(map(normpath, (*self.parents, *self.policies)))
        folder = (file.removesuffix("**"),) if file.endswith("**") else ()
        return (file, *(each for each in _in_repository(others) if not each.startswith(folder)))


def environments_of(label: str) -> tuple[str, str]:
    """Return the GitHub environments for plan and apply of a label."""
    (plan, plans), (apply, applies) = _ENVIRONMENTS
    return (f"{label}-{plans}", f"{label}-{applies}") if label else (plan, apply)


def label_change(old: str, new: str) -> str:
    """Return what a new label needs, because it selects other environments than the old one."""
    return (
        f"the label changes from {old} to {new}: create {' and '.join(environments_of(new))} with "
        f"the protection and secrets of {' and '.join(environments_of(old))}, or keep the path of "
        "the organization's first file"
    )


def _in_repository(names: Iterable[str]) -> list[str]:
    """Return the normalized paths inside the repository, sorted; pushes change no others."""
    return sorted(each for each in names if not each.startswith(("/", "..")))


def _variables(references: Iterable[SecretRef]) -> tuple[str, ...]:
    return tuple(sorted({each.name for each in references if each.scheme is Scheme.ENV}))


def workflows(setup: Setup) -> Mapping[str, str]:
    """Return the text of each workflow by its path in the repository.

    Raises UsageError for a name that cannot be written into YAML.
    """
    values = {"package": setup.package, "lock": setup.lock, "server": setup.server}
    values |= {"branch": setup.branch, "file": setup.file, "list of paths": " ".join(setup.paths)}
    values |= {"list of secrets": setup.allowed, "policy": " ".join(setup.policies)}
    for name, value in values.items():
        if value and not _PLAIN.fullmatch(value):
            raise UsageError(
                f"the {name} {value!r} cannot be written into a workflow",
                hint="use a value without quotes, `$`, backslashes or control characters",
            )
    source = files("reconciler.ci") / "templates"
    found: dict[str, str] = {}
    for name in _NAMES:
        text = (source / name).read_text(encoding="utf-8")
        if not setup.server:
            text = re.sub(r".*@server@.*\n", "", text)
        text = re.sub(r"@([a-z]+)@", lambda each: values[each[1]], text)
        found[f"{_FOLDER}/{name}"] = updated(text, setup)
    return found


def updated(text: str, setup: Setup) -> str:
    """Return the text of a workflow for another configuration.

    Only the file, the branch, the policies, the lists of secrets and paths, and the settings for
    one or several organizations change.
    """
    several = "" not in setup.organizations
    edits = [
        (r" *WEBHOOKS_ALLOW_SECRETS: ", r'"[^"\n]*"', f'"{setup.allowed}"'),
        (r" *file:\n +description: .*\n +default: ", r'"[^"\n]*"', f'"{setup.file}"'),
        (r" *default: ", r"(?:true|false)$", str(several).lower()),
        (r" *branch: ", r'"[^"\n]*"', f'"{setup.branch}"'),
        (r" *branches: ", r'\["[^",\n]*"\]', f'["{setup.branch}"]'),
        (r" *policy: ", r'"[^"\n]*"', '"{}"'.format(r"\n".join(setup.policies))),
    ]
    for one, many in _ENVIRONMENTS:
        old = f"(?:{one}|{many})(?: # LABEL-.*)?$"
        new = f"{many} # LABEL-{many} for each organization" if several else one
        edits.append((r" *environment: ", old, new))
    for before, old, new in edits:
        value = new.replace("\\", r"\\")
        text = re.sub(f"^({before}){old}", rf"\g<1>{value}", text, flags=re.MULTILINE)
    text = _PATHS.sub(lambda found: found[1] + _missing(setup.paths, found[2]) + found[2], text)
    return _SECRETS.sub(lambda found: _listed(found, setup), text)


def setting_lines(text: str, name: str) -> tuple[str, ...]:
    """Return the lines of a setting of a calling workflow, () if it has none."""
    found = re.search(rf'^ *{name}: "([^"\n]+)"', text, re.MULTILINE)
    return tuple(found[1].split(r"\n")) if found else ()


def not_triggering(workflow: str, names: Iterable[str]) -> list[str]:
    """Return the files whose change does not start a workflow, because its `paths` lack them."""
    try:
        paths = yaml.safe_load(workflow)[True]["push"]["paths"]  # `on` is true in YAML 1.1
        globs = [each for each in paths if isinstance(each, str)]
    except (yaml.YAMLError, LookupError, TypeError):
        return []  # it has no `paths`, or GitHub rejects it
    if not globs or any(each.startswith("!") for each in globs):
        return []
    # Here `*` also matches slashes, so that a glob matches at least what it matches on GitHub.
    loose = [re.sub(r"\*\*/?", "*", each) for each in globs]
    return [
        each for each in _in_repository(names) if not any(fnmatchcase(each, glob) for glob in loose)
    ]


def _missing(paths: Iterable[str], text: str) -> str:
    """Return the missing paths as text to insert at the start of a list."""
    return "".join(f'"{each}", ' for each in paths if f'"{each}"' not in text)


def _listed(found: re.Match[str], setup: Setup) -> str:
    """Return the list of secrets with missing lines added and unneeded lines removed."""
    kind = found["kind"]
    variables = {each.key for each in setup.organizations.values()}
    if kind != "API keys":
        variables |= set(_variables(setup.references))
    value = "{required: false}" if kind.startswith("N") else "${{ secrets.%s }}"
    kept = {line.partition(":")[0].strip(): line for line in found["lines"].splitlines()}
    new = (
        kept.get(each, f"{found['indent']}{each}: {value.replace('%s', each)}")
        for each in sorted(variables)
    )
    return found["heading"] + "".join(f"{line}\n" for line in new)


def pinned(commit: str | None) -> tuple[str, str]:
    """Return the requirement for pip in a workflow, and the URL of its locked dependencies.

    Both are those of this version, or of the repository at a commit. Raises UsageError if no commit
    is known.
    """
    lock = f"{_REPOSITORY}/raw/{{}}/requirements/action.lock"
    if _RELEASED:
        return f"{_PACKAGE}=={__version__}", lock.format(f"v{__version__}")
    if commit is None:
        raise UsageError(
            "cannot determine which commit of cloudtruth-webhooks the workflows should install",
            hint="pass --commit SHA, from `git rev-parse HEAD` in a clone of cloudtruth-webhooks",
        )
    return f"{_PACKAGE} @ git+{_REPOSITORY}@{commit}", lock.format(commit)


def installed_commit() -> str | None:
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

    def line(*arguments: str) -> str:
        return (git(arguments) or b"").decode().strip()

    remote = line("symbolic-ref", "--short", "refs/remotes/origin/HEAD").removeprefix("origin/")
    local = line("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    usual = [each for each in ("main", "master", "trunk") if each in local]
    current = line("symbolic-ref", "--short", "HEAD")
    return next(filter(None, (remote, *usual, current)), "main")
