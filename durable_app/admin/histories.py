"""Django's History button, with our audit above it: that also knows programs and terminals."""

from typing import Any

import django
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from durable_app.admin.base import SITE, DurableAdminMixin, with_nonce
from durable_app.models import AuditEvent
from durable_app.store import database

MOST = 100
"""Events that are shown; the newest ones."""


class HistoryPages(DurableAdminMixin):
    """The view of what was done to a row."""

    object_history_template = "admin/durable_app/history.html"
    target_kind = ""
    """What the audit calls rows like these."""

    def target_id(self, obj: Any) -> str:
        """Return what the audit calls a row."""
        return str(obj.pk)

    def history_url(self, pk: Any) -> str:
        """Return the URL of a row's history."""
        name = f"{SITE}:{self.opts.app_label}_{self.opts.model_name}_history"
        return reverse(name, args=[quote(pk)], current_app=self.admin_site.name)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show what was done to a row; those who may not see it learn nothing."""
        obj = self.found(request, object_id)
        events = AuditEvent.objects.using(database.alias()).filter(
            target_id=self.target_id(obj), target_kind=self.target_kind
        )
        context = {
            "audit": list(events.order_by("-pk")[:MOST]),
            "list_url": self.list_url(),
            "object_url": self.object_url(obj.pk),
            "durable_media": with_nonce(request, self.media),
            "crumbs_are_a_list": django.VERSION >= (6, 1),
        }
        return super().history_view(request, object_id, {**context, **(extra_context or {})})
