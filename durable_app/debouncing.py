"""Debouncing: of many calls in a short time only the last one runs."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asgiref.sync import markcoroutinefunction

from durable_app import clock
from durable_app.engine import calls
from durable_app.engine.checkpoints import outcome, replayed
from durable_app.engine.context import EnqueueOptions, Scope, ambient, current
from durable_app.engine.flow import Call, Flow, adrive, drive_blocking
from durable_app.engine.identity import settled
from durable_app.engine.launch import Parent, Target, new_run, refuse_in_step
from durable_app.engine.timers import FAR, seconds_of
from durable_app.errors import InvalidOptionError
from durable_app.handles import WorkflowHandle
from durable_app.identifiers import ID_LENGTH, is_storable
from durable_app.limits import DEFAULT_QUEUE, checked_queue_name
from durable_app.starting import target_of
from durable_app.store import delays
from durable_app.store.records import NewRun, Position

STEP = "durable.debounce_delayed_workflow"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One call that is to be debounced."""

    target: Target
    key: str
    period: timedelta
    longest: timedelta
    queue: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def record(self, child_of: Parent | None = None) -> NewRun:
        """Return the row of the run that this call makes if none waits."""
        new = new_run(self.target, self.args, self.kwargs, child_of=child_of, queue=self.queue)
        now = clock.now()
        return new._replace(
            status="DELAYED",
            deduplication_id=debounce_key(new.name, self.key),
            run_after=now + min(self.period, self.longest),
            debounced_until=now + self.longest,
            deadline_at=None,
        )


class Debouncer:
    """Runs a workflow once for many calls: each call with the same key replaces the last one's arguments.

    A call puts the run off by its period, in seconds or a timedelta, but never longer than
    ``debounce_timeout`` from the first call; None sets no such limit. Once the run is due, the next call
    starts another one. ``queue`` names the queue to run in. Raises InvalidOptionError for a method.
    """

    def __init__(
        self,
        workflow: Callable[..., Any],
        *,
        debounce_timeout: float | timedelta | None = None,
        queue: str = DEFAULT_QUEUE,
    ) -> None:
        self._target = target_of(workflow)
        if self._target.class_name is not None:
            raise InvalidOptionError(f"{self._target.definition.name!r} is a method: it cannot be debounced")
        self._longest = FAR if debounce_timeout is None else _span(debounce_timeout, "debounce_timeout")
        self._queue = checked_queue_name(queue)

    def debounce(
        self, key: str, period: float | timedelta, /, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Put the run that waits under ``key`` off by ``period``, or start one; return its handle.

        Inside a workflow this is one step. Raises InvalidOptionError for an empty key, a period below zero,
        or inside SetEnqueueOptions with anything but a version; QueueDeduplicatedError if an ordinary run
        holds the key.
        """
        return WorkflowHandle(drive_blocking(self._flow(key, period, args, kwargs), "adebounce"))

    @markcoroutinefunction
    def adebounce(
        self, key: str, period: float | timedelta, /, *args: Any, **kwargs: Any
    ) -> Awaitable[WorkflowHandle[Any]]:
        """Async twin of ``debounce``."""
        return _ahandle(self._flow(key, period, args, kwargs))

    def _flow(
        self, key: str, period: float | timedelta, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Flow[str]:
        refuse_in_step(f"debouncing of {self._target.definition.name!r}")
        _refuse_options()
        call = _Call(
            target=self._target,
            key=_checked_key(key),
            period=_span(period, "a debounce period"),
            longest=self._longest,
            queue=self._queue,
            args=args,
            kwargs=kwargs,
        )
        scope = current.get()
        return _outside(call) if scope is None else _inside(scope, scope.cursor.next(), call)


async def _ahandle(flow: Flow[str]) -> WorkflowHandle[Any]:
    return WorkflowHandle(await adrive(flow))


def _outside(call: _Call) -> Flow[str]:
    yield from settled()
    started = yield Call(delays.bounce, call.record())
    return str(started.workflow_id)


def _inside(scope: Scope, position: Position, call: _Call) -> Flow[str]:
    found = replayed(scope.cursor, position, STEP)
    if found is not None:
        yield from outcome(found)
        return found.child_workflow_id or ""
    yield from settled()
    new = call.record(child_of=Parent(scope=scope, step_id=position.step_id))
    started = yield from calls.launched(scope, position, new, delays.bounce, name=STEP)
    return started.workflow_id


def _refuse_options() -> None:
    around = ambient.get()
    options = around.enqueue or EnqueueOptions()
    if options != EnqueueOptions(app_version=options.app_version):
        raise InvalidOptionError("a debounced run takes no enqueue options but app_version")
    if around.chosen_id is not None and around.chosen_id.rejects_reuse:
        raise InvalidOptionError(
            "a debounced run's id is reused: workflow_id_reuse_policy 'reject' forbids it"
        )


def _checked_key(key: Any) -> str:
    if not isinstance(key, str) or not key or not is_storable(key):
        raise InvalidOptionError(f"a debounce key is a text that is not empty, not {key!r}")
    return key


def _span(given: float | timedelta, what: str) -> timedelta:
    seconds = seconds_of(given, what)
    if seconds < 0:
        raise InvalidOptionError(f"{what} must not be below zero, but is {given}")
    return timedelta(seconds=min(seconds, FAR.total_seconds()))


def debounce_key(name: str, key: str) -> str:
    """Return the deduplication id of a debounce key; no two pairs of name and key share one."""
    text = "debounce:" + json.dumps([name, key], ensure_ascii=False)
    if len(text) <= ID_LENGTH:
        return text
    return "debounce:" + hashlib.sha256(text.encode()).hexdigest()
