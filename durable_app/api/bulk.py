"""A verb on all runs that match: begun here, carried out by a workflow."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app import conf
from durable_app.api.base import DurableView
from durable_app.api.bodies import Anything, Flag, Moment, PageQuery, ReasonBody, Text, Values
from durable_app.api.filters import ConditionsBody, conditions
from durable_app.api.idempotency import idempotent
from durable_app.api.pagination import Paging
from durable_app.api.permissions import Need
from durable_app.api.problems import Problem, invalid
from durable_app.api.runs.outcomes import VerbResultSerializer, run_settled
from durable_app.api.runs.showing import path_under
from durable_app.api.runs.verbs import checked_options
from durable_app.api.schema import documented, paged
from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.verbs import VERBS
from durable_app.models import BulkOperation
from durable_app.store import bulk_operations, database

LOOK = Need(permission="view_bulkoperation")
BEGIN = Need(permission="view_workflow", verb="bulk", kind=bulk.KIND)
"""And the verb's own permission, which the body tells."""
CANCEL = Need(permission="view_bulkoperation", verb="cancel", kind=bulk.KIND)
"""And ``cancel_workflow`` or the permission for what it does."""

BULK_VERBS = sorted(name for name, verb in VERBS.items() if verb.is_bulk)

MOST_IDS = 10_000

OPTIONS = {
    "include_children": {"cancel": "cancel_children", "delete": "delete_children"},
    "queue": {"resume": "queue_name"},
}
"""The options of verbs that an operation keeps under other names."""


class BulkBody(ReasonBody):
    """A verb, and on which runs: conditions or ids."""

    verb = serializers.ChoiceField(choices=BULK_VERBS)
    filter = ConditionsBody(
        required=False, help_text="At least one condition: nothing means all by accident."
    )
    ids = serializers.ListField(child=Text(), required=False, min_length=1, max_length=MOST_IDS)
    options = serializers.DictField(
        child=Anything(allow_null=True), required=False, help_text="What the verb's own endpoint takes."
    )
    dry_run = Flag(required=False, default=False, help_text="Only says how many runs match.")

    def validate(self, attrs: Values) -> Values:
        """Demand either conditions or ids."""
        if bool(attrs.get("filter")) == bool(attrs.get("ids")):
            raise serializers.ValidationError("Give either ids, or a filter with at least one condition.")
        return attrs


class BulkSerializer(serializers.Serializer[Any]):
    """A bulk operation, and how far it has come."""

    id = serializers.IntegerField()
    run = serializers.CharField(source="workflow_id", help_text="The run that carries it out.")
    verb = serializers.CharField()
    filter = serializers.DictField(help_text="By the names of `list_workflows`.")
    reason = serializers.CharField(allow_blank=True)
    actor_kind = serializers.CharField()
    actor = serializers.CharField(source="actor_label", allow_blank=True)
    matched = serializers.IntegerField(help_text="When it began; above 10,000 there were more.")
    done = serializers.IntegerField()
    refused = serializers.IntegerField()
    denied = serializers.IntegerField()
    failed = serializers.IntegerField()
    created_at = Moment()
    finished_at = Moment(allow_null=True)


class DryRunSerializer(serializers.Serializer[Any]):
    """How many runs match."""

    matched = serializers.IntegerField()
    is_capped = serializers.BooleanField(help_text="Whether there are more than that.")


class BulkOperations(DurableView):
    """All bulk operations."""

    needs = {"GET": LOOK, "POST": BEGIN}
    queries = {"GET": PageQuery}
    bodies = {"POST": BulkBody}

    @documented("bulk_operations_list", answers={200: paged(BulkSerializer)}, problems=["invalid-cursor"])
    def get(self, request: Request) -> Response:
        """List bulk operations, newest first."""
        page = Paging.asked("bulk operations", self.query).page(_rows(self.actor))
        return page.response(request, lambda row: BulkSerializer(row).data)

    @idempotent
    @documented(
        "bulk_operations_begin",
        answers={202: BulkSerializer, 200: DryRunSerializer},
        problems=["query-timeout", "conflict"],
    )
    def post(self, request: Request) -> Response:
        """Do a verb to all runs that match now, in the background; 200 is the answer to a dry run."""
        body = self.body
        operator = self.operator(body["reason"])
        operator.require(VERBS[body["verb"]].permission, f"bulk {body['verb']}", "bulk operation")
        wanted = {"workflow_ids": body["ids"]} if "ids" in body else conditions(body["filter"])
        chosen = _options(body)
        if body["dry_run"]:
            matched = bulk_operations.matching(wanted, self.actor.sees)
            return Response({"matched": min(matched, COUNTED), "is_capped": matched > COUNTED})
        if bulk.is_too_many(self.actor, wanted):
            most = conf.options().BULK_LIMIT
            raise invalid("/filter", f"More than {most} runs match: narrow the conditions.")
        number = bulk.begin(operator, body["verb"], wanted, chosen)
        row = bulk_operations.get(number)
        location = path_under(request, "bulk-operations", str(number))
        return Response(BulkSerializer(row).data, 202, headers={"Location": location})


COUNTED = bulk_operations.COUNTED


def _options(body: Values) -> Values:
    """Return a verb's options by the names that the operator's methods have."""
    verb = body["verb"]
    given = checked_options(verb, body)
    given.pop("reason", None)
    return {OPTIONS.get(name, {}).get(verb, name): value for name, value in given.items()}


class Operation(DurableView):
    """One bulk operation."""

    needs = {"GET": LOOK}

    @documented("bulk_operations_get", answers={200: BulkSerializer}, problems=["not-found"])
    def get(self, request: Request, number: int) -> Response:
        """Show how far a bulk operation has come."""
        return Response(BulkSerializer(_found(self.actor, number)).data)


class CancelOperation(DurableView):
    """Stopping a bulk operation."""

    needs = {"POST": CANCEL}
    bodies = {"POST": ReasonBody}

    @documented(
        "bulk_operations_cancel",
        answers={200: VerbResultSerializer},
        problems=["not-found", "invalid-transition"],
    )
    def post(self, request: Request, number: int) -> Response:
        """Stop a bulk operation; what it has done stays done."""
        _found(self.actor, number)
        result = bulk.cancel(self.operator(self.body["reason"]), number)
        return Response(VerbResultSerializer(run_settled(self.actor, result)).data)


def _found(actor: Actor, number: int) -> Any:
    row = _rows(actor).filter(pk=number).first()
    if row is None:
        raise Problem("not-found", f"There is no bulk operation {number}.")
    return row


def _rows(actor: Actor) -> Any:
    """Return the operations that an actor may know of."""
    return actor.sees_operations(BulkOperation.objects.using(database.alias()))


urlpatterns = [
    path("bulk-operations", BulkOperations.as_view(), name="bulk-operations"),
    path("bulk-operations/<int:number>", Operation.as_view(), name="bulk-operation"),
    path("bulk-operations/<int:number>/cancel", CancelOperation.as_view(), name="bulk-operation-cancel"),
]
