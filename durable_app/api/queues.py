"""Queues: how full they are, their limits, pausing."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Body, Flag, Milliseconds, Moment, PageQuery, ReasonBody, Whole
from durable_app.api.etags import etag, require_match
from durable_app.api.pagination import Paging
from durable_app.api.permissions import Need
from durable_app.api.problems import Problem, invalid, settled
from durable_app.api.schema import documented, paged
from durable_app.control import queues
from durable_app.keyset import Order
from durable_app.limits import HIGHEST_COUNT, Limits, RateLimit
from durable_app.store import occupancy
from durable_app.store.occupancy import Occupancy

BY_NAME = Order(fields=("name",))

SEE = Need(permission="view_queue")
PAUSE = Need(permission="pause_queue", verb="pause", kind=queues.KIND)
RESUME = Need(permission="pause_queue", verb="resume", kind=queues.KIND)
TUNE = Need(permission="tune_queue", verb="configure", kind=queues.KIND)


class LimiterSerializer(serializers.Serializer[Any]):
    """At most so many starts in any window of a length."""

    limit = Whole(min_value=1, max_value=HIGHEST_COUNT)
    period_ms = Milliseconds(min_value=1, source="period")


class LimitsSerializer(serializers.Serializer[Any]):
    """A queue's limits; null is none."""

    concurrency = serializers.IntegerField(allow_null=True)
    worker_concurrency = serializers.IntegerField(allow_null=True)
    limiter = LimiterSerializer(allow_null=True)
    partition_concurrency = serializers.IntegerField(allow_null=True)
    partition_worker_concurrency = serializers.IntegerField(allow_null=True)
    partition_limiter = LimiterSerializer(allow_null=True)
    partition_queue = serializers.BooleanField()


class QueueSerializer(serializers.Serializer[Any]):
    """A queue as it is now."""

    name = serializers.CharField(source="queue.name")
    waiting = serializers.IntegerField(help_text="Runs that are ready to be taken.")
    delayed = serializers.IntegerField()
    running = serializers.IntegerField()
    oldest_at = Moment(allow_null=True, help_text="Since when the one is ready that has waited longest.")
    limits = LimitsSerializer(source="queue.limits")
    is_overridden = serializers.BooleanField(
        source="queue.is_overridden", help_text="Whether the limits are others than code declares."
    )
    is_served = serializers.BooleanField(
        help_text="Whether there is such a queue, or only runs that name it."
    )
    is_paused = serializers.BooleanField(source="queue.is_paused")
    paused_at = Moment(source="queue.paused_at", allow_null=True)
    paused_until = Moment(source="queue.paused_until", allow_null=True)
    pause_reason = serializers.CharField(source="queue.pause_reason")
    starts_in_window = serializers.IntegerField(source="starts")
    next_start_at = Moment(allow_null=True, help_text="When the rate limit lets another run start.")


def _count() -> Whole:
    return Whole(required=False, allow_null=True, min_value=1, max_value=HIGHEST_COUNT)


class LimiterBody(Body):
    """At most so many starts in any window of a length."""

    limit = Whole(min_value=1, max_value=HIGHEST_COUNT)
    period_ms = Milliseconds(min_value=1)


class LimitsBody(ReasonBody):
    """The limits to be changed; null takes one away."""

    concurrency = _count()
    worker_concurrency = _count()
    limiter = LimiterBody(required=False, allow_null=True)
    partition_concurrency = _count()
    partition_worker_concurrency = _count()
    partition_limiter = LimiterBody(required=False, allow_null=True)
    partition_queue = Flag(required=False)


class PauseBody(ReasonBody):
    """How long to pause."""

    until = Moment(required=False, allow_null=True, help_text="Else until it is resumed.")


class Queues(DurableView):
    """All queues."""

    needs = {"GET": SEE}
    queries = {"GET": PageQuery}

    @documented("queues_list", answers={200: paged(QueueSerializer)}, problems=["invalid-cursor"])
    def get(self, request: Request) -> Response:
        """List the queues by name, also those that only runs name."""
        page = Paging.asked("queues", self.query, BY_NAME).page_of_all(occupancy.occupancies())
        return page.response(request, lambda row: QueueSerializer(row).data)


class Queue(DurableView):
    """One queue."""

    needs = {"GET": SEE, "PATCH": TUNE}
    bodies = {"PATCH": LimitsBody}

    @documented("queues_get", answers={200: QueueSerializer}, problems=["queue-not-found"])
    def get(self, request: Request, name: str) -> Response:
        """Return a queue; its ``ETag`` is that of its limits."""
        return _answer(name)

    @documented(
        "queues_update", answers={200: QueueSerializer}, problems=["queue-not-found", "precondition-failed"]
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change limits, all that are given or none; workers follow within a second."""
        changes = dict(self.body)
        reason = changes.pop("reason")
        if not changes:
            raise invalid("", "There is nothing to change.")
        for limiter in ("limiter", "partition_limiter"):
            if changes.get(limiter) is not None:
                given = changes[limiter]
                changes[limiter] = RateLimit(limit=given["limit"], period=given["period_ms"])

        def expect(before: Limits) -> None:
            require_match(request, _tag(before))

        settled(queues.configure(self.operator(reason), _known(name), changes, expect))
        return _answer(name)


class PauseQueue(DurableView):
    """A queue's break."""

    needs = {"POST": PAUSE}
    bodies = {"POST": PauseBody}

    @documented("queues_pause", answers={200: QueueSerializer}, problems=["queue-not-found"])
    def post(self, request: Request, name: str) -> Response:
        """Let workers take nothing from a queue; what runs goes on."""
        operator = self.operator(self.body["reason"])
        settled(queues.pause(operator, _known(name), self.body.get("until")))
        return _answer(name)


class ResumeQueue(DurableView):
    """The end of a queue's break."""

    needs = {"POST": RESUME}
    bodies = {"POST": ReasonBody}

    @documented("queues_resume", answers={200: QueueSerializer}, problems=["queue-not-found"])
    def post(self, request: Request, name: str) -> Response:
        """Let workers take runs from a queue again."""
        settled(queues.resume(self.operator(self.body["reason"]), _known(name)))
        return _answer(name)


def _known(name: str) -> str:
    _found(name)
    return name


def _found(name: str) -> Occupancy:
    found = occupancy.occupancy(name)
    if found is None:
        raise Problem("queue-not-found", f"There is no queue {name!r}.")
    return found


def _answer(name: str) -> Response:
    found = _found(name)
    # It tells of the limits alone; the answer is not stored, so nobody takes the counts for unchanged.
    return Response(QueueSerializer(found).data, headers={"ETag": _tag(found.queue.limits)})


def _tag(limits: Limits) -> str:
    return etag(LimitsSerializer(limits).data)


urlpatterns = [
    path("queues", Queues.as_view(), name="queues"),
    path("queues/<str:name>", Queue.as_view(), name="queue"),
    path("queues/<str:name>/pause", PauseQueue.as_view(), name="queue-pause"),
    path("queues/<str:name>/resume", ResumeQueue.as_view(), name="queue-resume"),
]
