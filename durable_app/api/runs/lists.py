"""Runs by conditions, and new ones."""

from dataclasses import replace
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Milliseconds, ReasonBody, Text, Values, Whole, arguments, named_arguments
from durable_app.api.filters import ORDERS, Attributes, RunQuery, SearchBody, conditions
from durable_app.api.idempotency import idempotent
from durable_app.api.options import is_startable
from durable_app.api.pagination import Paging
from durable_app.api.permissions import VIEW, Need
from durable_app.api.problems import Problem, settled
from durable_app.api.runs.showing import LinkedRunSerializer, path_of, shower
from durable_app.api.schema import documented, paged
from durable_app.api.throttling import START
from durable_app.control import starting
from durable_app.control.inputs import PERMISSION
from durable_app.control.starting import Order
from durable_app.errors import WorkflowIDInUseError
from durable_app.insight.relatives import conceal
from durable_app.limits import DEFAULT_QUEUE, HIGHEST_COUNT
from durable_app.store import bulk_operations, database, listing

COUNTED = bulk_operations.COUNTED


class RunPageSerializer(paged(LinkedRunSerializer)):  # type: ignore[misc]
    """A page of runs."""

    count = serializers.IntegerField(required=False, help_text="Only if it was asked for.")
    is_capped = serializers.BooleanField(required=False, help_text="Whether there are more than that.")


class StartBody(ReasonBody):
    """A run that is wanted."""

    workflow = Text(help_text="The name of a registered workflow that is open to the API.")
    args = arguments()
    kwargs = named_arguments()
    id = Text(required=False, help_text="By default a new one. The same id and call again: the same run.")
    queue = Text(required=False, help_text="By default the default queue. One that there is not is 400.")
    priority = Whole(required=False, min_value=0, max_value=HIGHEST_COUNT)
    delay_ms = Milliseconds(required=False)
    timeout_ms = Milliseconds(required=False, min_value=1)
    deduplication_id = Text(required=False)
    partition_key = Text(required=False, help_text="Partitioned queues take one.")
    attributes = Attributes(required=False)


class Runs(DurableView):
    """All runs."""

    needs = {"GET": VIEW, "POST": Need(permission=PERMISSION, verb="start")}
    queries = {"GET": RunQuery}
    bodies = {"POST": StartBody}
    throttled_as = {"POST": START}

    @documented(
        "workflows_list", answers={200: RunPageSerializer}, problems=["invalid-cursor", "query-timeout"]
    )
    def get(self, request: Request) -> Response:
        """List runs, newest first.

        `attr.<name>=<value>` looks for an attribute; the value is JSON, or else a text.
        """
        return listed(self, request, self.query)

    @idempotent
    @documented(
        "workflows_start",
        answers={202: LinkedRunSerializer, 200: LinkedRunSerializer},
        problems=["not-exposed", "conflict-id", "dedup-conflict"],
    )
    def post(self, request: Request) -> Response:
        """Start a workflow, or put it into a queue.

        200 if a run with this id, workflow and arguments is there already.
        """
        order = _order(self.body)
        if not is_startable(order.workflow):
            self.operator(self.body["reason"]).deny("start", order.workflow_id)
            raise Problem("not-exposed", f"{order.workflow!r} cannot be started here.")
        run = self._made_before(order)
        if run is None:
            result = starting.start(self.operator(self.body["reason"]), order)
            if not isinstance(result.error, WorkflowIDInUseError):
                return self._shown(request, listing.one(settled(result).made), 202)
            run = self._made_before(order)  # by a request at the same time
        if run is None:  # whose it is, is nobody's business
            raise Problem("conflict-id", f"The id {order.workflow_id!r} is taken by another call.")
        return self._shown(request, run, 200)

    def _made_before(self, order: Order) -> Any:
        """Return the run that the same order has made; None if there is none, or another call has the id."""
        if not order.workflow_id:
            return None
        rows = listing.matching(listing.Filter(workflow_ids=order.workflow_id))
        run = database.retried(self.actor.sees(rows).first)()
        new = starting.record(replace(order, deduplication_id=None))
        if run is None or (run.name, run.inputs, run.serialization) != (
            new.name,
            new.inputs,
            new.serialization,
        ):
            return None
        return run

    def _shown(self, request: Request, run: Any, status: int) -> Response:
        return Response(shower(request)(run), status, headers={"Location": path_of(request, run.workflow_id)})


class Search(DurableView):
    """All runs, by conditions too long for a URL."""

    needs = {"POST": VIEW}
    bodies = {"POST": SearchBody}
    throttled_as = {"POST": "durable-read"}

    @documented(
        "workflows_search", answers={200: RunPageSerializer}, problems=["invalid-cursor", "query-timeout"]
    )
    def post(self, request: Request) -> Response:
        """List runs, newest first: what the list's query says, in a body."""
        return listed(self, request, self.body)


def listed(view: DurableView, request: Request, values: Values) -> Response:
    """Return a page of the runs that the actor may know of."""
    wanted = conditions(values)
    runs = view.actor.sees(listing.matching(listing.Filter(**wanted)).without_payloads())
    order = values["ordering"]
    page = Paging.asked(f"runs {order}", values, ORDERS[order]).page(runs)
    conceal(page.rows, view.actor.sees)
    return page.response(request, shower(request), **_count(view, wanted, values))


def _count(view: DurableView, wanted: Values, values: Values) -> dict[str, Any]:
    if "count" not in values:
        return {}
    count = bulk_operations.matching(wanted, view.actor.sees)
    return {"count": min(count, COUNTED), "is_capped": count > COUNTED}


def _order(values: Values) -> Order:
    return Order(
        workflow=values["workflow"],
        args=values.get("args", []),
        kwargs=values.get("kwargs", {}),
        workflow_id=values.get("id", ""),
        queue_name=values.get("queue", DEFAULT_QUEUE),
        priority=values.get("priority", 0),
        delay=values.get("delay_ms"),
        timeout=values.get("timeout_ms"),
        deduplication_id=values.get("deduplication_id"),
        partition_key=values.get("partition_key"),
        attributes=values.get("attributes"),
    )
