"""What belongs to a run: steps, events, messages, children, attempts, and all of it on a timeline."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models import Count, Max, Min
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app import clock
from durable_app.api.base import RunView
from durable_app.api.bodies import Moment, PageQuery
from durable_app.api.pagination import Paging
from durable_app.api.permissions import VIEW
from durable_app.api.runs.showing import (
    FailureSerializer,
    LinkedRunSerializer,
    PayloadSerializer,
    Shown,
    failure,
    payload,
    shower,
)
from durable_app.api.schema import documented, paged
from durable_app.insight.relatives import conceal
from durable_app.insight.timeline import MOST_ROWS, timeline
from durable_app.keyset import Order
from durable_app.models import Event, Message, Step, Workflow
from durable_app.store import database, workers

FIRST = 100
"""Steps and events that come along with a run."""


def including(choices: Iterable[str]) -> serializers.ListField:
    """Return the field that says what else is wanted."""
    child = serializers.ChoiceField(choices=list(choices))
    return _Included(child=child, required=False)


class _Included(serializers.ListField):
    def to_internal_value(self, data: Any) -> Any:
        """Take ``include=a&include=b`` and ``include=a,b``."""
        return super().to_internal_value([part for one in data for part in str(one).split(",")])


class StepSerializer(serializers.Serializer[Any]):
    """A recorded step."""

    id = serializers.CharField(help_text='"3", or "3.2.1" in a parallel branch.')
    position = serializers.IntegerField()
    branch = serializers.CharField(allow_blank=True)
    name = serializers.CharField()
    child = serializers.CharField(source="child_workflow_id", allow_null=True)
    tries = serializers.IntegerField()
    attempt = serializers.IntegerField()
    started_at = Moment()
    finished_at = Moment()
    duration_ms = serializers.IntegerField()
    error = FailureSerializer(allow_null=True)
    output = PayloadSerializer(required=False, allow_null=True)


class StepQuery(PageQuery):
    """A page of steps."""

    include = including(["output"])


class Steps(RunView):
    """The steps of a run."""

    needs = {"GET": VIEW}
    queries = {"GET": StepQuery}

    @documented(
        "workflows_steps",
        answers={200: paged(StepSerializer)},
        problems=["run-not-found", "invalid-cursor"],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """List a run's steps by position."""
        run = self.run()
        has_output = "output" in self.query.get("include", [])
        rows = _rows(Step).filter(workflow_id=run.pk)
        order = Order(fields=("position", "branch"))
        page = Paging.asked("steps", self.query, order).page(rows if has_output else rows.defer("output"))
        may_see = self.actor.may("view_payload", run)
        return page.response(request, partial(shown_step, may_see=may_see, has_output=has_output))


def steps(run: Any) -> list[Step]:
    """Return the first steps of a run, without their outputs."""
    rows = _rows(Step).filter(workflow_id=run.pk).defer("output")
    return list(rows.order_by("position", "branch")[:FIRST])


def shown_step(step: Step, may_see: bool, *, has_output: bool) -> Shown:
    """Return a step as JSON."""
    took = max(timedelta(0), step.finished_at - step.started_at)
    shown = {
        "id": f"{step.position}.{step.branch}" if step.branch else str(step.position),
        "position": step.position,
        "branch": step.branch,
        "name": step.name,
        "child": step.child_workflow_id,
        "tries": step.tries,
        "attempt": step.attempt,
        "started_at": _time(step.started_at),
        "finished_at": _time(step.finished_at),
        "duration_ms": round(took / timedelta(milliseconds=1)),
        "error": failure(step.error, may_see=may_see),
    }
    if has_output:
        shown["output"] = payload(step.output, step.serialization, may_see=may_see)
    return shown


class ValueQuery(PageQuery):
    """A page of what has a value."""

    include = including(["value"])


class EventSerializer(serializers.Serializer[Any]):
    """The latest value that a run published under a key."""

    key = serializers.CharField(allow_blank=True)
    updated_at = Moment()
    value = PayloadSerializer(required=False, allow_null=True)


class Events(RunView):
    """The events of a run."""

    needs = {"GET": VIEW}
    queries = {"GET": ValueQuery}

    @documented(
        "workflows_events",
        answers={200: paged(EventSerializer)},
        problems=["run-not-found", "invalid-cursor"],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """List a run's events by key."""
        run = self.run()
        rows = _rows(Event).filter(workflow_id=run.pk)
        page = Paging.asked("events", self.query, Order(fields=("key",))).page(rows)
        show = partial(shown_event, may_see=self.actor.may("view_payload", run), has_value=_wanted(self))
        return page.response(request, show)


def events(run: Any) -> list[Event]:
    """Return the first events of a run."""
    return list(_rows(Event).filter(workflow_id=run.pk).order_by("key")[:FIRST])


def shown_event(event: Event, may_see: bool, *, has_value: bool) -> Shown:
    """Return an event as JSON."""
    shown: Shown = {"key": event.key, "updated_at": _time(event.updated_at)}
    if has_value:
        shown["value"] = payload(event.value, event.serialization, may_see=may_see)
    return shown


class MessageSerializer(serializers.Serializer[Any]):
    """A message that a run was sent."""

    id = serializers.IntegerField()
    topic = serializers.CharField(allow_blank=True)
    sent_at = Moment()
    consumed_at = Moment(allow_null=True)
    consumed_by = serializers.IntegerField(
        allow_null=True, help_text="The position of the step that took it."
    )
    value = PayloadSerializer(required=False, allow_null=True)


def shown_message(message: Message, may_see: bool, *, has_value: bool) -> Shown:
    """Return a message as JSON."""
    shown: Shown = {
        "id": message.pk,
        "topic": message.topic,
        "sent_at": _time(message.sent_at),
        "consumed_at": _time(message.consumed_at),
        "consumed_by": message.consumed_by_position,
    }
    if has_value:
        shown["value"] = payload(message.value, message.serialization, may_see=may_see)
    return shown


class ChildrenQuery(PageQuery):
    """A page of children."""


class Children(RunView):
    """The runs that a run has started."""

    needs = {"GET": VIEW}
    queries = {"GET": ChildrenQuery}

    @documented(
        "workflows_children",
        answers={200: paged(LinkedRunSerializer)},
        problems=["run-not-found", "invalid-cursor"],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """List a run's children, newest first."""
        run = self.run()
        rows = _rows(Workflow).filter(parent_workflow_id=run.workflow_id).without_payloads()
        page = Paging.asked("children", self.query).page(self.actor.sees(rows))
        conceal(page.rows, self.actor.sees)
        return page.response(request, shower(request))


class HolderSerializer(serializers.Serializer[Any]):
    """The worker that has a run."""

    id = serializers.CharField()
    name = serializers.CharField()
    hostname = serializers.CharField()
    pid = serializers.IntegerField()
    version = serializers.CharField(source="app_version", allow_blank=True)
    heartbeat_at = Moment()
    expires_at = Moment()
    stopped_at = Moment(allow_null=True)


class AttemptSerializer(serializers.Serializer[Any]):
    """What was recorded under an attempt."""

    attempt = serializers.IntegerField()
    steps = serializers.IntegerField()
    first_started_at = Moment()
    last_finished_at = Moment()


class AttemptsSerializer(serializers.Serializer[Any]):
    """How often a run was taken, and what each attempt has recorded."""

    attempt = serializers.IntegerField(help_text="One more at every claim, release and recovery.")
    recovery_attempts = serializers.IntegerField()
    max_recovery_attempts = serializers.IntegerField(allow_null=True)
    worker = HolderSerializer(allow_null=True)
    results = AttemptSerializer(many=True)


class Attempts(RunView):
    """The attempts of a run."""

    needs = {"GET": VIEW}

    @documented("workflows_attempts", answers={200: AttemptsSerializer}, problems=["run-not-found"])
    def get(self, request: Request, workflow_id: str) -> Response:
        """Show how often a run was taken: the newest hundred attempts that recorded something."""
        run = self.run()
        found = (
            _rows(Step)
            .filter(workflow_id=run.pk)
            .values("attempt")
            .annotate(
                steps=Count("*"), first_started_at=Min("started_at"), last_finished_at=Max("finished_at")
            )
            .order_by("-attempt")[:FIRST]
        )
        worker = workers.get(run.worker_id) if run.worker_id else None
        return Response(
            {
                "attempt": run.attempt,
                "recovery_attempts": run.recovery_attempts,
                "max_recovery_attempts": run.max_recovery_attempts,
                "worker": None if worker is None else HolderSerializer(worker).data,
                "results": AttemptSerializer(found, many=True).data,
            }
        )


class SegmentSerializer(serializers.Serializer[Any]):
    """A piece of a row's bar; places are shares of the line."""

    kind = serializers.CharField()
    start = serializers.FloatField()
    width = serializers.FloatField()
    title = serializers.CharField()


class RowSerializer(serializers.Serializer[Any]):
    """A line of the timeline."""

    step_id = serializers.CharField(allow_blank=True)
    label = serializers.CharField()  # type: ignore[assignment]
    depth = serializers.IntegerField()
    state = serializers.ChoiceField(choices=["done", "failed", "running", "waiting", "copied", "queued"])
    started_at = Moment(allow_null=True)
    finished_at = Moment(allow_null=True)
    tries = serializers.IntegerField()
    child = serializers.CharField(source="child_workflow_id", allow_blank=True)
    segments = SegmentSerializer(many=True)


class TimelineTickSerializer(serializers.Serializer[Any]):
    """A mark of the axis."""

    at = serializers.FloatField()
    label = serializers.CharField()  # type: ignore[assignment]


class SqueezedSerializer(serializers.Serializer[Any]):
    """Where a long idle stretch is drawn short."""

    start = serializers.FloatField()
    end = serializers.FloatField()


class TimelineSerializer(serializers.Serializer[Any]):
    """What the admin draws."""

    start = Moment()
    end = Moment()
    now = serializers.FloatField(allow_null=True)
    squeezed = SqueezedSerializer(allow_null=True)
    failures = serializers.IntegerField()
    hidden = serializers.IntegerField(help_text="Steps that are left out because there are too many.")
    ticks = TimelineTickSerializer(many=True)
    rows = RowSerializer(many=True)


class RunTimeline(RunView):
    """A run on a line of time."""

    needs = {"GET": VIEW}

    @documented("workflows_timeline", answers={200: TimelineSerializer}, problems=["run-not-found"])
    def get(self, request: Request, workflow_id: str) -> Response:
        """Show the first 200 steps of a run as the admin draws them."""
        run = self.run()
        rows = _rows(Step).filter(workflow_id=run.pk).defer("output").order_by("position", "branch")
        found = list(rows[: MOST_ROWS + 1])
        ids = [step.child_workflow_id for step in found if step.child_workflow_id]
        seen = self.actor.sees(_rows(Workflow).filter(workflow_id__in=ids).without_payloads()) if ids else []
        drawn = timeline(run, found, {child.workflow_id: child for child in seen}, clock.now())
        return Response(TimelineSerializer(_drawn(drawn)).data)


def _drawn(found: Any) -> Shown:
    squeezed = found.squeezed
    return {
        **{name: getattr(found, name) for name in ("start", "end", "now", "failures", "hidden")},
        "squeezed": None if squeezed is None else {"start": squeezed[0], "end": squeezed[1]},
        "ticks": [{"at": at, "label": label} for at, label in found.ticks],
        "rows": [asdict(row) for row in found.rows],
    }


def _wanted(view: RunView) -> bool:
    return "value" in view.query.get("include", [])


def _time(value: Any) -> Any:
    return None if value is None else Moment().to_representation(value)


def _rows(model: Any) -> Any:
    return model._default_manager.using(database.alias())
