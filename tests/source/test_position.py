"""Where a path is written, and which part of the line an error shows."""

from __future__ import annotations

import pytest

from reconciler.findings import Position
from reconciler.source.position import excerpt
from reconciler.source.position import locate as locate_exactly
from reconciler.source.text import masked

TEXT = """\
x-base: &base
  token: {env: SLACK}
  username: bot
x-more: &more {<<: *base, channel: general}
defaults:
  configuration: *base
webhooks:
  - name: Deploys
    type: slack
    event_types:
      - value_created
      - "*_deleted"
    configuration:
      <<: [{verify: true}, *more]
      channel: #deploys  # not this
      password:
  - {type: slack, configuration: *more}
  - *base
  -
  - # a note
  - text
  - event_types: [a,
      b]
    text: |
      one
      two
    empty: {}
"""
ROWS = TEXT.split("\n")


def locate(text: str, file: str, path: tuple[str | int, ...], *, key: bool = False) -> Position:
    """Return the position as displayed."""
    return excerpt(text, locate_exactly(text, file, path, key=key))[0]


def line_and_text(path: tuple[str | int, ...], *, key: bool = False) -> tuple[int, str]:
    """Return the line and the exact text of a path's position."""
    place = locate(TEXT, "w.yaml", path, key=key)
    row = ROWS[place.line - 1]
    assert place.column - 1 + place.width <= len(row)
    return place.line, row[place.column - 1 : place.column - 1 + place.width]


HOOK = ("webhooks", 0)
CONFIGURATION = (*HOOK, "configuration")


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ((*HOOK, "name"), (8, "Deploys"), (8, "name")),
        ((*HOOK, "event_types", 0), (11, "value_created"), (11, "value_created")),
        ((*HOOK, "event_types", 1), (12, '"*_deleted"'), (12, '"*_deleted"')),
        ((*HOOK, "event_types"), (11, "- value_created"), (10, "event_types")),
        (HOOK, (8, "name: Deploys"), (8, "name")),
        (CONFIGURATION, (14, "<<: [{verify: true}, *more]"), (13, "configuration")),
        # merged values are where the merge comes from
        ((*CONFIGURATION, "verify"), (14, "true"), (14, "verify")),
        ((*CONFIGURATION, "username"), (3, "bot"), (3, "username")),
        ((*CONFIGURATION, "token", "env"), (2, "SLA"), (2, "env")),
        # explicit keys hide merged ones; a missing value is at its key
        ((*CONFIGURATION, "channel"), (15, "channel"), (15, "channel")),
        ((*CONFIGURATION, "password"), (16, "password"), (16, "password")),
        # aliases
        (("webhooks", 1, "configuration"), (17, "*mo"), (17, "configuration")),
        (("webhooks", 1, "configuration", "channel"), (4, "gen"), (4, "channel")),
        (("defaults", "configuration", "username"), (3, "bot"), (3, "username")),
        (("webhooks", 2), (18, "*ba"), (18, "*ba")),
        (("webhooks", 2, "username"), (3, "bot"), (3, "username")),
        # items without a key or a name
        (("webhooks", 1), (17, "{type: slack, configuration: *more}"), (17, "type")),
        (("webhooks", 3), (19, "-"), (19, "-")),
        (("webhooks", 4), (20, "-"), (20, "-")),
        (("webhooks", 5), (21, "tex"), (21, "tex")),
        # a value that ends on another line is marked to the end of its first one
        (("webhooks", 6, "event_types"), (22, "[a,"), (22, "event_types")),
        (("webhooks", 6, "event_types", 1), (23, "b"), (23, "b")),
        (("webhooks", 6, "empty"), (27, "{}"), (27, "emp")),
        # a missing value is where it should be
        ((*CONFIGURATION, "url"), (13, "configuration"), (13, "configuration")),
        ((*HOOK, "id"), (8, "name"), (8, "name")),
        (("webhooks", 9, "id"), (7, "webhooks"), (7, "webhooks")),
        (("webhooks", 1, "name"), (17, "type"), (17, "type")),
        (("version",), (1, "x-base"), (1, "x-base")),
        ((*HOOK, "name", "deeper"), (8, "name"), (8, "name")),
        ((*HOOK, "event_types", "text"), (10, "event_types"), (10, "event_types")),
        ((), (1, "x-base: &base"), (1, "x-base")),
    ],
)
def test_paths_have_positions_that_users_can_fix(
    path: tuple[str | int, ...], value: tuple[int, str], key: tuple[int, str]
) -> None:
    """The value or key of every kind of path is found, through aliases and merges too."""
    assert line_and_text(path) == value
    assert line_and_text(path, key=True) == key


def test_merges_of_merges_are_followed_once() -> None:
    """The search for a missing key ends, even if many paths lead through the merges."""
    steps = [f"x-{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}" for n in range(1, 60)]
    text = "\n".join(["x-0: &m0 {a: 1}", *steps, "last: *m59", ""])
    assert locate(text, "w.yaml", ("last", "a")) == Position(file="w.yaml", line=1, column=14)
    assert locate(text, "w.yaml", ("last", "b")).line == 61


def test_columns_up_to_the_position_do_not_change() -> None:
    """The caret below the line is therefore aligned."""
    text, position = "{token: abcdefgh, nam: x}\n", Position(file="w.yaml", line=1)
    assert excerpt(text, position._replace(column=18))[1] == "{token: ********, nam: ***}"
    assert excerpt(text, position._replace(column=2))[1] == "{token: ***, nam: ***}"


def test_quoted_user_text_is_limited() -> None:
    """A message quotes neither tokens nor long strings."""
    assert masked("type xoxb-12345-abc") == "type ***"
    assert masked("slak") == "slak"
    assert masked("x" * 200) == "x" * 117 + "..."
