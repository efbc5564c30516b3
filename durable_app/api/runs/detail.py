"""One run: looked at, changed, deleted."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import RunView
from durable_app.api.bodies import Flag, Milliseconds, Query, ReasonBody, Text, Whole
from durable_app.api.filters import Attributes
from durable_app.api.permissions import VIEW, Need
from durable_app.api.runs import parts
from durable_app.api.runs.outcomes import run_settled
from durable_app.api.runs.showing import (
    FailureSerializer,
    LinkedRunSerializer,
    PayloadSerializer,
    Shown,
    failure,
    payload,
    shower,
)
from durable_app.api.schema import documented
from durable_app.control import changing
from durable_app.insight.reasons import why
from durable_app.limits import HIGHEST_COUNT
from durable_app.models import Workflow
from durable_app.store import database

INCLUDABLE = ("input", "output", "error", "steps", "events", "reason")


class ReasonSerializer(serializers.Serializer[Any]):
    """Why a run is where it is, as the admin and `durable doctor` say it."""

    headline = serializers.CharField(help_text="An error's message is left out without `view_payload`.")
    facts = serializers.ListField(child=serializers.CharField())
    is_problem = serializers.BooleanField(help_text="Whether it will not go on by itself.")


class RunDetailSerializer(LinkedRunSerializer):
    """A run, and what of it was asked for; of steps and events the first hundred."""

    input = PayloadSerializer(required=False, allow_null=True)
    output = PayloadSerializer(required=False, allow_null=True)
    error = FailureSerializer(required=False, allow_null=True)
    steps = parts.StepSerializer(many=True, required=False)
    events = parts.EventSerializer(many=True, required=False)
    reason = ReasonSerializer(required=False)


class IncludeQuery(Query):
    """What else is wanted."""

    include = parts.including(INCLUDABLE)


class DeleteQuery(Query):
    """How far the deletion goes, and why."""

    include_children = Flag(required=False, default=False)
    reason = Text(required=False, default="", allow_blank=True, max_length=2000)


class RunChangeBody(ReasonBody):
    """What can be changed of a run that exists."""

    attributes = Attributes(required=False, help_text="Merged into those it has.")
    priority = Whole(required=False, min_value=0, max_value=HIGHEST_COUNT, help_text="Of one that waits.")
    delay_ms = Milliseconds(required=False, help_text="From now on; of a delayed one.")

    def validate(self, attrs: Shown) -> Shown:
        """Refuse a change of nothing."""
        if not attrs.keys() - {"reason"}:
            raise serializers.ValidationError("Name at least one of attributes, priority, delay_ms.")
        return attrs


class Run(RunView):
    """One run."""

    needs = {
        "GET": VIEW,
        "PATCH": Need(permission=changing.PERMISSION, verb="change"),
        "DELETE": Need(permission="delete_workflow", verb="delete"),
    }
    queries = {"GET": IncludeQuery, "DELETE": DeleteQuery}
    bodies = {"PATCH": RunChangeBody}

    @documented("workflows_get", answers={200: RunDetailSerializer}, problems=["run-not-found"])
    def get(self, request: Request, workflow_id: str) -> Response:
        """Show a run; payloads only if they are asked for."""
        run, include = self.run(), self.query.get("include", [])
        shown = shower(request)(run)
        if include:
            shown |= self._included(run, include)
        return Response(shown)

    def _included(self, run: Any, include: list[str]) -> Shown:
        may_see = self.actor.may("view_payload", run)
        found: Shown = {}
        columns = _payloads(run, include, may_see)
        form = run.serialization
        if "input" in include:
            found["input"] = payload(columns["inputs"], form, may_see=may_see, is_inputs=True)
        if "output" in include:
            found["output"] = payload(columns["output"], form, may_see=may_see)
        if "error" in include:
            found["error"] = failure(columns["error"], may_see=may_see)
        if "steps" in include:
            found["steps"] = [parts.shown_step(one, may_see, has_output=False) for one in parts.steps(run)]
        if "events" in include:
            found["events"] = [parts.shown_event(one, may_see, has_value=False) for one in parts.events(run)]
        if "reason" in include:
            found["reason"] = ReasonSerializer(why(run, may_see=may_see)).data
        return found

    @documented(
        "workflows_change",
        answers={200: LinkedRunSerializer},
        problems=["run-not-found", "invalid-transition"],
    )
    def patch(self, request: Request, workflow_id: str) -> Response:
        """Change a run's attributes, priority or delay."""
        values = dict(self.body)
        operator = self.operator(values.pop("reason"))
        change = changing.Change(
            attributes=values.get("attributes"),
            priority=values.get("priority"),
            delay=values.get("delay_ms"),
        )
        run_settled(self.actor, changing.change(operator, workflow_id, change))
        return Response(shower(request)(self.run()))

    @documented("workflows_delete", answers={204: None}, problems=["run-not-found", "invalid-transition"])
    def delete(self, request: Request, workflow_id: str) -> Response:
        """Delete a run that has ended, with all that belongs to it."""
        operator = self.operator(self.query["reason"])
        [result] = operator.delete([workflow_id], delete_children=self.query["include_children"])
        run_settled(self.actor, result)
        return Response(status=204)


_COLUMNS = {"input": "inputs", "output": "output", "error": "error"}


def _payloads(run: Any, include: list[str], may_see: bool) -> Mapping[str, Any]:
    """Return the columns that were asked for, in one statement."""
    wanted = [_COLUMNS[name] for name in include if name in _COLUMNS]
    if not wanted:
        return {}
    rows = Workflow.objects.using(database.alias()).filter(pk=run.pk).values(*wanted)
    return rows.first() or dict.fromkeys(wanted)
