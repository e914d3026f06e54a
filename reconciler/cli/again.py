"""The command line to type next: this one's options, as far as the next command needs them.

Advice such as "apply exactly this" must run as it is printed: with the same files and selection,
against the same server. What only changes how things look is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from reconciler.cli.invocation import Invocation
from reconciler.cli.options import COMMON, OUTPUT
from reconciler.cli.planning_options import planning_options

_OF_FILES: Final = ("file",)
"""Common options that do not go with a saved plan, which is applied as it is."""


def planned_with(invocation: Invocation, own: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that make `apply` plan what was planned; `own` are the planning ones."""
    options = [*_connecting(), *planning_options()]
    return tuple(_words(options, {**invocation.given, **own}))


def connected_with(invocation: Invocation, own: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that lead `apply PLANFILE` to the same server, past the same guards."""
    given = {name: value for name, value in invocation.given.items() if name not in _OF_FILES}
    guards = [each for each in planning_options() if each.name == "allow_deletes"]
    return tuple(_words([*_connecting(), *guards], {**given, **own}))


def _connecting() -> list[click.Parameter]:
    looks = {each.name for each in OUTPUT()}
    return [each for each in COMMON() if each.name not in looks]


def _words(options: Sequence[click.Parameter], given: Mapping[str, Any]) -> Iterator[str]:
    for option in options:
        value = given.get(option.name or "")
        if value in (None, "", ()) or value is False or not isinstance(option, click.Option):
            continue
        for each in value if option.multiple else (value,):
            yield option.opts[0]
            if not option.is_flag:
                yield f"{each:g}" if isinstance(each, float) else str(each)
