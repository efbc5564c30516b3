"""The settings: one dict ``DURABLE``, read once into a frozen dataclass.

Only surfaces and the worker read settings; the engine receives plain values.
"""

import difflib
from dataclasses import MISSING, dataclass, field, fields, replace
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
    SERIALIZER: str = "json"
    """What writes new values: "json", "pickle" (signed), or the dotted path of a class."""
    ALLOWED_SERIALIZERS: tuple[str, ...] = ()
    """What else may be read."""
    RETENTION: timedelta | None = None
    """How long finished runs are kept; None: for ever."""
    AUDIT_RETENTION: timedelta | None = None
    """How long audit events, and bulk operations that have ended, are kept; None: for ever."""
    QUERY_TIMEOUT: timedelta = timedelta(seconds=30)
    """How long a listing or a statistic may take."""
    BULK_LIMIT: int = 10_000
    """Runs that one bulk operation may match, but for those with the permission ``bulk_unlimited``."""
    APP_VERSION: str = ""
    """The version that runs are started by and pinned to; empty: no pinning; "auto": a hash of sources."""
    SCHEDULE_GRACE: timedelta = timedelta(minutes=2)
    """How late a tick may be started; later it counts as missed, and its schedule says what follows."""
    CRON_BUDGET: timedelta = timedelta(seconds=50)
    """How long one run of ``durable_app.cron.tick`` takes up work."""
    CRON_LOCK: str = ""
    """Path of the file that lets it run once at a time on a host; empty: in the folder for such files."""
    REDACT: tuple[str, ...] = (
        "*password*",
        "*secret*",
        "*token*",
        "*api_key*",
        "authorization",
        "card*",
    )
    """Keys, as shell patterns, whose values nobody is shown."""
    POLICY: str = ""
    """Dotted path of a ``durable_app.control.actors.Policy``: who may do and see what; empty: Django's
    permissions."""
    ALERTS: dict[str, Any] = field(default_factory=dict)
    """Rules of alerts, and who is told; see ``durable_app.control.alerts.Rules``."""
    ALERT_WEBHOOK: str = ""
    """URL that ``durable_app.alert_handlers.webhook`` posts alerts to."""
    ADMIN: dict[str, Any] = field(default_factory=dict)
    """What the admin may do and show; see ``durable_app.admin.options.AdminOptions``."""
    OPS: dict[str, Any] = field(default_factory=dict)
    """Who may ask for metrics and health; see ``durable_app.ops.options.OpsOptions``."""
    API: dict[str, Any] = field(default_factory=dict)
    """What the REST API may do; see ``durable_app.api.options.ApiOptions``."""
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
            kinds = _kinds(known[name])
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise ImproperlyConfigured(
                    f"DURABLE[{name!r}] must be a {kinds[0].__name__}, not {type(value).__name__}."
                )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        options = cls(**values)
        options._check_ranges()
        return options

    def _check_ranges(self) -> None:
        for name in ("POLL_INTERVAL", "LEASE", "QUERY_TIMEOUT", "CRON_BUDGET"):
            if getattr(self, name) <= timedelta(0):
                raise ImproperlyConfigured(f"DURABLE[{name!r}] must be longer than zero.")
        for name in ("RETENTION", "AUDIT_RETENTION", "SCHEDULE_GRACE"):
            if (getattr(self, name) or timedelta(0)) < timedelta(0):
                raise ImproperlyConfigured(f"DURABLE[{name!r}] must not be below zero.")
        if len(self.APP_VERSION) > 255 or self.APP_VERSION.strip() != self.APP_VERSION:
            raise ImproperlyConfigured("DURABLE['APP_VERSION'] has at most 255 characters, none around it.")
        for name in ("THREADS", "ASYNC_CONCURRENCY", "MAX_PAYLOAD", "BULK_LIMIT"):
            if getattr(self, name) < 1:
                raise ImproperlyConfigured(f"DURABLE[{name!r}] must be at least 1.")


def _kinds(option: Any) -> tuple[type, ...]:
    """Return the classes an option's value may be of."""
    default = option.default if option.default is not MISSING else option.default_factory()
    if default is None:
        return (timedelta, type(None))
    return (tuple, list) if isinstance(default, tuple) else (type(default),)


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name).upper(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known options: {', '.join(sorted(known))}."
    return f"Unknown option DURABLE[{name!r}].{hint}"


_overrides: dict[str, Any] = {}


@cache
def options() -> Options:
    """Return the options, read from the settings on first use."""
    return replace(Options.from_settings(), **_overrides)


def override(**changes: Any) -> None:
    """Let these options differ from the settings in this process; without any, let none."""
    _overrides.clear()
    _overrides.update(changes)
    options.cache_clear()


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        options.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.conf")
