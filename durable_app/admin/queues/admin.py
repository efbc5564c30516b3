"""The entry "queues" put together."""

from django.urls import URLPattern, path

from durable_app.admin.base import BaseAdmin
from durable_app.admin.queues.links import PREFIX
from durable_app.admin.queues.page import QueuePages


class QueueAdminMixin(QueuePages):
    """Queues: a list, a page each, and verbs."""

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of verbs."""
        view = self.admin_site.admin_view
        return [
            path("<str:object_id>/verb/<slug:name>/", view(self.verb_view), name=f"{PREFIX}_verb"),
            *super().get_urls(),
        ]


class QueueAdmin(QueueAdminMixin, BaseAdmin):
    """Queues."""
