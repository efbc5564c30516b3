"""A step's life: replay it, or run it with its retries and record what came of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from inspect import iscoroutine
from typing import Any

from asgiref.sync import iscoroutinefunction

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
from durable_app.store.records import Position


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlan:
    """How a step is to be run. ``timeout`` is in seconds."""

    name: str
    retry: Retry = ONCE
    timeout: float | None = None
    preemptible: bool = False

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
    while True:
        yield from ready_to_run(scope.cursor)
        body = _body(scope, position, plan, func, len(errors))
        try:
            value = yield UserCode(body, *args, **kwargs)
        except Exception as error:
            errors.append(error)
            if not (yield from _may_retry(plan, errors)):
                yield from _record_failure(scope, position, plan, errors, started_at)
                raise
            if len(errors) >= plan.retry.max_attempts:
                exhausted = MaxStepRetriesExceeded(plan.name, errors)
                yield from _record_failure(scope, position, plan, errors, started_at, exhausted)
                raise exhausted from error
            yield from retries.pause_after(scope, position, plan.name, plan.retry, errors)
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
    try:
        text = serialization.encode(value, f"the result of step {plan.name!r}")
    except Exception as error:
        yield from _record_failure(scope, position, plan, [*errors, error], started_at)
        raise
    step = checkpoint(
        scope.execution,
        position,
        plan.name,
        output=text,
        started_at=started_at,
        finished_at=clock.now(),
        tries=len(errors) + 1,
    )
    yield from record(scope.cursor, step)
    if value is None or type(value) in (str, int, bool):
        return value
    return (yield from decoded(text))


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


def _body(
    scope: Scope, position: Position, plan: StepPlan, func: Callable[..., Any], tries: int
) -> Callable[..., Any]:
    """Wrap the step's function so that it runs in the scope, and under the limits, of this try."""
    status = StepStatus(
        step_id=position.step_id,
        name=plan.name,
        current_attempt=tries if plan.retries else None,
        max_attempts=plan.retry.max_attempts if plan.retries else None,
    )
    inner = scope.inside(status)
    if iscoroutinefunction(func):
        return _coroutine_body(inner, plan, func)

    def body(*args: Any, **kwargs: Any) -> Any:
        token = current.set(inner)
        try:
            value = func(*args, **kwargs)
        finally:
            current.reset(token)
        return _coroutine_body(inner, plan, lambda: value)() if iscoroutine(value) else value

    return body


def _coroutine_body(scope: Scope, plan: StepPlan, func: Callable[..., Any]) -> Callable[..., Any]:
    async def body(*args: Any, **kwargs: Any) -> Any:
        token = current.set(scope)
        try:
            return await _limited(scope, plan, func(*args, **kwargs))
        finally:
            current.reset(token)

    return body


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
