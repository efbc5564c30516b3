"""The admin's settings: the dict ``DURABLE["ADMIN"]``."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from durable_app import conf


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminOptions:
    """What a project may choose about the admin."""

    ENABLED: bool = True
    """Whether there is an admin at all."""
    AUTOREGISTER: bool = True
    """Whether everything is registered on Django's default site; without, call ``register``."""
    PAGE_SIZE: int = 50
    """Rows of a list."""
    EXPORT_LIMIT: int = 100_000
    """Runs that one export may hold."""
    REASON_REQUIRED: bool = False
    """Whether a verb needs a reason that a person has typed."""


@cache
def options() -> AdminOptions:
    """Return the project's choices, the defaults for unreadable ones: these the system checks report."""
    try:
        return read()
    except ImproperlyConfigured:
        return AdminOptions()


def read() -> AdminOptions:
    """Return the project's choices; raises ImproperlyConfigured for an unknown or senseless one."""
    given: dict[str, Any] = conf.options().ADMIN
    defaults = AdminOptions()
    for name, value in given.items():
        if name not in AdminOptions.__dataclass_fields__:
            known = ", ".join(sorted(AdminOptions.__dataclass_fields__))
            raise ImproperlyConfigured(f"DURABLE['ADMIN'] has no {name!r}; it has {known}.")
        kind = type(getattr(defaults, name))
        if type(value) is not kind or (kind is int and value < 1):
            raise ImproperlyConfigured(f"DURABLE['ADMIN'][{name!r}] cannot be {value!r}.")
    return AdminOptions(**given)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        options.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.admin.options")
