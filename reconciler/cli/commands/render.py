"""`webhooks render`: the files as the reconciler understands them."""

from __future__ import annotations

from reconciler import workflow
from reconciler.cli.options import Context, command, format_option, paths
from reconciler.cli.session import inputs
from reconciler.errors import ExitCode
from reconciler.planning.document import write_json
from reconciler.source.export import scalar
from reconciler.source.rendered import configurations, yaml_text


@command(
    examples=(
        ("show what webhooks.yaml means", "webhooks render"),
        ("show which events a webhook gets", "webhooks render --format json"),
    ),
    reads=True,
    organizations=True,
    options=(paths(), format_option("yaml", "json")),
)
def run(context: Context, format: str) -> int:
    """Event globs are expanded and defaults are merged. Secrets are shown as references. Makes no
    request.
    """
    desired = workflow.load(inputs(context)).desired
    files = configurations(desired)
    if format == "json":
        document = {"format_version": "1", "kind": "configuration", "files": files}
        context.console.result(write_json(document), essential=True)
        return ExitCode.OK
    texts = [
        yaml_text(data) if len(files) == 1 else f"# {scalar(file)}\n{yaml_text(data)}"
        for file, data in files.items()
    ]
    context.console.result("---\n".join(texts), essential=True)
    return ExitCode.OK
