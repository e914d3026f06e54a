"""The GitHub workflows that `init --github` writes, and what those of a repository contain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cache, lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import yaml

from reconciler import __version__
from reconciler.errors import UsageError
from reconciler.findings import Finding, error
from reconciler.model import SecretRef, frozen
from reconciler.source.files import SUFFIXES, has_wildcard, is_glob
from reconciler.source.history import git_in
from reconciler.source.schemes import is_variable, paths, pattern

_FOLDER: Final = ".github/workflows"
CALLED: Final = f"{_FOLDER}/webhooks.yml"
CALLER: Final = f"{_FOLDER}/apply-webhooks.yml"
"""The workflow that applies pushes. A change of it, or of the one that it calls, starts it."""

_FILES: Final = ("webhooks.yml", "plan-webhooks.yml", "apply-webhooks.yml", "drift-webhooks.yml")
NAMES: Final = tuple(f"{_FOLDER}/{name}" for name in _FILES)
_PACKAGE: Final = "cloudtruth-webhooks"
_REPOSITORY: Final = "https://github.com/cloudtruth-webhooks/cloudtruth-webhooks"
GUIDE: Final = f"{_REPOSITORY}/blob/main/docs/github.md"
_RELEASED: Final = False
"""Whether this version is on PyPI. Until then workflows install the repository at a commit."""

# Neither what ends a quoted text in YAML, nor `$`, with which an expression of GitHub begins.
_QUOTABLE: Final = re.compile(r"[^\x00-\x1f\x7f\"\\$]+")
_SETTINGS: Final = {
    "runner": r"^    runs-on: (.+)$",
    "package": r'^  WEBHOOKS_PACKAGE: "(.+)"',
    "lock": r'^  WEBHOOKS_LOCK: "(.+)"',
    "server": r'^          CLOUDTRUTH_SERVER_URL: "(.+)"$',
    "cron": r'^    - cron: "(.+)"$',
    "branch": r'^      branch: "(.+)" #',
    "policy": r'^      policy: "(.+)" #',
    "environments": r'^      environments: "(.+)"(?: #|$)',
    "plan": r"(?s)command: (?:plan|drift)\n.*?^      environment: (\S+)$",
    "apply": r"(?s)command: apply\n.*?^      environment: (\S+)$",
}
"""The settings that users change in the workflows: they are kept when these are written again."""
_FILES_READ: Final = re.compile(r'^      file:\n.*\n        default: "([^"]+)"$', re.MULTILINE)
_DEFAULTS: Final = {
    "runner": "ubuntu-latest",
    "cron": "23 5 * * *",
    "plan": "cloudtruth-plan",
    "apply": "cloudtruth-production",
}
_FOR_PLANS: Final = "which is for plans: every pull request can use its secrets"
_USE_ANOTHER: Final = "set another one in `github: {environment: NAME}`, with required reviewers"
_APPLIES: Final = re.compile(r"^ *command: apply$", re.MULTILINE)
_CHECKSUM: Final = re.compile(r"(no other edits: )([0-9a-f]{12})$", re.MULTILINE)
_GENERATED: Final = (
    r'^ *(?:(?:WEBHOOKS_ALLOW_SECRETS|CLOUDTRUTH_SERVER_URL|default): ".*"'
    r"|(?:paths|branches): \[.*\]"
    r"|(\w+): (?:\{required: false\}|\$\{\{ secrets\.\1 \}\}))(?: #.*)?$\n?"
)
"""Lines that follow from the configuration."""

_FILTER_PART: Final = re.compile(r"\\.|(?<![^/])\*\*/|\*\*?[?+]*|\[[A-Za-z0-9-]+\]|.", re.DOTALL)
"""A part of a filter pattern of `paths` and `branches`, as GitHub's cheat sheet describes them."""


@frozen
class RequiredSecrets:
    """The secrets of one organization: references in its files, and the variable of its key.

    `environment` is the GitHub environment that its files name, None for that of the workflow.
    """

    name: str = ""
    references: tuple[SecretRef, ...] = ()
    key: str = "CLOUDTRUTH_API_KEY"
    environment: str | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the variables that its files refer to."""
        return tuple(sorted({ref.name for ref in self.references if is_variable(ref)}))


@frozen
class Setup:
    """The values to fill into the workflows.

    `package` is the requirement for pip, `lock` the file or URL of the requirements of its
    dependencies. `files` are configuration files or directories, relative to the repository's root,
    with forward slashes. `branch` is the branch whose tip is applied. `policies` are JSON Schemas.
    `parents` are the files that the configuration extends, the targets of its links, and its files
    with other suffixes. `server` is the URL of a server other than the default. `settings` are
    those of existing workflows.
    """

    package: str
    lock: str = "requirements/action.lock"
    files: tuple[str, ...] = ("webhooks.yaml",)
    branch: str = "main"
    organizations: tuple[RequiredSecrets, ...] = (RequiredSecrets(),)
    parents: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    server: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def references(self) -> frozenset[SecretRef]:
        """Return the references in all files."""
        return frozenset(ref for needs in self.organizations for ref in needs.references)

    @property
    def allowed(self) -> tuple[str, ...]:
        """Return the lines of WEBHOOKS_ALLOW_SECRETS: one, or one for each organization."""
        lines = [
            (organization.name, " ".join(sorted(set(map(pattern, organization.references)))))
            for organization in self.organizations
        ]
        if len(lines) == 1:
            return tuple(filter(None, [lines[0][1]]))
        return tuple(f"{name}: {patterns}" for name, patterns in lines if patterns)

    @property
    def plan_environment(self) -> str:
        """Return the environment of plans and drift checks."""
        return self.settings.get("plan", _DEFAULTS["plan"])

    @property
    def environments(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of the secrets of each environment of apply, the default one first."""
        default = self.settings.get("apply", _DEFAULTS["apply"])
        named = [organization.environment or default for organization in self.organizations]
        # What a workflow may list by mistake must not stay.
        plan = self.plan_environment.casefold()
        listed = self.settings.get("environments", "").split()
        others = [name for name in listed if name.casefold() != plan]
        # GitHub compares names of environments without case.
        by_case: dict[str, str] = {}
        for name in (default, *others, *named):
            by_case.setdefault(name.casefold(), name)
        secrets: dict[str, set[str]] = {name: set() for name in by_case.values()}
        for organization, name in zip(self.organizations, named, strict=True):
            secrets[by_case[name.casefold()]].update([organization.key, *organization.variables])
        return {name: tuple(sorted(variables)) for name, variables in secrets.items()}

    @property
    def unused(self) -> tuple[str, ...]:
        """Return the environments that the workflow lists and no file names any more."""
        _, *others = self.environments.items()
        return tuple(name for name, secrets in others if not secrets)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the variables of all API keys."""
        return tuple(sorted({organization.key for organization in self.organizations}))

    @property
    def commands(self) -> tuple[str, ...]:
        """Return the commands that create GitHub's environments and set their secrets."""
        plan, keys = self.plan_environment, self.keys
        environments, unused = self.environments, self.unused
        commands: list[str] = []
        for name in (plan, *environments):
            if name in unused:
                continue
            path = f"'repos/{{owner}}/{{repo}}/environments/{name}'"
            # To write an existing environment could reset its reviewers and its branch rule.
            commands.append(f"gh api --silent {path} || gh api --method PUT {path}")
        commands += [f"gh secret set {key} --env {plan}  # a read-only key" for key in keys]
        for name, secrets in environments.items():
            for secret in secrets:
                note = "  # a key that can write" if secret in keys else ""
                commands.append(f"gh secret set {secret} --env {name}{note}")
        return tuple(commands)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the filters that trigger the apply workflow: files, parents, secrets, policies."""
        # GitHub matches whole paths from the root of the repository: `./a` and `a//b` never match.
        files = [path for file in self.files for path in _filters_of(normpath(file))]
        others = set(map(normpath, (*paths(self.references), *self.parents, *self.policies)))
        folders = tuple(file.removesuffix("**") for file in files if file.endswith("**"))
        unlisted = others.difference(files)
        files += [path for path in _in_repository(unlisted) if not path.startswith(folders)]
        return tuple(map(_as_filter, files))


def _filters_of(file: str) -> Iterator[str]:
    """Yield the filters for what `-f` names: a YAML file, a folder, or a glob of both."""
    if file == ".":
        yield "**"
    elif file.lower().endswith(SUFFIXES):
        yield file
    elif has_wildcard(file):
        yield f"{file}**"
    else:
        yield f"{file}/**"


def _as_filter(path: str) -> str:
    """Return a filter that accepts at least a path or glob.

    GitHub would read other special characters as patterns, also those of globs. It documents how to
    escape them in names of branches, but not in paths.
    """
    # The characters in brackets match as one; the first of them may be a bracket, too.
    return re.sub(r"\*{3,}", "**", re.sub(r"(?:\[!?\]?[^]/]*\]|[]+?![])+", "*", path))


def _in_repository(names: Iterable[str]) -> list[str]:
    """Return the paths inside the repository, sorted; pushes change no others."""
    return sorted(name for name in names if not name.startswith(("/", "..")))


def workflows(setup: Setup) -> Mapping[str, str]:
    """Return the text of each workflow by its path in the repository.

    Raises UsageError for a name that cannot be written into YAML, and if an apply would use the
    environment of plans.
    """
    _require_apart(setup)
    values = {**_settings_of(setup), **_derived(setup)}
    return {f"{_FOLDER}/{name}": _filled(text, values) for name, text in _templates().items()}


@cache
def _templates() -> Mapping[str, str]:
    """Return the template of each workflow by its file name."""
    folder = files("reconciler.ci") / "templates"
    return {name: (folder / name).read_text(encoding="utf-8") for name in _FILES}


def _require_apart(setup: Setup) -> None:
    plan = setup.plan_environment
    used = [name.casefold() for name, secrets in setup.environments.items() if secrets]
    if plan.casefold() in used:
        raise UsageError(
            f"an apply must not use {plan}, {_FOR_PLANS}; no workflow was written",
            hint=_USE_ANOTHER,
        )


def _settings_of(setup: Setup) -> dict[str, str]:
    """Return the values that users may change in the workflows, and those of this package."""
    default, *others = setup.environments
    values = {**_DEFAULTS, "package": setup.package, "lock": setup.lock, **setup.settings}
    values |= {"branch": setup.branch, "apply": default, "environments": " ".join(others)}
    values["server"] = setup.server or values.get("server", "")
    # Settings are kept as an existing workflow has them.
    _require_plain((name, value) for name, value in values.items() if name not in setup.settings)
    return values


def _derived(setup: Setup) -> dict[str, str]:
    """Return the values that follow from the configuration."""
    lists = {
        "file": setup.files,
        "policy": setup.policies,
        "allowed": setup.allowed,
        "paths": setup.paths,
    }
    _require_plain((name, value) for name, listed in lists.items() for value in listed)
    values = {name: r"\n".join(listed) for name, listed in lists.items()}
    # Twice, because YAML has the same escape.
    values["branches"] = re.sub(r"[]*+?![]", r"\\\\\g<0>", setup.branch)
    values["paths"] = "".join(f'"{path}", ' for path in setup.paths)
    variables = {name for needs in setup.organizations for name in needs.variables}
    every = sorted({*setup.keys, *variables})
    _require_free(every)
    from_secrets = "{0}: ${{{{ secrets.{0} }}}}"
    values["names"] = _lines(6, "{}: {{required: false}}", every)
    values["values"] = _lines(10, from_secrets, every)
    values["secrets"] = _lines(6, from_secrets, every)
    values["keys"] = _lines(6, from_secrets, setup.keys)
    return values


def _require_free(secrets: Iterable[str]) -> None:
    """Raise UsageError for a secret whose name the workflows use for something else."""
    text = "".join(_templates().values())
    used = set(re.findall(r"^ +([A-Z_]+): ", text, re.MULTILINE))
    for secret in secrets:
        # GitHub compares names of secrets without case.
        if secret.upper() in used:
            raise UsageError(
                f"the workflows cannot pass the secret {secret}: they use this name already, maybe "
                "in another case",
                hint="refer to a variable with another name",
            )
        used.add(secret.upper())


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return the text of a workflow from its template, with its checksum."""
    text = template
    if not values["server"]:
        text = re.sub(r".*@server@.*\n", "", text)
    # The checksum is computed without itself, but its line must already look like one.
    text = text.replace("@checksum@", "0" * 12)
    text = re.sub(r"@([a-z]+)@", lambda match: values[match[1]], text)
    return _CHECKSUM.sub(rf"\g<1>{_checksum(text)}", text)


def _require_plain(texts: Iterable[tuple[str, str]]) -> None:
    for name, value in texts:
        if value and not _QUOTABLE.fullmatch(value):
            raise UsageError(
                f"the {name} {value!r} cannot be written into a workflow",
                hint="use a value without quotes, `$`, backslashes or control characters",
            )


def _lines(indent: int, form: str, names: Iterable[str]) -> str:
    return "".join(f"{' ' * indent}{form.format(name)}\n" for name in names)


def _checksum(text: str) -> str:
    """Return the checksum of a workflow without what `init` keeps or derives from the files."""
    for form in _SETTINGS.values():
        match = re.search(form, text, re.MULTILINE)
        while match is not None and match[1]:
            text = text[: match.start(1)] + text[match.end(1) :]
            match = re.search(form, text, re.MULTILINE)
    text = re.sub(_GENERATED, "", _CHECKSUM.sub("", text), flags=re.MULTILINE)
    return sha256(text.encode()).hexdigest()[:12]


def is_edited(text: str) -> bool:
    """Return whether a workflow has other edits than settings, or is of an earlier version."""
    checksum = _CHECKSUM.search(text)
    return checksum is None or checksum[2] != _checksum(text)


def settings_in(texts: Iterable[str]) -> Mapping[str, str]:
    """Return the settings of existing workflows."""
    settings: dict[str, str] = {}
    for text in texts:
        for name, form in _SETTINGS.items():
            match = re.search(form, text, re.MULTILINE)
            if match is not None:
                settings.setdefault(name, match[1])
    return settings


def caller_beside(workflow: str, directory: Path) -> str:
    """Return the path of the workflow that applies pushes, given the name of the one that runs.

    The callers may be copied for other files, such as plan-brands.yml with apply-brands.yml. One
    with another name may have all jobs.
    """
    kind, dash, rest = workflow.partition("-")
    if kind in ("plan", "apply", "drift"):
        return f"{_FOLDER}/apply{dash}{rest}"
    path = f"{_FOLDER}/{workflow}"
    text = workflow_text(directory / path)
    # One that runs tests on pushes may only plan.
    if _APPLIES.search(text) and _push_of(text) is not None:
        return path
    return CALLER


def workflow_text(path: Path) -> str:
    """Return the text of a workflow, empty without it."""
    # A repository may call the action in a workflow with another name.
    if not path.is_file():
        return ""
    # One in another encoding has edits, and is refused where its text matters.
    return path.read_text(encoding="utf-8", errors="replace")


def configured_files(directory: Path) -> tuple[str, ...]:
    """Return the files and directories that the workflows of a repository read, and that exist."""
    return tuple(name for name in files_read(directory) if exists(name, directory))


def exists(name: str, directory: Path) -> bool:
    """Return whether there is a file or directory, or whether the name is a glob."""
    return (directory / name).exists() or is_glob(name, directory)


def files_read(directory: Path) -> tuple[str, ...]:
    """Return the files and directories that the workflows of a repository name."""
    match = _FILES_READ.search(workflow_text(directory / CALLED))
    names = match[1].split(r"\n") if match is not None else ()
    return tuple(filter(None, names))


def listed_environments(workflow: str) -> tuple[str, ...]:
    """Return the environments in the text of the workflow that applies, the default one first."""
    settings = settings_in([workflow])
    return (*settings.get("apply", "").split(), *settings.get("environments", "").split())


def unusable_environments(
    named: Iterable[tuple[Sequence[str], str | None]],
    directory: Path,
    caller: str,
    listed: Sequence[str],
) -> tuple[Finding, ...]:
    """Return an error for each environment that files name, but that apply must not use.

    One that the workflow `caller` does not list GitHub would create, without reviewers. `named` are
    the files and the environment of each organization. If no environment is `listed`, all may be.
    """
    if not listed:
        return ()
    # A workflow with another name may have all jobs.
    planning = workflow_text(directory / caller.replace("/apply", "/plan"))
    plan = settings_in([planning]).get("plan", "").casefold()
    known = {name.casefold() for name in listed} - {plan}
    where = "with `webhooks init --github`"
    # `init` writes no copies.
    if caller != CALLER:
        where = f"to `environments` in {caller}"
    unusable: set[Finding] = set()
    for file_names, environment in named:
        if environment is None or environment.casefold() in known:
            continue
        why = f"which {caller} does not list"
        hint = f"create it with required reviewers, and add it {where}"
        if environment.casefold() == plan:
            why, hint = _FOR_PLANS, _USE_ANOTHER
        message = f"{', '.join(file_names)} names the environment {environment!r}, {why}"
        unusable.add(error("unknown-environment", message, hint))
    return tuple(unusable)


def not_triggering(workflow: str, names: Iterable[str]) -> list[str]:
    """Return the files whose change does not start a workflow, because its `paths` lack them."""
    push = _push_of(workflow) or {}
    return [name for name in _in_repository(names) if not _accepts(push, "paths", name)]


def is_started_by(workflow: str, branch: str) -> bool:
    """Return whether pushes to a branch start a workflow: whether its `branches` accept it."""
    return _accepts(_push_of(workflow) or {}, "branches", branch)


@lru_cache(maxsize=16)  # asked for each of up to 60 organizations
def _push_of(workflow: str) -> Mapping[str, Any] | None:
    """Return the filters for pushes in the text of a workflow, as text; None if none starts it."""
    # In YAML 1.1, `on` without quotes is true, and a branch `1.10` the number 1.1.
    try:
        events = yaml.load(workflow, Loader=yaml.BaseLoader)["on"]  # noqa: S506 - only creates text
    except (yaml.YAMLError, LookupError, TypeError):
        return None  # GitHub rejects it
    if "push" not in events:
        return None
    push = events["push"] if isinstance(events, dict) else {}
    return push if isinstance(push, dict) else {}


def _accepts(push: Mapping[str, Any], key: str, name: str) -> bool:
    """Return whether the filters `key` for pushes accept a branch or the path of a changed file."""
    is_listed = key in push
    patterns = push.get(key, push.get(f"{key}-ignore", []))
    is_accepted = not is_listed
    # The last pattern that matches decides; an exclamation mark reverses its meaning.
    if not isinstance(patterns, list):
        patterns = [patterns]
    for line in map(str, patterns):
        if _matches_filter(name, line.removeprefix("!")):
            is_accepted = is_listed is not line.startswith("!")
    return is_accepted


def _matches_filter(name: str, pattern: str) -> bool:
    """Return whether one of GitHub's filter patterns matches a branch or a path."""
    try:
        return re.fullmatch(_FILTER_PART.sub(_expression, pattern), name) is not None
    except re.error:  # it begins with a quantifier
        return False


def _expression(match: re.Match[str]) -> str:
    """Return a part of a filter pattern as a regular expression."""
    part = match[0]
    if part.startswith("["):
        return part
    # A quantifier after a wildcard changes nothing.
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    text = wildcards.get(part.rstrip("?+") or part)
    if text is not None:
        return text
    if part in ("?", "+"):
        return part
    return re.escape(part.removeprefix("\\"))


def pinned(commit: str | None) -> tuple[str, str]:
    """Return the requirement for pip in a workflow, and the URL of its locked dependencies.

    Both are those of this version, or of the repository at a commit, by default that which this
    package was installed from. Raises UsageError if no commit is known, and for another revision.
    """
    lock = f"{_REPOSITORY}/raw/{{}}/requirements/action.lock"
    if _RELEASED:
        return f"{_PACKAGE}=={__version__}", lock.format(f"v{__version__}")
    if commit is not None and not re.fullmatch(r"[0-9a-fA-F]{40}", commit):
        raise UsageError(
            f"--commit takes a full commit of 40 hexadecimal digits, not {commit!r}",
            hint="a branch or a tag could move: pass what `git rev-parse HEAD` prints",
        )
    commit = commit or _installed_commit()
    if commit is None:
        raise UsageError(
            "cannot determine which commit of cloudtruth-webhooks the workflows should install",
            hint="pass --commit SHA, from `git rev-parse HEAD` in a clone of cloudtruth-webhooks",
        )
    return f"{_PACKAGE} @ git+{_REPOSITORY}@{commit}", lock.format(commit)


def _installed_commit() -> str | None:
    """Return the commit that this package was installed from, as pip recorded it (PEP 610)."""
    try:
        text = distribution(_PACKAGE).read_text("direct_url.json")
        record = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    commit = record.get("vcs_info", {}).get("commit_id")
    # Installed from a clone, pip records only the folder.
    url = urlsplit(record.get("url", ""))
    if commit is None and url.scheme == "file":
        head = git_in(Path(unquote(url.path)))(["rev-parse", "HEAD"])
        commit = None if head is None else head.decode().strip()
    return commit if isinstance(commit, str) else None
