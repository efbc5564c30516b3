"""Wiring: checks, log receivers, the ``workflows`` module of every installed app, the embedded worker."""

import os
import sys

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class DurableAppConfig(AppConfig):
    name = "durable_app"
    label = "durable_app"
    verbose_name = _("Durable workflows")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from durable_app import checks, logs  # noqa: F401, PLC0415  (they need loaded apps)
        from durable_app.registry import registry  # noqa: PLC0415
        from durable_app.worker import embedded  # noqa: PLC0415

        autodiscover_modules("workflows")
        registry.note_loaded()
        if embedded.is_serving(sys.argv, os.environ) and embedded.is_wanted():
            embedded.Embedded(checks.is_migrated).start()
