"""A run as a timeline: a row a step, with what it waited for, retried and started.

Pure: rows go in, places between 0 and 1 come out. The admin draws them, the REST API serves them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from durable_app.insight.history import RETRY, WAITS, History, Present, RunRow, StepRow, place_of, state_of
from durable_app.insight.scale import Scale, apart

MOST_ROWS = 200


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
    history = History(run, steps, now)
    end, present = history.end, history.present
    scale = Scale.over(run.created_at, end, _busy(history, present))
    shown = list(steps)[:most]
    rows: list[Row] = []
    reached = history.began_at or run.created_at
    for step in shown:
        if step.name == RETRY or place_of(step) in history.deadlines:
            continue
        # What parked is recorded with the start of its last look; it waited since what came before it.
        since = min(step.started_at, reached) if step.name in WAITS and not step.branch else step.started_at
        rows.append(_step_row(step, since, scale, history))
        reached = max(reached, step.finished_at)
        child = children.get(step.child_workflow_id or "")
        if child is not None and step.name not in WAITS:
            rows.append(_child_row(child, scale, now))
    if present is not None:
        rows.append(_present_row(present, scale, history))
    return Timeline(
        rows=(_trunk_row(history, rows, scale), *rows),
        start=run.created_at,
        end=end,
        now=None if run.finished_at is not None else scale.at(now),
        squeezed=None if scale.idle is None else (scale.at(scale.idle[0]), scale.at(scale.idle[1])),
        failures=sum(step.error is not None and step.name != RETRY for step in steps),
        hidden=len(steps) - len(shown),
        ticks=_ticks(scale),
    )


def _busy(history: History, present: Present | None) -> list[tuple[datetime, datetime]]:
    """Return the stretches that must not be drawn short."""
    busy = [
        (step.started_at, min(step.finished_at, history.end))
        for step in history.steps
        if step.name not in WAITS
    ]
    is_executing = present is not None and present.state == "running"
    return [*busy, (present.since, history.end)] if present is not None and is_executing else busy


def _segment(scale: Scale, kind: str, start: datetime, end: datetime, title: str) -> Segment:
    left = scale.at(start)
    return Segment(kind=kind, start=left, width=max(0.0, scale.at(end) - left), title=title)


Hole = tuple[datetime, datetime, str]
"""A stretch in which a run does not execute, and what it does instead."""


def _run_row(run: RunRow, began: datetime | None, end: datetime, scale: Scale, holes: Iterable[Hole]) -> Row:
    until = began or end
    waited = max(until - run.created_at, timedelta(0))
    segments = [_segment(scale, "queued", run.created_at, until, f"queued for {short(waited)}")]
    state = state_of(run)
    if began is not None:
        usual = state if state in ("done", "failed") else "running"
        for kind, start, stop in _pieces(usual, began, end, holes):
            title = (
                f"{run.status}, {short(end - began)}"
                if kind == usual
                else f"{kind} for {short(stop - start)}"
            )
            segments.append(_segment(scale, kind, start, stop, title))
    return Row(
        step_id="",
        label=run.name,
        depth=0,
        state=state,
        started_at=began,
        finished_at=run.finished_at,
        segments=tuple(segments),
    )


def _pieces(
    usual: str, start: datetime, end: datetime, holes: Iterable[Hole]
) -> list[tuple[str, datetime, datetime]]:
    """Return a stretch of time cut at its holes; empty pieces are left out."""
    found = []
    for began, ended, kind in sorted(holes):
        began, ended = max(began, start), min(ended, end)
        if began < ended:
            found += [(usual, start, began), (kind, began, ended)]
            start = ended
    return [piece for piece in (*found, (usual, start, end)) if piece[1] < piece[2]]


def _trunk_row(history: History, rows: Sequence[Row], scale: Scale) -> Row:
    """Return the run's own row; where its trunk waits, the run waits."""
    trunk = [row for row in rows if row.depth == 1 and row.state != "copied"]
    holes = [
        (row.started_at, row.finished_at or history.end, one.kind)
        for row in trunk
        for one in row.segments[:1]
        if one.kind in ("waiting", "queued") and row.started_at is not None
    ]
    return _run_row(history.run, history.began_at, history.end, scale, holes)


def _step_row(step: StepRow, since: datetime, scale: Scale, history: History) -> Row:
    finished = min(step.finished_at, history.end)
    is_copied, is_asleep = finished < scale.start, history.is_asleep(step)
    state = "copied" if is_copied else "failed" if step.error is not None else "done"
    state = "waiting" if is_asleep else state
    kind = "waiting" if step.name in WAITS and state == "done" else state
    title = f"{step.name}: {short(finished - since)}"
    if step.tries > 1:
        title += f", {step.tries} tries"
    segments = [_segment(scale, kind, since, finished, title)]
    for pause in history.backoffs[place_of(step)]:
        stop = min(pause.finished_at, finished)
        segments.append(_segment(scale, "waiting", pause.started_at, stop, "back-off"))
    return Row(
        step_id=f"{step.position}.{step.branch}" if step.branch else str(step.position),
        label=step.name,
        depth=1 + (step.branch.count(".") + 1) // 2,
        state=state,
        started_at=since,
        finished_at=None if is_asleep and history.run.finished_at is None else finished,
        tries=step.tries,
        child_workflow_id=step.child_workflow_id or "",
        segments=tuple(segments),
    )


def _child_row(child: RunRow, scale: Scale, now: datetime) -> Row:
    end = child.finished_at or now
    holes = [(child.updated_at, end, "waiting")] if child.status == "WAITING" else []
    row = _run_row(child, child.started_at, end, scale, holes)
    return replace(row, label=f"↳ {child.name}", depth=2, child_workflow_id=child.workflow_id)


def _present_row(present: Present, scale: Scale, history: History) -> Row:
    """Return what the run does at this moment, or did when it was ended from outside."""
    end, finished = history.end, history.run.finished_at
    title = f"{present.label} for {short(end - present.since)}"
    return Row(
        step_id="",
        label=present.label,
        depth=1,
        state=present.state,
        started_at=present.since,
        finished_at=finished,
        segments=(_segment(scale, present.state, present.since, end, title),),
    )


def _ticks(scale: Scale) -> tuple[tuple[float, str], ...]:
    span = scale.end - scale.start
    times = [scale.start + span * part / 4 for part in range(5)]
    if scale.idle is not None:
        began, ended = scale.idle
        before, after = scale.start + (began - scale.start) / 2, ended + (scale.end - ended) / 2
        times = [scale.start, before, began, ended, after, scale.end]
    return apart([(scale.at(time), short(time - scale.start)) for time in times])


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
