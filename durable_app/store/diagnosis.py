"""Why a run that is ready is not taken: what surfaces show beside it."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from durable_app import clock
from durable_app.models import Status, Worker, Workflow
from durable_app.registry import registry
from durable_app.store import database, versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Who could take runs now: the versions of the live workers ("" takes any), and the latest version."""

    versions: frozenset[str]
    latest: str | None

    def takes(self, app_version: str | None) -> bool:
        """Return whether a live worker takes runs of a version (None: of none)."""
        wanted = app_version if app_version is not None else self.latest
        return "" in self.versions or wanted in self.versions


@database.retried
def fleet() -> Fleet:
    """Return who could take runs now."""
    alive = Worker.objects.using(database.alias()).filter(
        kind="worker", stopped_at__isnull=True, expires_at__gt=clock.now()
    )
    latest = versions.latest()
    return Fleet(
        versions=frozenset(alive.values_list("app_version", flat=True)),
        latest=None if latest is None else latest.version_name,
    )


def why_not_taken(run: Workflow, by: Fleet) -> str:
    """Return in a sentence what keeps an ENQUEUED run from being taken; empty if nothing is known to.

    Whether its function is registered can be told of this process only.
    """
    if run.status != Status.ENQUEUED:
        return ""
    if not by.versions:
        return "No worker is running."
    if not by.takes(run.app_version):
        return _no_such_version(run.app_version, by)
    if run.name not in registry.workflows:
        return (
            f"No workflow named {run.name!r} is registered in this process: is its module imported by "
            f"the workers?"
        )
    return ""


def _no_such_version(app_version: str | None, by: Fleet) -> str:
    running = ", ".join(sorted(by.versions))
    if app_version is None:
        return (
            f"It names no version, so the latest one is to run it, {by.latest!r}, which no running "
            f"worker has; they have: {running}."
        )
    return f"Its version is {app_version!r}, which no running worker has; they have: {running}."


@database.retried
def stranded() -> dict[str | None, int]:
    """Return how many ready runs each version has that no live worker takes."""
    by = fleet()
    ready: Any = Workflow.objects.using(database.alias()).filter(status=Status.ENQUEUED).order_by()
    counts = ready.values_list("app_version").annotate(count=Count("pk"))
    return {version: count for version, count in counts if not by.takes(version)}
