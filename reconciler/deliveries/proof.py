"""Prove that webhooks deliver: cause events in a scratch project and watch `last_run`.

The command creates one parameter, changes it, gives it a value, changes and deletes that, and
deletes the parameter: six events. Whatever fails, the parameter is then deleted, or the result
names it. The verdict compares the server's fields before and after, so no clock matters.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple

from reconciler.api.parameters import Parameter, Parameters, Project
from reconciler.errors import (
    AmbiguousWriteError,
    ApiError,
    NotFoundError,
    PermissionDeniedError,
    ReconcilerError,
    UnreachableError,
)
from reconciler.execute.workers import Halted
from reconciler.model import LiveWebhook, Organization
from reconciler.ports import Clock, Stop

_EVENTS: Final = (
    "parameter_created",
    "parameter_updated",
    "value_created",
    "value_updated",
    "value_deleted",
    "parameter_deleted",
)
"""The events of one proof, in order."""

_WATCHED: Final = 60.0
"""Seconds until a webhook whose `last_run` has not changed counts as not run."""
_INTERVAL: Final = 2.0
_SETTLED: Final = 3
"""Equal listings that end the watch: the first message of a webhook may arrive before the last."""
_LOOKS: Final = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each look for an object whose create had no response: lists may be late."""
_PREFIX: Final = "webhooks-check-"
_STARTED: Final = "%Y%m%dT%H%M%SZ"
_ABANDONED: Final = timedelta(minutes=10)
_WRITERS: Final = ("OWNER", "ADMIN", "CONTRIB")
_DESCRIPTION: Final = "Test of `webhooks check --deliver`. Safe to delete."


class Scratch(NamedTuple):
    """The project and the environment of a proof, and the name of its parameter.

    `leftovers` are the names of those of earlier runs that ended before they could delete them.
    """

    project: Project
    environment: str
    name: str
    leftovers: tuple[str, ...]

    def delete_command(self, name: str) -> str:
        """Return the command of CloudTruth's own program that deletes a parameter."""
        words = ["cloudtruth", "--project", self.project.name, "param", "delete", "-y", name]
        return shlex.join(words)


class Verdict(Enum):
    """What happened to a webhook during a proof."""

    DELIVERED = "delivered"
    FAILED = "failed"
    NOT_RUN = "not run"
    UNCLEAR = "unclear"  # it ran, and has an old error that may be a new one
    DELETED = "deleted"


class Observation(NamedTuple):
    """One webhook before and after a proof. `after` is None if it was deleted.

    `seconds` is the time from the last event until a listing showed a change, None if none did.
    """

    before: LiveWebhook
    after: LiveWebhook | None
    seconds: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Return what the two states prove."""
        before, after = self.before, self.after
        if after is None:
            return Verdict.DELETED
        error = after.last_error
        # First, because a failed delivery changes `last_run`, too.
        if error is not None and error != before.last_error:
            return Verdict.FAILED
        if after.last_run in (None, before.last_run):
            return Verdict.NOT_RUN
        # The same error again differs only in its time.
        if error is not None and not error.timestamp:
            return Verdict.UNCLEAR
        return Verdict.DELIVERED


class Proof(NamedTuple):
    """The events of a proof that were caused, and the observed webhooks by id.

    Those are observed that listen to one of the events. `problem` is the error that ended it
    early, if any. `remains` is true if the parameter was not deleted, or if that is unknown.
    """

    scratch: Scratch
    events: tuple[str, ...]
    problem: ApiError | None = None
    remains: bool = False
    observations: Mapping[str, Observation] = {}


def received(webhook: LiveWebhook) -> int:
    """Return the number of messages that a webhook receives from one proof."""
    return len(webhook.event_types.intersection(_EVENTS))


def prepare(
    parameters: Parameters, organization: Organization, clock: Clock, project_name: str
) -> Scratch:
    """Find the scratch project, its environment and leftovers, with three requests.

    Raises ReconcilerError if there is no such project or the key may not write to it, ApiError.
    """
    project = parameters.project(project_name)
    if project is None:
        raise _missing(f"project {project_name!r}", organization)
    if project.role is not None and project.role.upper() not in _WRITERS:
        raise PermissionDeniedError(
            f"access to project {project_name!r} is controlled, and this key's role in it is "
            f"{project.role}",
            hint="use another project, or give the key the role CONTRIB in this one",
        )
    environment = parameters.environment("default")
    if environment is None:
        raise _missing("environment 'default'", organization)
    # The server's time, so that runs on machines with different clocks agree about the age.
    now = project.time or clock.now()
    name = f"{_PREFIX}{now.strftime(_STARTED)}-{secrets.token_hex(4)}"
    earlier = [parameter.name for parameter in parameters.starting_with(project.id, _PREFIX)]
    leftovers = tuple(name for name in earlier if _is_abandoned(name, now))
    return Scratch(project, environment, name, leftovers)


def _missing(what: str, organization: Organization) -> ReconcilerError:
    return ReconcilerError(
        f"organization {organization.name!r} has no {what} that this key can see",
        hint="name an existing project that nothing depends on, with --deliver PROJECT, and use a "
        "key that can see it and the environment 'default'",
    )


def _is_abandoned(name: str, now: datetime) -> bool:
    """Return whether a parameter of an earlier run is too old to be in use."""
    started = name.removeprefix(_PREFIX).partition("-")[0]
    try:
        age = now - datetime.strptime(started, _STARTED).replace(tzinfo=UTC)
    except ValueError:  # not a name of this program
        return False
    return age > _ABANDONED


def cause_events(
    parameters: Parameters, scratch: Scratch, clock: Clock, stop: Stop, extend: Callable[[], None]
) -> Proof:
    """Cause the events, and delete the parameter in any case.

    A signal ends it after the current request. `extend` restarts the deadline, so that a slow
    server leaves time to delete the parameter. An exception other than ApiError is raised again
    after the parameter was deleted.
    """
    parameter = _TestParameter(parameters, scratch, clock)
    events: list[str] = []
    problem: ApiError | None = None
    id_: str | None = None
    try:
        id_ = parameter.create()
        for event in parameter.changes(id_):
            events.append(event)
            # The handler only sets a value, so a request is never cut off by a signal.
            if stop.requested() is not None:
                break
    except ApiError as error:
        problem = error
    finally:
        # A signal shortens the deadline, which must stay so.
        if problem is not None and stop.requested() is None:
            extend()
        failure = parameter.delete(id_, problem)
    if failure is None and events:
        events.append(_EVENTS[-1])
    return Proof(scratch, tuple(events), problem or failure, remains=failure is not None)


class _TestParameter(NamedTuple):
    """The parameter of a proof: its requests, and how to find it if a response is lost."""

    parameters: Parameters
    scratch: Scratch
    clock: Clock

    def create(self) -> str:
        """Create the parameter, and return its id. If the response is lost, look it up by name."""
        try:
            return self.parameters.create(self.scratch.project.id, self.scratch.name, _DESCRIPTION)
        except AmbiguousWriteError:
            parameter = self._look_up()
            if parameter is None:
                raise
            return parameter.id

    def changes(self, id_: str) -> Iterator[str]:
        """Yield the event of the create, then send each change and yield its event.

        No write is repeated. A change without a response may have caused its event, so the next one
        follows. Raises ApiError.
        """
        # The last event is that of the delete, which `cause_events` sends in any case.
        created, updated, value_created, value_updated, value_deleted, _ = _EVENTS
        parameters, project = self.parameters, self.scratch.project.id
        yield created
        with suppress(AmbiguousWriteError):
            parameters.describe(project, id_, f"{_DESCRIPTION} Changed.")
        yield updated
        value = self._create_value(id_)
        yield value_created
        with suppress(AmbiguousWriteError):
            parameters.change_value(project, id_, value, "2")
        yield value_updated
        with suppress(AmbiguousWriteError, NotFoundError):
            parameters.delete(project, id_, value)
        yield value_deleted

    def _create_value(self, id_: str) -> str:
        """Set the value, and return its id. If the response is lost, look it up."""
        scratch = self.scratch
        try:
            return self.parameters.create_value(scratch.project.id, id_, scratch.environment, "1")
        except AmbiguousWriteError:
            parameter = self._look_up(with_value=True)
            if parameter is None or parameter.value_id is None:
                raise
            return parameter.value_id

    def _look_up(self, *, with_value: bool = False) -> Parameter | None:
        """Return the parameter once a list shows it, `with_value` once it has one; else None.

        An error is ignored: the caller raises that of the lost create, which shows that the object
        may still appear.
        """
        for seconds in _LOOKS:
            # A list may show a new object late.
            self.clock.sleep(seconds)
            with suppress(ApiError):
                parameter = self.parameters.named(self.scratch.project.id, self.scratch.name)
                if parameter is not None and (parameter.value_id or not with_value):
                    return parameter
        return None

    def delete(self, id_: str | None, problem: ApiError | None) -> ApiError | None:
        """Delete the parameter, by its name if its id is not known, with up to four attempts.

        Return None once it does not exist, else the reason why it may remain. `problem` ended the
        proof. A create that had no response may still be processed, although no list shows it.
        """
        if id_ is None and isinstance(problem, UnreachableError):
            return None  # the create was never sent
        known_id, failure, lost = id_, problem, None
        if id_ is None and isinstance(problem, AmbiguousWriteError):
            lost = problem
        for seconds in _LOOKS:
            try:
                if known_id is None:
                    self.clock.sleep(seconds)
                    parameter = self.parameters.named(self.scratch.project.id, self.scratch.name)
                    if parameter is None:
                        return lost
                    known_id, lost = parameter.id, None
                self.parameters.delete(self.scratch.project.id, known_id)
            except ApiError as error:
                failure, known_id = error, None  # the listing shows whether it was deleted
            else:
                return None
        return failure


def watch(
    read: Callable[[], Sequence[LiveWebhook]],
    before: Sequence[LiveWebhook],
    clock: Clock,
    stop: Stop,
) -> dict[str, Observation]:
    """List the webhooks every two seconds until each of `before` ran and nothing changes any more.

    It ends after a minute, after a signal, or if a listing fails.
    """
    started = clock.monotonic()
    observations = {webhook.id: Observation(webhook, webhook) for webhook in before}
    # Without a webhook to observe, there is nothing to wait for.
    equal = 0 if observations else _SETTLED
    while clock.monotonic() - started < _WATCHED and equal < _SETTLED and stop.requested() is None:
        clock.sleep(_INTERVAL)
        try:
            live = {webhook.id: webhook for webhook in read()}
        except (ApiError, Halted):  # a second signal
            break  # what was seen so far is still true
        seconds = clock.monotonic() - started
        latest = {
            id_: _observed(observation, live.get(id_), seconds)
            for id_, observation in observations.items()
        }
        # One that has not run yet may still run, so it keeps the watch open.
        is_quiet = all(
            latest[id_] is observation and observation.verdict is not Verdict.NOT_RUN
            for id_, observation in observations.items()
        )
        equal = equal + 1 if is_quiet else 0
        observations = latest
    return observations


def _observed(observation: Observation, after: LiveWebhook | None, seconds: float) -> Observation:
    """Return an observation with the webhook as it is now, if a delivery has changed it."""
    if _deliveries(after) == _deliveries(observation.after):
        return observation
    first = observation.seconds
    if first is None:
        first = seconds
    return Observation(observation.before, after, first)


def _deliveries(webhook: LiveWebhook | None) -> object:
    if webhook is None:
        return None
    return webhook.last_run, webhook.last_error
