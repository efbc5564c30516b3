"""The columns of the list of workers."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.run_links import run_url, runs_url
from durable_app.admin.workers.links import WorkerLinks
from durable_app.incarnation import resident_bytes
from durable_app.insight.liveness import liveness
from durable_app.store.workers import Executed

MOST_LINKS = 3
"""Runs of a worker that the list names."""

MOST_QUEUES = 3

_MARKS = {
    "live": ("is-ok", "✓", _("live")),
    "late": ("is-wait", "◷", _("late")),
    "silent": ("is-bad", "✗", _("silent")),
    "ended": ("is-idle", "⊘", _("ended")),
}

_ASKED = {"quiet": _("takes nothing more"), "stop": _("was asked to stop")}


class WorkerColumns(WorkerLinks):
    """Methods for ``list_display``."""

    list_display: Any = (
        "shown_name",
        "shown_state",
        "shown_process",
        "shown_version",
        "shown_queues",
        "shown_slots",
        "shown_start",
        "shown_runs",
    )
    list_display_links: Any = None

    @admin.display(description=_("Worker"))
    def shown_name(self, worker: Any) -> SafeString:
        """Return the name, which leads to the worker's page."""
        link = '<a class="durable-id" href="{}" title="{}">{}</a>'
        return format_html(link, self.object_url(worker.pk), worker.pk, worker.name)

    @admin.display(description=_("State"))
    def shown_state(self, worker: Any) -> SafeString:
        """Return how it is, and when it was last heard."""
        return state(worker)

    @admin.display(description=_("Process"))
    def shown_process(self, worker: Any) -> SafeString:
        """Return host and pid, and the memory if the process can be seen from here."""
        return process(worker)

    @admin.display(description=_("Version"))
    def shown_version(self, worker: Any) -> Any:
        """Return the version of its code."""
        return worker.app_version or display.NOTHING

    @admin.display(description=_("Queues"))
    def shown_queues(self, worker: Any) -> Any:
        """Return the queues it serves."""
        return queues(worker)

    @admin.display(description=_("Slots"))
    def shown_slots(self, worker: Any) -> Any:
        """Return how many runs it executes, of how many it can."""
        return f"{worker.running} / {worker.slots}" if worker.slots else worker.running

    @admin.display(description=_("Started"))
    def shown_start(self, worker: Any) -> SafeString:
        """Return how long ago it began."""
        return display.ago(worker.started_at)

    @admin.display(description=_("Runs"))
    def shown_runs(self, worker: Any) -> Any:
        """Return links to what it executes, or held when it died."""
        return worker.links or display.NOTHING

    def linked(self, request: HttpRequest, worker: Any, held: Sequence[Executed]) -> SafeString | str:
        """Return links to the first runs of a worker, and one to all."""
        links = format_html_join(
            " ",
            '<a class="durable-nowrap" href="{}" title="{}">{}</a>',
            (
                (
                    run_url(self, request, one.number),
                    f"{one.name} {one.workflow_id}",
                    short_id(one.workflow_id),
                )
                for one in held[:MOST_LINKS]
            ),
        )
        url = runs_url(self, request, worker=worker.pk, status="PENDING")
        if not url:
            return ""
        more = worker.running - len(held[:MOST_LINKS])
        if more <= 0 or not held:
            return links
        return format_html('{} <a href="{}">{}</a>', links, url, gettext("and %d more") % more)


def short_id(workflow_id: str) -> str:
    """Return an id that a cell can bear."""
    return workflow_id if len(workflow_id) <= 14 else f"{workflow_id[:6]}…{workflow_id[-6:]}"


def badge(worker: Any) -> SafeString:
    """Return how a worker is: a colour, a shape and a word."""
    kind, shape, label = _MARKS[liveness(worker, clock.now())]
    return display.mark(kind, shape, label)


def asked(worker: Any) -> Any:
    """Return what an operator has asked of a worker, in words; empty if nothing."""
    return _ASKED.get(worker.asked_to, "")


def state(worker: Any) -> SafeString:
    """Return how a worker is, when it was last heard, and what was asked of it."""
    heard = display.ago(worker.stopped_at or worker.heartbeat_at)
    request = asked(worker) if worker.stopped_at is None else ""
    found = format_html("{} {}", badge(worker), heard)
    return found if not request else format_html('{} <span class="durable-quiet">{}</span>', found, request)


def process(worker: Any) -> SafeString:
    """Return where the process is, and its memory if it can be seen from here."""
    place = f"{worker.hostname}:{worker.pid}"
    size = None
    if worker.stopped_at is None:
        size = resident_bytes(worker.process_space, worker.pid, worker.pid_started)
    memory = "" if size is None else f" · {filesizeformat(size)}"
    return format_html('<span class="durable-mono durable-nowrap">{}</span>{}', place, memory)


def _all_but(excluded: Sequence[str]) -> Any:
    """Return "all", and what is not meant by it."""
    return gettext("all but %(names)s") % {"names": ", ".join(excluded)} if excluded else _("all")


def queues(worker: Any) -> Any:
    """Return the queues that a worker serves, the first few of many."""
    if worker.kind != "worker":
        return _("none: it calls workflows")
    if not worker.queues:
        return _all_but(worker.excluded)
    names = ", ".join(worker.queues[:MOST_QUEUES])
    more = len(worker.queues) - MOST_QUEUES
    shown = f"{names} +{more}" if more > 0 else names
    return format_html('<span title="{}">{}</span>', ", ".join(worker.queues), shown)
