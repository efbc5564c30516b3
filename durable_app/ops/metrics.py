"""``/metrics``: the engine's figures for Prometheus and its kin, in the OpenMetrics format.

Names and labels are those of the seed system's reference where it has the figure. Rates and longest spans are
of the last whole minute by the clock, and carry its end as their time: two scrapes within a minute tell the
same, nothing is counted twice. A process looks at the database once in ``DURABLE["OPS"]["CACHE"]``, for the
minute's figures once a minute, whoever asks.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse

from durable_app import clock
from durable_app.errors import QueryTimeoutError
from durable_app.ops import minute, now, openmetrics
from durable_app.ops.gate import gated
from durable_app.ops.openmetrics import Family
from durable_app.ops.options import options
from durable_app.store.rates import Span

WINDOW = timedelta(minutes=1)


class Kept:
    """An answer that is good for a while; whoever comes while it is made waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._key: Any = None
        self._until = 0.0
        self._found: list[Family] = []

    def get(self, key: Any, seconds: float, make: Callable[[], list[Family]]) -> list[Family]:
        """Return the answer for a key, made anew if there is none younger than ``seconds``."""
        with self._guard:
            if self._key != key or time.monotonic() >= self._until:
                self._found = make()
                self._key, self._until = key, time.monotonic() + seconds
            return self._found


_now, _minute = Kept(), Kept()


@gated("metrics")
def show(request: HttpRequest) -> HttpResponse:
    """Answer with all metrics; 503 if the database takes too long."""
    try:
        return HttpResponse(document(), openmetrics.CONTENT_TYPE)
    except QueryTimeoutError as error:
        return HttpResponse(f"{error}\n", "text/plain", 503)


def document() -> str:
    """Return all metrics in the OpenMetrics format. Raises QueryTimeoutError."""
    chosen = options()
    families = [*_standing(), *_of_last_minute()]
    labels = {"application": chosen.APPLICATION} if chosen.APPLICATION else {}
    return openmetrics.text(families, prefix=chosen.PREFIX, labels=labels)


def _standing() -> list[Family]:
    return _now.get(options(), options().CACHE.total_seconds(), now.families)


def _of_last_minute() -> list[Family]:
    span = last_minute(clock.now())
    seconds = WINDOW.total_seconds() if options().CACHE else 0.0
    return _minute.get((options(), span.until), seconds, lambda: minute.families(span))


def last_minute(moment: datetime) -> Span:
    """Return the last minute that was whole at a moment."""
    until = moment.replace(second=0, microsecond=0)
    return Span(since=until - WINDOW, until=until)
