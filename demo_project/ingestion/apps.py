"""Wiring of the manuals."""

from django.apps import AppConfig


class IngestionConfig(AppConfig):
    """Texts, and the search over them."""

    name = "demo_project.ingestion"
    label = "ingestion"
    verbose_name = "Manuals"
    default_auto_field = "django.db.models.BigAutoField"
