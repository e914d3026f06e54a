"""Why the workflow runs: the event GitHub hands over, reduced to what a decision needs.

The payload is written by GitHub, with names in it that anybody can choose. It is read tolerantly:
a field that is missing makes the event one that allows less, never more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from reconciler.values import dataclass

DEPENDABOT: Final = "dependabot[bot]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request was opened or changed.

    `base` is the commit of the branch it goes to. `distrust` says why GitHub hands this run no
    secrets and a token that only reads, None where it does.
    """

    number: int
    head: str
    base: str
    distrust: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Commits arrived on a branch, the last one at the end."""

    branch: str
    commits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A schedule, a manual start, or anything else: nobody's change."""

    name: str


Event: TypeAlias = PullRequest | Push | Other


def read_event(name: str, payload: Mapping[str, Any], *, repository: str) -> Event:
    """Reduce the payload of the event called `name` in `repository` (owner/name)."""
    match name:
        case "pull_request" | "pull_request_target":
            return _pull_request(name, payload, repository=repository)
        case "push":
            return _push(payload)
        case _:
            return Other(name=name)


def _pull_request(name: str, payload: Mapping[str, Any], *, repository: str) -> Event:
    pull = _object(payload, "pull_request")
    number = pull.get("number")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return Other(name=name)
    head = _object(pull, "head")
    return PullRequest(
        number=number,
        head=_text(head, "sha"),
        base=_text(_object(pull, "base"), "sha"),
        distrust=_distrust(payload, pull, head, repository=repository),
    )


def _distrust(
    payload: Mapping[str, Any], pull: Mapping[str, Any], head: Mapping[str, Any], *, repository: str
) -> str | None:
    home = _text(_object(head, "repo"), "full_name")
    if not repository or home.lower() != repository.lower():
        return "this pull request comes from a fork"
    people = (_object(payload, "sender"), _object(pull, "user"))
    if any(_text(person, "login") == DEPENDABOT for person in people):
        return "this pull request is Dependabot's"
    return None


def _push(payload: Mapping[str, Any]) -> Event:
    listed = payload.get("commits")
    rows = listed if isinstance(listed, list) else []
    commits = [_text(each, "id") for each in rows if isinstance(each, Mapping)]
    commits.append(_text(payload, "after"))
    return Push(
        branch=_text(payload, "ref").removeprefix("refs/heads/"),
        commits=tuple(each for each in dict.fromkeys(reversed(commits)) if each)[::-1],
    )


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
