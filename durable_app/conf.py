"""The settings: one dict ``DURABLE``, read once into a frozen dataclass.

Only surfaces and the worker read settings; the engine receives plain values.
"""

import difflib
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed


@dataclass(frozen=True, kw_only=True)
class Options:
    """All options with their defaults. Spans are timedeltas, sizes are bytes."""

    DATABASE: str = "default"
    """Alias of the database that holds the engine's tables."""
    POLL_INTERVAL: timedelta = timedelta(seconds=1)
    """How often an idle worker looks for work that no wake-up announced."""
    LEASE: timedelta = timedelta(seconds=30)
    """How long a worker may go without a heartbeat before its runs are taken over."""
    PARK_AFTER: timedelta = timedelta(seconds=1)
    """Waits longer than this release their thread."""
    ASYNC_PARK_AFTER: timedelta = timedelta(minutes=1)
    """Waits of coroutine runs longer than this release their coroutine."""
    THREADS: int = 8
    """Threads a worker runs sync workflows on."""
    ASYNC_CONCURRENCY: int = 100
    """Coroutine runs that a worker executes at once."""
    GRACEFUL_TIMEOUT: timedelta = timedelta(seconds=30)
    """How long a stopping worker lets its steps finish before it hands runs back."""
    MAX_PAYLOAD: int = 1_048_576
    """Bytes one stored value may have."""
    WARN_PAYLOAD: int = 65_536
    """Bytes above which a stored value is worth a warning."""
    APP_VERSION: str = ""
    """The version that runs are started by and pinned to; empty: no pinning."""
    DEV_WORKER: bool = False
    """Whether ``runserver`` carries an embedded worker."""

    @classmethod
    def from_settings(cls) -> "Options":
        """Return the project's options.

        Raises ImproperlyConfigured for an unknown name or a value of the wrong type.
        """
        given: dict[str, Any] = getattr(settings, "DURABLE", {})
        known = {field.name: field for field in fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise ImproperlyConfigured(_unknown(name, list(known)))
            default = known[name].default
            if not isinstance(value, type(default)) or (
                isinstance(value, bool) and default not in (True, False)
            ):
                raise ImproperlyConfigured(
                    f"DURABLE[{name!r}] must be a {type(default).__name__}, not {type(value).__name__}."
                )
        options = cls(**given)
        options._check_ranges()
        return options

    def _check_ranges(self) -> None:
        for name in ("POLL_INTERVAL", "LEASE"):
            if getattr(self, name) <= timedelta(0):
                raise ImproperlyConfigured(f"DURABLE[{name!r}] must be longer than zero.")
        for name in ("THREADS", "ASYNC_CONCURRENCY", "MAX_PAYLOAD"):
            if getattr(self, name) < 1:
                raise ImproperlyConfigured(f"DURABLE[{name!r}] must be at least 1.")


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name).upper(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known options: {', '.join(sorted(known))}."
    return f"Unknown option DURABLE[{name!r}].{hint}"


@cache
def options() -> Options:
    """Return the options, read from the settings on first use."""
    return Options.from_settings()


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        options.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.conf")
