"""What a run's records say of its waits: which of them belong to another operation, and what goes on now.

A wait is recorded when it is over; until then there is at most its deadline, which stands behind it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

SLEEP = "durable.sleep"

WAITS = frozenset({SLEEP, "durable.recv", "durable.getEvent", "durable.getResult", "durable.waitFirst"})

TIMED = frozenset({"durable.recv", "durable.getEvent"})
"""Operations whose next position records only the deadline of their wait."""

RETRY = "durable.retry"
"""A failed try, which stands below its step's position, with the pause after it."""

Place = tuple[int, str]
"""A step's position and branch."""


class RunRow(Protocol):
    """What the timeline needs to know of a run."""

    workflow_id: str
    name: str
    status: str
    waiting_for: str
    created_at: datetime
    enqueued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    forked_from: str | None


class StepRow(Protocol):
    """What the timeline needs to know of a recorded step."""

    position: int
    branch: str
    name: str
    error: str | None
    child_workflow_id: str | None
    started_at: datetime
    finished_at: datetime
    tries: int
    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """What a run does that no step has recorded, or did when it was ended from outside."""

    label: str
    state: str
    since: datetime


def state_of(run: RunRow) -> str:
    """Return a run's status as a timeline calls it."""
    match run.status:
        case "SUCCESS":
            return "done"
        case "ENQUEUED" | "DELAYED":
            return "queued"
        case "PENDING":
            return "running"
        case "WAITING":
            return "waiting"
        case _:
            return "failed"


class History:
    """A run with its steps, or a page of them."""

    def __init__(self, run: RunRow, steps: Sequence[StepRow], now: datetime) -> None:
        self.run, self.steps = run, steps
        self.end = run.finished_at or now
        self._places = {place_of(step) for step in steps if step.name != RETRY}
        self._positions = {step.position for step in steps}
        self.backoffs = self._backoffs()
        self.overtaken = self._overtaken()
        self.deadlines = self._deadlines()

    @property
    def began_at(self) -> datetime | None:
        """When it first executed; where a cancellation has taken the time away, its first own step tells."""
        own = [step.started_at for step in self.steps if step.finished_at >= self.run.created_at]
        if self.run.started_at is not None or not own:
            return self.run.started_at
        return max(min(own), self.run.created_at)

    @property
    def present(self) -> Present | None:
        """What it does now; None if a step of its own says so, or if it has ended for good."""
        run, state = self.run, state_of(self.run)
        if state == "queued":
            label = "delayed" if run.status == "DELAYED" else "in the queue"
            return Present(label=label, state=state, since=run.enqueued_at or run.created_at)
        if self.overtaken:
            since = min(step.started_at for step in self.overtaken)
            return Present(label=run.waiting_for or "waiting", state="waiting", since=since)
        if run.finished_at is not None or any(map(self.is_asleep, self.steps)):
            return None
        label = run.waiting_for or state
        return self._trying(state) or Present(label=label, state=state, since=self._reached())

    def is_asleep(self, step: StepRow) -> bool:
        """Return whether a step is a sleep that is not over, or was not when the run ended."""
        return step.name == SLEEP and step.finished_at > self.end and place_of(step) not in self.deadlines

    def _backoffs(self) -> defaultdict[Place, list[StepRow]]:
        """Return the failed tries of each step that has recorded any, by its place."""
        found: defaultdict[Place, list[StepRow]] = defaultdict(list)
        for step in self.steps:
            if step.name == RETRY:
                found[step.position, _above(step.branch)].append(step)
        return found

    def _overtaken(self) -> list[StepRow]:
        """Return the deadlines of waits that are not recorded: those that go on, or went on at the end."""
        if self.run.finished_at is not None and self.run.status != "CANCELLED":
            return []
        return [step for step in self.steps if step.name == SLEEP and self._stands_alone(step)]

    def _stands_alone(self, step: StepRow) -> bool:
        """Return whether neither what a deadline belongs to is recorded, nor anything after it."""
        number, branch = place_of(step)
        if _is_below(branch):
            return (number, _above(branch)) not in self._places
        if branch:
            around = {(number, _moved(branch, -1)), (number, _moved(branch, 1))}
            return not branch.endswith(".1") and not around & self._places
        if number - 1 not in self._positions and number == min(self._positions) > 2:  # a page may begin here
            return self.run.waiting_for not in ("", "sleep")
        return number > 1 and not {number - 1, number + 1} & self._positions

    def _deadlines(self) -> set[Place]:
        """Return the places that record only until when another operation is, or was, to wait."""
        behind = {_behind(step) for step in self.steps if step.name in TIMED}
        sleeps = {place_of(step) for step in self.steps if step.name == SLEEP}
        return {place_of(step) for step in self.overtaken} | {
            place for place in sleeps if place in behind or _is_below(place[1])
        }

    def _trying(self, state: str) -> Present | None:
        """Return the step whose tries have failed so far; None if there is none."""
        for place, failures in self.backoffs.items():
            if place not in self._places:
                label, since = f"try {len(failures) + 1} of a step", failures[-1].started_at
                return Present(label=label, state=state, since=since)
        return None

    def _reached(self) -> datetime:
        """Return when the last recorded step was over; a deadline is none."""
        ends = [step.finished_at for step in self.steps if place_of(step) not in self.deadlines]
        return min(self.end, max([self.run.started_at or self.run.created_at, *ends]))


def place_of(step: StepRow) -> Place:
    """Return where a step stands."""
    return step.position, step.branch


def _behind(step: StepRow) -> Place:
    """Return the place after a step's."""
    return (step.position, _moved(step.branch, 1)) if step.branch else (step.position + 1, "")


def _moved(branch: str, count: int) -> str:
    """Return the branch of an operation so many further on."""
    head, dot, number = branch.rpartition(".")
    return f"{head}{dot}{int(number) + count}"


def _is_below(branch: str) -> bool:
    """Whether a place belongs to another operation: it stands in that one's branch 0, which no gather has."""
    return branch.split(".")[-2:-1] == ["0"]


def _above(branch: str) -> str:
    """Return the branch of the operation that a place belongs to."""
    return ".".join(branch.split(".")[:-2])
