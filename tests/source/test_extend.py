"""Overlays: what a file with `extends` declares, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given

from reconciler.findings import Severity, has_errors
from reconciler.model import Desired
from reconciler.source import files
from reconciler.source.extend import MAX_DEPTH
from reconciler.source.files import NotReadableError, SourceFile, Sources, parent_name
from reconciler.source.load import Loaded, load_files
from reconciler.source.rendered import configurations, yaml_text
from tests.laws import strategies
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


def load(texts: Mapping[str, str], *given: str) -> Loaded:
    """Load files, by default the first one, from a repository in memory."""

    def read_parent(file: str, path: str) -> SourceFile:
        name = parent_name(file, path)
        if name not in texts:
            raise NotReadableError("does not exist", "check the path")
        return SourceFile(file=name, raw=texts[name].encode())

    named = given or tuple(texts)[:1]
    read = tuple(SourceFile(file=each, raw=texts[each].encode()) for each in named)
    return load_files(Sources(files=read, read_parent=read_parent))


def rendered(overlay: str, base: str = BASE, **more: str) -> dict[str, object]:
    """Return what an overlay of `base.yaml` declares."""
    texts = {"over.yaml": f"extends: base.yaml\n{overlay}", "base.yaml": base, **more}
    found = load(texts)
    assert found.desired is not None, found.findings
    (data,) = configurations(found.desired).values()
    return data


def webhook(data: dict[str, object], name: str) -> dict[str, object]:
    webhooks = data["webhooks"]
    assert isinstance(webhooks, list)
    (found,) = [each for each in webhooks if each["name"] == name]
    return dict(found)


DEPLOYS = {"token": {"env": "TOKEN"}, "username": "CT", "channel": "#deploys"}
PAGER = {"url": "https://a.example.com/", "token": {"file": "pager-token", "version": 2}}


@pytest.mark.parametrize(
    ("overlay", "name", "configuration"),
    [
        ("", "Deploys", DEPLOYS),
        (
            "webhooks: [{name: Deploys, configuration: {channel: '#d'}}]",
            "Deploys",
            {**DEPLOYS, "channel": "#d"},
        ),
        (
            "defaults: {configuration: {token: {env: OTHER}}}",
            "Deploys",
            {**DEPLOYS, "token": {"env": "OTHER"}},
        ),
        (
            "webhooks: [{name: Pager, configuration: {token: {env: OTHER}}}]",
            "Pager",
            {**PAGER, "token": {"env": "OTHER"}},
        ),
        (
            "webhooks: [{name: Pager, configuration: {token: null}}]",
            "Pager",
            {"url": "https://a.example.com/"},
        ),
        (
            "webhooks: [{name: Deploys, type: generic, configuration: {url: https://b.example.com/}}]",
            "Deploys",
            {"url": "https://b.example.com/"},
        ),
        (
            "webhooks: [{name: New, configuration: {channel: '#new'}}]",
            "New",
            {**DEPLOYS, "channel": "#new"},
        ),
    ],
)
def test_an_overlay_changes_named_webhooks(
    overlay: str, name: str, configuration: dict[str, object]
) -> None:
    """Mappings merge, values are replaced, `null` removes, another type drops the rest."""
    assert webhook(rendered(overlay), name)["configuration"] == configuration


@pytest.mark.parametrize(
    ("overlay", "names"),
    [
        ("webhooks: []", ["Deploys", "Pager"]),
        ("webhooks: [{name: Pager, exclude: true}]", ["Deploys"]),
        ("webhooks: [{name: Pager, state: absent}, {name: Gone, state: absent}]",
         ["Deploys", "Pager", "Gone"]),
    ],
)  # fmt: skip
def test_an_overlay_excludes_and_deletes(overlay: str, names: list[str]) -> None:
    """`exclude` removes a webhook from the configuration, `state: absent` declares it deleted."""
    data = rendered(overlay)
    webhooks = data["webhooks"]
    assert isinstance(webhooks, list)
    assert [each["name"] for each in webhooks] == names
    absent = [each["name"] for each in webhooks if each.get("state") == "absent"]
    assert absent == [each for each in names if f"{each}, state: absent" in overlay]


def test_lists_and_scalars_are_replaced_and_guards_inherited() -> None:
    """What the overlay omits comes from its parent."""
    data = rendered('protect: ["x"]\nprune: false\norganization: Acme\n')
    assert (data["protect"], data["prune"], data["organization"]) == (["x"], False, "Acme")
    assert data["limits"] == {"max_deletes": 3}


def test_the_later_of_several_parents_wins_with_a_note() -> None:
    """A webhook of two parents is merged, and reported."""
    texts = {
        "over.yaml": "extends: [base.yaml, more.yaml]\n",
        "base.yaml": BASE,
        "more.yaml": "webhooks: [{name: Deploys, configuration: {channel: '#more'}}]\n",
    }
    found = load(texts)
    assert found.desired is not None
    (data,) = configurations(found.desired).values()
    assert webhook(data, "Deploys")["configuration"] == {**DEPLOYS, "channel": "#more"}
    assert [(each.rule, each.severity) for each in found.findings] == [
        ("extends-twice", Severity.NOTE)
    ]


def test_a_file_of_a_secret_is_relative_to_the_file_that_names_it() -> None:
    """An overlay in another folder has the same file."""
    texts = {
        "orgs/dev/over.yaml": "extends: ../../base/b.yaml\norganization: Acme\n",
        "base/b.yaml": BASE,
    }
    found = load(texts)
    assert found.desired is not None
    references = [str(each.configuration.get("token")) for each in found.desired.webhooks]
    assert references == ["env TOKEN", "file base/pager-token (version 2)"]


def test_a_parent_in_the_directory_is_not_an_organization() -> None:
    """A base without an organization may be in the directory that is read."""
    texts = {"over.yaml": "extends: base.yaml\n", "base.yaml": BASE}
    found = load(texts, "base.yaml", "over.yaml")
    assert found.desired is not None
    assert [each.file for each in found.desired.policy.scopes] == ["over.yaml"]


def test_an_error_in_a_parent_of_the_same_directory_is_reported() -> None:
    """Even though the parent is not an organization."""
    found = load(
        {"over.yaml": "extends: base.yaml\n", "base.yaml": "webhooks: [\n"},
        "base.yaml",
        "over.yaml",
    )
    assert (found.desired, [each.rule for each in found.findings]) == (None, ["yaml-syntax"])


def test_overlays_may_be_nested() -> None:
    """Ten files deep is allowed, eleven are not."""

    def chain(length: int) -> Loaded:
        texts = {f"{n}.yaml": f"extends: {n + 1}.yaml\n" for n in range(length - 1)}
        return load({**texts, f"{length - 1}.yaml": BASE})

    assert chain(MAX_DEPTH).desired is not None
    found = chain(MAX_DEPTH + 1)
    assert [each.rule for each in found.findings] == ["bad-parent"]


@pytest.mark.parametrize(
    ("overlay", "base", "expected"),
    [
        ("extends: none.yaml", BASE, "over.yaml:1 cannot extend 'none.yaml': it does not exist"),
        ("extends: https://a.example.com/b.yaml", BASE, "over.yaml:1 cannot extend"),
        ("extends: over.yaml", BASE,
         "over.yaml:1 cannot extend 'over.yaml': it extends itself: over.yaml -> over.yaml"),
        ("extends: 5", BASE, "over.yaml:1 cannot extend this: it is not a file path"),
        ("extends: base.yaml", "webhooks: [", "base.yaml:1"),
        ("extends: base.yaml", BASE.replace("slack", "slak"), "base.yaml:4 unknown type"),
        ("extends: base.yaml\nprotect: null", BASE, "over.yaml:2 an overlay cannot remove"),
        ("extends: base.yaml\nlimits: {max_deletes: null}", BASE, "over.yaml:2 an overlay cannot"),
        ("extends: base.yaml\nwebhooks: [{name: No, exclude: true}]", BASE,
         "over.yaml:2 no parent declares 'No'"),
        ("extends: base.yaml\nwebhooks:\n- name: Deploys\n  configuration:\n    channel:\n", BASE,
         "over.yaml:5 `channel` has no value"),
        ("webhooks: [{name: A, exclude: true}]", BASE, "over.yaml:1 `exclude` removes"),
    ],
    ids=lambda text: text[:40].replace("\n", " "),
)  # fmt: skip
def test_an_error_has_the_position_of_the_value(overlay: str, base: str, expected: str) -> None:
    """An inherited value is wrong in the parent, and the finding names the overlay."""
    found = load({"over.yaml": f"{overlay}\n", "base.yaml": base})
    assert found.desired is None
    shown = [f"{each.position} {each.message}" for each in found.findings]
    assert any(each.startswith(expected) for each in shown), shown
    for each in found.findings:
        if each.position is not None and each.position.file == "base.yaml":
            assert [str(other.position) for other in each.related] == ["over.yaml:1"]


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
    found = load({"f.yaml": f"extends: base.yaml\n{upper}", "base.yaml": lower})
    if found.desired is None:
        assert has_errors(found.findings)
        return
    (data,) = configurations(found.desired).values()
    again = load({"f.yaml": yaml_text(data)})
    assert again.desired == found.desired
    names = {entry["name"] for text in (lower, upper) for entry in yaml.safe_load(text)["webhooks"]}
    assert {each.name for each in (*found.desired.webhooks, *found.desired.absent)} == names
