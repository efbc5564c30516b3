"""The verbs on runs: by the run's URL, or by ids in the body, which may be any text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView, RunView
from durable_app.api.bodies import (
    Anything,
    Body,
    Flag,
    Milliseconds,
    ReasonBody,
    Text,
    Values,
    Whole,
    arguments,
    named_arguments,
)
from durable_app.api.idempotency import idempotent
from durable_app.api.options import is_startable
from durable_app.api.pagination import Paging
from durable_app.api.permissions import VIEW, Need
from durable_app.api.problems import Problem, invalid
from durable_app.api.runs import parts
from durable_app.api.runs.outcomes import VerbResultSerializer, run_settled
from durable_app.api.runs.showing import path_of
from durable_app.api.schema import documented, paged
from durable_app.control.inputs import Inputs
from durable_app.control.operator import Operator, Result
from durable_app.control.verbs import VERBS
from durable_app.keyset import Order
from durable_app.limits import HIGHEST_COUNT
from durable_app.models import Message
from durable_app.store import database, runs

MOST_AT_ONCE = 200
"""Ids of one request; more are a bulk operation."""

REFUSALS = ("run-not-found", "invalid-transition")


class FamilyBody(ReasonBody):
    """How far it goes."""

    include_children = Flag(required=False, default=False, help_text="Descendants, too.")


class ResumeBody(ReasonBody):
    """Where it goes on."""

    queue = Text(required=False, help_text="By default where it stood. One that there is not is 400.")


class PriorityBody(ReasonBody):
    """How soon it is taken."""

    priority = Whole(min_value=0, max_value=HIGHEST_COUNT, help_text="0 is the most urgent.")


class StepBody(ReasonBody):
    """From where a history is run again."""

    from_step = Whole(
        min_value=1,
        max_value=HIGHEST_COUNT,
        help_text="The first step that runs again: at most the one that comes next.",
    )


class InputsBody(Body):
    """All arguments of a run."""

    args = arguments()
    kwargs = named_arguments()


class ForkBody(StepBody):
    """A new run with an old one's history."""

    inputs = InputsBody(
        required=False,
        help_text="In place of all the old arguments. The steps before `from_step` are copied as they were "
        "recorded with the old ones. Needs `start_workflow` too, and a workflow that is open to the API.",
    )

    id = Text(required=False, help_text="Of the new run.")
    queue = Text(required=False, help_text="By default where the run stood. One that there is not is 400.")
    version = Text(required=False, help_text="That the new run is pinned to.")
    partition_key = Text(required=False, help_text="By default the run's own; partitioned queues take one.")
    timeout_ms = Milliseconds(required=False, min_value=1)


class MessageBody(ReasonBody):
    """What a run is told."""

    message = Anything(allow_null=True, help_text="Any JSON.")
    topic = Text(
        required=False, default="", allow_blank=True, help_text="`durable.` begins the engine's own: 400."
    )
    idempotency_key = Text(required=False, help_text="The run gets one message of each key.")


def _cancel(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.cancel(ids, cancel_children=values["include_children"])


def _resume(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.resume(ids, queue_name=values.get("queue"))


def _run_now(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.run_now(ids)


def _set_priority(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.set_priority(ids, priority=values["priority"])


def _retry(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.retry(ids)


_FORK_OPTIONS = {
    "id": "new_workflow_id",
    "queue": "queue_name",
    "version": "app_version",
    "partition_key": "partition_key",
    "timeout_ms": "timeout",
}


def _fork(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    chosen = {_FORK_OPTIONS[name]: value for name, value in values.items() if name in _FORK_OPTIONS}
    if "inputs" in values:
        chosen["inputs"] = Inputs(**values["inputs"])
        _check_startable(operator, ids)
    return [operator.fork(one, values["from_step"], **chosen) for one in ids]


def _check_startable(operator: Operator, ids: list[str]) -> None:
    """Raise Problem if a run is of a workflow that nobody can give arguments here."""
    for run in runs.among(ids, operator.actor.sees):
        if not is_startable(run.name):
            operator.deny("fork", run.workflow_id)
            raise Problem("not-exposed", f"{run.name!r} cannot be given arguments here.")


def _rewind(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return [operator.rewind(one, values["from_step"]) for one in ids]


def _send(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.send(ids, values["message"], values["topic"], values.get("idempotency_key"))


def _delete(operator: Operator, ids: list[str], values: Values) -> list[Result]:
    return operator.delete(ids, delete_children=values["include_children"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """What a verb asks for besides a reason, and what does it."""

    act: Callable[[Operator, list[str], Values], list[Result]]
    body: type[ReasonBody] = ReasonBody


DEEDS: Mapping[str, Deed] = {
    "cancel": Deed(act=_cancel, body=FamilyBody),
    "resume": Deed(act=_resume, body=ResumeBody),
    "run_now": Deed(act=_run_now),
    "set_priority": Deed(act=_set_priority, body=PriorityBody),
    "retry": Deed(act=_retry),
    "fork": Deed(act=_fork, body=ForkBody),
    "rewind": Deed(act=_rewind, body=StepBody),
    "send": Deed(act=_send, body=MessageBody),
    "delete": Deed(act=_delete, body=FamilyBody),
}


class _Verb(RunView):
    """One verb on the run that the URL names."""

    name: ClassVar[str]

    def do(self) -> Result:
        """Do it; raises Problem if it is not done."""
        values = self.body
        operator = self.operator(values["reason"])
        [result] = DEEDS[self.name].act(operator, [self.kwargs["workflow_id"]], values)
        return run_settled(self.actor, result)


def _needs(name: str) -> Mapping[str, Need]:
    return {"POST": Need(permission=VERBS[name].permission, verb=name)}


def _bodies(name: str) -> Mapping[str, type[Body]]:
    return {"POST": DEEDS[name].body}


class Cancel(_Verb):
    """Cancelling."""

    name = "cancel"
    needs, bodies = _needs(name), _bodies(name)

    @documented("workflows_cancel", answers={200: VerbResultSerializer}, problems=REFUSALS)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Cancel a run that has not ended; one that executes ends at its next step."""
        return Response(VerbResultSerializer(self.do()).data)


class Resume(_Verb):
    """Resuming."""

    name = "resume"
    needs, bodies = _needs(name), _bodies(name)

    @documented("workflows_resume", answers={200: VerbResultSerializer}, problems=REFUSALS)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Let a cancelled or dead-lettered run go on after its last recorded step."""
        return Response(VerbResultSerializer(self.do()).data)


class RunNow(_Verb):
    """Running at once."""

    name = "run_now"
    needs, bodies = _needs(name), _bodies(name)

    @documented("workflows_run_now", answers={200: VerbResultSerializer}, problems=REFUSALS)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Let a delayed or queued run start, past its queue's limits."""
        return Response(VerbResultSerializer(self.do()).data)


class Rewind(_Verb):
    """Rewinding."""

    name = "rewind"
    needs, bodies = _needs(name), _bodies(name)

    @documented("workflows_rewind", answers={200: VerbResultSerializer}, problems=REFUSALS)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Run a finished run again under its own id; its later history is dropped."""
        return Response(VerbResultSerializer(self.do()).data)


class _Maker(_Verb):
    """A verb that makes a run."""

    def made(self, request: Request) -> Response:
        """Do it, and say where the new run is."""
        result = self.do()
        headers = {"Location": path_of(request, result.made)}
        return Response(VerbResultSerializer(result).data, 201, headers=headers)


class Retry(_Maker):
    """Retrying."""

    name = "retry"
    needs, bodies = _needs(name), _bodies(name)

    @idempotent
    @documented("workflows_retry", answers={201: VerbResultSerializer}, problems=REFUSALS)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Run an unsuccessful run again under a new id, from the step that failed."""
        return self.made(request)


class Fork(_Maker):
    """Forking."""

    name = "fork"
    needs, bodies = _needs(name), _bodies(name)

    @idempotent
    @documented(
        "workflows_fork",
        answers={201: VerbResultSerializer},
        problems=[*REFUSALS, "conflict-id", "not-exposed", "workflow-not-found"],
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Run a history again under a new id, from a step on; the results before it are taken over.

        With `inputs` the new run has other arguments.
        """
        return self.made(request)


class Messages(_Verb):
    """The messages of a run."""

    name = "send"
    needs = {"GET": VIEW, **_needs(name)}
    queries = {"GET": parts.ValueQuery}
    bodies = _bodies(name)

    @documented(
        "workflows_messages",
        answers={200: paged(parts.MessageSerializer)},
        problems=["run-not-found", "invalid-cursor"],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """List the messages that a run was sent, oldest first."""
        run = self.run()
        rows = Message.objects.using(database.alias()).filter(destination_id=run.pk)
        page = Paging.asked("messages", self.query, Order(fields=("pk",))).page(rows)
        may_see, has_value = self.actor.may("view_payload", run), "value" in self.query.get("include", [])
        return page.response(request, lambda row: parts.shown_message(row, may_see, has_value=has_value))

    @idempotent
    @documented("workflows_send", answers={202: VerbResultSerializer}, problems=REFUSALS)
    def post(self, request: Request, workflow_id: str) -> Response:
        """Send a message to a run that has not ended."""
        return Response(VerbResultSerializer(self.do()).data, 202)


class VerbsBody(ReasonBody):
    """A verb, and the ids of runs: any text, also with a slash."""

    verb = serializers.ChoiceField(choices=sorted(DEEDS))
    ids = serializers.ListField(child=Text(), min_length=1, max_length=MOST_AT_ONCE)
    options = serializers.DictField(
        child=Anything(allow_null=True), required=False, help_text="What the verb's own endpoint takes."
    )


class ResultsSerializer(serializers.Serializer[Any]):
    """What became of a verb on each run."""

    results = VerbResultSerializer(many=True)


class Verbs(DurableView):
    """A verb on runs whose ids stand in the body."""

    needs = {
        "POST": Need(permission="view_workflow", verb="verbs")
    }  # and the verb's own, which the body tells
    bodies = {"POST": VerbsBody}

    @documented("workflows_verbs", answers={200: ResultsSerializer})
    def post(self, request: Request) -> Response:
        """Do a verb to each of some runs; one that cannot be done does not stop the others."""
        name, ids = self.body["verb"], list(dict.fromkeys(self.body["ids"]))
        operator = self.operator(self.body["reason"])
        if not self.actor.may(VERBS[name].permission):
            for one in ids:
                operator.deny(name, one)
            raise Problem("permission-denied")
        if len(ids) > 1 and not VERBS[name].is_bulk:
            raise invalid("/ids", f"{name!r} takes one id.")
        results = DEEDS[name].act(operator, ids, checked_options(name, self.body))
        return Response({"results": VerbResultSerializer(results, many=True).data})


def checked_options(name: str, body: Values) -> Values:
    """Return what a verb asks for besides a reason, by its own names; raises ValidationError."""
    found = DEEDS[name].body(data=body.get("options", {}))
    if not found.is_valid():
        raise serializers.ValidationError({"options": found.errors})
    values: Values = found.validated_data
    return values
