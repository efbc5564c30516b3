"""A project's ``CRONJOBS``, the setting of django-crontab, read as values.

What a job calls is told by the settings alone: a stored key only chooses among the jobs that are listed there
now. Every setting whose name ends in ``CRONJOBS`` counts, so that imported jobs can be kept apart from those
that cron still runs.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from durable_app.errors import InvalidOptionError

TICK = "durable_app.cron.tick"
"""The path of our own job."""

SUFFIX = "CRONJOBS"


@dataclass(frozen=True, kw_only=True, slots=True)
class CronJob:
    """One line: when, and which function with which arguments."""

    cron: str
    path: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    redirect: str = ""
    """What cron's shell does with the output."""

    @property
    def key(self) -> str:
        """What names the call, whenever it is to happen."""
        if not self.args and not self.kwargs:
            return self.path
        text = json.dumps([self.args, self.kwargs], sort_keys=True, default=repr)
        return f"{self.path}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def jobs_in(setting: str) -> list[CronJob]:
    """Return the jobs that a setting lists, but for our own.

    Raises InvalidOptionError for one that django-crontab would not understand.
    """
    listed = getattr(settings, setting, [])
    if not isinstance(listed, list | tuple):
        raise InvalidOptionError(f"{setting} is no list of jobs")
    jobs = [_job(setting, position, given) for position, given in enumerate(listed)]
    return [job for job in jobs if job.path != TICK]


def listed(key: str) -> CronJob:
    """Return the job of a key; raises InvalidOptionError if the settings list none."""
    for job in _all_listed():
        if job.key == key:
            return job
    raise InvalidOptionError(f"no setting *{SUFFIX} lists the job {key!r} (any more)")


def _all_listed() -> Iterator[CronJob]:
    for setting in dir(settings):
        if setting.endswith(SUFFIX):
            with suppress(InvalidOptionError):  # a list of somebody else's, or with a slip in it
                yield from jobs_in(setting)


def _job(setting: str, position: int, given: Any) -> CronJob:
    """Read (cron, path), (cron, path, redirect) or (cron, path, args, kwargs, redirect)."""
    if not isinstance(given, list | tuple) or not 2 <= len(given) <= 5:
        raise InvalidOptionError(f"{setting}[{position}] is no job: {given!r}")
    cron, path, *rest = given
    has_redirect_only = len(rest) == 1 and isinstance(rest[0], str)
    filled: list[Any] = [(), {}, rest[0]] if has_redirect_only else [*rest, *((), {}, "")[len(rest) :]]
    args, kwargs, redirect = filled
    kinds = ((cron, str), (path, str), (args, list | tuple), (kwargs, dict), (redirect, str))
    if not all(isinstance(value, kind) for value, kind in kinds) or "." not in path:
        raise InvalidOptionError(f"{setting}[{position}] is no job: {given!r}")
    return CronJob(cron=cron, path=path, args=tuple(args), kwargs=kwargs, redirect=redirect)


def host_zone(localtime: Path = Path("/etc/localtime")) -> str:
    """Return the name of the zone that cron on this host goes by; UTC if it cannot be told."""
    _, found, name = str(localtime.resolve()).partition("/zoneinfo/")
    return name if found else "UTC"
