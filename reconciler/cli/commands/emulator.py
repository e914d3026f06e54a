"""`webhooks emulator`: a CloudTruth to try things on, over HTTP."""

from __future__ import annotations

import gc
import json
from typing import Any

import click

from reconciler.cli.command import command
from reconciler.cli.invocation import Invocation
from reconciler.cli.options import Option
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError
from reconciler.render.quote import prose


@command(
    "emulator",
    "Serve an emulated CloudTruth over HTTP.",
    text="It behaves as CloudTruth's API does as far as that is published, and has a dial for "
    "each thing that is not. It needs no account. Stop it with Ctrl-C.",
    examples=(
        ("serve on a fixed port, remember across runs", "webhooks emulator --port 8080 --db ct.db"),
        (
            "use it from another shell",
            "CLOUDTRUTH_SERVER_URL=http://127.0.0.1:8080 CLOUDTRUTH_API_KEY=any webhooks plan",
        ),
        ("see each request", "webhooks emulator --log -"),
    ),
    options=[
        Option("--port", type=click.IntRange(0, 65535), default=0, metavar="PORT",
               help="Where to listen; 0 takes a free port and says which."),
        Option("--host", default="127.0.0.1", metavar="HOST",
               help="The address to listen on; this machine only, unless told otherwise."),
        Option("--db", metavar="FILE", help="Where to keep webhooks and log; in memory without."),
        Option("--log", metavar="FILE",
               help="Append a line of JSON for each request, secrets included; - is standard "
               "output."),
        Option("--dials", metavar="FILE", help="JSON with the dials to turn, such as "
               '{"read_back": "mask", "patch_allowed": false}.'),
        Option("--key", metavar="KEY", help="The only API key to accept; any without. It protects "
               "nothing but an emulator."),
    ],
    connects=False,
)  # fmt: skip
def COMMAND(  # noqa: N802
    invocation: Invocation,
    port: int,
    host: str,
    db: str | None,
    log: str | None,
    dials: str | None,
    key: str | None,
) -> int:
    """Serve until a signal comes."""
    try:
        from reconciler.emulator.server import serve
    except ImportError:
        raise ReconcilerError(
            "the emulator over HTTP needs packages that are not installed",
            hint="pip install 'cloudtruth-webhooks[emulator]'; --local needs none",
        ) from None
    from reconciler.cli.local import open_store
    from reconciler.emulator.handler import Emulator

    gc.enable()  # this one may run for days
    console, directory = invocation.console, invocation.process.directory
    store = open_store(directory / db if db is not None else None)
    emulator = Emulator(
        store,
        dials=_dials(invocation, dials, any_key=key is None),
        # After the database, so that one file is not taken for both.
        listener=_Log(invocation, log) if log is not None else None,
    )
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

    def __init__(self, invocation: Invocation, name: str) -> None:
        if name == "-":
            self._file = invocation.process.stdout
            return
        from reconciler.source.write import REQUESTS, check_kind

        check_kind(invocation.process.directory / name, REQUESTS)
        try:
            self._file = (invocation.process.directory / name).open("a", encoding="utf-8")
        except OSError:
            raise OutputError(f"the log {name} cannot be written") from None

    def __call__(self, entry: Any) -> None:
        line = {name: getattr(entry, name) for name in type(entry).__slots__}
        self._file.write(prose(json.dumps(line)) + "\n")
        self._file.flush()


def _dials(invocation: Invocation, name: str | None, *, any_key: bool) -> Any:
    from reconciler.cli.local import known_types
    from reconciler.emulator.dials import DialError, Dials

    said: object = {}
    if name is not None:
        try:
            said = json.loads((invocation.process.directory / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UsageError(
                f"the dials {name} cannot be read as JSON",
                hint='name a file that holds an object such as {"read_back": "mask"}',
            ) from None
    try:
        if not isinstance(said, dict):
            raise DialError("dials are a JSON object")
        return Dials.from_mapping({"any_key": any_key, **known_types(), **said})
    except DialError as problem:
        raise UsageError(f"{name}: {problem}") from None
