"""`webhooks emulator`: a CloudTruth to try things on, over HTTP."""

from __future__ import annotations

import gc
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli.context import Context
from reconciler.cli.options import OUTPUT, Option, command
from reconciler.cli.session import STDOUT
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError
from reconciler.render.quote import prose
from reconciler.source.write import REQUESTS, check_kind

if TYPE_CHECKING:
    from reconciler.emulator.emulator import Emulator

_SERVER: Final = "Server"


@command(
    "It behaves as CloudTruth's API is documented. It needs no account. Stop it with Ctrl-C.",
    examples=(
        ("serve on a fixed port and keep the webhooks", "webhooks emulator --port 8080 --db ct.db"),
        (
            "use it from another shell",
            "CLOUDTRUTH_SERVER_URL=http://127.0.0.1:8080 CLOUDTRUTH_API_KEY=any webhooks plan",
        ),
        ("show each request", "webhooks emulator --log -"),
    ),
    options=(
        Option("--host", group=_SERVER, default="127.0.0.1", metavar="HOST", show_default=True,
               help="Listen on this address."),
        Option("--port", group=_SERVER, type=click.IntRange(0, 65535), default=0, metavar="PORT",
               show_default=True, help="Listen on this port; 0 takes a free one."),
        Option("--key", group=_SERVER, metavar="KEY", help="Accept only this API key."),
        Option("--db", group=_SERVER, metavar="FILE", help="Keep webhooks here, not in memory."),
        Option("--seed", group=_SERVER, metavar="FILE",
               help="Create the webhooks of this JSON list if there are none."),
        Option("--read-back", group=_SERVER, show_default=True, default="plain",
               type=click.Choice(["plain", "mask", "null", "omitted"]),
               help="Return secrets in this form."),
        Option("--page-size", group=_SERVER, type=click.IntRange(1, 1000), default=1000,
               metavar="ROWS", show_default=True, help="Return at most so many webhooks a page."),
        Option("--log", group=OUTPUT, metavar="FILE",
               help="Append each request as JSON, secrets included; - is standard output."),
    ),
)  # fmt: skip
def run(
    context: Context,
    port: int,
    host: str,
    db: str | None,
    seed: str | None,
    log: str | None,
    key: str | None,
    read_back: str,
    page_size: int,
) -> int:
    """Serve until a signal comes."""
    try:
        from reconciler.emulator.server import serve
    except ImportError:
        raise ReconcilerError(
            "the emulator over HTTP needs packages that are not installed",
            hint="pip install 'cloudtruth-webhooks[emulator]'; --local needs none",
        ) from None
    from reconciler.cli.local import known_types, open_store
    from reconciler.emulator.behaviour import Behaviour
    from reconciler.emulator.emulator import Emulator

    gc.enable()  # this one may run for days
    console, directory = context.console, context.process.directory
    behaviour = Behaviour(
        any_key=key is None,
        read_back=read_back,
        page_size=min(page_size, Behaviour.page_size),
        max_page_size=page_size,
        **known_types(),
    )
    emulator = Emulator(open_store(directory / db if db is not None else None), behaviour)
    if seed is not None and not emulator.store.webhooks():
        _create(emulator, context, seed)
    # After the database, so that one file is not taken for both.
    emulator.listener = _Log(context, log) if log is not None else None
    if key is not None and emulator.store.user_of_key(key) is None:
        emulator.store.add_user(emulator.organization, key=key, role="OWNER")
    try:
        serve(
            emulator,
            host=host,
            port=port,
            ready=lambda url: console.note(
                f"An emulated CloudTruth is at {url}\n"
                f"  export CLOUDTRUTH_SERVER_URL={url} CLOUDTRUTH_API_KEY={key or 'any'}"
            ),
        )
    except OSError:
        raise ReconcilerError(
            f"cannot listen on {host} port {port}", hint="choose another port, or 0 for a free one"
        ) from None
    except KeyboardInterrupt:
        pass
    finally:
        emulator.store.close()
    return ExitCode.OK


class _Log:
    """Writes each request as a line of JSON."""

    def __init__(self, context: Context, name: str) -> None:
        if name == STDOUT:
            self._file = context.process.stdout
            return
        check_kind(context.process.directory / name, REQUESTS)
        try:
            self._file = (context.process.directory / name).open("a", encoding="utf-8")
        except OSError:
            raise OutputError(f"the log {name} cannot be written") from None

    def __call__(self, entry: Any) -> None:
        self._file.write(prose(json.dumps(asdict(entry))) + "\n")
        self._file.flush()


def _create(emulator: Emulator, context: Context, name: str) -> None:
    """Create the webhooks of the seed file. Raises UsageError for what the API would refuse."""
    from reconciler.emulator.emulator import LOCAL_KEY
    from reconciler.emulator.messages import Request
    from reconciler.emulator.webhooks import PATH

    hint = 'name a file that holds a list such as [{"name": "Deploys", "type": "slack", ...}]'
    try:
        rows = json.loads((context.process.directory / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"the seed {name} cannot be read as JSON", hint=hint) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"the seed {name} is not a list of webhooks", hint=hint)
    headers = {"authorization": f"Api-Key {LOCAL_KEY}", "content-type": "application/json"}
    for number, row in enumerate(rows, 1):
        body = json.dumps({"organization": emulator.organization, **row}).encode()
        answer = emulator.handle(Request(method="POST", path=PATH, headers=headers, body=body))
        if answer.status != 201:
            raise UsageError(f"{name}: webhook {number} is refused: {answer.body.decode()}")
