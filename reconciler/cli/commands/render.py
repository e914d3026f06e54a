"""`webhooks render`: show the effective configuration."""

from __future__ import annotations

from reconciler import workflow
from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.planning.document import write_json
from reconciler.source.rendered import configurations, origins, scalar, yaml_text


@command(
    paths=True,
    formats=("yaml", "json"),
    organizations=True,
    options=(
        Option("--origin", group="Output", is_flag=True,
               help="Show the file and line of each value."),
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
    checked = workflow.load(session.inputs)
    files = configurations(checked.desired)
    if format == "json":
        document = {"format_version": "1", "kind": "configuration", "files": files}
        session.console.result(write_json(document), essential=True)
        return
    texts = []
    for file, data in files.items():
        text = yaml_text(data, *([origins(checked.loaded, file)] if origin else []))
        titled = len(files) > 1 or session.organization_label is not None
        texts.append(f"# {scalar(file)}\n{text}" if titled else text)
    before = "" if session.organization_label is None else "---\n"
    session.console.result(before + "---\n".join(texts), essential=True)
