"""The events in Django's admin."""

from django.contrib import admin

from demo_project.orders.admin import ReadOnlyAdmin
from demo_project.outbox.models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What is on its way, and what has arrived."""

    list_display = ("event_id", "kind", "state", "tries", "last_answer", "created_at")
    list_filter = ("state", "kind")
    search_fields = ("event_id",)
