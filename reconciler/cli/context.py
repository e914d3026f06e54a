"""One run of the program: its process, its output, and the options that it was given."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from click.core import ParameterSource

from reconciler.cli.console import Console
from reconciler.cli.process import Process

LOCAL_FOLDER: Final = ".webhooks-local"
"""The folder that `--local` makes for its database unless a file is named."""

_PRECEDENCE: Final = {ParameterSource.COMMANDLINE: 0, ParameterSource.ENVIRONMENT: 1}


class Context:
    """What every command is given.

    `options` has each option that the command line or its variable gives, by its name.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.console = Console(process)
        self.options: ChainMap[str, Any] = ChainMap({}, {})

    def give(self, name: str, value: Any, source: ParameterSource) -> None:
        """Record an option. Before and after the command's name the later wins, and lists add."""
        if source not in _PRECEDENCE:
            return
        level = self.options.maps[_PRECEDENCE[source]]
        if isinstance(value, tuple) and level is self.command_line:
            value = (*level.get(name, ()), *value)
        level[name] = value
        if level is self.command_line:
            self._set_output(name, value)

    @property
    def command_line(self) -> MutableMapping[str, Any]:
        """The options that the command line gives."""
        return self.options.maps[0]

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the configuration; () means webhooks.yaml."""
        return tuple(self.options.get("file", ()))

    @property
    def organization(self) -> str | None:
        """The organization that the API key must belong to; the emulator accepts any."""
        return None if self.local else self.options.get("organization")

    @property
    def local(self) -> bool:
        """Whether the emulator in this process is used instead of CloudTruth."""
        return bool(self.options.get("local")) or "local_db" in self.command_line

    @property
    def local_db(self) -> Path:
        """The file in which the emulator keeps its webhooks."""
        named = self.options.get("local_db") or f"{LOCAL_FOLDER}/webhooks.db"
        return self.process.directory / named

    @property
    def in_ci(self) -> bool:
        """Whether `CI` is set; empty, 0 and false count as not set."""
        return self.process.environ.get("CI", "").strip().lower() not in ("", "0", "false")

    @property
    def wants_json(self) -> bool:
        """Whether the result is JSON, so that a failure is JSON, too."""
        return self.options.get("format") == "json"

    def _set_output(self, name: str, value: Any) -> None:
        match name:
            case "no_color":
                self.console.no_color = value
            case "quiet":
                self.console.verbosity = -1
            case "verbose":
                self.console.verbosity = value
            case _:
                pass
