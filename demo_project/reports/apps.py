"""Wiring of the reports."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    """A row for each day of the shop."""

    name = "demo_project.reports"
    label = "reports"
    verbose_name = "Reports"
    default_auto_field = "django.db.models.BigAutoField"
