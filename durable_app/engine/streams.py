"""Streams, as flows: a run appends values, and anybody follows them, to the end or to a deadline."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from durable_app import clock, serialization
from durable_app.engine import timers
from durable_app.engine.checkpoints import checkpoint, decoded, outcome, record, replayed
from durable_app.engine.context import Scope
from durable_app.engine.flow import Flow
from durable_app.engine.messaging import published_format
from durable_app.errors import NonExistentWorkflowError, StreamNondeterminismError, StreamTimeoutError
from durable_app.serialization import Place, places
from durable_app.store import streams
from durable_app.store.records import Entry, Payload, Position, Recorded
from durable_app.store.waits import News

WRITE = "durable.writeStream"
CLOSE = "durable.closeStream"
READ = "durable.readStream"
READ_OFFSET = "durable.readStreamOffset"

READ_AHEAD = 50
"""Entries that one look at the database brings."""

Found = list[Payload] | None
"""What a look has brought."""

END = object()
"""What a reading returns instead of a value when the stream has ended."""


def write(
    scope: Scope, position: Position | None, key: str, value: Any, serialization_type: str | None
) -> Flow[None]:
    """Append a value; a step of its own unless it is called inside one."""
    form = published_format(scope.execution, serialization_type)
    place = places.stream(scope.execution.workflow_id, key)
    text = form.write(value, f"the value of stream {key!r}", place)
    return _append(scope, position, WRITE, key, Payload(text, form.name))


def close(scope: Scope, position: Position | None, key: str) -> Flow[None]:
    """Append the end; a step of its own unless it is called inside one."""
    return _append(scope, position, CLOSE, key, Payload(None))


def _append(scope: Scope, position: Position | None, name: str, key: str, payload: Payload) -> Flow[None]:
    execution = scope.execution
    if position is not None and (found := replayed(scope.cursor, position, name)) is not None:
        yield from outcome(found)
        return
    scope.cursor.check()
    entry = Entry(
        run=execution.run,
        attempt=execution.attempt,
        key=key,
        value=payload.text,
        serialization=payload.serialization,
        position=position or scope.step_position,
        at=clock.now(),
        step=None if position is None else name,
    )
    heed = partial(streams.append_awaited, entry, execution.workflow_id)
    yield from record(scope.cursor, entry, heed)
    streams.announce(execution.workflow_id, key)


class Reading:
    """Where one reader stands in a stream.

    ``timeout`` (for each value) and ``longest`` (between two looks) are in seconds. With ``expects_value`` it
    reads one value, and the end of the stream is a StreamTimeoutError.
    """

    def __init__(
        self,
        workflow_id: str,
        key: str,
        offset: int,
        *,
        timeout: float | None = None,
        longest: float = 1.0,
        expects_value: bool = False,
    ) -> None:
        self.workflow_id = workflow_id
        self.key = key
        self.offset = offset
        self._timeout = timeout
        self._longest = longest
        self._expects_value = expects_value
        self.follows = True
        """Whether it waits for what is still to come."""
        self._ahead: deque[Payload] = deque()

    def of_what_is_there(self) -> "Reading":
        """Return this reading, which now ends where it would wait."""
        self.follows, self._timeout = False, 0.0
        return self

    def outside(self) -> Flow[Any]:
        """Return the next value, or END; nothing is recorded.

        Raises StreamTimeoutError, NonExistentWorkflowError.
        """
        if not self._ahead:
            found = yield from timers.look_until(self._look, self._news, self._timeout, self._longest)
            self._take(found)
        return (yield from self._delivered(self._ahead.popleft()))

    def inside(self, scope: Scope, position: Position) -> Flow[Any]:
        """Return the next value, or END, as a step of a workflow; the run may park meanwhile.

        Raises what ``outside`` raises, and StreamNondeterminismError.
        """
        found = replayed(scope.cursor, position, self._name)
        if found is not None:
            return (yield from self._replayed(scope, position, found))
        if scope.cursor.reads_stream:
            raise StreamNondeterminismError(self.workflow_id, self.key)
        scope.cursor.reads_stream = True
        try:
            return (yield from self._recorded(scope, position))
        finally:
            scope.cursor.reads_stream = False

    @property
    def _name(self) -> str:
        return READ_OFFSET if self._expects_value else READ

    @property
    def _place(self) -> Place:
        return places.stream(self.workflow_id, self.key)

    @property
    def _news(self) -> tuple[News, ...]:
        return (
            News("stream", self.workflow_id, self.key, self.offset),
            News("result", self.workflow_id),
        )

    @property
    def _look(self) -> Callable[[], Found]:
        limit = 1 if self._expects_value else READ_AHEAD
        return partial(streams.read, self.workflow_id, self.key, self.offset, limit)

    def _take(self, found: Found) -> None:
        """Keep what a look has brought, or raise StreamTimeoutError."""
        if found is None and not self.follows:
            found = [Payload(None)]
        if found is None:
            raise StreamTimeoutError(self.workflow_id, self.key, self._timeout)
        if self._expects_value and found[0].text is None:
            raise StreamTimeoutError(self.workflow_id, self.key, None)
        self._ahead.extend(found)

    def _delivered(self, found: Payload) -> Flow[Any]:
        """Decode a value only now: one that nobody asks for cannot fail."""
        if found.text is None:
            self._ahead.append(found)  # whoever asks again gets the same answer
            return END
        self.offset += 1
        return (yield from decoded(found.text, found.serialization, self._place))

    def _replayed(self, scope: Scope, position: Position, found: Recorded) -> Flow[Any]:
        deadline = position.below(1)
        if deadline in scope.execution.history:
            scope.execution.visited.add(deadline)
        value = yield from outcome(found)
        if found.output is None:
            return END
        self.offset += 1
        return value

    def _recorded(self, scope: Scope, position: Position) -> Flow[Any]:
        started_at = scope.execution.waiting_since()
        found = Payload(None)
        error: Exception | None = None
        try:
            if not self._ahead:
                self._take((yield from self._awaited(scope, position)))
            found = self._ahead.popleft()
        except (NonExistentWorkflowError, StreamTimeoutError) as failure:  # raised again below
            error = failure
        step = checkpoint(
            scope.execution,
            position,
            self._name,
            output=self._moved(found, places.step(scope.execution.workflow_id, *position)),
            serialization=found.serialization,
            error=None if error is None else serialization.encode_error(error),
            started_at=started_at,
            finished_at=clock.now(),
        )
        yield from record(scope.cursor, step)
        if error is not None:
            raise error
        return (yield from self._delivered(found))

    def _moved(self, found: Payload, target: Place) -> str | None:
        if found.text is None:
            return None
        return serialization.moved(found.text, found.serialization, self._place, target)

    def _awaited(self, scope: Scope, position: Position) -> Flow[Found]:
        """Wait for the next entries; None when they did not come in time.

        A stream's values mostly come soon. So the end of the wait is recorded, below the value's own step,
        only before the run may park.
        """
        if self._timeout is None:
            return (yield from self._wait(scope, None))
        place, left = position.below(1), self._timeout
        if place not in scope.execution.history:
            park_after = scope.execution.park_after
            short = left if park_after is None else min(left, park_after.total_seconds())
            found = yield from self._wait(scope, timers.after(short))
            if found is not None or short == left:
                return found
            left -= short
        until = yield from timers.deadline(scope, place, left)
        return (yield from self._wait(scope, until))

    def _wait(self, scope: Scope, until: datetime | None) -> Flow[Found]:
        found: Found = yield from timers.wait(scope.cursor, until=until, news=self._news, look=self._look)
        return found
