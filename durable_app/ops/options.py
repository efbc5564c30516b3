"""The settings of metrics and health: the dict ``DURABLE["OPS"]``."""

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from ipaddress import ip_network
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from durable_app import conf

ENDPOINTS = ("metrics", "healthz", "readyz")

_PREFIX = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpsOptions:
    """Who may ask, and how the answers look. Without a token or an address nobody may."""

    TOKEN: str = ""
    """What ``Authorization: Bearer`` must hold."""
    IPS: tuple[str, ...] = ()
    """Addresses and networks that need no token, such as "10.0.0.0/8"."""
    PUBLIC: tuple[str, ...] = ()
    """Which of "metrics", "healthz" and "readyz" anybody may ask."""
    CACHE: timedelta = timedelta(seconds=5)
    """How long a process answers with the same figures."""
    PREFIX: str = "durable_"
    """What the name of every metric begins with."""
    APPLICATION: str = ""
    """Value of a label ``application`` on every sample; empty: no such label."""


@cache
def options() -> OpsOptions:
    """Return the project's choices; raises ImproperlyConfigured for an unknown or senseless one."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in conf.options().OPS.items()
    }
    defaults = OpsOptions()
    for name, value in given.items():
        if name not in OpsOptions.__dataclass_fields__:
            known = ", ".join(sorted(OpsOptions.__dataclass_fields__))
            raise ImproperlyConfigured(f"DURABLE['OPS'] has no {name!r}; it has {known}.")
        if type(value) is not type(getattr(defaults, name)):
            raise ImproperlyConfigured(f"DURABLE['OPS'][{name!r}] cannot be {value!r}.")
    found = OpsOptions(**given)
    _check(found)
    return found


def _check(found: OpsOptions) -> None:
    for address in found.IPS:
        try:
            ip_network(address)
        except ValueError as error:
            raise ImproperlyConfigured(f"DURABLE['OPS']['IPS']: {error}.") from error
    for name in found.PUBLIC:
        if name not in ENDPOINTS:
            raise ImproperlyConfigured(
                f"DURABLE['OPS']['PUBLIC']: {name!r} is none of {', '.join(ENDPOINTS)}."
            )
    if not _PREFIX.fullmatch(found.PREFIX):
        raise ImproperlyConfigured(f"DURABLE['OPS']['PREFIX']: no metric's name can begin {found.PREFIX!r}.")


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        options.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.ops.options")
