"""The list of queues: all that exist, and those that only have runs; by name, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.template.response import TemplateResponse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.keyset import WrongLink
from durable_app.admin.live import FRAGMENT
from durable_app.admin.options import options
from durable_app.admin.queues.drawing import BUCKET, Gauge, Hour, first_bucket, hours
from durable_app.admin.queues.links import QueueLinks
from durable_app.admin.run_links import runs_url
from durable_app.errors import QueryTimeoutError
from durable_app.insight.queues import is_attended
from durable_app.store import activity, occupancy, workers
from durable_app.store.observing import limited
from durable_app.store.occupancy import Occupancy
from durable_app.store.queues import QueueState

SHOWN = {
    "": gettext_lazy("All"),
    "waiting": gettext_lazy("With a backlog"),
    "paused": gettext_lazy("Paused"),
}
"""What of the list a link shows, and its label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a link asks for."""

    text: str = ""
    """Part of a name."""
    shown: str = ""
    after: str = ""
    """The last name of the page before."""

    @classmethod
    def of(cls, parameters: QueryDict) -> "Place":
        """Return what a link asks for; raises WrongLink."""
        unknown = parameters.keys() - {"q", "show", "after"}
        shown = parameters.get("show", "")
        if unknown or shown not in SHOWN:
            raise WrongLink(_("The list of queues has no such filter."))
        return cls(text=parameters.get("q", "").strip(), shown=shown, after=parameters.get("after", ""))

    def admits(self, found: Occupancy) -> bool:
        """Return whether the list shows a queue."""
        if self.text.casefold() not in found.queue.name.casefold():
            return False
        match self.shown:
            case "waiting":
                return found.waiting > 0
            case "paused":
                return found.queue.is_paused
            case _:
                return True

    def url(self, **changes: str) -> str:
        """Return a link to another place of the list."""
        wanted = {"q": self.text, "show": self.shown, "after": self.after, **changes}
        return f"?{urlencode({name: value for name, value in wanted.items() if value})}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Why nothing is taken from a queue, and who wants it so."""

    why: str
    since: SafeString
    until: SafeString | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A queue as a template shows it."""

    found: Occupancy
    urls: dict[str, str]
    """Where its page, its verbs and its runs are."""
    gauge: Gauge | None
    rate: Gauge | None
    pause: Pause | None
    hour: Hour
    is_attended: bool
    """Whether a live worker serves it."""

    @property
    def period(self) -> str:
        """The window of its rate limit."""
        limiter = self.found.queue.limits.limiter
        return "" if limiter is None else display.roughly(limiter.period)

    @property
    def oldest(self) -> SafeString:
        """How long the run has waited that has waited longest."""
        return display.ago(self.found.oldest_at)

    @property
    def next_start(self) -> SafeString:
        """When the rate limit lets another run start."""
        return display.ago(self.found.next_start_at)

    @property
    def is_stuck(self) -> bool:
        """Whether runs wait, and nobody will take them."""
        return self.found.waiting > 0 and not self.is_attended and self.pause is None


class QueueLists(QueueLinks):
    """The view of the list."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the queues; what is wrong with a link is said on a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        try:
            with limited():
                return self._page(request, Place.of(request.GET), extra_context or {})
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        except QueryTimeoutError:
            return self.too_slow(request)

    def too_slow(self, request: HttpRequest) -> HttpResponse:
        """Return a page that says that nothing can be counted now."""
        sentence = _(
            "Counting takes too long: there is too much to count, or the database has too much to do."
        )
        return self.trouble(request, 503, _("Please try again later"), sentence)

    def _page(self, request: HttpRequest, place: Place, extra: dict[str, Any]) -> HttpResponse:
        found = [one for one in occupancy.occupancies() if place.admits(one)]
        page = [one for one in found if one.queue.name > place.after][: options().PAGE_SIZE + 1]
        has_more, page = len(page) > options().PAGE_SIZE, page[: options().PAGE_SIZE]
        context = self.page_context(
            request,
            capfirst(self.opts.verbose_name_plural),
            rows=self.rows(request, page, workers.not_ended()),
            is_entry=True,
            place=place,
            first_url=place.url(after="") if place.after else "",
            next_url=place.url(after=page[-1].queue.name) if has_more else "",
            filters=[
                (label, place.url(show=name, after=""), name == place.shown) for name, label in SHOWN.items()
            ],
            may_pause=self.may(request, "pause_queue"),
        )
        name = "rows" if request.headers.get(FRAGMENT) == "queues" else "change_list"
        return TemplateResponse(
            request,
            f"admin/durable_app/queue/{name}.html",
            {**context, **extra},
            headers={"Cache-Control": "no-store"},
        )

    def rows(self, request: HttpRequest, page: Sequence[Occupancy], crew: Sequence[Any]) -> list[Row]:
        """Return queues as the template shows them; ``crew`` are the workers that have not ended."""
        names = [one.queue.name for one in page]
        past = last_hours(names)
        return [
            Row(
                found=one,
                urls=self.urls_of(request, one.queue.name),
                gauge=_gauge(one.running, one.queue.limits.concurrency),
                rate=_rate(one),
                pause=pause_of(one.queue),
                hour=past[one.queue.name],
                is_attended=one.is_served and is_attended(one.queue.name, crew),
            )
            for one in page
        ]

    def urls_of(self, request: HttpRequest, name: str) -> dict[str, str]:
        """Return where a queue's page, its verbs and its runs are."""
        states = {"waiting": "ENQUEUED", "running": "PENDING", "delayed": "DELAYED"}
        return {
            "page": self.object_url(name),
            "pause": self.verb_url(name, "pause"),
            "resume": self.verb_url(name, "resume"),
            "create": self.verb_url(name, "create"),
            "failed": runs_url(self, request, queue=name, status="failed", ended="1h"),
            **{word: runs_url(self, request, queue=name, status=status) for word, status in states.items()},
        }


def last_hours(names: Sequence[str]) -> dict[str, Hour]:
    """Return what left queues within the last hour."""
    since = first_bucket(clock.now())
    ends = activity.ended(since, BUCKET, lambda runs: runs.filter(queue_name__in=names)) if names else []
    return hours(names, ends, since)


def pause_of(state: QueueState) -> Pause | None:
    """Return since when, until when and why a queue is paused; None if it is not."""
    if not state.is_paused:
        return None
    return Pause(
        why=state.pause_reason,
        since=display.ago(state.paused_at),
        until=None if state.paused_until is None else display.ago(state.paused_until),
    )


def _gauge(used: int, limit: int | None) -> Gauge | None:
    return None if limit is None else Gauge(used=used, limit=limit)


def _rate(found: Occupancy) -> Gauge | None:
    limiter = found.queue.limits.limiter
    return None if limiter is None else Gauge(used=found.starts, limit=limiter.limit)
