"""Approvals: the questions that runs ask people, and answering them."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Anything, Body, Flag, Moment, PageQuery, Text
from durable_app.api.pagination import Paging
from durable_app.api.permissions import DurablePermission, Need, actor_of
from durable_app.api.problems import Problem, pointers, settled
from durable_app.api.schema import documented, paged
from durable_app.control import answering
from durable_app.control.answering import Reply
from durable_app.errors import InvalidAnswerError
from durable_app.insight import payloads
from durable_app.insight.form_schema import schema_of
from durable_app.keyset import Order
from durable_app.models import Workflow
from durable_app.registry import registry
from durable_app.store import approvals, database

SEE = Need(permission="view_approval")

OLDEST = Order(fields=("pk",))

HIGHEST = 2**63 - 1


class ApprovalSerializer(serializers.Serializer[Any]):
    """A question that a run asks."""

    id = serializers.IntegerField()
    workflow_id = serializers.CharField()
    workflow = serializers.CharField(help_text="The workflow's name.")
    title = serializers.CharField()
    description = serializers.CharField(help_text="Plain text with blank lines between paragraphs.")
    context = serializers.JSONField(  # type: ignore[assignment]
        help_text="What the run shows beside the question."
    )
    group = serializers.CharField(help_text="Whose members may answer; empty: whoever has the permission.")
    permission = serializers.CharField(help_text="What it takes to answer; empty: `answer_approval`.")
    may_answer = serializers.BooleanField(help_text="Whether you may.")
    form = serializers.JSONField(
        allow_null=True,
        help_text="JSON schema of the `values` that an approval takes; null: none. "
        "Of a form that this process does not know, only `$comment`.",
    )
    created_at = Moment()
    deadline_at = Moment(allow_null=True)
    is_open = serializers.BooleanField()
    answered_by = serializers.CharField()
    approved = serializers.BooleanField(allow_null=True)


class ApprovalQuery(PageQuery):
    """Which questions."""

    workflow_id = Text(required=False, help_text="Only those of this run.")

    mine = Flag(required=False, default=False, help_text="Only those that are addressed to you.")


class AnswerBody(Body):
    """An answer."""

    approved = Flag()
    values = Anything(required=False, help_text="What the form is filled in with, by field.")
    comment = Text(required=False, default="", allow_blank=True, max_length=2000)

    def validate_values(self, given: Any) -> Any:
        """Refuse what is no object."""
        if not isinstance(given, dict):
            raise serializers.ValidationError("This is an object: a value for each field.")
        return given


class Onlooker(DurablePermission):
    """Lets those look who may look at questions: as in the admin, whoever may answer them may, too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the actor may see the inbox."""
        user: Any = request.user
        if not user.is_authenticated or not user.is_active:
            return False
        return view.verb not in view.implemented or answering.may_look(actor_of(request))


class Approvals(DurableView):
    """The inbox."""

    permission_classes = (Onlooker,)
    needs = {"GET": SEE}
    queries = {"GET": ApprovalQuery}

    @documented("approvals_list", answers={200: paged(ApprovalSerializer)})
    def get(self, request: Request) -> Response:
        """List the questions that wait for an answer, the oldest first."""
        rows = approvals.waiting().filter(workflow_id__in=_visible(self.actor))
        if "workflow_id" in self.query:
            rows = rows.filter(workflow__workflow_id=self.query["workflow_id"])
        if self.query["mine"]:
            rows = answering.addressed_to(self.actor, rows)
        page = Paging.asked("approvals", self.query, OLDEST).page(rows)
        return page.response(request, self.shown)

    def shown(self, row: Any) -> dict[str, Any]:
        """Return a question as JSON."""
        return _shown(self.actor, row)


class AnyActor(DurablePermission):
    """Lets everybody in who is authenticated: who may do what is the question's own."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether somebody is there."""
        return bool(request.user.is_authenticated and request.user.is_active)


class Approval(DurableView):
    """One question."""

    permission_classes = (AnyActor,)
    needs = {"GET": SEE}

    @documented("approvals_get", answers={200: ApprovalSerializer}, problems=["approval-not-found"])
    def get(self, request: Request, number: int) -> Response:
        """Return a question, open or answered."""
        found = _found(self.actor, number)
        if not answering.may_look(self.actor, found):
            raise Problem("permission-denied")
        return Response(_shown(self.actor, found))


class Answer(DurableView):
    """The answer to a question."""

    permission_classes = (AnyActor,)
    needs = {"POST": Need(permission=answering.PERMISSION, verb="approve", kind="approval")}
    bodies = {"POST": AnswerBody}

    @documented(
        "approvals_answer",
        answers={200: ApprovalSerializer},
        problems=["approval-not-found", "invalid-transition"],
    )
    def post(self, request: Request, number: int) -> Response:
        """Approve or reject; the run goes on. Only the first answer counts, a second one is 409."""
        _found(self.actor, number)
        given = self.body
        reply = Reply(
            approved=given["approved"], data=given.get("values"), comment=given["comment"], is_exact=True
        )
        try:
            settled(answering.answer(self.operator(given["comment"]), number, reply))
        except InvalidAnswerError as error:
            raise Problem("validation-error", errors=list(pointers({"values": error.errors}))) from error
        return Response(_shown(self.actor, _found(self.actor, number)))


def _visible(actor: Any) -> Any:
    return actor.sees(Workflow.objects.using(database.alias())).order_by().values("pk")


def _found(actor: Any, number: int) -> Any:
    found = approvals.get(number) if number <= HIGHEST else None
    if found is None or not _visible(actor).filter(pk=found.workflow_id).exists():
        raise Problem("approval-not-found", f"There is no approval {number}.")
    return found


def _shown(actor: Any, row: Any) -> dict[str, Any]:
    return {
        "id": row.pk,
        "workflow_id": row.workflow.workflow_id,
        "workflow": row.workflow.name,
        "title": row.title,
        "description": row.description,
        "context": payloads.redacted(payloads.plain(row.context)),
        "group": row.group,
        "permission": row.permission,
        "may_answer": answering.may_answer(actor, row),
        "form": _form(row.form),
        "created_at": Moment().to_representation(row.created_at),
        "deadline_at": None if row.deadline_at is None else Moment().to_representation(row.deadline_at),
        "is_open": approvals.is_open(row),
        "answered_by": row.answered_by,
        "approved": row.approved,
    }


def _form(name: str) -> dict[str, Any] | None:
    if not name:
        return None
    form = registry.forms.get(name)
    return (
        {"$comment": f"The form {name} is not known in this process."} if form is None else schema_of(form())
    )


urlpatterns = [
    path("approvals", Approvals.as_view(), name="approvals"),
    path("approvals/<int:number>", Approval.as_view(), name="approval"),
    path("approvals/<int:number>/answer", Answer.as_view(), name="approval-answer"),
]
