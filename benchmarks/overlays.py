"""Many overlays of one file, compared with kustomize."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import declaration, name
from benchmarks.line import PROGRAM, Line, compare
from benchmarks.measure import alternate
from benchmarks.workspace import Workspace

COUNT = 500
WEBHOOKS = 30


def overlays(workspace: Workspace) -> Iterator[Line]:
    """`validate` of 500 overlays, compared with `kustomize build` of each of as many."""
    kustomize = shutil.which("kustomize")
    if kustomize is None:
        print("kustomize is not installed, so `validate` of overlays is not compared.")
        return
    count = COUNT // 10 if workspace.quick else COUNT
    folder = workspace.directory / "data" / f"overlays-{count}"
    _write(folder, count)
    build = f"for overlay in kustomize/*/; do {kustomize} build $overlay > /dev/null || exit; done"
    samples = alternate(
        {
            PROGRAM: workspace.webhooks(folder, "validate", "orgs"),
            "kustomize build of each": workspace.command(folder, "/bin/sh", "-c", build),
        },
        1,  # kustomize takes minutes
    )
    title = f"`validate` of {count} overlays"
    baseline = "kustomize build of each"
    yield compare(f"{title}: time", samples, baseline, 1)
    yield compare(f"{title}: memory", samples, baseline, 1, metric="memory")


def _write(folder: Path, count: int) -> None:
    """Write the overlays, and the same with a ConfigMap for each webhook."""
    maps = "".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name(number)}}}\n"
        f'data: {{channel: "#channel", username: CloudTruth}}\n---\n'
        for number in range(WEBHOOKS)
    )
    files = {
        "base.yaml": "".join(declaration(WEBHOOKS)),
        "maps/maps.yaml": maps,
        "maps/kustomization.yaml": "resources: [maps.yaml]\n",
    }
    for number in range(count):
        channel = f'"#organization-{number}"'
        patch = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name(0)}}}\n"
        files |= {
            f"orgs/{number:03}.yaml": f"extends: ../base.yaml\norganization: Acme {number}\n"
            f"webhooks:\n- name: {name(0)}\n  configuration: {{channel: {channel}}}\n",
            f"kustomize/{number:03}/kustomization.yaml": "resources: [../../maps]\n"
            "patches: [{path: patch.yaml}]\n",
            f"kustomize/{number:03}/patch.yaml": f"{patch}data: {{channel: {channel}}}\n",
        }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
