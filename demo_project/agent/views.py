"""The assistant's pages: ask, follow the answer as it is being written, approve or deny."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from demo_project.agent import approvals
from demo_project.agent.forms import QuestionForm
from demo_project.agent.models import Conversation
from demo_project.agent.transcript import transcript_of
from demo_project.agent.workflows import assist
from demo_project.orders.models import Order
from durable_app import SetWorkflowID, start_workflow

SHOWN = 10


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def assistant(request: HttpRequest) -> HttpResponse:
    """Show the conversations; on POST, begin one."""
    form = QuestionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _begin(form.cleaned_data["key"], form.cleaned_data["question"])
    context = {
        "form": QuestionForm(),
        "error": form.errors.get("question", [""])[0],
        "conversations": Conversation.objects.all()[:SHOWN],
        "examples": _examples(),
    }
    return render(request, "agent/assistant.html", context)


def _begin(key: str, question: str) -> HttpResponseRedirect:
    """Write the question down and start the run that answers it: both or neither."""
    with transaction.atomic():
        conversation, is_new = Conversation.objects.get_or_create(key=key, defaults={"question": question})
        if is_new:
            with SetWorkflowID(conversation.workflow_id):
                start_workflow(assist, key, question)
    return redirect(conversation)


def _examples() -> list[str]:
    """Return questions to begin with: about an order that could be refunded, if there is one."""
    paid = Order.objects.filter(status=Order.Status.DISPATCHED, payment__status="charged").first()
    about = paid.number if paid else "K7PMX2WQ9D"
    return [
        f"I would like a refund for order {about}, please",
        f"Where is my order {about}?",
        "My spring squeaks. What can I do?",
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def conversation_page(request: HttpRequest, key: str) -> HttpResponse:
    """Show a conversation; on POST, approve or deny what the assistant wants to do."""
    conversation = get_object_or_404(Conversation, key=key)
    if request.method == "POST":
        _decide(conversation.workflow_id, request.POST.get("answer", ""))
        return redirect(conversation)
    context = {"conversation": conversation, "transcript": transcript_of(conversation)}
    return render(request, "agent/conversation.html", context)


def _decide(workflow_id: str, answer: str) -> None:
    """Answer the question that is open; an answer that comes too late is for nobody."""
    asked = approvals.open_request(workflow_id)
    if asked is not None:
        approvals.decide(asked.pk, approve=answer == approvals.APPROVED)


@require_safe
@never_cache
def conversation_transcript(request: HttpRequest, key: str) -> HttpResponse:
    """Return the part of the page that changes."""
    conversation = get_object_or_404(Conversation, key=key)
    return render(request, "agent/_transcript.html", {"transcript": transcript_of(conversation)})
