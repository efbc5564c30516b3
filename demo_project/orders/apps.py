"""Wiring of the shop."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The widget store."""

    name = "demo_project.orders"
    label = "orders"
    verbose_name = "Widget store"
    default_auto_field = "django.db.models.BigAutoField"
