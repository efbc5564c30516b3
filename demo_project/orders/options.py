"""The shop's own settings, which every project that installs it may leave out."""

from datetime import timedelta

from django.conf import settings


def payment_provider_url() -> str:
    """Return ``PAYMENT_PROVIDER_URL``: where the payment provider listens."""
    url: str = getattr(settings, "PAYMENT_PROVIDER_URL", "http://127.0.0.1:8001")
    return url


def payment_timeout() -> timedelta:
    """Return ``PAYMENT_TIMEOUT``: how long a customer has to pay."""
    timeout: timedelta = getattr(settings, "PAYMENT_TIMEOUT", timedelta(minutes=10))
    return timeout
