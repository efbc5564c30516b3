"""Wiring of the assistant."""

from django.apps import AppConfig


class AgentConfig(AppConfig):
    """Conversations with a language model."""

    name = "demo_project.agent"
    label = "agent"
    verbose_name = "Assistant"
    default_auto_field = "django.db.models.BigAutoField"
