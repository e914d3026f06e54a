"""The configuration of a file with `extends`, and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.findings import has_errors
from reconciler.model import Scheme, SecretRef
from reconciler.source import files
from reconciler.source.allowed import reference_in
from reconciler.source.lint import Rules
from reconciler.source.load import Loaded, load_parsed, parse_files
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
    """A reference in the parent file means the same file for an overlay in another folder."""
    texts = {
        "orgs/dev/over.yaml": "extends: ../../base/b.yaml\norganization: Acme\n",
        "base/b.yaml": f"api_key: {{file: key}}\n{BASE}",
    }
    found = load_texts(texts, next(iter(texts)))
    assert found.desired is not None
    (document,) = found.documents.values()
    assert reference_in(document.data["api_key"], document.file) == SecretRef(
        scheme=Scheme.FILE, name="base/key"
    )
    references = [str(each.configuration.get("token")) for each in found.desired.webhooks]
    assert references == ["env TOKEN", "file base/pager-token (version 2)"]


def test_overlays_may_be_nested() -> None:
    """Ten levels of `extends` are allowed, eleven are not."""

    def chain(length: int, *given: str) -> Loaded:
        texts = {f"{n}.yaml": f"extends: {n - 1}.yaml\n" for n in range(2, length + 1)}
        return load_texts({**texts, "1.yaml": BASE}, *given)

    assert chain(10, "10.yaml").desired is not None
    found = chain(11, "11.yaml")
    assert [f"{each.position} {each.message}" for each in found.findings] == [
        "2.yaml:1 cannot extend '1.yaml': it exceeds the maximum of 10 files in a chain"
    ]
    assert chain(5000, "5000.yaml").desired is None


def test_a_parent_outside_the_repository_is_rejected(tmp_path: Path) -> None:
    """Neither a path nor a link leads to a parent outside."""
    home = tmp_path / "repository"
    (home / ".git").mkdir(parents=True)
    (tmp_path / "outside.yaml").write_text(BASE)
    (home / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    for path in ("../outside.yaml", "link.yaml", str(tmp_path / "outside.yaml")):
        (home / "over.yaml").write_text(f"extends: {path}\n")
        sources = files.read(["over.yaml"], directory=home, stdin=bytes)
        found = load_parsed(parse_files(sources), Rules())
        assert [each.message for each in found.findings] == [
            f"cannot extend {path!r}: it is outside of this repository"
        ]


@st.composite
def overlays(draw: st.DrawFn) -> dict[str, str]:
    """Return a base, and an overlay that changes, adds and excludes webhooks."""
    lower, upper = (
        next(iter(configurations(in_one_file(draw(strategies.declarations()))).values()))
        for _ in range(2)
    )
    below = {each["name"] for each in lower["webhooks"] if "state" not in each}
    for entry in upper["webhooks"]:
        name = entry["name"]
        if name not in below or "state" in entry:
            continue
        if draw(st.booleans()):
            entry.clear()
            entry.update(name=name, exclude=True)
            continue
        for part in (entry, entry["configuration"]):
            for key in draw(st.lists(st.sampled_from(sorted(part.keys() - {"name"})))):
                part.pop(key, None)
    upper = {key: upper[key] for key in upper if key == "webhooks" or draw(st.booleans())}
    overlay = json.dumps(upper).replace("{", '{"extends": "base/base.yaml", ', 1)
    return {
        "over.yaml": with_secret_files(overlay),
        "base/base.yaml": with_secret_files(json.dumps(lower)),
    }


def with_secret_files(text: str) -> str:
    """Return a file in which some references are files in its folder."""
    return text.replace('"env": "TWO"', '"file": "two"')


def merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Return an overlay merged with its base, as docs/organizations.md describes it."""
    found = {each["name"]: each for each in lower["webhooks"]}
    for each in upper["webhooks"]:
        old = found.get(each["name"], {})
        if "state" in each or "state" in old:
            old = {}
        new = {**old, **each}
        if "configuration" in new and old.get("type") == new.get("type"):
            parts = (part.get("configuration", {}) for part in (old, each))
            new["configuration"] = {key: value for part in parts for key, value in part.items()}
        found[each["name"]] = new
    kept = [each for each in found.values() if "exclude" not in each]
    return {**lower, **upper, "webhooks": kept}


@given(overlays())
def test_an_overlay_declares_what_its_rendered_file_does(texts: dict[str, str]) -> None:
    """The rendered file means what the documentation says, with secrets' files in two folders."""
    upper = json.loads(texts["over.yaml"])
    del upper["extends"]
    lower = json.loads(texts["base/base.yaml"].replace('"two"', '"base/two"'))
    found = load_texts(texts)
    assert found.desired == load_texts({"over.yaml": json.dumps(merge(lower, upper))}).desired
    if found.desired is None:
        assert has_errors(found.findings)
        return
    (data,) = configurations(found.desired).values()
    assert load_texts({"over.yaml": yaml_text(data)}).desired == found.desired
