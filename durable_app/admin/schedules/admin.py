"""The entry "schedules" put together."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from durable_app.admin.base import BaseAdmin
from durable_app.admin.schedules.links import PREFIX
from durable_app.admin.schedules.verbs import ScheduleVerbs


class ScheduleAdminMixin(ScheduleVerbs):
    """Schedules: a list, a page and a form each, verbs and backfills."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask the policy: the form is ours."""
        return self.may(request, "add_schedule")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of verbs; ids are UUIDs, whatever a schedule's name is made of."""
        view = self.admin_site.admin_view
        return [
            path("preview/", view(self.preview_view), name=f"{PREFIX}_preview"),
            path("<uuid:pk>/edit/", view(self.edit_view), name=f"{PREFIX}_edit"),
            path("<uuid:pk>/backfill/", view(self.backfill_view), name=f"{PREFIX}_backfill"),
            path("<uuid:pk>/verb/<slug:name>/", view(self.verb_view), name=f"{PREFIX}_verb"),
            *super().get_urls(),
        ]

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Lead Django's own link to the verb."""
        return HttpResponseRedirect(self.verb_url(self.found(request, object_id), "delete"))


class ScheduleAdmin(ScheduleAdminMixin, BaseAdmin):
    """Schedules."""
