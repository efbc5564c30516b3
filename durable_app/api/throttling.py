"""Rates: the project's throttles, and one of ours for each scope that the project gives a rate."""

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

READ, WRITE, START = "durable-read", "durable-write", "durable-start"


class DurableThrottle(SimpleRateThrottle):
    """Counts requests of a scope by user; ``DEFAULT_THROTTLE_RATES`` says how many are allowed."""

    def __init__(self) -> None:
        """Wait for the request: only its view knows the scope."""

    def allow_request(self, request: Any, view: Any) -> bool:
        """Return whether the request is within its scope's rate."""
        self.scope = view.throttled_as.get(view.verb, READ if view.verb == "GET" else WRITE)
        rates: Any = api_settings.DEFAULT_THROTTLE_RATES
        self.rate = rates.get(self.scope)
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return bool(super().allow_request(request, view))

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        """Return the user's own count."""
        ident = request.user.pk if request.user and request.user.is_authenticated else self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}
