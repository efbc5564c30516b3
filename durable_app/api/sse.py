"""Server-sent events, as the HTML standard has them (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Under ASGI a response lasts until there is nothing left to say, and costs no thread. Under WSGI it would hold
one of few: there it brings what is there and ends, and the browser asks again after ``RETRY``.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from durable_app import clock
from durable_app.api.live import LOOK, let_go
from durable_app.engine import timers
from durable_app.engine.flow import adrive
from durable_app.errors import NonExistentWorkflowError
from durable_app.store import database
from durable_app.store.waits import News

CONTENT_TYPE = "text/event-stream"

RETRY = f"retry: {2000}\n\n"
"""Milliseconds after which a browser asks again."""

PING_EVERY = 15.0
"""Seconds of silence after which something is said, so that nobody between takes the line for dead."""

PING = ": ping\n\n"

LONGEST = 600.0
"""Seconds after which a response ends: who asks again must still be allowed to."""

END = "end"
"""The last event, and its id: who reconnects with it is told not to."""

ANSWERS = {200: (CONTENT_TYPE, str), 204: None}
"""What an endpoint says of these for OpenAPI."""

HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
    # GZipMiddleware leaves alone what is encoded already: it would keep events back until there are many.
    "Content-Encoding": "identity",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerEvent:
    """One event; ``data`` is plain JSON."""

    data: Any
    id: str = ""
    name: str = ""

    def __str__(self) -> str:
        lines = [f"id: {self.id}"] if self.id else []
        if self.name:
            lines.append(f"event: {self.name}")
        return "\n".join([*lines, f"data: {json.dumps(self.data)}", "", ""])


def end(reason: str) -> ServerEvent:
    """Return the last event: after it a client closes its ``EventSource``."""
    return ServerEvent(data={"reason": reason}, id=END, name=END)


class Feed(Protocol):
    """What a response tells of, and how far it has told."""

    @property
    def news(self) -> Sequence[News]:
        """What may make ``look`` answer."""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to tell."""

    def look(self) -> Any:
        """Return what is new, None if nothing is; raises NonExistentWorkflowError."""

    def told(self, found: Any) -> Iterable[ServerEvent]:
        """Return what a look has found as events, and go on behind it."""


async def response(request: Any, feed: Feed) -> HttpResponseBase:
    """Return the answer that tells of a feed: live under ASGI, what is there now under WSGI."""
    if request.headers.get("Last-Event-ID") == END:
        return HttpResponse(status=204)  # this is how a browser is told to ask no more
    if getattr(request, "scope", None) is None:
        return HttpResponse(await batch(feed), CONTENT_TYPE, headers=HEADERS)
    return StreamingHttpResponse(live(feed), content_type=CONTENT_TYPE, headers=HEADERS)


async def batch(feed: Feed) -> str:
    """Return what there is to tell now."""
    try:
        found = await database.acall(feed.look)
    except NonExistentWorkflowError:
        return f"{RETRY}{end('deleted')}"
    events = PING if found is None else "".join(map(str, feed.told(found)))
    return f"{RETRY}{events}"


async def live(feed: Feed) -> AsyncIterator[str]:
    """Yield what there is to tell, as it comes; a client that goes away ends this wherever it waits."""
    yield RETRY
    await let_go()
    give_up_at = clock.boot_seconds() + LONGEST
    while not feed.is_over and clock.boot_seconds() < give_up_at:
        try:
            found = await adrive(timers.look_until(feed.look, feed.news, PING_EVERY, LOOK))
        except NonExistentWorkflowError:
            yield str(end("deleted"))
            return
        yield PING if found is None else "".join(map(str, feed.told(found)))
