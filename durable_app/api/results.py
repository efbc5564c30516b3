"""A run's result, waited for if the client wants to."""

from functools import partial
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.bodies import Query, Whole
from durable_app.api.live import LOOK, LiveView, let_go
from durable_app.api.permissions import Need
from durable_app.api.problems import Problem
from durable_app.api.schema import documented
from durable_app.engine import timers
from durable_app.engine.flow import adrive
from durable_app.errors import NonExistentWorkflowError
from durable_app.insight import payloads
from durable_app.store import runs
from durable_app.store.records import Ended
from durable_app.store.waits import News

LONGEST_WAIT = 30
RETRY_AFTER = 2
"""Seconds."""


class ResultQuery(Query):
    """How long to wait for the result."""

    wait = Whole(
        required=False,
        default=0,
        min_value=0,
        max_value=LONGEST_WAIT,
        help_text="Seconds to wait for the end.",
    )


class ResultSerializer(serializers.Serializer[Any]):
    """What a run returned."""

    workflow_id = serializers.CharField()
    is_finished = serializers.BooleanField()
    result = serializers.JSONField(required=False, help_text="Not there while the run has not finished.")


class Result(LiveView):
    """What a run returned."""

    needs = {"GET": Need(permission="view_payload")}
    queries = {"GET": ResultQuery}

    @documented(
        "workflows_result",
        answers={200: ResultSerializer, 202: ResultSerializer},
        problems=["run-not-found", "run-failed"],
    )
    async def get(self, request: Request, workflow_id: str) -> Response:
        """Return the result, waiting for it if asked; 202 while there is none, 409 if there will be none."""
        run = await self.seen()
        ended = await self._ended(run.workflow_id, self.query["wait"])
        if ended is None:
            body = {"workflow_id": run.workflow_id, "is_finished": False}
            return Response(body, 202, headers={"Retry-After": str(RETRY_AFTER)})
        if ended.status != "SUCCESS":
            raise _failure(ended)
        found = payloads.payload(ended.output, ended.serialization, may_see=True)
        value = None if found is None else found.value
        return Response({"workflow_id": run.workflow_id, "is_finished": True, "result": value})

    async def _ended(self, workflow_id: str, wait: int) -> Ended | None:
        look, news = partial(_final, workflow_id), [News("result", workflow_id)]
        ended: Ended | None = await adrive(timers.look_until(look, news, 0, LOOK))
        if ended is None and wait:
            await let_go()
            ended = await adrive(timers.look_until(look, news, wait, LOOK))
        return ended


def _final(workflow_id: str) -> Ended | None:
    ended = runs.ended(workflow_id)
    if ended is None:
        raise NonExistentWorkflowError(workflow_id)
    return ended if ended.is_final else None


def _failure(ended: Ended) -> Problem:
    found = payloads.failure(ended.error, may_see=True)
    error: dict[str, Any] | None = None
    if found is not None:
        error = {"type": found.kind, "message": found.message}
    sentence = f"The run is {ended.status}."
    return Problem("run-failed", sentence, run_status=ended.status, error=error)


urlpatterns = [path("workflows/<str:workflow_id>/result", Result.as_view(), name="result")]
