"""Schedules: defining, pausing, and starting their runs by hand. What code declares, only code changes."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import ReasonBody
from durable_app.api.etags import require_match
from durable_app.api.idempotency import idempotent
from durable_app.api.pagination import Paging
from durable_app.api.permissions import Need
from durable_app.api.problems import Problem, invalid, settled
from durable_app.api.runs.showing import path_of
from durable_app.api.schedule_shapes import (
    BackfillBody,
    BackfillSerializer,
    ChangeBody,
    ScheduleBody,
    ScheduleQuery,
    ScheduleSerializer,
    TickSerializer,
    TriggeredSerializer,
    changed,
    definition,
    shown,
    tag,
)
from durable_app.api.schema import documented, paged
from durable_app.api.throttling import START
from durable_app.control import schedules as verbs
from durable_app.control.actors import Actor
from durable_app.identifiers import is_storable
from durable_app.keyset import Order
from durable_app.models import Schedule as Row
from durable_app.store import database, firings
from durable_app.store.schedules import recurrence_of

SEE = Need(permission="view_schedule")

BY_NAME = Order(fields=("name",))

MOST_TICKS = 1_000
"""Ticks of one backfill: to find many more takes longer than a request may."""

LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)

_CREATING = ("not-exposed", "schedule-exists", "queue-not-found")
_MOVING = ("schedule-not-found", "invalid-transition")
_CHANGING = (*_MOVING, "not-exposed", "queue-not-found", "precondition-failed")


def _need(permission: str, verb: str) -> Need:
    return Need(permission=permission, verb=verb, kind=verbs.KIND)


class Schedules(DurableView):
    """All schedules."""

    needs = {"GET": SEE, "POST": _need("add_schedule", "create")}
    queries = {"GET": ScheduleQuery}
    bodies = {"POST": ScheduleBody}

    @documented("schedules_list", answers={200: paged(ScheduleSerializer)})
    def get(self, request: Request) -> Response:
        """List the schedules by name."""
        rows = _rows()
        columns = {"status": "status", "workflow": "workflow_name", "name_prefix": "name__startswith"}
        wanted = {column: self.query[name] for name, column in columns.items() if name in self.query}
        may_see = self.actor.may("view_payload")
        page = Paging.asked("schedules", self.query, BY_NAME).page(rows.filter(**wanted))
        return page.response(request, lambda row: shown(row, may_see=may_see))

    @documented("schedules_create", answers={201: ScheduleSerializer}, problems=_CREATING)
    def post(self, request: Request) -> Response:
        """Make a schedule of a workflow that can be started through the API."""
        given = dict(self.body)
        name, reason, enabled = given.pop("name"), given.pop("reason"), given.pop("enabled", None)
        wanted = definition(name, given)
        settled(verbs.save(self.operator(reason), wanted, is_new=True, is_enabled=enabled))
        answer = _answer(_rows().get(name=name), self.actor, 201)
        answer.headers["Location"] = f"{request.path}/{quote(name, safe='')}"
        return answer


class Scheduled(DurableView):
    """An endpoint of one schedule."""

    def row(self) -> Row:
        """Return the schedule's row; raises Problem."""
        name = self.kwargs["name"]
        found: Row | None = _rows().filter(name=name).first() if is_storable(name) else None
        if found is None:
            raise Problem("schedule-not-found", f"There is no schedule {name!r}.")
        return found

    def answer(self, status: int = 200) -> Response:
        """Return the schedule as it is now."""
        return _answer(self.row(), self.actor, status)


class Schedule(Scheduled):
    """One schedule."""

    needs = {
        "GET": SEE,
        "PATCH": _need("change_schedule", "change"),
        "DELETE": _need("delete_schedule", "delete"),
    }
    bodies = {"PATCH": ChangeBody}

    @documented("schedules_get", answers={200: ScheduleSerializer}, problems=["schedule-not-found"])
    def get(self, request: Request, name: str) -> Response:
        """Return a schedule; its ``ETag`` is that of its definition and status."""
        return self.answer()

    @documented("schedules_update", answers={200: ScheduleSerializer}, problems=_CHANGING)
    def patch(self, request: Request, name: str) -> Response:
        """Change what is given; the rest stays.

        The rhythm starts anew if ``cron`` or ``timezone`` changes.
        """
        given = dict(self.body)
        reason, enabled = given.pop("reason"), given.pop("enabled", None)
        if not given and enabled is None:
            raise invalid("", "There is nothing to change.")
        wanted = changed(self.row(), given)

        def expect(row: Row) -> None:
            require_match(request, tag(row))

        operator = self.operator(reason)
        settled(verbs.save(operator, wanted, is_new=False, is_enabled=enabled, expect=expect))
        return self.answer()

    @documented("schedules_delete", answers={204: None}, problems=_MOVING)
    def delete(self, request: Request, name: str) -> Response:
        """Delete a schedule; its runs stay."""
        settled(verbs.delete(self.operator(), self.row().name))
        return Response(status=204)


class PauseSchedule(Scheduled):
    """A schedule's break."""

    needs = {"POST": _need("pause_schedule", "pause")}
    bodies = {"POST": ReasonBody}

    @documented("schedules_pause", answers={200: ScheduleSerializer}, problems=_MOVING)
    def post(self, request: Request, name: str) -> Response:
        """Let a schedule fire no more."""
        settled(verbs.pause(self.operator(self.body["reason"]), self.row().name))
        return self.answer()


class ResumeSchedule(Scheduled):
    """The end of a schedule's break."""

    needs = {"POST": _need("pause_schedule", "resume")}
    bodies = {"POST": ReasonBody}

    @documented("schedules_resume", answers={200: ScheduleSerializer}, problems=_MOVING)
    def post(self, request: Request, name: str) -> Response:
        """Let a schedule fire again; its ``catch_up`` says what becomes of the ticks in between."""
        settled(verbs.resume(self.operator(self.body["reason"]), self.row().name))
        return self.answer()


class Trigger(Scheduled):
    """A run by hand."""

    needs = {"POST": _need("trigger_schedule", "trigger")}
    bodies = {"POST": ReasonBody}
    throttled_as = {"POST": START}

    @documented("schedules_trigger", answers={201: TriggeredSerializer}, problems=_MOVING)
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """Start a run of a schedule now, paused or not, also of a workflow that is not open to the API."""
        done = settled(verbs.trigger(self.operator(self.body["reason"]), self.row().name))
        return Response({"workflow_id": done.made}, 201, headers={"Location": path_of(request, done.made)})


class Backfill(Scheduled):
    """Runs of ticks of the past."""

    needs = {"POST": _need("backfill_schedule", "backfill")}
    bodies = {"POST": BackfillBody}
    throttled_as = {"POST": START}

    @documented(
        "schedules_backfill", answers={200: BackfillSerializer, 202: BackfillSerializer}, problems=_MOVING
    )
    def post(self, request: Request, name: str) -> Response:
        """Start the runs of past ticks that have none; a dry run only tells which ticks there are."""
        row, start, end = self.row(), self.body["start"], min(self.body["end"], LATEST)
        if self.body["dry_run"]:
            return Response(_rehearsed(row, start, end))
        _refuse_many(row, start, end)
        done = settled(verbs.backfill(self.operator(self.body["reason"]), row.name, start, end))
        return Response({"count": int(done.made), "ticks": [], "is_capped": False}, 202)


def _refuse_many(row: Row, start: datetime, end: datetime) -> None:
    if len(_ticks(row, start, end)) > MOST_TICKS:
        raise invalid("/end", f"There are more than {MOST_TICKS} ticks: backfill a shorter span.")


def _ticks(row: Row, start: datetime, end: datetime) -> list[datetime]:
    """Return the ticks of a span, one more than a backfill may have at most."""
    return list(islice(recurrence_of(row).between(start, end), MOST_TICKS + 1))


def _rehearsed(row: Row, start: datetime, end: datetime) -> dict[str, Any]:
    ticks = _ticks(row, start, end)
    past = firings.past_ticks(row.name, recurrence_of(row), ticks[:MOST_TICKS])
    is_capped = len(ticks) > MOST_TICKS
    return {"count": len(past), "ticks": TickSerializer(past, many=True).data, "is_capped": is_capped}


def _answer(row: Row, actor: Actor, status: int = 200) -> Response:
    # It tells of the definition alone; the answer is not stored, so nobody takes the ticks for unchanged.
    return Response(shown(row, may_see=actor.may("view_payload")), status, headers={"ETag": tag(row)})


def _rows() -> Any:
    return Row.objects.using(database.alias())


urlpatterns = [
    path("schedules", Schedules.as_view(), name="schedules"),
    path("schedules/<str:name>", Schedule.as_view(), name="schedule"),
    path("schedules/<str:name>/pause", PauseSchedule.as_view(), name="schedule-pause"),
    path("schedules/<str:name>/resume", ResumeSchedule.as_view(), name="schedule-resume"),
    path("schedules/<str:name>/trigger", Trigger.as_view(), name="schedule-trigger"),
    path("schedules/<str:name>/backfill", Backfill.as_view(), name="schedule-backfill"),
]
