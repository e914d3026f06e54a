"""`webhooks emulator`: serve an emulated CloudTruth over HTTP."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from reconciler.cli.local import known_types, open_store
from reconciler.cli.options import Context, Option, command
from reconciler.cli.session import STDOUT
from reconciler.emulator.behavior import Behavior
from reconciler.emulator.emulator import LOCAL_KEY, Emulator
from reconciler.emulator.messages import Request
from reconciler.emulator.webhooks import PATH
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError
from reconciler.render.quote import prose
from reconciler.source.write import REQUESTS, check_kind


@command(
    examples=(
        ("serve on a fixed port and keep the webhooks", "webhooks emulator --port 8080 --db ct.db"),
        (
            "use it from another shell",
            "CLOUDTRUTH_SERVER_URL=http://127.0.0.1:8080 CLOUDTRUTH_API_KEY=any webhooks plan",
        ),
        ("show each request", "webhooks emulator --log -"),
    ),
    options=(
        Option("--host", group="Server", default="127.0.0.1", metavar="HOST", show_default=True,
               help="Listen on this address."),
        Option("--port", group="Server", type=click.IntRange(0, 65535), default=0, metavar="PORT",
               show_default=True, help="Listen on this port; 0 chooses a free one."),
        Option("--key", group="Server", metavar="KEY", help="Accept only this API key."),
        Option("--db", group="Server", metavar="FILE",
               help="Store webhooks in this file, not in memory."),
        Option("--seed", group="Server", metavar="FILE",
               help="Create the webhooks of this JSON list if there are none."),
        Option("--read-back", group="Server", show_default=True, default="plain",
               type=click.Choice(["plain", "mask", "null", "omitted"]),
               help="Return secrets in this form."),
        Option("--page-size", group="Server", type=click.IntRange(1, 1000), default=1000,
               metavar="ROWS", show_default=True, help="Return at most this many webhooks a page."),
        Option("--log", group="Output", metavar="FILE",
               help="Append each request as JSON, secrets included; - is standard output."),
    ),
)  # fmt: skip
def run(
    context: Context,
    host: str,
    port: int,
    key: str | None,
    db: str | None,
    seed: str | None,
    read_back: str,
    page_size: int,
    log: str | None,
) -> int:
    """Implements CloudTruth's published API. Needs no account. Stop it with Ctrl-C."""
    try:
        from reconciler.emulator.server import Server
    except ImportError:
        raise ReconcilerError(
            "the emulator over HTTP needs packages that are not installed",
            hint="pip install starlette uvicorn; --local needs neither",
        ) from None
    gc.enable()  # a server may run for days
    directory = context.process.directory
    behavior = Behavior(
        any_key=key is None,
        read_back=read_back,
        page_size=min(page_size, Behavior.page_size),
        max_page_size=page_size,
        **known_types(),
    )
    store = open_store(":memory:" if db is None else directory / db)
    emulator = Emulator(store, behavior)
    if seed is not None and not store.webhooks():
        _create(emulator, directory / seed, seed)
    # After the database, so that one file cannot be used for both.
    emulator.listener = _log(context, log) if log is not None else None
    if key is not None and store.user_of_key(key) is None:
        store.add_user(emulator.organization, key=key, role="OWNER")
    try:
        Server(emulator, host=host, port=port).run(
            lambda url: context.console.note(
                f"An emulated CloudTruth is at {url}\n"
                f"  export CLOUDTRUTH_SERVER_URL={url} CLOUDTRUTH_API_KEY={key or 'any'}"
            )
        )
    except OSError:
        raise ReconcilerError(
            f"cannot listen on {host} port {port}", hint="choose another port, or 0 for a free one"
        ) from None
    except KeyboardInterrupt:
        pass
    finally:
        store.close()
    return ExitCode.OK


def _create(emulator: Emulator, path: Path, name: str) -> None:
    """Create the webhooks of the seed file. Raises UsageError if the API would reject one."""
    hint = 'use a file with a list such as [{"name": "Deploys", "type": "slack", ...}]'
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
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


def _log(context: Context, name: str) -> Callable[[Any], None]:
    """Return a function that writes each request as a line of JSON."""
    file = context.process.stdout
    if name != STDOUT:
        path = context.process.directory / name
        check_kind(path, REQUESTS)
        try:
            file = path.open("a", encoding="utf-8")
        except OSError:
            raise OutputError(f"the log {name} cannot be written") from None

    def write(entry: Any) -> None:
        file.write(prose(json.dumps(asdict(entry))) + "\n")
        file.flush()

    return write
