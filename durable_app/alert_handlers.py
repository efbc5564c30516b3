"""Ready-made handlers of alerts: name them in ``DURABLE["ALERTS"]["HANDLERS"]``.

The mail goes to ``ADMINS``; the webhook to ``DURABLE["ALERT_WEBHOOK"]``, as JSON.
"""

import json
import urllib.request

from django.core.exceptions import ImproperlyConfigured
from django.core.mail import mail_admins

from durable_app import conf

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
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310
    urllib.request.urlopen(request, timeout=TIMEOUT).close()  # noqa: S310  (the scheme is checked above)
