"""The entry "overview": all runs at a glance, every figure a link to the runs it counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin import chart, display
from durable_app.admin.base import SITE, BaseAdmin, DurableAdminMixin
from durable_app.admin.keyset import WrongLink
from durable_app.admin.live import FRAGMENT
from durable_app.admin.neighbours import page_url
from durable_app.admin.runs.conditions import ANY_AGE, WINDOW, quoted
from durable_app.errors import QueryTimeoutError
from durable_app.insight.health import NAMED
from durable_app.insight.overview import Banner, Failure, Overview, Pace, QueueLine, overview, paces
from durable_app.insight.timeline import short
from durable_app.models import Approval, Queue, Schedule, Worker, Workflow

WINDOWS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}

USUAL = "24h"

TOO_MUCH = gettext_lazy("Counting takes too long. Choose a shorter time.")

MOST_NAMES = 8
"""Schedules that a card names."""

ENTRIES = {
    "no_worker": Worker, "no_version": Worker, "missed_schedules": Schedule,
}  # fmt: skip
"""Where there is more about a banner."""

STRANDED = ("no_queue", "no_key")
"""Banners of runs that will never be taken, by their queues."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number with a name."""

    label: Any
    value: str
    url: str
    """The runs that it counts; empty if this site does not show them."""
    note: SafeString | str = ""
    kind: str = ""
    """"is-bad" for what asks for somebody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceLine:
    """How long a workflow's runs take. Places are texts: a template must not put them into a locale's."""

    name: SafeString
    count: str
    median: str
    p95: str
    width: str
    middle: str
    """Where the median lies."""
    url: str


class OverviewAdminMixin(DurableAdminMixin):
    """One page, and no rows."""

    view_permission = "view_workflow"

    def get_urls(self) -> list[URLPattern]:
        """Return the page's, and its late card's: a run's own page is elsewhere, with its own permissions."""
        view = self.admin_site.admin_view
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", view(self.changelist_view), name=f"{name}_changelist"),
            path("durations/", view(self.paces_view), name=f"{name}_durations"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the overview of a window of time, or what of it changes."""
        try:
            window = self._window(request)
            found = overview(WINDOWS[window], self.actor_of(request))
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        except QueryTimeoutError:
            return self.trouble(request, 503, _("Too much has happened"), str(TOO_MUCH))
        context = {**_Page(self, request, found, window).context(), **(extra_context or {})}
        part = "body" if request.headers.get(FRAGMENT) == "overview" else "page"
        return self._response(request, _("Overview"), part, {"is_entry": True, **context})

    def paces_view(self, request: HttpRequest) -> HttpResponse:
        """Show how long runs take: a card that comes after the page, or a page to those without scripts."""
        try:
            window = self._window(request)
            found = paces(WINDOWS[window], self.actor_of(request))
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        except QueryTimeoutError:
            found = None
        context = {"lines": self._lines(request, found or [], window), "is_too_much": found is None}
        part = "paces" if request.headers.get(FRAGMENT) == "durations" else "paces_page"
        return self._response(request, _("Durations"), part, {"window": window, **context})

    def _window(self, request: HttpRequest) -> str:
        if not self.has_view_permission(request):
            raise PermissionDenied
        window = request.GET.get("window", USUAL)
        if window not in WINDOWS:
            raise WrongLink(_("There is no window %(name)s.") % {"name": repr(window)[:100]})
        return window

    def _lines(self, request: HttpRequest, found: list[Pace], window: str) -> list[PaceLine]:
        longest = max((one.p95 for one in found), default=timedelta(0)) or timedelta(seconds=1)
        query = {WINDOW: ANY_AGE, "status": "SUCCESS", "ended": window, "o": "finished"}
        return [
            PaceLine(
                name=display.short_name(one.name),
                count=f"{one.count:,}",
                median=short(one.median),
                p95=short(one.p95),
                width=f"{100 * (one.p95 / longest):.2f}%",
                middle=f"{100 * (one.median / longest):.2f}%",
                url=self.url_of_list(request, Workflow, **query, workflow=one.name),
            )
            for one in found
        ]

    def _response(self, request: HttpRequest, title: Any, part: str, context: dict[str, Any]) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/durable_app/overview/{part}.html",
            self.page_context(request, title, **context),
            headers={"Cache-Control": "no-store"},
        )


class OverviewAdmin(OverviewAdminMixin, BaseAdmin):
    """All runs at a glance."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What the templates write down of an overview."""

    admin: Any
    request: HttpRequest
    found: Overview
    window: str

    def context(self) -> dict[str, Any]:
        found = self.found
        return {
            "found": found,
            "window": self.window,
            "windows": [(name, f"?{urlencode({'window': name})}") for name in WINDOWS],
            "banners": [(one, self._more_about(one)) for one in found.banners],
            "figures": self._figures(),
            "durations_url": self._durations(),
            "chart": chart.throughput(found.throughput, found.bin),
            "queues": [self._queue(line) for line in found.queues],
            "queues_url": self._list(Queue),
            "failures": [self._failure(one) for one in found.failures],
            "due": [(name, display.ago(at)) for name, at in found.schedules.due[:MOST_NAMES]],
            "missed": found.schedules.missed[:MOST_NAMES],
            "paused": found.schedules.paused[:MOST_NAMES],
            "schedules_url": self._list(Schedule),
            "workers_url": self._list(Worker),
            "silent_url": self._list(Worker, state="silent"),
        }

    def _list(self, model: Any, **query: str) -> str:
        return "" if model is None else str(self.admin.url_of_list(self.request, model, **query))

    def _more_about(self, banner: Banner) -> list[tuple[str, str]]:
        """Return links to more about a banner: the runs that stand still, by queue, or another entry."""
        links = [(_("Show"), self._list(ENTRIES.get(banner.code)))]
        if banner.code in STRANDED:
            names = banner.subjects[:NAMED]
            links = [(name, self._runs(queue=name, status="ENQUEUED")) for name in names]
        return [(label, url) for label, url in links if url]

    def _runs(self, **query: str) -> str:
        return self._list(Workflow, **{WINDOW: ANY_AGE, **query})

    def _lately(self, status: str) -> str:
        return self._runs(status=status, ended=self.window, o="finished")

    def _figures(self) -> list[Figure]:
        counts = self.found.counts
        oldest: SafeString | str = ""
        if counts.oldest_at is not None:
            oldest = format_html(_("oldest {}"), display.ago(counts.oldest_at))
        within = _("within %(window)s") % {"window": self.window}

        def figure(
            label: str, value: int, url: str, note: SafeString | str = "", bad: bool = False
        ) -> Figure:
            kind = "is-bad" if bad and value else ""
            return Figure(label=label, value=f"{value:,}", url=url, note=note, kind=kind)

        return [
            figure(_("Running"), counts.running, self._runs(status="PENDING")),
            figure(_("Enqueued"), counts.waiting, self._runs(status="ENQUEUED"), oldest),
            figure(_("Waiting"), counts.parked, self._runs(status="WAITING")),
            figure(_("Delayed"), counts.delayed, self._runs(status="DELAYED")),
            figure(_("Failed"), counts.failed, self._lately("failed"), within, bad=True),
            figure(_("Succeeded"), counts.succeeded, self._lately("SUCCESS"), within),
            figure(_("Approvals"), counts.approvals, self._list(Approval)),
        ]

    def _queue(self, line: QueueLine) -> dict[str, Any]:
        limiter = line.limiter
        return {
            "line": line,
            "url": page_url(self.admin.admin_site, Queue, line.name) if self._list(Queue) else "",
            "oldest": display.ago(line.oldest_at),
            "waiting_url": self._runs(queue=line.name, status="ENQUEUED"),
            "running_url": self._runs(queue=line.name, status="PENDING"),
            "ended_url": self._runs(queue=line.name, status="finished", ended=self.window, o="finished"),
            "ended": f"{sum(line.ended):,}",
            "spark": chart.spark(line.ended),
            "gauge": chart.gauge(line.running, line.concurrency),
            "rate_gauge": chart.gauge(line.starts, None if limiter is None else limiter.limit),
            "is_stuck": bool(line.waiting) and not line.is_paused and not (line.has_worker and line.exists),
        }

    def _durations(self) -> str:
        name, site = f"{SITE}:durable_app_overview_durations", self.admin.admin_site.name
        return f"{reverse(name, current_app=site)}?{urlencode({'window': self.window})}"

    def _failure(self, one: Failure) -> dict[str, Any]:
        query = {"workflow": one.workflow, "status": one.status, "ended": self.window}
        if one.error:
            query["q"] = f"error:{quoted(one.error)}"
        return {
            "failure": one,
            "name": display.short_name(one.workflow),
            "error": display.short_name(one.error) if one.error else display.badge(one.status),
            "last": display.ago(one.last_at),
            "url": self._runs(**query, o="finished"),
            "retry_url": self._retry(query),
        }

    def _retry(self, query: dict[str, str]) -> str:
        """Return where all of them can be retried, which asks first; empty for those who may not."""
        if not self._runs() or not self.admin.may(self.request, "fork_workflow"):
            return ""
        name, site = f"{SITE}:durable_app_workflow_bulk", self.admin.admin_site.name
        try:
            return f"{reverse(name, args=['retry'], current_app=site)}?{urlencode(query)}"
        except NoReverseMatch:  # the project shows runs with a class of its own
            return ""
