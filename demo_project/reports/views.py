"""The page of the reports: what was written, when the next one is due, and how to have one sooner."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from demo_project.reports.models import DailyReport
from demo_project.reports.workflows import SCHEDULE, ZONE
from durable_app import (
    NonExistentScheduleError,
    backfill_schedule,
    get_schedule,
    list_workflows,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
)

SHOWN = 14


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def report_list(request: HttpRequest) -> HttpResponse:
    """Show the reports and their schedule; on POST, do what the button says."""
    if request.method == "POST":
        try:
            messages.success(request, _obey(request.POST.get("action", "")))
        except NonExistentScheduleError:
            messages.error(request, "No worker has started yet: workers write declared schedules down.")
        return redirect("reports:reports")
    return render(request, "reports/report_list.html", _context())


@require_safe
@never_cache
def report_rows(request: HttpRequest) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "reports/_rows.html", _context())


def _obey(action: str) -> str:
    """Do what a button asks for; return what to say about it."""
    if action == "pause":
        pause_schedule(SCHEDULE)
        return "The schedule is paused: midnight will pass without a report."
    if action == "resume":
        resume_schedule(SCHEDULE)
        return "The schedule fires again."
    if action == "backfill":
        now = timezone.now()
        runs = backfill_schedule(SCHEDULE, now - timedelta(days=7), now)
        return (
            f"{len(runs)} reports of the last week are in line; a tick that has had its run is passed over."
        )
    trigger_schedule(SCHEDULE)
    return "Today's report is being written, from the orders until now."


def _context() -> dict[str, Any]:
    reports = list(DailyReport.objects.all()[:SHOWN])
    best = max((report.revenue for report in reports), default=0)
    return {
        "reports": [(report, round(100 * report.revenue / best) if best else 0) for report in reports],
        "schedule": get_schedule(SCHEDULE),
        "runs": list_workflows(schedule_name=SCHEDULE, sort_desc=True, limit=5),
        "zone": ZONE.key,
    }
