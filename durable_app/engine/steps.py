"""A step's life: replay it, or run it with its retries and record what came of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from inspect import iscoroutine
from typing import Any

from asgiref.sync import sync_to_async

from durable_app import clock, serialization
from durable_app.engine import preemption, retries
from durable_app.engine.checkpoints import (
    checkpoint,
    decoded,
    outcome,
    ready_to_run,
    record,
    replayed,
)
from durable_app.engine.context import Scope, StepStatus, current
from durable_app.engine.flow import Flow, UserCode
from durable_app.errors import MaxStepRetriesExceeded, StepTimeoutError
from durable_app.retry import ONCE, Retry
from durable_app.serialization import places
from durable_app.store import database, leftovers
from durable_app.store.records import Position


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlan:
    """How a step is to be run. ``timeout`` is in seconds."""

    name: str
    retry: Retry = ONCE
    timeout: float | None = None
    preemptible: bool = False
    is_async: bool = False

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing but its own end ends a try."""
        return self.timeout is None and not self.preemptible

    @property
    def retries(self) -> bool:
        """Whether a failure may be followed by another try."""
        return self.retry is not ONCE


def run_step(
    scope: Scope,
    position: Position,
    plan: StepPlan,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Flow[Any]:
    """Return the step's recorded output, or run it and record it."""
    found = replayed(scope.cursor, position, plan.name)
    if found is not None:
        retries.pass_over(scope.execution, position)
        return (yield from outcome(found))
    started_at = clock.now()
    errors = yield from retries.earlier_failures(scope, position)
    recorded = len(errors)
    while True:
        yield from ready_to_run(scope.cursor)
        inner = scope.inside(_status(position, plan, len(errors)))
        try:
            value = yield StepCode(inner, plan, func, args, kwargs)
        except Exception as error:
            errors.append(error)
            if not (yield from _may_retry(plan, errors)):
                yield from _record_failure(scope, position, plan, errors, started_at)
                raise
            if len(errors) >= plan.retry.max_attempts:
                exhausted = MaxStepRetriesExceeded(plan.name, errors)
                yield from _record_failure(scope, position, plan, errors, started_at, exhausted)
                raise exhausted from error
            recorded = yield from retries.pause_after(
                scope, position, plan.name, plan.retry, errors, recorded
            )
        else:
            return (yield from _record_output(scope, position, plan, value, errors, started_at))


def _record_output(
    scope: Scope,
    position: Position,
    plan: StepPlan,
    value: Any,
    errors: list[Exception],
    started_at: datetime,
) -> Flow[Any]:
    """Record the value, and return it as a replay would: decoded from its own text."""
    form, place = serialization.chosen(), places.step(scope.execution.workflow_id, *position)
    try:
        text = form.write(value, f"the result of step {plan.name!r}", place)
    except Exception as error:
        yield from _record_failure(scope, position, plan, [*errors, error], started_at)
        raise
    step = checkpoint(
        scope.execution,
        position,
        plan.name,
        output=text,
        serialization=form.name,
        started_at=started_at,
        finished_at=clock.now(),
        tries=len(errors) + 1,
    )
    yield from record(scope.cursor, step)
    if form.name == serialization.FORMAT and (value is None or type(value) in (str, int, bool)):
        return value
    return (yield from decoded(text, form.name, place))


def _record_failure(
    scope: Scope,
    position: Position,
    plan: StepPlan,
    errors: list[Exception],
    started_at: datetime,
    error: Exception | None = None,
) -> Flow[None]:
    step = checkpoint(
        scope.execution,
        position,
        plan.name,
        error=serialization.encode_error(error or errors[-1]),
        started_at=started_at,
        finished_at=clock.now(),
        tries=len(errors),
    )
    yield from record(scope.cursor, step)


def _may_retry(plan: StepPlan, errors: list[Exception]) -> Flow[bool]:
    """Return whether the policy has anything to say against another try of this error."""
    if not plan.retries:
        return False
    if plan.retry.should_retry is None:
        return True
    answer = yield UserCode(plan.retry.should_retry, errors[-1])
    return bool(answer)


def _status(position: Position, plan: StepPlan, tries: int) -> StepStatus:
    if not plan.retries:
        return StepStatus(position.step_id, plan.name)
    return StepStatus(position.step_id, plan.name, tries, plan.retry.max_attempts)


class StepCode:
    """The call of a step's function, in the scope and under the limits of one try."""

    __slots__ = ("args", "func", "kwargs", "plan", "scope")

    def __init__(
        self,
        scope: Scope,
        plan: StepPlan,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.scope, self.plan, self.func, self.args, self.kwargs = scope, plan, func, args, kwargs

    def perform(self) -> Any:
        token = current.set(self.scope)
        try:
            return self._call()
        finally:
            current.reset(token)

    def _call(self) -> Any:
        """Call a sync function; it must leave no transaction open."""
        try:
            value = self.func(*self.args, **self.kwargs)
        except BaseException:
            leftovers.roll_back()
            raise
        if database.in_transaction():
            leftovers.refuse(f"the step {self.plan.name!r}")
        return value

    async def aperform(self) -> Any:
        token = current.set(self.scope)
        try:
            if not self.plan.is_async:
                value = await sync_to_async(self._call)()
                if not iscoroutine(value):
                    return value
            else:
                value = self.func(*self.args, **self.kwargs)
            return await (value if self.plan.is_unlimited else _limited(self.scope, self.plan, value))
        finally:
            current.reset(token)


async def _limited(scope: Scope, plan: StepPlan, coroutine: Any) -> Any:
    """Await the coroutine under the step's timeout, and watched if it is preemptible."""
    if plan.preemptible:
        coroutine = preemption.watched(scope.execution, coroutine)
    if plan.timeout is None:
        return await coroutine
    limit = asyncio.timeout(plan.timeout)
    try:
        async with limit:
            return await coroutine
    except TimeoutError as error:
        if limit.expired():
            raise StepTimeoutError(plan.name, plan.timeout) from error
        raise
