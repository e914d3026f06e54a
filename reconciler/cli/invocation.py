"""One call of the program: its surroundings, its output, and what its common options say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.colour import Colour
from reconciler.cli.console import Console
from reconciler.cli.options import ALLOWED_BY
from reconciler.cli.process import Process

if TYPE_CHECKING:
    from reconciler.settings import Settings

LOCAL_FOLDER: Final = ".webhooks-local"
"""The folder that `--local` makes for its database unless a file is named."""

_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("", "0", "false", "no", "off")


class Invocation:
    """What every command is given."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.console = Console(process)
        self.machine_readable = False
        """Whether the command's result is JSON, so that a failure must be JSON too."""
        self._given: dict[str, Any] = {}

    def give(self, name: str, value: Any) -> None:
        """Take a common option that was given on the command line."""
        if isinstance(value, tuple):
            value = (*self._given.get(name, ()), *value)
        self._given[name] = value
        match name:
            case "color":
                self.console.colour = Colour(value)
            case "quiet":
                self.console.verbosity = -1
            case "verbose":
                self.console.verbosity = value
            case _:
                pass

    @property
    def given(self) -> Mapping[str, Any]:
        """Return the common options of the command line, by the names of their parameters."""
        return self._given

    @property
    def files(self) -> tuple[str, ...]:
        """Return what `-f` names; empty if it names nothing."""
        return tuple(self._given.get("file", ()))

    @property
    def organization(self) -> str | None:
        """Return the organization that the key must belong to, if one is asked for."""
        asked = self._given.get("organization")
        return asked or self.process.environ.get("WEBHOOKS_ORGANIZATION") or None

    @property
    def local(self) -> bool:
        """Say whether the emulator in this process stands in for CloudTruth."""
        return bool(self._given.get("local")) or "local_db" in self._given

    @property
    def local_db(self) -> Path:
        """Return the file in which the emulator keeps its webhooks."""
        named = self._given.get("local_db") or self.process.environ.get("WEBHOOKS_LOCAL_DB")
        return self.process.directory / (named or f"{LOCAL_FOLDER}/webhooks.db")

    @property
    def allow_secrets(self) -> tuple[str, ...]:
        """Return the patterns that secrets must match; empty means that all may be used."""
        listed = re.split(r"[\s,]+", self.process.environ.get(ALLOWED_BY, "").strip())
        return (*(each for each in listed if each), *self._given.get("allow_secret", ()))

    @property
    def in_ci(self) -> bool:
        """Return whether `CI` is set; empty, 0 and false count as not set."""
        return self.process.environ.get("CI", "").strip().lower() not in ("", "0", "false")

    @property
    def allow_literals(self) -> bool:
        """Say whether tokens may be written into files."""
        return bool(self._given.get("allow_literal_secrets"))

    @property
    def strict(self) -> bool:
        """Say whether warnings are errors. Raises UsageError for a variable that does not say."""
        said = self.process.environ.get("WEBHOOKS_STRICT", "").strip().lower()
        if said not in (*_YES, *_NO):
            from reconciler.errors import UsageError

            raise UsageError(
                "WEBHOOKS_STRICT says neither yes nor no", hint="set it to true or false"
            )
        return bool(self._given.get("strict")) or said in _YES

    @property
    def debug(self) -> bool:
        """Say whether each request is to be shown."""
        return bool(self._given.get("debug"))

    def settings(self) -> Settings:
        """Find where to connect and as whom. Raises UsageError, CredentialError."""
        from reconciler.settings import Arguments, resolve

        said = self._given
        return resolve(
            Arguments(
                server_url=said.get("server_url"),
                profile=said.get("profile"),
                api_key_file=said.get("api_key_file"),
                timeout=said.get("timeout"),
                deadline=said.get("deadline"),
            ),
            self.process.environ,
            platform=self.process.platform,
            directory=self.process.directory,
            local=self.local,
        )
