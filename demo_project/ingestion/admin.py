"""The texts in Django's admin."""

from django.contrib import admin

from demo_project.ingestion.models import Document
from demo_project.orders.admin import ReadOnlyAdmin


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """What was read."""

    list_display = ("path", "title", "readings", "read_at")
    search_fields = ("path", "title")
