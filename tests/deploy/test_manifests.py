"""The files of deploy/ are valid, safe, and start the program with options that it has."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from reconciler.cli.console import Console
from reconciler.cli.main import program
from reconciler.model import SecretRef
from reconciler.source.schemes import refusal, target_refusal
from tests.cli.conftest import make_process
from tests.folders import ROOT

DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
UNITS = sorted((DEPLOY / "systemd").iterdir())


def manifests(folder: Path = BASE) -> list[dict[str, Any]]:
    """Return the manifests that a kustomization lists."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]
    return [yaml.safe_load((folder / name).read_text("utf-8")) for name in listed]


def deployment() -> dict[str, Any]:
    """Return the Deployment of the base."""
    return next(manifest for manifest in manifests() if manifest["kind"] == "Deployment")


def pod() -> dict[str, Any]:
    """Return the specification of its pod."""
    specification: dict[str, Any] = deployment()["spec"]["template"]["spec"]
    return specification


def container() -> dict[str, Any]:
    """Return the reconciler's container."""
    (only,) = pod()["containers"]
    assert isinstance(only, dict)
    return only


def patches() -> list[dict[str, Any]]:
    """Return the operations of the example's patches."""
    file = DEPLOY / "kubernetes" / "example" / "kustomization.yaml"
    listed = yaml.safe_load(file.read_text("utf-8"))["patches"]
    return [operation for patch in listed for operation in yaml.safe_load(patch["patch"])]


def unit(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit."""
    for line in path.read_text("utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            yield name, value


def unit_command() -> list[str]:
    """Return the command of the reconciler's unit."""
    return shlex.split(dict(unit(DEPLOY / "systemd" / "webhooks-reconcile.service"))["ExecStart"])


EXAMPLE = [operation["value"] for operation in patches()]


def check(manifest: dict[str, Any]) -> None:
    """Check a manifest against the schemas of the oldest and the newest supported Kubernetes."""
    validator = pytest.importorskip("kubernetes_validate", reason="in the group `test`")
    for version in ("1.29", validator.latest_version()):
        validator.validate(manifest, version, strict=True)


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: manifest["kind"])
def test_a_manifest_fits_the_schema(manifest: dict[str, Any]) -> None:
    """Kubernetes has each key, and each value has its type."""
    check(manifest)


@pytest.mark.skipif(shutil.which("kustomize") is None, reason="needs kustomize")
def test_the_example_builds() -> None:
    """Kustomize builds it: all in one namespace, with --apply and another image."""
    built = subprocess.run(
        ["kustomize", "build", DEPLOY / "kubernetes" / "example"], check=True, capture_output=True
    )
    documents = list(yaml.safe_load_all(built.stdout))
    assert {document["metadata"]["namespace"] for document in documents} == {"webhooks"}
    for document in documents:
        check(document)
    (result,) = [document for document in documents if document["kind"] == "Deployment"]
    (reconcile,) = result["spec"]["template"]["spec"]["containers"]
    assert reconcile["args"] == [*container()["args"], "--apply"]
    assert reconcile["image"].startswith("registry.example.com/webhooks:")


def test_the_patches_of_the_example_fit_the_base() -> None:
    """Each path exists in the Deployment, and the replaced value is the repository."""
    for operation in patches():
        *parents, last = operation["path"].strip("/").split("/")
        value: Any = deployment()
        for step in parents:
            value = value[int(step) if isinstance(value, list) else step]
        if operation["op"] == "replace":
            assert value[int(last)].startswith("--repo=")
        else:
            assert (last, value) == ("-", container()["args"])


@pytest.mark.parametrize(
    "arguments",
    [container()["args"], [*container()["args"], EXAMPLE[-1]], unit_command()[1:]],
    ids=["base", "example", "systemd"],
)
def test_the_program_accepts_the_arguments(arguments: list[str]) -> None:
    """The command and its options exist, and REV is one that the clone has."""
    group = program()
    context = click.Context(group, info_name="webhooks")
    name, command, rest = group.resolve_command(context, arguments)
    assert command is not None
    console = Console(make_process({}, ROOT)[0])
    parsed = command.make_context(name, rest, parent=context, obj=console).params
    assert (name, parsed["rev"]) in (("reconcile", "HEAD"), ("reconcile", "origin/main"))


def test_one_process_writes() -> None:
    """There is one replica, and the old pod ends before the new one starts."""
    specification = deployment()["spec"]
    assert (specification["replicas"], specification["strategy"]) == (1, {"type": "Recreate"})


def test_pods_are_restricted() -> None:
    """The pod meets the `restricted` standard of Kubernetes, and has read-only file systems."""
    shared = pod()["securityContext"]
    assert shared["runAsNonRoot"] is True
    assert shared["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["automountServiceAccountToken"] is False
    for pod_container in (*pod()["containers"], *pod()["initContainers"]):
        assert pod_container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod_container["resources"]["limits"]["memory"]
    assert all(mount["readOnly"] for mount in container()["volumeMounts"])
    assert container()["envFrom"] == [{"secretRef": {"name": "webhooks"}}]


def test_files_may_refer_to_the_mounted_secrets() -> None:
    """Each is a link to a hidden folder of the volume, which Kubernetes replaces with an update."""
    (allowed,) = (entry["value"].split() for entry in container()["env"])
    (path,) = (m["mountPath"] for m in container()["volumeMounts"] if m["name"] == "secrets")
    for name, is_allowed in (("SLACK_BOT_TOKEN", True), ("CLOUDTRUTH_API_KEY", False)):
        reference = SecretRef("file", f"{path}/{name}")
        target = Path(path, "..2026_11_30_12_00_00.1234", name)
        assert (refusal(reference, allowed) is None) is is_allowed
        assert (target_refusal(reference, target, allowed, Path()) is None) is is_allowed


def test_git_sync_and_the_reconciler_agree() -> None:
    """Both have one user and one volume; the reconciler reads the link that git-sync moves."""
    (git_sync,) = pod()["initContainers"]
    options = dict(argument.removeprefix("--").split("=", 1) for argument in git_sync["args"])
    assert set(options) <= GIT_SYNC_OPTIONS
    for pod_container in (git_sync, container()):
        mounts = {mount["mountPath"]: mount["name"] for mount in pod_container["volumeMounts"]}
        assert mounts[options["root"]] == "git"
    assert f"--repository={options['root']}/{options['link']}" in container()["args"]
    assert "--rev=HEAD" in container()["args"]
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    user = pod()["securityContext"]["runAsUser"]
    assert f"\nUSER {user}:{user}\n" in text
    ports = {port["name"]: port["containerPort"] for port in git_sync["ports"]}
    assert options["http-bind"] == f":{ports['git-sync']}"


GIT_SYNC_OPTIONS = {
    "repo", "ref", "root", "link", "period", "depth", "max-failures", "stale-worktree-timeout",
    "http-bind",
}  # fmt: skip
"""Options of git-sync v4 that the manifest may use, from its manual."""


def test_the_image_installs_by_hash_what_the_package_needs() -> None:
    """The lock has every dependency, with the extra for metrics; all copied files exist."""
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["metrics"]]
    lock = (ROOT / "requirements" / "action.lock").read_text("utf-8")
    for requirement in wanted:
        name = re.match(r"[\w-]+", requirement)
        assert name is not None
        assert f"\n{name[0]}==" in lock
    assert "--require-hashes --requirement /source/action.lock" in text
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.M)
    names = [name for line in copied for name in line.split()]
    assert all((ROOT / name).exists() for name in names)
    assert {"reconciler", "schemas", "docs/rules.md", "README.md"} <= set(names)
    entry = re.search(r"^ENTRYPOINT (.+)$", text, re.M)
    assert entry is not None
    assert json.loads(entry[1]) == unit_command()[:1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """The units are valid without a warning, and their exposure is at most 2 of 10."""
    for path in UNITS:
        text = path.read_text("utf-8").replace(unit_command()[0], "/bin/true")
        (tmp_path / path.name).write_text(text)
    paths = sorted(tmp_path.iterdir())
    verify = ["systemd-analyze", "verify", "--man=no", *map(str, paths)]
    verified = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    for path in (path for path in paths if path.suffix == ".service"):
        security = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(path)]
        exposed = subprocess.run(security, capture_output=True, text=True, check=False)
        assert exposed.returncode == 0, exposed.stdout


def test_both_services_share_a_user_and_a_clone() -> None:
    """git reads no clone of another user; the API key is a credential of systemd."""
    fetch, reconcile = (dict(unit(path)) for path in UNITS if path.suffix == ".service")
    for name in ("DynamicUser", "User", "StateDirectory"):
        assert reconcile[name] == fetch[name]
    text = (DEPLOY / "systemd" / "webhooks-reconcile.service").read_text("utf-8")
    assert "WEBHOOKS_API_KEY_FILE=%d/api-key" in text
    assert "--repository %S/webhooks/clone" in text
    assert reconcile["Restart"] == "always"
    assert "webhooks-fetch.service" in reconcile["Wants"]


def test_only_systemd_reads_the_files_of_root() -> None:
    """The services run as another user, who reads only their copies."""
    settings = [setting for path in UNITS for setting in unit(path)]
    names = {name for name, value in settings if "/etc/webhooks" in value}
    assert names == {"LoadCredential", "EnvironmentFile"}
