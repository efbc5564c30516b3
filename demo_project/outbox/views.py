"""The page of the webhooks: what is on its way, what has arrived, and a button that breaks the receiver."""

import contextlib
import secrets
from http.client import HTTPException
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from demo_project.outbox import receiver
from demo_project.outbox.models import Event
from demo_project.outbox.workflows import deliveries, publish
from durable_app import NonExistentQueueError
from durable_app.models import Queue

SHOWN = 20
BATCH = 10
OUTAGE_SECONDS = 8


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def event_list(request: HttpRequest) -> HttpResponse:
    """Show the events; on POST, do what the button says."""
    if request.method == "POST":
        messages.success(request, _obey(request.POST.get("action", "")))
        return redirect("outbox:events")
    context = {**_context(), "batch": BATCH, "seconds": OUTAGE_SECONDS}
    return render(request, "outbox/event_list.html", context)


@require_safe
@never_cache
def event_rows(request: HttpRequest) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "outbox/_rows.html", _context())


def _obey(action: str) -> str:
    """Do what a button asks for; return what to say about it."""
    if action == "outage":
        try:
            receiver.take_down(OUTAGE_SECONDS)
        except (OSError, HTTPException):
            return "The receiver does not even answer to that."
        return f"The receiver answers 503 for {OUTAGE_SECONDS} seconds. Send some events now."
    if action == "resume":
        with contextlib.suppress(NonExistentQueueError):
            deliveries.resume()
        return "Workers take from the queue again."
    with transaction.atomic():
        for _ in range(BATCH):
            event_id = f"test-{secrets.token_hex(4)}"
            publish(event_id, "test", {"number": event_id})
    return f"{BATCH} events are in line: written and enqueued in one transaction."


def _context() -> dict[str, Any]:
    heard, down_for = _inbox()
    events = [(event, heard.get(event.event_id, 0)) for event in Event.objects.all()[:SHOWN]]
    return {
        "events": events,
        "waiting": Event.objects.filter(state=Event.State.PENDING).count(),
        "paused": _paused(),
        "down_for": down_for,
    }


def _paused() -> Queue | None:
    """Return the queue's row while it is paused; before the first worker's start there is no row."""
    with contextlib.suppress(NonExistentQueueError):
        return Queue.objects.get(pk=deliveries.name) if deliveries.is_paused else None
    return None


def _inbox() -> tuple[dict[str, int], float | None]:
    """Return how often the receiver has heard of each event, and for how long it is down, if it answers."""
    try:
        inbox = receiver.inbox()
    except (OSError, HTTPException, ValueError):
        return {}, None
    return {one["event_id"]: one["times"] for one in inbox["heard"]}, inbox["down_for"]
