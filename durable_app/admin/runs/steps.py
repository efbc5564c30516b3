"""A run's steps as its page shows them: a page of them drawn as a timeline, and one of them by itself."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import Case, F, Max, Value, When
from django.db.models.functions import Length
from django.http import Http404

from durable_app import clock
from durable_app.admin.keyset import WrongLink
from durable_app.admin.runs.drawing import Drawing, Line, drawn
from durable_app.control.actors import Actor, policy
from durable_app.identifiers import is_storable
from durable_app.insight.payloads import Payload, payload
from durable_app.insight.timeline import Row, timeline
from durable_app.models import Step, Workflow
from durable_app.store import database

MOST = 100
"""Steps of a page, which stays below 150 KiB with them."""

INLINE = 300
"""Characters of an output that stands in the table; a longer one has a page of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A row of the table beside the drawing."""

    line: Line
    result: Payload | None
    """A short output."""
    is_long: bool
    """Whether there is an outcome that is shown by itself."""
    child: Any
    """The run that the step started, if the viewer may know of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPage:
    """Some of a run's steps, drawn."""

    drawing: Drawing
    entries: tuple[Entry, ...]
    first: int
    """The lowest position on this page."""
    last: int
    """The run's highest position."""
    shown_to: int
    """The highest position on this page."""

    @property
    def failed(self) -> Row | None:
        """The last step on this page that failed."""
        rows = [line.row for line in self.drawing.lines if line.row.step_id and line.row.state == "failed"]
        return rows[-1] if rows else None

    @property
    def has_earlier(self) -> bool:
        """Whether there are steps before this page."""
        return self.first > 1

    @property
    def earlier(self) -> int:
        """Where the page before this one begins."""
        return max(1, self.first - MOST)

    @property
    def later(self) -> int:
        """Where the page after this one begins."""
        return self.shown_to + 1

    @property
    def has_later(self) -> bool:
        """Whether there are steps after this page."""
        return self.shown_to < self.last


def step_page(run: Any, actor: Actor, first: str | None, page_url: str = "") -> StepPage:
    """Return a page of a run's steps, the last one unless ``first`` says otherwise.

    ``page_url`` is where the steps' own rows are; empty: on the same page.
    """
    steps = _steps(run)
    last = steps.aggregate(last=Max("position"))["last"] or 0
    begin = _first(first, last)
    page = _page(steps, begin)
    shown_to = page[-1].position if page else last
    family = _children(page, actor)
    drawing = drawn(timeline(run, page, family, clock.now(), len(page)), partial(_anchor, page_url))
    entries = _entries(drawing, page, family, may_see=actor.may("view_payload", run))
    return StepPage(drawing=drawing, entries=entries, first=begin, last=last, shown_to=shown_to)


def _entries(
    drawing: Drawing, page: list[Any], family: dict[str, Any], *, may_see: bool
) -> tuple[Entry, ...]:
    steps = {_id(step): step for step in page}

    def entry(line: Line) -> Entry:
        step = steps.get(line.row.step_id)
        short = None if step is None else step.short_output
        return Entry(
            line=line,
            result=None
            if step is None or short is None
            else payload(short, step.serialization, may_see=may_see),
            is_long=step is not None
            and (step.error is not None or (short is None and step.size is not None)),
            child=family.get(line.row.child_workflow_id),
        )

    return tuple(map(entry, drawing.lines))


def _anchor(page_url: str, row: Row) -> str:
    return f"{page_url}#step-{row.step_id}" if row.step_id else ""


def _steps(run: Any) -> Any:
    return Step.objects.using(database.alias()).filter(workflow_id=run.pk).order_by()


def _first(given: str | None, last: int) -> int:
    if given is None:
        return max(1, last - MOST + 1)
    if not given.isdecimal() or len(given) > 9:
        raise WrongLink("There is no such step.")
    return max(1, int(given))


def _page(steps: Any, first: int) -> list[Any]:
    """Return the steps from a position on, in order; positions are whole, with all their branches."""
    short = Case(When(size__lte=INLINE, then=F("output")), default=Value(None))
    failed = Case(When(error__isnull=False, then=Value("")), default=Value(None))
    rows = list(
        steps.filter(position__gte=first)
        .annotate(size=Length("output"))
        .annotate(short_output=short, failure=failed)
        .defer("output", "error")
        .order_by("position")[: MOST + 1]
    )
    if len(rows) > MOST and rows[-1].position > rows[0].position:
        rows = [row for row in rows if row.position < rows[-1].position]
    rows.sort(key=_place)
    for row in rows:
        row.error = row.failure  # the timeline asks whether there is one, not which
    return rows


def _place(step: Any) -> tuple[int, tuple[int, ...]]:
    return step.position, tuple(int(part) for part in step.branch.split(".")) if step.branch else ()


def _id(step: Any) -> str:
    return f"{step.position}.{step.branch}" if step.branch else str(step.position)


def _children(steps: list[Any], actor: Actor) -> dict[str, Any]:
    """Return the runs that these steps started, as far as the actor may know of them."""
    ids = {step.child_workflow_id for step in steps if step.child_workflow_id}
    if not ids:
        return {}
    rows = Workflow.objects.using(database.alias()).without_payloads().filter(workflow_id__in=ids)
    return {row.workflow_id: row for row in policy().visible(actor, rows)}


def one_step(run: Any, step_id: str) -> Any:
    """Return a step's row with its payloads, or raise Http404."""
    number, _dot, branch = step_id.partition(".")
    if not number.isdecimal() or len(number) > 9 or not is_storable(branch):
        raise Http404
    found = _steps(run).filter(position=int(number), branch=branch).first()
    if found is None:
        raise Http404
    return found
