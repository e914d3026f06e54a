"""Layers merge as a reference of ten lines does: each file once, explicit values only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, strategies as st

from reconciler.findings import has_errors
from reconciler.model import DataPath
from reconciler.source.document import value_at
from reconciler.source.schema import parts
from tests.loading import load_texts

File = dict[str, Any]
MAPPINGS = ("", "defaults", "limits", "configuration")
NAMES = ("a", "b", "c")
BASE: File = {
    "defaults": {"type": "generic", "event_types": ["value_created"]},
    "webhooks": [
        {"name": name, "configuration": {"url": f"https://{name}.example.com/"}} for name in NAMES
    ],
}


def part(keys: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a mapping with some of the keys, each with one of its values."""
    return st.fixed_dictionaries(
        {}, optional={key: st.sampled_from(values) for key, values in keys.items()}
    )


EVENTS = [["value_updated"], ["value_*"]]
CONFIGURATIONS = part(
    {
        "url": [f"https://{number}.example.com/" for number in range(3)],
        "verify": [True, False],
        "token": [{"env": "ONE"}, {"env": "TWO"}],
    }
)
ENTRIES = st.one_of(
    st.just({"exclude": True}),
    st.just({"state": "absent"}),
    st.builds(
        lambda keys, settings: {**keys, **settings},
        part(
            {
                "event_types": EVENTS,
                "exclude": [False],
                "state": ["present"],
                "previously": [["x"], ["y", "x"]],
            }
        ),
        st.one_of(st.just({}), CONFIGURATIONS.map(lambda found: {"configuration": found})),
    ),
)


@st.composite
def trees(draw: st.DrawFn) -> list[File]:
    """Return files; each extends some of the earlier ones, and the last one all that are left."""
    files = [BASE]
    for number in range(draw(st.integers(1, 5))):
        parents = draw(st.lists(st.integers(0, number), min_size=1, max_size=4))
        named = draw(st.dictionaries(st.sampled_from(NAMES), ENTRIES))
        file = draw(
            part(
                {
                    "prune": [True, False],
                    "limits": [{"max_deletes": 3}, {"max_deletes": 9}],
                    "defaults": [{"event_types": ["value_deleted"]}, {"configuration": {}}],
                    "protect": [["p-*"], ["q-*", "p-*"]],
                    "ignore": [["i-*"], ["j-*", "i-*"]],
                }
            )
        )
        webhooks = [{"name": name, **entry} for name, entry in named.items()]
        files.append({"extends": [f"{parent}.yaml" for parent in parents], **file})
        files[-1] |= {"webhooks": webhooks} if webhooks else {}
    # Only one name may have each former name.
    for file in files:
        for webhook in file.get("webhooks", ()):
            if "previously" in webhook:
                webhook["previously"] = [
                    f"{webhook['name']}-{old}" for old in webhook["previously"]
                ]
    return files


def linear(files: list[File], number: int) -> Iterator[int]:
    """Yield the numbers of a file and of what it extends, possibly several times."""
    for path in files[number].get("extends", ()):
        yield from linear(files, int(path.split(".")[0]))
    yield number


def merge(lower: Any, upper: Any, key: str = "") -> Any:
    """Return the value of a key, as docs/organizations.md describes it."""
    if isinstance(lower, dict) and isinstance(upper, dict) and key in MAPPINGS:
        keys = (*lower, *(name for name in upper if name not in lower))
        return {name: merge(lower.get(name), upper.get(name), name) for name in keys}
    if key in ("protect", "ignore", "previously") and lower and upper:
        return [*lower, *(item for item in upper if item not in lower)]
    return lower if upper is None else upper


def reference(files: list[File]) -> File:
    """Return the last file, merged."""
    root: File = {}
    webhooks: dict[str, File] = {}
    for number in dict.fromkeys(linear(files, len(files) - 1)):
        file = {key: value for key, value in files[number].items() if key != "extends"}
        for webhook in file.pop("webhooks", ()):
            webhooks[webhook["name"]] = merge(webhooks.get(webhook["name"], {}), webhook)
        root = merge(root, file)
    kept = [webhook for webhook in webhooks.values() if webhook.pop("exclude", None) is not True]
    absent = {"name": "", "state": "absent"}
    root["webhooks"] = [
        {**absent, "name": webhook["name"]} if webhook.get("state") == "absent" else webhook
        for webhook in kept
    ]
    return root


@given(trees())
def test_layers_merge_as_the_reference_does(files: list[File]) -> None:
    """Every file counts once, in the order of its first mention; later explicit values win."""
    texts = {f"{number}.yaml": json.dumps(file) for number, file in enumerate(files)}
    last = f"{len(files) - 1}.yaml"
    merged = load_texts(texts, last)
    assert merged.desired is not None, merged.findings
    assert merged.desired == load_texts({last: json.dumps(reference(files))}).desired


@given(trees())
def test_each_value_is_written_at_its_place(files: list[File]) -> None:
    """A value of a webhook, also an inherited one, is the value at the place that writes it."""
    last = f"{len(files) - 1}.yaml"
    texts = {f"{number}.yaml": json.dumps(file) for number, file in enumerate(files)}
    document = load_texts(texts, last).documents[last]
    for part in parts(document.data):
        if part.item is None:
            continue
        fields = part.data.get("configuration", {})
        values: dict[DataPath, Any] = {
            ("configuration", key): value for key, value in fields.items()
        }
        # `previously` is united, so its items have places.
        for key in part.data.keys() - {"configuration", "previously"}:
            values[key,] = part.data[key]
        for number, name in enumerate(part.data.get("previously", ())):
            values["previously", number] = name
        for path, value in values.items():
            place = document.written_at(("webhooks", part.item, *path))
            assert value_at(json.loads(texts[place.file]), place.path) == value


KEYS = (
    *("name", "exclude", "add", "state", "previously", "type", "event_types", "configuration"),
    *("webhooks", "defaults", "limits", "max_deletes", "protect", "ignore", "unprotect", "prune"),
)
VALUES = (None, True, False, 3, "a", "absent", "generic", ["a"], ["*"], [None], {})
ANYTHING = st.recursive(
    st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=8,
)
ENTRY = st.builds(
    lambda name, entry: {"name": name, **entry},
    st.sampled_from([*NAMES, None]),
    st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=3),
)
FILE = st.builds(
    lambda file, webhooks: {**file, "webhooks": webhooks},
    st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=3),
    st.lists(ENTRY, max_size=3),
)


@given(st.lists(FILE, min_size=2, max_size=4))
def test_files_of_any_shape_have_findings(files: list[File]) -> None:
    """Values of any type in layers are findings, never an internal error."""
    texts = {"0.yaml": json.dumps(BASE)}
    for number, file in enumerate(files, start=1):
        parents = [f"{number - 1}.yaml", "0.yaml"]
        texts[f"{number}.yaml"] = json.dumps({**file, "extends": parents})
    loaded = load_texts(texts, f"{len(files)}.yaml")
    assert (loaded.desired is None) == has_errors(loaded.findings)
