"""Overlays: what a file with `extends` declares, and its errors."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given

from reconciler.findings import has_errors
from reconciler.model import Desired
from reconciler.source import files
from reconciler.source.extend import MAX_DEPTH
from reconciler.source.load import Loaded, load_files
from reconciler.source.rendered import configurations, yaml_text
from tests.laws import strategies
from tests.loading import load_texts
from tests.source.test_rendered import in_one_file

BASE = """\
protect: ["prod-*"]
limits: {max_deletes: 3}
defaults:
  type: slack
  event_types: [value_updated]
  configuration: {token: {env: TOKEN}, username: CT}
webhooks:
  - name: Deploys
    configuration: {channel: "#deploys"}
  - name: Pager
    type: generic
    configuration: {url: https://a.example.com/, token: {file: pager-token, version: 2}}
"""


def test_a_file_of_a_secret_is_relative_to_the_file_that_names_it() -> None:
    """An overlay in another folder has the same file."""
    texts = {
        "orgs/dev/over.yaml": "extends: ../../base/b.yaml\norganization: Acme\n",
        "base/b.yaml": BASE,
    }
    found = load_texts(texts, next(iter(texts)))
    assert found.desired is not None
    references = [str(each.configuration.get("token")) for each in found.desired.webhooks]
    assert references == ["env TOKEN", "file base/pager-token (version 2)"]


def test_overlays_may_be_nested() -> None:
    """Ten files deep is allowed, eleven are not."""

    def chain(length: int) -> Loaded:
        texts = {f"{n}.yaml": f"extends: {n + 1}.yaml\n" for n in range(length - 1)}
        return load_texts({**texts, f"{length - 1}.yaml": BASE}, "0.yaml")

    assert chain(MAX_DEPTH).desired is not None
    found = chain(MAX_DEPTH + 1)
    assert [each.rule for each in found.findings] == ["bad-parent"]


def test_a_parent_outside_the_repository_is_refused(tmp_path: Path) -> None:
    """Neither by its path nor by a link."""
    home = tmp_path / "repository"
    (home / ".git").mkdir(parents=True)
    (tmp_path / "outside.yaml").write_text(BASE)
    (home / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    for path in ("../outside.yaml", "link.yaml", str(tmp_path / "outside.yaml")):
        (home / "over.yaml").write_text(f"extends: {path}\n")
        found = load_files(files.read(["over.yaml"], directory=home, stdin=bytes))
        assert [each.message for each in found.findings] == [
            f"cannot extend {path!r}: it is outside of this repository"
        ]


@given(base=strategies.declarations(), overlay=strategies.declarations())
def test_a_rendered_overlay_is_equivalent(base: Desired, overlay: Desired) -> None:
    """The plan of the rendered file is the plan of the overlay."""
    lower, upper = (
        yaml_text(next(iter(configurations(in_one_file(each)).values())))
        for each in (base, overlay)
    )
    found = load_texts({"f.yaml": f"extends: base.yaml\n{upper}", "base.yaml": lower})
    if found.desired is None:
        assert has_errors(found.findings)
        return
    (data,) = configurations(found.desired).values()
    again = load_texts({"f.yaml": yaml_text(data)})
    assert again.desired == found.desired
    names = {entry["name"] for text in (lower, upper) for entry in yaml.safe_load(text)["webhooks"]}
    assert {each.name for each in (*found.desired.webhooks, *found.desired.absent)} == names
