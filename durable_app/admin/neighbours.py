"""Links from one of our entries to another, where the same site has both."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse

from durable_app.admin.base import SITE
from durable_app.models import Workflow
from durable_app.store import database


def page_url(site: AdminSite, model: type[Model], pk: Any) -> str:
    """Return the URL of a row's page; empty if the site does not have such rows."""
    if not site.is_registered(model):
        return ""
    name = f"{SITE}:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(name, args=[quote(pk)], current_app=site.name)


def run_url(site: AdminSite, workflow_id: str) -> str:
    """Return the URL of the page of the run that has an id; empty if there is none."""
    rows = Workflow.objects.using(database.alias()).filter(workflow_id=workflow_id)
    pk = rows.values_list("pk", flat=True).first()
    return "" if pk is None else page_url(site, Workflow, pk)
