"""The control plane in Django's admin: found by itself, or put on other sites with ``register``.

Every entry is a mixin and a thin class: a project that wants another one composes the mixin with its own
base, and registers that instead.
"""

from django.contrib import admin

from durable_app.admin.options import options
from durable_app.admin.runs.admin import RunAdmin
from durable_app.admin.sites import entry, register
from durable_app.models import Workflow

__all__ = ["register"]

entry("runs", Workflow, RunAdmin)

if options().AUTOREGISTER:
    register(admin.site)
