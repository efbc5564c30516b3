"""Links to the pages of runs: empty where the site has none, or the user may not look at runs."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from durable_app.admin.base import SITE
from durable_app.admin.runs.conditions import ANY_AGE, WINDOW, quoted
from durable_app.models import Workflow

RUNS = f"{SITE}:durable_app_workflow"


def runs_url(model_admin: Any, request: HttpRequest, **conditions: str) -> str:
    """Return the list of the runs under some conditions; ``worker`` is one that its search knows.

    They are of any age, and the link says so: a figure and the rows behind it agree.
    """
    if not _shows_runs(model_admin, request):
        return ""
    worker = conditions.pop("worker", "")
    if worker:
        conditions["q"] = f"worker:{quoted(worker)}"
    url = reverse(f"{RUNS}_changelist", current_app=model_admin.admin_site.name)
    return f"{url}?{urlencode({WINDOW: ANY_AGE, **conditions})}"


def bulk_url(model_admin: Any, request: HttpRequest, verb: str, **conditions: str) -> str:
    """Return the page that does a verb to all runs under some conditions."""
    if not _shows_runs(model_admin, request):
        return ""
    url = reverse(f"{RUNS}_bulk", args=[verb], current_app=model_admin.admin_site.name)
    return f"{url}?{urlencode(conditions)}"


def run_url(model_admin: Any, request: HttpRequest, number: int) -> str:
    """Return the page of a run."""
    if not _shows_runs(model_admin, request):
        return ""
    return reverse(f"{RUNS}_change", args=[number], current_app=model_admin.admin_site.name)


def _shows_runs(model_admin: Any, request: HttpRequest) -> bool:
    site = model_admin.admin_site
    return bool(site.is_registered(Workflow) and model_admin.may(request, "view_workflow"))
