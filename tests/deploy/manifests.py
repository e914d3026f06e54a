"""The files of deploy/, as data."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

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
    settings = dict(unit(DEPLOY / "systemd" / "webhooks-reconcile.service"))
    return shlex.split(settings["ExecStart"])
