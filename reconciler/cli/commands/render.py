"""`webhooks render`: show the effective configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from reconciler import workflow
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.findings import Position
from reconciler.model import DataPath
from reconciler.planning.tree import Tree, write_json
from reconciler.source.document import UNITED, holds
from reconciler.source.load import Loaded, configurations
from reconciler.source.position import positions
from reconciler.source.writer import scalar, yaml_text


@command(
    paths=True,
    formats=("yaml", "json"),
    options=(
        Option("--origin", group="Output", is_flag=True,
               help="Show the file and line of each value, and of those it overrides."),
    ),
)  # fmt: skip
def run(session: Session, format: str, origin: bool) -> None:
    """Shows secrets as references. Makes no requests.

    Examples:
        # show the effective configuration of webhooks.yaml
        webhooks render
        # show where each value of an overlay comes from
        webhooks render examples/organizations/staging.yaml --origin
        # show which events a webhook gets
        webhooks render --format json
    """
    shown: dict[str, Tree] = {}
    written: dict[str, dict[DataPath, _Provenance]] = {}
    for source in workflow.load_all(session.inputs):
        checked = source.checked
        for file, data in configurations(checked.desired).items():
            shown[file] = data
            # Of each value, by its path; nothing without --origin.
            written[file] = _provenance(checked.loaded, file, data) if origin else {}
    if format == "yaml":
        session.console.result(_yaml(shown, written), essential=True)
        return
    # Without the version of the tool, so that the same files give the same text.
    document: Tree = {"format_version": "1", "kind": "configuration", "files": shown}
    if origin:
        document["origins"] = {
            file: [value.tree(path) for path, value in values.items()]
            for file, values in written.items()
        }
    session.console.result(write_json(document), essential=True)


def _yaml(files: Mapping[str, Tree], written: Mapping[str, Mapping[DataPath, object]]) -> str:
    """Return the documents of files, each value with its origin if it has one."""
    texts = []
    for file, data in files.items():
        comments = defaultdict(str, {path: str(value) for path, value in written[file].items()})
        text = yaml_text(data, comments.__getitem__)
        if len(files) > 1:
            text = f"# {scalar(file)}\n{text}"
        texts.append(text)
    return "---\n".join(texts)


class _Provenance(NamedTuple):
    """The positions that form a value, and those of the values that it overrides, the latest first.

    Only lists that are united have several positions; a built-in default has none.
    """

    written: Sequence[Position] = ()
    overridden: Sequence[Position] = ()

    def __str__(self) -> str:
        if not self.written:
            return "default"
        text = " and ".join(map(str, self.written))
        if self.overridden:
            text += f", overrides {', '.join(map(str, self.overridden))}"
        return text

    def tree(self, path: DataPath) -> Tree:
        """Return the provenance of the value at a path as plain data, for JSON."""
        return {
            "path": list(path),
            "written": [_line(position) for position in self.written],
            "overrides": [_line(position) for position in self.overridden],
        }


def _line(position: Position) -> Tree:
    return {"file": position.file, "line": position.line}


def _provenance(loaded: Loaded, file: str, data: Mapping[str, Any]) -> dict[DataPath, _Provenance]:
    """Return the provenance of each value in the rendered data of a file, by its path."""
    document = loaded.documents[file]
    sources = {
        # `prune` and `scope` are always rendered; possibly no file writes them.
        path: tuple(document.sources(path)) if holds(document.data, path[:1]) else ()
        for path in _paths(data, ())
    }
    known = positions(loaded.files, set(chain.from_iterable(sources.values())))
    result: dict[DataPath, _Provenance] = {}
    for path, places in sources.items():
        written = [known[place] for place in places]
        if path[-1] in UNITED:
            # `sources` starts with the latest file, the list with the items of the lowest one.
            result[path] = _Provenance(written[::-1])
        elif path[-1] == "name":
            result[path] = _Provenance(written[:1])  # other entries have the same name
        else:
            result[path] = _Provenance(written[:1], written[1:])
    return result


def _paths(value: Any, path: DataPath) -> Iterator[DataPath]:
    """Yield the paths of values; a list and a reference are one value, except `webhooks`."""
    if path == ("webhooks",):
        for index, webhook in enumerate(value):
            yield from _paths(webhook, (*path, index))
    # A mapping inside of `configuration` is a reference.
    elif isinstance(value, dict) and (len(path) < 4 or path[-2] != "configuration"):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    else:
        yield path
