"""Telling how far a run has come, for people to see. Each verb has an ``a``-prefixed twin."""

from collections.abc import Awaitable
from functools import partial

from asgiref.sync import markcoroutinefunction

from durable_app.engine import progress as reports
from durable_app.engine.context import current
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.engine.launch import checked_id
from durable_app.engine.progress import Progress
from durable_app.verbs import perform, verb_flow


def progress(done: float, total: float | None = None, message: str = "") -> None:
    """Tell how far the running workflow has come, in its body or in a step; outside, do nothing.

    ``total`` is None where nobody knows. Cheap enough for the innermost loop: no call is a step, the newest
    is written a few times a second, and the last one before the run ends. A bar does not go back before it is
    full, but for zero or another total. Raises InvalidOptionError for what is no number from zero on.
    """
    drive_blocking(_flow(done, total, message), "aprogress")


@markcoroutinefunction
def aprogress(done: float, total: float | None = None, message: str = "") -> Awaitable[None]:
    """Async twin of ``progress``."""
    return adrive(_flow(done, total, message))


def _flow(done: float, total: float | None, message: str) -> Flow[None]:
    scope = current.get()
    if scope is not None:
        yield from reports.report(scope, done, total, message)


def get_progress(workflow_id: str) -> Progress | None:
    """Return what a run has told last, None if it has told nothing; does not wait."""
    return perform("getProgress", "aget_progress", partial(reports.latest, checked_id(workflow_id)))


@markcoroutinefunction
def aget_progress(workflow_id: str) -> Awaitable[Progress | None]:
    """Async twin of ``get_progress``."""
    return adrive(verb_flow("getProgress", partial(reports.latest, checked_id(workflow_id))))
