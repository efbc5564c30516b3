"""The app's own settings."""

from django.conf import settings


def webhook_url() -> str:
    """Return ``WEBHOOK_URL``: the server that wants to hear of events."""
    url: str = getattr(settings, "WEBHOOK_URL", "http://127.0.0.1:8002")
    return url


def webhook_secret() -> str:
    """Return ``WEBHOOK_SECRET``, which proves to that server that an event is ours."""
    secret: str = getattr(settings, "WEBHOOK_SECRET", "demo-only")
    return secret
