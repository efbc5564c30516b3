"""The page of a question: what is asked, of which run, and the form that answers it."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.approvals.markdown import rendered
from durable_app.admin.approvals.state import State, state_of
from durable_app.admin.base import with_nonce
from durable_app.admin.confirming import LONGEST_REASON
from durable_app.admin.histories import HistoryPages
from durable_app.admin.neighbours import page_url
from durable_app.admin.options import options
from durable_app.admin.runs.steps import step_page
from durable_app.control.answering import Reply, answer, form_of, may_answer
from durable_app.control.operator import Result
from durable_app.errors import InvalidAnswerError
from durable_app.insight.payloads import attributes, payload
from durable_app.models import Workflow
from durable_app.store import approvals

PREFIX = "durable"
"""Of the names of our own fields, so that the question's form may have any."""

BUTTON = f"{PREFIX}-answer"

LABELS: Mapping[str, Any] = {"approve": gettext_lazy("Approve"), "reject": gettext_lazy("Reject")}

EXCERPT = 8
"""Steps before the question that are drawn."""


class RemarkForm(forms.Form):
    """What an answer may have beside the question's own form."""

    comment = forms.CharField(
        label=gettext_lazy("Comment"),
        required=False,
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("The run gets it with the answer."),
    )

    prefix = PREFIX

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["comment"].required = options().REASON_REQUIRED


class ApprovalPages(HistoryPages):
    """The view of one question."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a question, or answer it."""
        question = self.found(request, object_id)
        match request.method:
            case "GET" | "HEAD":
                return self._page(request, question)
            case "POST":
                return self._answer(request, question)
            case _:
                return HttpResponseNotAllowed(["GET", "HEAD", "POST"])

    def _answer(self, request: HttpRequest, question: Any) -> HttpResponse:
        operator = self.operator_of(request)
        chosen = request.POST.get(BUTTON, "")
        remark = RemarkForm(request.POST)
        is_entitled = may_answer(operator.actor, question)
        if is_entitled and (chosen not in LABELS or not remark.is_valid()):
            return self._page(request, question, remark, is_bound=True)
        comment = remark.cleaned_data["comment"] if is_entitled else ""
        reply = Reply(approved=chosen != "reject", data=request.POST, comment=comment)
        try:
            result = answer(operator, question.pk, reply)
        except InvalidAnswerError:
            return self._page(request, question, remark, is_bound=True)
        if result.outcome == "denied":
            return self.forbidden(request)
        return self._answered(request, question, result, LABELS[chosen], comment)

    def _answered(
        self, request: HttpRequest, question: Any, result: Result, label: Any, comment: str
    ) -> HttpResponse:
        """Tell what became of an answer, and lead on: to the run, the inbox, or back to who was first."""
        if not result.is_done:
            now = approvals.get(question.pk)
            sentence = "" if now is None else state_of(now, clock.now()).sentence
            messages.warning(request, f"{question.title}: {sentence or result.detail}")
            return HttpResponseRedirect(self.object_url(question.pk))
        messages.success(request, f"{label}: {question.title}")
        self.note(request, question, f"{label}: {comment}" if comment else str(label))
        back = self.list_url() if self.has_view_permission(request) else self.object_url(question.pk)
        return HttpResponseRedirect(self._run_url(request, question.workflow) or back)

    def _run_url(self, request: HttpRequest, run: Any) -> str:
        may_look = self.may(request, "view_workflow", run)
        return page_url(self.admin_site, Workflow, run.pk) if may_look else ""

    def _page(
        self, request: HttpRequest, question: Any, remark: Any = None, *, is_bound: bool = False
    ) -> HttpResponse:
        state = state_of(question, clock.now())
        is_asked = state.is_open and may_answer(self.actor_of(request), question)
        form, trouble = self._form(question, request.POST if is_bound else None) if is_asked else (None, "")
        media = self.media if form is None else self.media + form.media
        run_url = self._run_url(request, question.workflow)
        context = self.page_context(
            request,
            question.title,
            media=with_nonce(request, media),
            question=question,
            object=question,
            state=state,
            badge=display.mark(state.kind, state.shape, state.label),
            facts=self._facts(question, run_url, state),
            description=rendered(question.description),
            attributes=[_shown(*pair) for pair in attributes(question.context).items()],
            is_asked=is_asked,
            form=form,
            trouble=trouble,
            remark=remark or RemarkForm(),
            button=BUTTON,
            run_url=run_url,
            excerpt=self._excerpt(request, question, run_url),
            given=self._given(request, question),
            history_url=self.history_url(question.pk),
        )
        template = "admin/durable_app/approval/change_form.html"
        return TemplateResponse(request, template, context, headers={"Cache-Control": "no-store"})

    def _form(self, question: Any, data: Any) -> tuple[Any, str]:
        """Return the question's form, or why it cannot be shown here: then it can only be rejected."""
        try:
            return form_of(question, data), ""
        except InvalidAnswerError as error:
            return None, " ".join(one for found in error.errors.values() for one in found)

    def _facts(self, question: Any, run_url: str, state: State) -> list[tuple[Any, Any]]:
        run = question.workflow
        facts: list[tuple[Any, Any]] = [
            (_("Workflow"), display.short_name(run.name)),
            (_("Run"), display.identifier(run.workflow_id, run_url)),
            (_("Asked"), display.ago(question.created_at)),
            (_("Deadline"), display.ago(question.deadline_at) if question.deadline_at else None),
            (_("For the group"), question.group),
            (_("With the permission"), question.permission),
            (_("Answered by"), question.answered_by),
            (_("Closed"), display.ago(question.closed_at) if question.closed_at else None),
        ]
        return [(label, value) for label, value in facts if value]

    def _excerpt(self, request: HttpRequest, question: Any, run_url: str) -> Any:
        """Return the steps before the question, drawn, for those who may look at the run."""
        if not run_url:
            return None
        first = max(1, question.position - EXCERPT)
        return step_page(question.workflow, self.actor_of(request), str(first), run_url).drawing

    def _given(self, request: HttpRequest, question: Any) -> Any:
        """Return what the form was filled in with, as far as the viewer may see payloads."""
        may_see = self.may(request, "view_payload", question.workflow)
        return payload(question.values, "json", may_see=may_see) if question.form else None


def _shown(name: str, value: Any) -> tuple[str, str, bool]:
    """Return an attribute as text, and whether that has lines of its own."""
    if isinstance(value, dict | list):
        return name, json.dumps(value, indent=2, ensure_ascii=False), True
    return name, str(value), False
