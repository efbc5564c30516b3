"""The entry "approvals" put together."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from durable_app.admin.approvals.lists import Inbox
from durable_app.admin.approvals.page import ApprovalPages
from durable_app.admin.base import BaseAdmin
from durable_app.control.answering import PERMISSION, may_answer
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
        actor = self.actor_of(request)
        run = None if obj is None else obj.workflow
        if actor.may("view_approval", run) or actor.may(PERMISSION, run):
            return True
        return obj is not None and may_answer(actor, obj)

    def found(self, request: HttpRequest, object_id: Any) -> Any:
        """Return a question, also to those whom only its own permission lets answer; else raise."""
        if self.has_view_permission(request):
            return super().found(request, object_id)
        obj: Any = self.get_object(request, unquote(str(object_id)))
        if obj is None or not may_answer(self.actor_of(request), obj):
            raise PermissionDenied
        return obj


class ApprovalAdmin(ApprovalAdminMixin, BaseAdmin):
    """Approvals."""
