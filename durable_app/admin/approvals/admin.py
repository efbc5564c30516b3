"""The entry "approvals" put together."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from durable_app.admin.approvals.lists import Inbox
from durable_app.admin.approvals.page import ApprovalPages
from durable_app.admin.base import BaseAdmin
from durable_app.control.answering import may_answer, may_look
from durable_app.store import approvals


class ApprovalAdminMixin(Inbox, ApprovalPages):
    """Questions that runs ask people: an inbox, a page each with its form."""

    target_kind = "approval"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the questions of the runs that the user may know of."""
        found = approvals.visible(self.actor_of(request).sees).select_related("workflow")
        return found.defer("workflow__inputs", "workflow__output", "workflow__error")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask the policy: who may answer may look, too."""
        return may_look(self.actor_of(request), obj)

    def found(self, request: HttpRequest, object_id: Any) -> Any:
        """Return a question, also to those whom only its own permission lets answer; else raise."""
        if self.has_view_permission(request):
            return super().found(request, object_id)
        obj: Any = self.get_object(request, unquote(str(object_id)))
        if obj is None or not may_answer(self.actor_of(request), obj):
            raise PermissionDenied
        return obj

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a question, or answer it; an attempt of those who may not even look is recorded, too."""
        try:
            return super().change_view(request, object_id, form_url, extra_context)
        except PermissionDenied:
            return self.denied(request, "answer") if request.method == "POST" else self.forbidden(request)


class ApprovalAdmin(ApprovalAdminMixin, BaseAdmin):
    """Approvals."""
