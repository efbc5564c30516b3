"""Wiring of the outbox."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Events on their way to a webhook."""

    name = "demo_project.outbox"
    label = "outbox"
    verbose_name = "Webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to the shop."""
        from demo_project.outbox import receivers  # noqa: F401, PLC0415  (it needs loaded apps)
