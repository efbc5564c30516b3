"""Middleware for ``MIDDLEWARE``: what a request starts runs on behalf of its user."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase

from durable_app.contexts import SetIdentity


class IdentityMiddleware:
    """Puts ``SetIdentity(request.user)`` around every request; stands below ``AuthenticationMiddleware``.

    Who the user is, and which groups it has, is looked up only if the request starts something; a user
    that a view logs in or authenticates counts. Raises ImproperlyConfigured if requests have no user.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        with _identity(request):
            response: HttpResponseBase = self.get_response(request)
            return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        with _identity(request):
            response: HttpResponseBase = await self.get_response(request)
            return response


def _identity(request: HttpRequest) -> SetIdentity:
    if not hasattr(request, "user"):
        raise ImproperlyConfigured(
            "durable_app.middleware.IdentityMiddleware needs request.user: put it below "
            "django.contrib.auth.middleware.AuthenticationMiddleware in MIDDLEWARE."
        )
    return SetIdentity(lambda: request.user)
