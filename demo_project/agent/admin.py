"""The conversations in Django's admin."""

from django.contrib import admin

from demo_project.agent.models import Conversation
from demo_project.orders.admin import ReadOnlyAdmin


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """What was asked, and answered."""

    list_display = ("question", "answer", "created_at")
    search_fields = ("question", "answer")
