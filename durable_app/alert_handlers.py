"""Ready-made handlers of alerts: name them in ``DURABLE["ALERTS"]["HANDLERS"]``.

The mail goes to ``ADMINS``; the webhook to ``DURABLE["ALERT_WEBHOOK"]``, as JSON.
"""

import json
from http.client import HTTPMessage
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.core.exceptions import ImproperlyConfigured
from django.core.mail import mail_admins

from durable_app import conf, workflow_id

TIMEOUT = 10.0
"""Seconds that a webhook has to answer."""


def email(name: str, message: str, metadata: dict[str, str]) -> None:
    """Send an alert to the project's ``ADMINS``."""
    details = "\n".join(f"{key}: {value}" for key, value in metadata.items())
    mail_admins(f"Durable workflows: {name}", f"{message}\n\n{details}\n")


def webhook(name: str, message: str, metadata: dict[str, str]) -> None:
    """Post an alert as JSON; raises OSError unless it is taken with a 2xx, ImproperlyConfigured."""
    url = conf.options().ALERT_WEBHOOK
    if not url.startswith(("https://", "http://")):
        raise ImproperlyConfigured(f"DURABLE['ALERT_WEBHOOK'] is to be the URL of a webhook, not {url!r}.")
    body = json.dumps({"name": name, "message": message, "metadata": metadata}).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "durable_app",
        # A crash behind the delivery repeats it: who must not page twice tells them apart by this.
        "Idempotency-Key": workflow_id() or "",
    }
    request = Request(url, data=body, headers=headers)  # noqa: S310  (the scheme is checked above)
    try:
        build_opener(_NoRedirect).open(request, timeout=TIMEOUT).close()
    except HTTPError as error:
        error.close()  # it holds the connection
        raise


class _NoRedirect(HTTPRedirectHandler):
    """Makes a redirect an error: it would be followed by a GET, which carries no alert."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none."""
        return
