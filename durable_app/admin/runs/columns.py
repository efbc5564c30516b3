"""The columns of the list of runs."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_app.admin import display
from durable_app.admin.approvals.asked import question_url
from durable_app.admin.runs.links import RunLinks
from durable_app.engine.retries import RETRY
from durable_app.insight.payloads import attributes
from durable_app.models import Status, Step, Workflow
from durable_app.store import database

COLUMNS_VAR = "cols"

USUAL = (
    "shown_status",
    "shown_name",
    "shown_id",
    "shown_queue",
    "shown_start",
    "shown_duration",
    "shown_now",
)

MORE = {
    "attributes": "shown_attributes",
    "worker": "shown_worker",
    "version": "app_version",
    "attempts": "attempt",
    "parent": "shown_parent",
    "user": "user",
    "priority": "priority",
    "dedup": "deduplication_id",
    "schedule": "schedule_name",
}
"""Columns that a link may ask for, by the name in it."""

LONGEST_CELL = 60
LONGEST_NAME = 24
LONGEST_QUEUE = 16


class RunColumns(RunLinks):
    """Methods for ``list_display``."""

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the usual columns, and those the link asks for."""
        wanted = request.GET.get(COLUMNS_VAR, "").split(",")
        return (*USUAL, *(MORE[name] for name in MORE if name in wanted))

    @admin.display(description=_("Status"))
    def shown_status(self, run: Workflow) -> SafeString:
        """Return the state as a badge."""
        return display.badge(run.status)

    @admin.display(description=_("Workflow"))
    def shown_name(self, run: Workflow) -> SafeString:
        """Return the function's name."""
        return display.short_name(run.name, LONGEST_NAME)

    @admin.display(description=_("ID"))
    def shown_id(self, run: Workflow) -> SafeString:
        """Return the id, which leads to the run's page."""
        return display.identifier(run.workflow_id, self.object_url(run.pk), is_copied=False)

    @admin.display(description=_("Queue"))
    def shown_queue(self, run: Workflow) -> Any:
        """Return the queue."""
        if not run.queue_name:
            return display.NOTHING
        shown = display.shortened(run.queue_name, LONGEST_QUEUE)
        return format_html('<span title="{}">{}</span>', run.queue_name, shown)

    @admin.display(description=_("Created"))
    def shown_start(self, run: Workflow) -> SafeString:
        """Return how long ago it was created."""
        return display.ago(run.created_at)

    @admin.display(description=_("Duration"))
    def shown_duration(self, run: Workflow) -> SafeString:
        """Return how long it has executed, waits included."""
        return display.duration(run.started_at, run.finished_at)

    @admin.display(description=_("Now"))
    def shown_now(self, run: Workflow) -> Any:
        """Return what an active run does or waits for."""
        match run.status:
            case Status.DELAYED:
                return display.ago(run.run_after)
            case Status.WAITING:
                return self._awaited(run.waiting_for) or display.ago(run.wake_at)
            case Status.PENDING:
                step = getattr(run, "last_step", "")
                return format_html(gettext("after {}"), cut(step)) if step else _("at its beginning")
            case _:
                return display.NOTHING

    def _awaited(self, words: str) -> SafeString | str:
        """Return what a run waits for; a question leads to its page."""
        url = question_url(self.admin_site, words)
        return format_html('<a href="{}">{}</a>', url, cut(words)) if url else words and cut(words)

    @admin.display(description=_("Attributes"))
    def shown_attributes(self, run: Workflow) -> Any:
        """Return the attributes."""
        pairs = " ".join(f"{name}={value}" for name, value in attributes(run.attributes).items())
        return cut(pairs) if pairs else display.NOTHING

    @admin.display(description=_("Worker"))
    def shown_worker(self, run: Workflow) -> SafeString:
        """Return the worker that has it, or had it last."""
        return display.identifier(run.worker_id)

    @admin.display(description=_("Parent"))
    def shown_parent(self, run: Workflow) -> SafeString:
        """Return the run that started it."""
        return display.identifier(run.parent_workflow_id)


def cut(text: str, longest: int = LONGEST_CELL) -> SafeString:
    """Return a text that a cell can bear; all of it in the title."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return format_html('<span title="{}">{}</span>', text, short)


def add_last_steps(runs: Iterable[Workflow]) -> None:
    """Tell each running one on a page which step it recorded last: one query for all."""
    running = {run.pk: run for run in runs if run.status == Status.PENDING}
    if not running:
        return
    steps = Step.objects.using(database.alias()).filter(workflow_id=OuterRef("pk")).exclude(name=RETRY)
    last = steps.order_by("-position", "-branch")
    found = Workflow.objects.using(database.alias()).filter(pk__in=list(running)).order_by()
    columns = [Subquery(last.values(name)[:1]) for name in ("position", "name")]
    for run, position, name in found.values_list("pk", *columns):
        if position is not None:
            running[run].last_step = f"{position} {name}"  # type: ignore[attr-defined]
