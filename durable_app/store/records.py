"""What crosses the store's door: frozen values, no rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, NamedTuple

FINISHED = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})


class Position(NamedTuple):
    """Where in its run an operation stands.

    ``number`` counts the run's operations from 1; inside a parallel branch it is the number of the
    ``gather`` and ``branch`` the path below it.
    """

    number: int
    branch: str = ""

    def below(self, count: int) -> "Position":
        """Return a place for what belongs to the operation here: the branch "0", which no ``gather`` uses."""
        return Position(self.number, f"{self.branch}.0.{count}" if self.branch else f"0.{count}")

    @property
    def step_id(self) -> int | str:
        """The position as people see it: 3, or "3.2.1" inside a branch."""
        return f"{self.number}.{self.branch}" if self.branch else self.number


class Verdict(Enum):
    """What became of a record."""

    WRITTEN = auto()
    AWAITED = auto()
    """An outcome or entry that a parked run waits for: it must be written together with the wake-up."""
    LOCKED = auto()
    """The run's row is locked elsewhere: to be tried again."""
    TAKEN = auto()
    """Another record stands at the position."""
    CANCELLED = auto()
    LOST = auto()
    """The run is not this execution's any more."""


class NewRun(NamedTuple):
    """A run to be created. Times are the clock's; texts are encoded already."""

    workflow_id: str
    name: str
    inputs: str
    status: str
    created_at: datetime
    class_name: str | None = None
    config_name: str | None = None
    parent_workflow_id: str | None = None
    forked_from: str | None = None
    schedule_name: str | None = None
    app_version: str | None = None
    attributes: str | None = None
    user: str | None = None
    roles: str | None = None
    assumed_role: str | None = None
    worker_id: str | None = None
    attempt: int = 0
    recovery_attempts: int = 0
    max_recovery_attempts: int | None = None
    queue_name: str | None = None
    priority: int = 0
    partition_key: str | None = None
    deduplication_id: str | None = None
    debounced_until: datetime | None = None
    serialization: str = "json"
    timeout: timedelta | None = None
    deadline_at: datetime | None = None
    run_after: datetime | None = None
    enqueued_at: datetime | None = None
    started_at: datetime | None = None


class Checkpoint(NamedTuple):
    """A step's outcome, to be recorded if the run is still this execution's."""

    run: int
    attempt: int
    position: Position
    name: str
    output: str | None
    started_at: datetime
    finished_at: datetime
    error: str | None = None
    child_workflow_id: str | None = None
    tries: int = 1
    serialization: str = "json"


class Entry(NamedTuple):
    """A value to be appended to a run's stream, if the run is still this execution's."""

    run: int
    attempt: int
    key: str
    value: str | None
    """Encoded already; None ends the stream."""
    position: Position
    at: datetime
    step: str | None = None
    """Name of the step that the write itself is, recorded together with it; None inside another step."""
    serialization: str = "json"
    heeds: bool = False
    """Whether the writer looks for parked readers: without that, an awaited run's entry is refused."""


class Outcome(NamedTuple):
    """A run's end, to be recorded if the run is still this execution's."""

    run: int
    attempt: int
    status: str
    output: str | None
    error: str | None
    at: datetime


Record = NewRun | Checkpoint | Entry | Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """The answer to a NewRun: its row, or None where the id is taken."""

    run: int | None


class Reuse(NamedTuple):
    """What a start does about a run that is there already."""

    rejects_id: bool = False
    """Whether a run of this id is an error, instead of the one to return."""
    joins_holder: bool = False
    """Whether the run that holds the deduplication id is the one to return, instead of an error."""


class Started(NamedTuple):
    """A run that a start made, or found: then there is no row of its own."""

    workflow_id: str
    run: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A step as its run recorded it earlier."""

    name: str
    output: str | None
    error: str | None
    child_workflow_id: str | None
    finished_at: datetime | None = None
    serialization: str = "json"
    place: tuple[object, ...] = ()
    """Where it stands, for the formats that look at it."""


class Payload(NamedTuple):
    """A value's text, and the format it is in."""

    text: str | None
    serialization: str = "json"


class Parcel(NamedTuple):
    """A message on its way; its text is encoded already."""

    destination: str
    topic: str
    text: str
    idempotency_key: str | None = None
    serialization: str = "json"


History = dict[tuple[int, str], Recorded]


class Claimed(NamedTuple):
    """A run that a worker may execute now, under one attempt."""

    run: int
    workflow_id: str
    name: str
    attempt: int
    inputs: str
    serialization: str
    class_name: str | None
    config_name: str | None
    deadline_at: datetime | None
    user: str | None
    roles: Any
    assumed_role: str | None

    @property
    def has_history(self) -> bool:
        """Whether earlier attempts may have recorded steps."""
        return self.attempt > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The state of a run as one who waits for it sees it."""

    workflow_id: str
    status: str
    output: str | None
    error: str | None
    serialization: str = "json"

    @property
    def is_final(self) -> bool:
        """Whether the run has reached a terminal state."""
        return self.status in FINISHED
