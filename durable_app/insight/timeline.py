"""A run as a timeline: a row a step, with what it waited for, retried and started.

Pure: rows go in, places between 0 and 1 come out. The admin draws them, the REST API serves them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from durable_app.insight.scale import Scale

MOST_ROWS = 200

WAITS = frozenset(
    {"durable.sleep", "durable.recv", "durable.getEvent", "durable.getResult", "durable.waitFirst"}
)
TIMED = frozenset({"durable.recv", "durable.getEvent"})
"""Operations whose next position records only the deadline of their wait."""

RETRY = "durable.retry"
"""A failed try, which stands below its step's position, with the pause after it."""


class RunRow(Protocol):
    """What the timeline needs to know of a run."""

    workflow_id: str
    name: str
    status: str
    waiting_for: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
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
class Segment:
    """A piece of a row's bar. ``start`` and ``width`` are shares of the line."""

    kind: str
    """"queued", "running", "waiting", "done", "failed" or "copied"."""
    start: float
    width: float
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of the timeline, and of the equal table."""

    step_id: str
    label: str
    depth: int
    state: str
    """"done", "failed", "running", "waiting", "copied" or "queued"."""
    started_at: datetime | None
    finished_at: datetime | None
    tries: int = 1
    child_workflow_id: str = ""
    segments: tuple[Segment, ...] = ()

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None while it goes on."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """All rows of a run, and its line."""

    rows: tuple[Row, ...]
    start: datetime
    end: datetime
    now: float | None
    """Where the present is drawn; None for a run that has ended."""
    squeezed: tuple[float, float] | None
    """Where a long idle stretch is drawn short."""
    failures: int
    """How many steps ended in an error."""
    hidden: int
    """How many steps are left out because there are too many."""
    ticks: tuple[tuple[float, str], ...] = field(default=())
    """Places and labels of the axis, in time since the start."""


def timeline(
    run: RunRow, steps: Sequence[StepRow], children: dict[str, RunRow], now: datetime, most: int = MOST_ROWS
) -> Timeline:
    """Draw a run; ``children`` are the runs its steps started, by id."""
    end = run.finished_at or now
    shown = list(steps)[:most]
    busy = [(step.started_at, min(step.finished_at, end)) for step in steps if step.name not in WAITS]
    scale = Scale.over(run.created_at, end, busy)
    rows = [_run_row(run, scale, end)]
    backoffs = _backoffs(steps)
    timers = _timers(steps)
    reached = run.started_at or run.created_at
    for step in shown:
        if step.name == RETRY or (step.position, step.branch) in timers:
            continue
        # What parked is recorded with the start of its last look; it waited since what came before it.
        since = min(step.started_at, reached) if step.name in WAITS and not step.branch else step.started_at
        rows.append(_step_row(step, since, scale, end, backoffs[step.position, step.branch]))
        reached = max(reached, step.finished_at)
        child = children.get(step.child_workflow_id or "")
        if child is not None and step.name not in WAITS:
            rows.append(_child_row(child, scale, now))
    if run.finished_at is None:
        rows.append(_current_row(run, steps, scale, now))
    return Timeline(
        rows=tuple(rows),
        start=run.created_at,
        end=end,
        now=None if run.finished_at is not None else scale.at(now),
        squeezed=None if scale.idle is None else (scale.at(scale.idle[0]), scale.at(scale.idle[1])),
        failures=sum(step.error is not None and step.name != RETRY for step in steps),
        hidden=len(steps) - len(shown),
        ticks=_ticks(scale),
    )


def _backoffs(steps: Iterable[StepRow]) -> defaultdict[tuple[int, str], list[StepRow]]:
    """Return the failed tries of each step that has recorded any, by its place."""
    found: defaultdict[tuple[int, str], list[StepRow]] = defaultdict(list)
    for step in steps:
        if step.name == RETRY:
            found[step.position, _above(step.branch)].append(step)
    return found


def _timers(steps: Sequence[StepRow]) -> set[tuple[int, str]]:
    """Return the places that record only until when another operation was to wait."""
    timed = {(step.position + 1, step.branch) for step in steps if step.name in TIMED}
    return {
        (step.position, step.branch)
        for step in steps
        if step.name == "durable.sleep" and ((step.position, step.branch) in timed or _is_below(step.branch))
    }


def _is_below(branch: str) -> bool:
    """Whether a place belongs to another operation: it stands in that one's branch 0, which no gather has."""
    return branch.split(".")[-2:-1] == ["0"]


def _above(branch: str) -> str:
    """Return the branch of the operation that a place belongs to."""
    return ".".join(branch.split(".")[:-2])


def _segment(scale: Scale, kind: str, start: datetime, end: datetime, title: str) -> Segment:
    left = scale.at(start)
    return Segment(kind=kind, start=left, width=max(0.0, scale.at(end) - left), title=title)


def _run_row(run: RunRow, scale: Scale, end: datetime) -> Row:
    began = run.started_at or end
    segments = [
        _segment(scale, "queued", run.created_at, began, f"queued for {short(began - run.created_at)}")
    ]
    state = _state(run)
    if run.started_at is not None:
        kind = {"done": "done", "failed": "failed"}.get(state, "running")
        segments.append(_segment(scale, kind, began, end, f"{run.status}, {short(end - began)}"))
    return Row(
        step_id="",
        label=run.name,
        depth=0,
        state=state,
        started_at=run.started_at,
        finished_at=run.finished_at,
        segments=tuple(segments),
    )


def _state(run: RunRow) -> str:
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


def _step_row(
    step: StepRow, since: datetime, scale: Scale, end: datetime, backoffs: Iterable[StepRow]
) -> Row:
    finished = min(step.finished_at, end)
    is_copied = finished < scale.start
    state = "copied" if is_copied else "failed" if step.error is not None else "done"
    kind = "waiting" if step.name in WAITS and state == "done" else state
    title = f"{step.name}: {short(finished - since)}"
    if step.tries > 1:
        title += f", {step.tries} tries"
    segments = [_segment(scale, kind, since, finished, title)]
    for pause in backoffs:
        segments.append(
            _segment(scale, "waiting", pause.started_at, min(pause.finished_at, finished), "back-off")
        )
    return Row(
        step_id=f"{step.position}.{step.branch}" if step.branch else str(step.position),
        label=step.name,
        depth=1 + (step.branch.count(".") + 1) // 2,
        state=state,
        started_at=since,
        finished_at=finished,
        tries=step.tries,
        child_workflow_id=step.child_workflow_id or "",
        segments=tuple(segments),
    )


def _child_row(child: RunRow, scale: Scale, now: datetime) -> Row:
    row = _run_row(child, scale, child.finished_at or now)
    return Row(
        step_id="",
        label=f"↳ {child.name}",
        depth=2,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        child_workflow_id=child.workflow_id,
        segments=row.segments,
    )


def _current_row(run: RunRow, steps: Sequence[StepRow], scale: Scale, now: datetime) -> Row:
    """Return what the run does at this moment, which no step has recorded yet."""
    last = max((min(step.finished_at, now) for step in steps), default=run.started_at or run.created_at)
    since = max(last, run.started_at or run.created_at)
    state = _state(run)
    label = {"running": "running", "waiting": run.waiting_for or "waiting"}.get(state, "in the queue")
    return Row(
        step_id="",
        label=label,
        depth=1,
        state=state,
        started_at=since,
        finished_at=None,
        segments=(_segment(scale, state, since, now, f"{label} for {short(now - since)}"),),
    )


def _ticks(scale: Scale) -> tuple[tuple[float, str], ...]:
    span = scale.end - scale.start
    times = [scale.start + span * part / 4 for part in range(5)]
    if scale.idle is not None:
        times = [scale.start, *scale.idle, scale.end]
    return tuple((scale.at(time), short(time - scale.start)) for time in times)


def short(span: timedelta) -> str:
    """Return a span for people: "850 ms", "47.0 s", "3 m 12 s", "2 h 5 m", "4 d 3 h"."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
