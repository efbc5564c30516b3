"""A transactional step: fence first, then the user's code, then the checkpoint, in one transaction.

While it is open, the fence's row lock protects the run: a sweep passes it over, so its writes can never
be committed by two owners.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.utils import InterfaceError

from durable_app import clock, serialization
from durable_app.engine.checkpoints import (
    checkpoint,
    decoded,
    outcome,
    ready_to_run,
    record,
    replayed,
)
from durable_app.engine.context import Scope, StepStatus, current
from durable_app.engine.flow import Flow, Pause, UserCode
from durable_app.errors import ControlFlow
from durable_app.serialization import places
from durable_app.store import database, leftovers
from durable_app.store import steps as store
from durable_app.store.records import Position

FIRST_PAUSE = 0.001
BACKOFF = 1.5
LONGEST_PAUSE = 2.0
"""Seconds between two tries after a serialization failure: the seed system's figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransactionPlan:
    """How a transactional step is to be run: its name, the alias, the isolation (PostgreSQL only)."""

    name: str
    using: str
    isolation_level: str | None


def run_transaction(
    scope: Scope,
    position: Position,
    plan: TransactionPlan,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Flow[Any]:
    """Return the recorded output, or run the function and commit its writes with its checkpoint."""
    if plan.using != database.alias():
        scope.execution.receipts.add(plan.using)
    found = replayed(scope.cursor, position, plan.name)
    if found is not None:
        return (yield from outcome(found))
    yield from ready_to_run(scope.cursor)
    started_at = clock.now()
    attempt = _Attempt(scope, position, plan, started_at)
    try:
        text = yield from _committed(attempt, func, args, kwargs)
    except ControlFlow as error:
        scope.execution.end(error)
        raise
    except Exception as error:
        failure = checkpoint(
            scope.execution,
            position,
            plan.name,
            error=serialization.encode_error(error),
            started_at=started_at,
            finished_at=clock.now(),
        )
        yield from record(scope.cursor, failure)
        raise
    return (yield from decoded(text, attempt.form.name, attempt.place))


def _committed(
    attempt: "_Attempt", func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Flow[str]:
    """Commit once, through serialization failures, deadlocks and lost replies; return the output."""
    pause = FIRST_PAUSE
    while True:
        try:
            text: str = yield UserCode(attempt.run, func, args, kwargs)
            break
        except (OperationalError, InterfaceError) as error:
            if not database.is_transient(error) or database.joins_caller(attempt.plan.using):
                raise
            yield from ready_to_run(attempt.scope.cursor)
            yield Pause(pause)
            pause = min(pause * BACKOFF, LONGEST_PAUSE)
    if attempt.is_elsewhere:
        yield from record(attempt.scope.cursor, attempt.step(text))
    return text


class _Attempt:
    """One transactional step of one execution; ``run`` may be repeated."""

    def __init__(self, scope: Scope, position: Position, plan: TransactionPlan, started_at: datetime) -> None:
        self.scope = scope
        self.position = position
        self.plan = plan
        self.started_at = started_at
        self.is_elsewhere = plan.using != database.alias()
        self.tries = 0
        self.form = serialization.chosen()
        self.place = places.step(scope.execution.workflow_id, *position)

    def run(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Run the function in a transaction, or find that an earlier try has committed."""
        self.tries += 1
        committed = self._committed_before()
        if committed is not None:
            return committed
        try:
            with transaction.atomic(using=self.plan.using):
                self._isolate()
                self._fence()
                text = self._call(func, args, kwargs)
                self._record(text)
            leftovers.refuse(f"the transaction {self.plan.name!r}")
            return text
        except IntegrityError:
            committed = self._committed_before(always=True)
            if committed is not None:
                return committed
            raise
        except BaseException:
            leftovers.roll_back()
            raise

    def _committed_before(self, *, always: bool = False) -> str | None:
        """Return the output that an earlier try committed whose reply was lost."""
        if self.is_elsewhere:
            return store.receipt(self.plan.using, self.scope.execution.workflow_id, self.position)
        if self.tries == 1 and not always:
            return None
        execution = self.scope.execution
        found = store.recorded_by(execution.run, execution.attempt, self.position)
        return found.output if found else None

    def _isolate(self) -> None:
        found = connections[self.plan.using]
        nested = len(found.atomic_blocks) > 1
        if self.plan.isolation_level and not nested and found.vendor == "postgresql":
            with found.cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {self.plan.isolation_level}")

    def _fence(self) -> None:
        execution = self.scope.execution
        held = execution.run, execution.attempt, execution.workflow_id
        if not self.is_elsewhere:
            store.fence(*held)
            return
        # No row lock of ours protects the run there. The receipt's key does, from before the writes on: who
        # owns the run once it stands is the last owner whose writes can commit before it is adopted.
        store.claim_receipt(self.plan.using, execution.workflow_id, self.position)
        database.call(store.check_held, *held)

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        status = StepStatus(
            step_id=self.position.step_id,
            name=self.plan.name,
            current_attempt=None,
            max_attempts=None,
        )
        token = current.set(self.scope.inside(status))
        try:
            value = func(*args, **kwargs)
        finally:
            current.reset(token)
        return self.form.write(value, f"the result of transaction {self.plan.name!r}", self.place)

    def _record(self, text: str) -> None:
        if self.is_elsewhere:
            workflow_id = self.scope.execution.workflow_id
            store.leave_receipt(self.plan.using, workflow_id, self.position, text)
        else:
            store.record_within(self.step(text))

    def step(self, text: str) -> Any:
        """Return the checkpoint of this step."""
        return checkpoint(
            self.scope.execution,
            self.position,
            self.plan.name,
            output=text,
            serialization=self.form.name,
            started_at=self.started_at,
            finished_at=clock.now(),
        )
