"""The running workflow as its own code sees it: execution, position space, step."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from durable_app import clock
from durable_app.engine.lease import Lease
from durable_app.errors import (
    ControlFlow,
    NotAllowedInStepError,
    NotInWorkflowError,
    OwnershipLost,
    UnexpectedStepError,
)
from durable_app.registry import Validator
from durable_app.store.continuing import begun
from durable_app.store.records import History, Position


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """On whose behalf a run executes."""

    user: str | None = None
    roles: tuple[str, ...] | None = None
    assumed_role: str | None = None
    """The role that allowed the run."""


NOBODY = Identity()


@dataclass(kw_only=True, eq=False)
class Execution:
    """One attempt at one run, in this process."""

    run: int
    workflow_id: str
    name: str
    attempt: int
    lease: Lease
    history: History = field(default_factory=dict)
    """What earlier executions recorded; empty on the first one, which therefore reads nothing."""
    deadline_at: datetime | None = None
    park_after: timedelta | None = None
    """How long a wait keeps its thread; None for a run that belongs to its caller's and never parks."""
    identity: Identity = field(default_factory=Identity)
    serialization: str = "json"
    """The format of the run's arguments, and therefore of its outcome."""
    validate_args: Validator | None = None
    """What the arguments must pass before the body begins."""

    visited: set[tuple[int, str]] = field(default_factory=set)
    """Positions of the history that this execution has come by."""
    receipts: set[str] = field(default_factory=set)
    """Other databases in which transactions of this run left receipts."""
    has_recorded: bool = False
    """Whether this execution has recorded a step of its own."""
    undos: dict[Position, str] = field(default_factory=dict)
    """What undoes this run's steps, by where it was registered."""
    is_awaited: bool = False
    """Whether parked runs may wait for what this run writes: that does not end while it executes."""
    has_reported: bool = False
    """Whether this execution has reported progress."""
    is_rehearsal: bool = False
    """Whether it ends at the first operation that is not in its history: nothing is done in earnest."""
    ended_by: ControlFlow | UnexpectedStepError | None = None

    def waiting_since(self) -> datetime:
        """Return when the wait that begins or goes on here began: after the last recorded step."""
        now = clock.now()
        if self.has_recorded or len(self.visited) < len(self.history):
            return now
        ends = (found.finished_at for found in self.history.values() if found.finished_at is not None)
        return min(now, max(ends, default=now))

    def begin(self) -> int:
        """Return the position before the first: 0, but for a run that has gone on as new."""
        if not self.history:
            return 0
        number, _ = begun(self.history)
        if number:
            self.visited.add((number, ""))
        return number

    def lose(self) -> None:
        """End this execution: another one owns the run."""
        if self.ended_by is None:
            self.ended_by = OwnershipLost(self.workflow_id)

    def end(self, error: ControlFlow | UnexpectedStepError) -> None:
        """Let every later durable call of this execution raise ``error``."""
        if self.ended_by is None:
            self.ended_by = error


class Cursor:
    """A space of positions: the trunk of a run, or one branch of a ``gather``."""

    def __init__(self, execution: Execution, root: int | None = None, prefix: str = "") -> None:
        self.execution = execution
        self._root = root
        self._prefix = prefix
        self._count = 0 if root is not None else execution.begin()
        self.suspended: ControlFlow | None = None
        """Set once this branch waits: nothing more may run in it."""
        self.reads_stream = False
        """Whether a recorded reading of a stream waits for its next value here."""
        self._home: asyncio.Task[Any] | None = None
        self._others: set[asyncio.Task[Any]] = set()

    def settle_in(self) -> None:
        """Note the task that runs a coroutine's positions: the one that may park it."""
        self._home = asyncio.current_task()

    def note_task(self) -> None:
        """Note another task that takes positions here, as in ``asyncio.gather(step(), recv())``."""
        if self._home is None:
            return
        task = _current_task()
        if task is not None and task is not self._home:
            self._others.add(task)

    @property
    def may_park(self) -> bool:
        """Whether a wait may unwind the run: not while other tasks of it are at work."""
        if self._home is None:
            return True
        self._others = {task for task in self._others if not task.done()}
        return not self._others and _current_task() is self._home

    @property
    def is_branch(self) -> bool:
        """Whether other branches may go on while this one waits."""
        return self._root is not None

    def next(self) -> Position:
        """Take the next position."""
        self._count += 1
        return self._at(self._count)

    @property
    def upcoming(self) -> Position:
        """The position that will be taken next."""
        return self._at(self._count + 1)

    def _at(self, count: int) -> Position:
        if self._root is None:
            return Position(count)
        return Position(self._root, f"{self._prefix}.{count}")

    @property
    def is_behind(self) -> bool:
        """Whether an earlier execution came to the upcoming position of this space, or further."""
        return self._furthest > self._count

    @cached_property
    def _furthest(self) -> int:
        """The last position of this space in the history; what stands below it counts as its own."""
        history = self.execution.history
        if self._root is None:
            return max((number for number, _ in history), default=0)
        start = f"{self._prefix}."
        below = (b.removeprefix(start) for n, b in history if n == self._root and b.startswith(start))
        return max((int(path.partition(".")[0]) for path in below), default=0)

    def fork(self, gather: Position, index: int) -> "Cursor":
        """Return the position space of a branch of the ``gather`` at a position."""
        prefix = f"{gather.branch}.{index}" if gather.branch else str(index)
        return Cursor(self.execution, gather.number, prefix)

    def check(self) -> None:
        """Raise what ended this execution, if anything did; a durable call may go on otherwise."""
        ended_by = self.execution.ended_by or self.suspended
        if ended_by is not None:
            raise ended_by.with_traceback(None)

    def check_may_start(self) -> None:
        """Like ``check``, and refuse to begin user code without a lease to record its outcome under."""
        self.check()
        if not self.execution.lease.allows_start:
            self.execution.lose()
            self.check()


def _current_task() -> "asyncio.Task[Any] | None":
    """Return the running task; None on a thread without a loop that works for a coroutine."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class StepStatus(NamedTuple):
    """The step that executes now; ``current_attempt`` counts from zero."""

    step_id: int | str
    name: str
    current_attempt: int | None = None
    max_attempts: int | None = None

    @property
    def position(self) -> Position:
        """Where the step stands."""
        number, _, branch = str(self.step_id).partition(".")
        return Position(int(number), branch)


class Scope(NamedTuple):
    """Where the running code stands. (Named tuples: made for every step, at a third of the cost.)"""

    cursor: Cursor
    step: StepStatus | None = None

    @property
    def execution(self) -> Execution:
        """The execution this code belongs to."""
        return self.cursor.execution

    @property
    def step_position(self) -> Position:
        """Where the running step stands; 0 outside of one."""
        return Position(0) if self.step is None else self.step.position

    def inside(self, step: StepStatus) -> "Scope":
        """Return the scope of a step's body."""
        return Scope(self.cursor, step)


current: ContextVar[Scope | None] = ContextVar("durable_scope", default=None)


def require_workflow(verb: str) -> Scope:
    """Return the scope, or raise: the verb needs a workflow."""
    scope = current.get()
    if scope is None:
        raise NotInWorkflowError(verb)
    return scope


def require_trunk(verb: str) -> Scope:
    """Return the scope, or raise: the verb needs a workflow, and no step around it."""
    scope = require_workflow(verb)
    if scope.step is not None:
        raise NotAllowedInStepError(f"{verb}()", scope.step.name)
    return scope


# What ``Set…`` blocks say about the runs started in them


@dataclass(slots=True)
class ChosenID:
    """The id for the first run started in a block."""

    workflow_id: str
    used: bool = False
    rejects_reuse: bool = False
    """Whether an id that exists already is an error, instead of the run to return."""


@dataclass(frozen=True, slots=True)
class ChosenTimeout:
    """The timeout of the runs started in a block; None detaches from the parent's deadline."""

    span: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueueOptions:
    """How the runs enqueued in a block are to stand in their queue; checked by who makes it."""

    priority: int | None = None
    deduplication_id: str | None = None
    joins_holder: bool = False
    """Whether the run that has the deduplication id is the one to return, instead of an error."""
    partition_key: str | None = None
    delay: timedelta | None = None
    app_version: str | None = None


class Acting:
    """On whose behalf the runs started in a block act; looked up once, when it is needed first."""

    __slots__ = ("_found", "_look_up")

    def __init__(self, look_up: Callable[[], Identity]) -> None:
        self._look_up = look_up
        self._found: Identity | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has been looked up."""
        return self._found is not None

    def identity(self) -> Identity:
        """Return whose it is, looking it up if need be."""
        if self._found is None:
            self._found = self._look_up()
        return self._found


@dataclass(frozen=True, kw_only=True, slots=True)
class Ambient:
    """All that the surrounding blocks say."""

    chosen_id: ChosenID | None = None
    timeout: ChosenTimeout | None = None
    attributes: dict[str, Any] | None = None
    enqueue: EnqueueOptions | None = None
    identity: Identity | Acting | None = None


NOTHING = Ambient()

ambient: ContextVar[Ambient] = ContextVar("durable_ambient", default=NOTHING)


@contextlib.contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Run code in a scope, hiding from it what the blocks around its start said."""
    scope_token, ambient_token = current.set(scope), ambient.set(NOTHING)
    try:
        yield
    finally:
        current.reset(scope_token)
        ambient.reset(ambient_token)
