"""The entry "workers" put together."""

from django.urls import URLPattern, path

from durable_app.admin.base import BaseAdmin
from durable_app.admin.workers.links import PREFIX
from durable_app.admin.workers.page import WorkerPages


class WorkerAdminMixin(WorkerPages):
    """Workers: a list, a page each, and verbs."""

    def get_urls(self) -> list[URLPattern]:
        """Add the versions, and the pages of verbs."""
        view = self.admin_site.admin_view
        return [
            path("versions/", view(self.versions_view), name=f"{PREFIX}_versions"),
            path("<str:object_id>/verb/<slug:name>/", view(self.verb_view), name=f"{PREFIX}_verb"),
            *super().get_urls(),
        ]


class WorkerAdmin(WorkerAdminMixin, BaseAdmin):
    """Workers."""
