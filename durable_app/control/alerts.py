"""Alerts: rules in ``DURABLE["ALERTS"]``, looked at by every worker, sent once by a workflow with retries.

The three are the seed system's: many failures of a workflow, a queue that does not move, too few workers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from durable_app import clock, conf, serialization
from durable_app.engine.launch import Target, new_run
from durable_app.errors import InvalidOptionError
from durable_app.registry import registry
from durable_app.store import alerts, database, runs

WORKFLOW = "durable.alert"

CALM = timedelta(minutes=5)
"""How long an alert is not sent again even if its episode has ended, for what comes and goes."""

PATIENCE = timedelta(minutes=1)
"""How long workers may be too few: one that is started anew is not missed."""

Handler = Callable[[str, str, dict[str, str]], object]


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """Something that people should know."""

    name: str
    """"WorkflowFailure", "SlowQueue" or "UnresponsiveApplication"."""
    message: str
    subject: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What is an alert, and who is told. A threshold of zero switches an alert off."""

    handlers: tuple[str, ...] = ()
    """Dotted paths of functions that take name, message and metadata."""
    failures: int = 0
    """Failed runs of one workflow within ``failures_period``."""
    failures_period: timedelta = timedelta(minutes=5)
    slow_queue: timedelta = timedelta(0)
    """How long a run may be ready without being taken."""
    workers: int = 0
    """How many workers there are to be."""
    repeat: timedelta = timedelta(hours=1)
    """How long the same alert is not sent again while its episode lasts."""

    @property
    def is_off(self) -> bool:
        """Whether there is nothing to look at, or nobody to tell."""
        return not self.handlers or not (self.failures or self.slow_queue or self.workers)

    @classmethod
    def given(cls, settings: dict[str, Any]) -> "Rules":
        """Return the rules of ``DURABLE["ALERTS"]``; raises ImproperlyConfigured."""
        for name, value in settings.items():
            _check_rule(name, value)
        values: dict[str, Any] = {name.lower(): value for name, value in settings.items()}
        return cls(**{**values, "handlers": tuple(values.get("handlers", ()))})


def _check_rule(name: str, value: Any) -> None:
    known = Rules.__dataclass_fields__
    if name.lower() not in known:
        raise ImproperlyConfigured(
            f"DURABLE['ALERTS'] has no {name!r}; it has {', '.join(sorted(known)).upper()}."
        )
    default = getattr(Rules(), name.lower())
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or not all(isinstance(path, str) for path in value):
            raise ImproperlyConfigured(f"DURABLE['ALERTS'][{name!r}] must be a list of dotted paths.")
        return
    if type(value) is not type(default):
        kind = type(default).__name__
        raise ImproperlyConfigured(f"DURABLE['ALERTS'][{name!r}] must be a {kind}, not {value!r}.")
    least = timedelta(seconds=1) if name.lower() in _PERIODS else type(default)()
    if value < least:
        raise ImproperlyConfigured(f"DURABLE['ALERTS'][{name!r}] must not be below {least}, but is {value}.")


_PERIODS = ("failures_period", "repeat")


@cache
def rules() -> Rules:
    """Return the project's rules; raises ImproperlyConfigured for unknown or senseless ones."""
    return Rules.given(conf.options().ALERTS)


def handler(path: str) -> Handler:
    """Return a handler; raises InvalidOptionError for one that the settings do not name (any more)."""
    if path not in rules().handlers:
        raise InvalidOptionError(f"DURABLE['ALERTS']['HANDLERS'] does not name {path!r}")
    found: Handler = import_string(path)
    return found


def due() -> list[Alert]:
    """Return what the rules say is an alert now."""
    wanted, now = rules(), clock.now()
    found: list[Alert] = []
    if wanted.failures:
        failed = alerts.failures(now - wanted.failures_period, wanted.failures)
        # That alerts fail to be sent is no news for those who should send it.
        found += [_many_failures(name, count, wanted) for name, count in failed.items() if name != WORKFLOW]
    if wanted.slow_queue:
        stuck = alerts.stuck(now - wanted.slow_queue)
        found += [_slow_queue(name, count, wanted) for name, count in stuck.items()]
    if wanted.workers and alerts.live_workers(since=now - PATIENCE) < wanted.workers:
        live = alerts.live_workers(since=now)
        found += [_few_workers(live, wanted)] if live < wanted.workers else []
    return found


def send_due() -> int:
    """Start the sending of every alert whose episode nobody has told of; return how many that were.

    An episode ends with a look that does not find it.
    """
    found = {f"{alert.name} {alert.subject}": alert for alert in due()}
    alerts.forget(found, before=clock.now() - CALM)
    sent = 0
    for key, alert in found.items():
        with database.transact():
            if alerts.claim(key, rules().repeat):
                runs.start(new_run(Target(definition=registry.workflow(WORKFLOW)), (alert,), {}))
                sent += 1
    return sent


def _many_failures(name: str, count: int, wanted: Rules) -> Alert:
    period = wanted.failures_period.total_seconds()
    return Alert(
        name="WorkflowFailure",
        message=f"{count} runs of {name!r} have failed within {period:g} seconds.",
        subject=name,
        metadata={
            "workflow_name": name,
            "failed_workflow_count": str(count),
            "threshold": str(wanted.failures),
            "period_secs": f"{period:g}",
        },
    )


def _slow_queue(name: str, count: int, wanted: Rules) -> Alert:
    seconds = wanted.slow_queue.total_seconds()
    return Alert(
        name="SlowQueue",
        message=f"{count} runs in the queue {name!r} have been ready for more than {seconds:g} seconds.",
        subject=name,
        metadata={
            "queue_name": name,
            "stuck_workflow_count": str(count),
            "threshold_secs": f"{seconds:g}",
        },
    )


def _few_workers(live: int, wanted: Rules) -> Alert:
    return Alert(
        name="UnresponsiveApplication",
        message=f"{live} workers are alive, and {wanted.workers} should be.",
        subject="workers",
        metadata={"application_name": "", "connected_executor_count": str(live)},
    )


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        rules.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.control.alerts")
