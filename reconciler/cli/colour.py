"""Whether to colour: one rule for each stream, by the conventions people already rely on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Colour(StrEnum):
    """What `--color` takes."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def wants_colour(choice: Colour, environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Decide for one stream; `terminal` says whether it is one.

    The option wins, then NO_COLOR, then FORCE_COLOR and CLICOLOR_FORCE, then CLICOLOR=0 and a dumb
    terminal. NO_COLOR counts when it is not empty, the forcing ones when they are not 0 either.
    """
    if choice is not Colour.AUTO:
        return choice is Colour.ALWAYS
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    if environ.get("CLICOLOR") == "0" or environ.get("TERM") == "dumb":
        return False
    return terminal
