"""Talking to the receiver over HTTP: one signed event, one answer.

DeliveryFailed         no answer, or none that helps; the same event may be sent again
├── ReceiverDown       503: the receiver says when to come back
└── EventRefused       4xx: the same event would be refused again
"""

import hashlib
import hmac
import json
import time
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from demo_project.outbox.options import webhook_secret, webhook_url

PATIENCE_SECONDS = 5
DEFAULT_OUTAGE_SECONDS = 5


class DeliveryFailed(Exception):
    """The receiver did not take the event this time."""


class ReceiverDown(DeliveryFailed):
    """The receiver is down, and will be for so many seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(seconds)

    def __str__(self) -> str:
        return f"503, down for {self.seconds} s"


class EventRefused(DeliveryFailed):
    """The receiver does not want this event."""


def signature_of(body: str, sent_at: int) -> str:
    """Return the header that proves who sends a body, and when (in seconds since 1970)."""
    digest = hmac.new(webhook_secret().encode(), f"{sent_at}.{body}".encode(), hashlib.sha256)
    return f"t={sent_at},v1={digest.hexdigest()}"


def post_event(body: str) -> None:
    """Send an event; raises DeliveryFailed, as drawn above."""
    headers = {
        "Content-Type": "application/json",
        "X-Shop-Signature": signature_of(body, int(time.time())),
    }
    try:
        status, retry_after, _ = _exchange("POST", "/hooks", body, headers)
    except (OSError, HTTPException) as error:
        raise DeliveryFailed(f"no answer ({type(error).__name__})") from error
    if status == 503:
        raise ReceiverDown(int(retry_after) if retry_after.isdecimal() else DEFAULT_OUTAGE_SECONDS)
    if status >= 500:
        raise DeliveryFailed(str(status))
    if status >= 400:
        raise EventRefused(str(status))


def take_down(seconds: int) -> None:
    """Have the receiver fail for a while; raises OSError, HTTPException if it does not answer."""
    _exchange("POST", "/outage", json.dumps({"seconds": seconds}), {"Content-Type": "application/json"})


def inbox() -> dict[str, Any]:
    """Return what the receiver has heard; raises OSError, HTTPException, ValueError."""
    _, _, answer = _exchange("GET", "/inbox", "", {})
    heard: dict[str, Any] = json.loads(answer)
    return heard


def _exchange(method: str, path: str, body: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
    connection = HTTPConnection(urlsplit(webhook_url()).netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheader("Retry-After", ""), response.read()
    finally:
        connection.close()
