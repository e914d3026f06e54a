"""Whether this is a CI job, and whether it gets what it needs there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from reconciler.checks import Check, fail, ok, warn
from reconciler.ci.event import PullRequest, read_event
from reconciler.render.quote import quote

_OTHERS: Final = {
    "GITLAB_CI": "GitLab CI",
    "CIRCLECI": "CircleCI",
    "JENKINS_URL": "Jenkins",
    "BUILDKITE": "Buildkite",
    "TF_BUILD": "Azure Pipelines",
    "BITBUCKET_BUILD_NUMBER": "Bitbucket Pipelines",
}


def pipeline(
    environ: Mapping[str, str], payload: Mapping[str, Any], needed: Iterable[str]
) -> tuple[Check, ...]:
    """Look at the surroundings of a CI job.

    `payload` is that of GitHub's event, {} elsewhere; `needed` are the variables whose values this
    run wants.
    """
    return (_where(environ, payload), *_empty(environ, needed))


def _where(environ: Mapping[str, str], payload: Mapping[str, Any]) -> Check:
    if environ.get("GITHUB_ACTIONS") != "true":
        for name, title in _OTHERS.items():
            if environ.get(name):
                return ok("ci", title)
        known = environ.get("CI", "").lower() not in ("", "false", "0")
        return ok("ci", "a CI job of some kind" if known else "not a CI job")
    name = environ.get("GITHUB_EVENT_NAME", "")
    shown = f"GitHub Actions, event {quote(name or 'not told')}"
    if name == "pull_request_target":
        return warn(
            "ci",
            f"{shown}: strangers' changes meet this repository's secrets",
            fix="use on: pull_request",
        )
    event = read_event(name, payload, repository=environ.get("GITHUB_REPOSITORY", ""))
    if isinstance(event, PullRequest) and event.distrust is not None:
        return warn(
            "ci",
            f"{shown}: {event.distrust}, and such runs get no secrets",
            fix="validate works without; plan the change from a branch of this repository",
        )
    return ok("ci", shown)


def _empty(environ: Mapping[str, str], needed: Iterable[str]) -> tuple[Check, ...]:
    empty = sorted({name for name in needed if name in environ and not environ[name].strip()})
    if not empty:
        return ()
    return (
        fail(
            "empty",
            f"set, but empty: {', '.join(quote(name) for name in empty)}",
            fix="give the variable a value; on GitHub a secret that does not exist, or that is one "
            "of an environment which the job does not name, arrives as an empty text",
        ),
    )
