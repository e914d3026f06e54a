"""`webhooks emulator`: serve an emulated CloudTruth over HTTP."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.options import Option, command
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError


@command(
    options=(
        Option("--host", group="Server", default="127.0.0.1", metavar="HOST", show_default=True,
               help="Listen on this address."),
        Option("--port", group="Server", type=click.IntRange(0, 65535), default=0, metavar="PORT",
               show_default=True, help="Listen on this port; 0 chooses a free one."),
        Option("--organization", group="Server", metavar="NAME",
               help="Serve an organization of this name. [default: Acme]"),
        Option("--key", group="Server", metavar="KEY", help="Accept only this API key."),
        Option("--db", group="Server", metavar="FILE",
               help="Store webhooks in this file, not in memory."),
        Option("--seed", group="Server", metavar="FILE",
               help="If there are no webhooks, create those in this JSON list."),
        Option("--read-back", group="Server", show_default=True, default="plain",
               type=click.Choice(["plain", "mask", "null", "omitted"]),
               help="Return secrets in this form."),
        Option("--hide-channel", group="Server", is_flag=True,
               help="Return the channel of Slack webhooks in that form, too."),
        Option("--page-size", group="Server", type=click.IntRange(1, 1000), default=1000,
               metavar="ROWS", show_default=True,
               help="Return at most this many webhooks per page."),
        Option("--log", group="Output", metavar="FILE",
               help="Append each request as JSON, secrets included; - is standard output."),
    ),
)  # fmt: skip
def run(session: Session, **own: Any) -> None:
    """Implements CloudTruth's published API. Needs no account, but Starlette and uvicorn, as in the
    extra `emulator`. Stop it with Ctrl-C.

    Examples:
        # serve on a fixed port and keep the webhooks
        webhooks emulator --port 8080 --db ct.db
        # use it from another shell
        CLOUDTRUTH_SERVER_URL=http://127.0.0.1:8080 CLOUDTRUTH_API_KEY=any webhooks plan
        # show each request
        webhooks emulator --log -
    """
    from reconciler.cli.local import serve  # help needs no emulator

    try:
        serve(session, own)
    except ImportError:
        raise ReconcilerError(
            "the emulator over HTTP needs packages that are not installed",
            hint="install starlette and uvicorn, as with `.[emulator]`; --local needs neither",
        ) from None
