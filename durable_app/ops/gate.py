"""Who may ask: whoever has the token, or comes from a listed address. Closed until the settings open it."""

import hmac
from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address, ip_network

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from durable_app.ops.options import options

View = Callable[[HttpRequest], HttpResponse]


def gated(name: str) -> Callable[[View], View]:
    """Decorate a view: others than those ``DURABLE["OPS"]`` lets in get 401 or 403."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest) -> HttpResponse:
            return view(request) if _may_ask(request, name) else _refusal()

        return require_safe(never_cache(wrapper))

    return decorate


def _may_ask(request: HttpRequest, name: str) -> bool:
    if name in options().PUBLIC:
        return True
    return _has_token(request) or _has_address(request)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = options().TOKEN
    if not wanted or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), wanted.encode())


def _has_address(request: HttpRequest) -> bool:
    """Return whether the peer is listed. What a proxy says of others in a header is not believed."""
    try:
        peer = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a Unix socket has none
        return False
    return any(peer in ip_network(one) for one in options().IPS)


def _refusal() -> HttpResponse:
    if options().TOKEN:
        return HttpResponse("A token is needed.\n", "text/plain", 401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse("Not from here: see DURABLE['OPS'].\n", "text/plain", 403)
