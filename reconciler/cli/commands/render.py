"""`webhooks render`: show the effective configuration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from reconciler import workflow
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.model import DataPath
from reconciler.planning.document import Tree, write_json
from reconciler.source.rendered import configurations, provenance, scalar, yaml_text


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
    sources = workflow.load_all(session.inputs)
    files = {
        file: (data, source)
        for source in sources
        for file, data in configurations(source.checked.desired).items()
    }
    # Of each value, by its path; nothing without --origin.
    written = {
        file: provenance(source.checked.loaded, file, data) if origin else {}
        for file, (data, source) in files.items()
    }
    shown = {file: data for file, (data, _) in files.items()}
    if format == "yaml":
        session.console.result(_yaml(shown, written), essential=True)
        return
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
