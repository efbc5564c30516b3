"""Django's History button, with our audit above it: that also knows programs and terminals."""

from typing import Any

import django
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from durable_app.admin.audit.words import Deed, deeds
from durable_app.admin.base import SITE, DurableAdminMixin, with_nonce
from durable_app.store import audit

MOST = 100
"""Events that are shown; the newest ones."""


class HistoryPages(DurableAdminMixin):
    """The view of what was done to a row."""

    object_history_template = "admin/durable_app/history.html"

    def target_id(self, obj: Any) -> str:
        """Return what the audit calls a row."""
        return str(obj.pk)

    def audit_of(self, request: HttpRequest, obj: Any, most: int) -> list[Deed] | None:
        """Return what was last done to a row; None to those who may not see the audit."""
        actor = self.actor_of(request)
        if not actor.may("view_auditevent"):
            return None
        return deeds(audit.newest(self.target_kind, self.target_id(obj), most, actor.sees_events))

    def history_url(self, pk: Any) -> str:
        """Return the URL of a row's history."""
        name = f"{SITE}:{self.opts.app_label}_{self.opts.model_name}_history"
        return reverse(name, args=[quote(pk)], current_app=self.admin_site.name)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show what was done to a row; those who may not see it learn nothing."""
        obj = self.found(request, object_id)
        context = {
            "audit": self.audit_of(request, obj, MOST),
            "list_url": self.list_url(),
            "object_url": self.object_url(obj.pk),
            "durable_media": with_nonce(request, self.media),
            "crumbs_are_a_list": django.VERSION >= (6, 1),
        }
        return super().history_view(request, object_id, {**context, **(extra_context or {})})
