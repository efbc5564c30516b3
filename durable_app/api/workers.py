"""Workers: who is live, what they execute; quieting, stopping, and taking back the runs of silent ones."""

from collections.abc import Callable
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app import clock
from durable_app.api.base import DurableView
from durable_app.api.bodies import Moment, PageQuery, ReasonBody
from durable_app.api.pagination import Paging
from durable_app.api.permissions import Need
from durable_app.api.problems import Problem, settled
from durable_app.api.schema import documented, paged
from durable_app.control import workers as verbs
from durable_app.control.operator import Operator, Result
from durable_app.insight.liveness import ASKED_FOR, STATES, in_state, liveness
from durable_app.keyset import Order
from durable_app.models import Worker as Row
from durable_app.store import database, workers

NEWEST = Order(fields=("-started_at", "-pk"))


class WorkerSerializer(serializers.Serializer[Any]):
    """A worker's process, from its start to its end; it is shown for a day after that."""

    id = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=list(STATES))
    asked_to = serializers.ChoiceField(choices=["", "quiet", "stop"])
    hostname = serializers.CharField()
    pid = serializers.IntegerField()
    app_version = serializers.CharField()
    queues = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="null: all but those excluded."
    )
    excluded = serializers.ListField(child=serializers.CharField())
    slots = serializers.IntegerField(help_text="How many runs it executes at once.")
    running = serializers.IntegerField(help_text="How many it executes, or held when it died.")
    started_at = Moment()
    heartbeat_at = Moment()
    expires_at = Moment(help_text="When its lease ends.")
    stopped_at = Moment(allow_null=True)


class WorkerQuery(PageQuery):
    """Which workers."""

    state = serializers.ChoiceField(
        choices=ASKED_FOR, required=False, help_text="`live` are also those that are late."
    )


class Workers(DurableView):
    """All workers."""

    needs = {"GET": Need(permission="view_worker")}
    queries = {"GET": WorkerQuery}

    @documented("workers_list", answers={200: paged(WorkerSerializer)})
    def get(self, request: Request) -> Response:
        """List the workers, the newest first."""
        running = workers.running_counts()
        rows = Row.objects.using(database.alias()).filter(kind="worker")
        if "state" in self.query:
            rows = in_state(rows, self.query["state"])
        page = Paging.asked("workers", self.query, NEWEST).page(rows)
        return page.response(request, lambda row: _shown(row, running))


class Worker(DurableView):
    """One worker."""

    needs = {"GET": Need(permission="view_worker")}

    @documented("workers_get", answers={200: WorkerSerializer}, problems=["not-found"])
    def get(self, request: Request, worker_id: str) -> Response:
        """Return a worker."""
        return _answer(worker_id)


class WorkerVerb(DurableView):
    """Something that is asked of a worker."""

    bodies = {"POST": ReasonBody}
    act: Callable[[Operator, str], Result]

    def perform(self, worker_id: str) -> Response:
        """Perform the verb, and return the worker."""
        _found(worker_id)
        settled(type(self).act(self.operator(self.body["reason"]), worker_id))
        return _answer(worker_id)


def _need(verb: str) -> dict[str, Need]:
    return {"POST": Need(permission=verbs.PERMISSION, verb=verb, kind=verbs.KIND)}


_PROBLEMS = ("not-found", "invalid-transition")


class Quiet(WorkerVerb):
    """A worker takes no more."""

    needs = _need("quiet")
    act = staticmethod(verbs.quiet)

    @documented("workers_quiet", answers={200: WorkerSerializer}, problems=_PROBLEMS)
    def post(self, request: Request, worker_id: str) -> Response:
        """Let a worker take no more runs; what it executes goes on."""
        return self.perform(worker_id)


class Stop(WorkerVerb):
    """A worker ends."""

    needs = _need("stop")
    act = staticmethod(verbs.stop)

    @documented("workers_stop", answers={200: WorkerSerializer}, problems=_PROBLEMS)
    def post(self, request: Request, worker_id: str) -> Response:
        """Let a worker finish what it executes, and end its process."""
        return self.perform(worker_id)


class Recover(WorkerVerb):
    """A silent worker's runs go on elsewhere."""

    needs = _need("recover")
    act = staticmethod(verbs.recover)

    @documented("workers_recover", answers={200: WorkerSerializer}, problems=_PROBLEMS)
    def post(self, request: Request, worker_id: str) -> Response:
        """Take back the runs of a worker whose lease is over, without waiting for the others to do so."""
        return self.perform(worker_id)


def _found(worker_id: str) -> Row:
    found = workers.get(worker_id)
    if found is None or found.kind != "worker":
        raise Problem("not-found", f"There is no worker {worker_id!r}.")
    return found


def _answer(worker_id: str) -> Response:
    return Response(_shown(_found(worker_id), workers.running_counts()))


def _shown(row: Any, running: dict[str, int]) -> dict[str, Any]:
    row.state, row.running = liveness(row, clock.now()), running.get(row.pk, 0)
    row.queues = row.queues or None
    found: dict[str, Any] = WorkerSerializer(row).data
    return found


urlpatterns = [
    path("workers", Workers.as_view(), name="workers"),
    path("workers/<str:worker_id>", Worker.as_view(), name="worker"),
    path("workers/<str:worker_id>/quiet", Quiet.as_view(), name="worker-quiet"),
    path("workers/<str:worker_id>/stop", Stop.as_view(), name="worker-stop"),
    path("workers/<str:worker_id>/recover", Recover.as_view(), name="worker-recover"),
]
