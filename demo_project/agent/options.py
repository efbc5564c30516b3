"""The app's own settings."""

from datetime import timedelta

from django.conf import settings


def language_model_url() -> str:
    """Return ``LANGUAGE_MODEL_URL``: a server that speaks the chat-completions protocol."""
    url: str = getattr(settings, "LANGUAGE_MODEL_URL", "http://127.0.0.1:8003")
    return url


def approval_timeout() -> timedelta:
    """Return ``APPROVAL_TIMEOUT``: how long a person has to approve; silence is a no."""
    timeout: timedelta = getattr(settings, "APPROVAL_TIMEOUT", timedelta(minutes=10))
    return timeout
