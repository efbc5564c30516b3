"""The filters beside the list: choices from the registry and from the newest runs, never from a DISTINCT.

The window of the list stands above it, see ``windows``.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from durable_app.admin.runs.windows import any_age
from durable_app.control.actors import Actor, policy
from durable_app.control.verbs import ACTIVE
from durable_app.models import Status, Workflow
from durable_app.registry import registry
from durable_app.store import database
from durable_app.store.observing import limited

SAMPLE = 2_000
"""The newest runs, whose names, queues, schedules and versions are offered."""

SAMPLED_FOR = 60
"""Seconds for which a user's sample is good."""

MOST_CHOICES = 50

_COLUMNS = ("name", "queue_name", "schedule_name", "app_version")

Choices = list[tuple[str, Any]]


def sample(actor: Actor) -> dict[str, list[str]]:
    """Return the values that an actor's newest runs have in some columns."""
    key = f"durable_app.admin.sample.{database.alias()}.{actor.kind}.{actor.id}"
    found: dict[str, list[str]] | None = cache.get(key)
    if found is None:
        found = _sampled(actor)
        cache.set(key, found, SAMPLED_FOR)
    return found


def _sampled(actor: Actor) -> dict[str, list[str]]:
    runs = policy().visible(actor, Workflow.objects.using(database.alias()))
    with limited():
        rows = list(runs.order_by("-pk").values_list(*_COLUMNS)[:SAMPLE])
    return {
        name: sorted({row[at] for row in rows if row[at]})[:MOST_CHOICES] for at, name in enumerate(_COLUMNS)
    }


class RunFilter(SimpleListFilter):
    """Shows choices; what they mean is known to ``conditions``, for the list and for what acts on it."""

    column = ""
    """The sampled column that has the choices."""

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the values to choose from, and the one that is chosen."""
        found = sample(model_admin.actor_of(request))[self.column] if self.column else []
        chosen = self.value()
        return [(one, one) for one in sorted({*found, *self.more(), *([chosen] if chosen else [])})]

    def more(self) -> Iterable[str]:
        """Return choices that no run need have."""
        return ()

    def choices(self, changelist: Any) -> Any:
        """Yield links; what may be older than the window of the list is looked for at any age."""
        for one, value in zip(super().choices(changelist), ("", *dict(self.lookup_choices)), strict=False):
            if self.is_of_any_age(value):
                changed = any_age(**{str(self.parameter_name): value})
                one["query_string"] = changelist.get_query_string(changed)
            yield one

    def is_of_any_age(self, value: str) -> bool:
        """Return whether a choice means old runs, too."""
        return False

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Leave it to ``conditions``, which applies all at once."""
        return queryset


class WindowFilter(RunFilter):
    """When something happened, by how long ago."""

    title = _("when")
    parameter_name = "window"

    def lookups(self, request: Any, model_admin: Any) -> Choices:
        """Return the windows."""
        return [
            ("15m", _("Last 15 minutes")),
            ("1h", _("Last hour")),
            ("24h", _("Last 24 hours")),
            ("7d", _("Last 7 days")),
            ("30d", _("Last 30 days")),
        ]


class EndedFilter(WindowFilter):
    """When a run ended."""

    title = _("ended")
    parameter_name = "ended"

    def is_of_any_age(self, value: str) -> bool:
        """Say so of each: a run that has just ended may have begun long ago."""
        return bool(value)


class StatusFilter(RunFilter):
    """A state, or a group of them."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: Any, model_admin: Any) -> Choices:
        """Return groups and states."""
        groups: Choices = [
            ("active", _("All active")),
            ("failed", _("All failed")),
            ("finished", _("All ended")),
        ]
        return groups + [(value, f"— {label}") for value, label in Status.choices]

    def is_of_any_age(self, value: str) -> bool:
        """Say so of what has not ended: it is to be hard to lose."""
        return value == "active" or value in ACTIVE


class WorkflowFilter(RunFilter):
    """The function."""

    title = _("workflow")
    parameter_name = "workflow"
    column = "name"

    def more(self) -> Iterable[str]:
        """Return what is registered in this process, but for what the engine has of its own."""
        own = ("durable.", "<")
        return [name for name in registry.workflows if not name.startswith(own)][:MOST_CHOICES]


class QueueFilter(RunFilter):
    """The queue."""

    title = _("queue")
    parameter_name = "queue"
    column = "queue_name"


class ScheduleFilter(RunFilter):
    """The schedule that started a run."""

    title = _("schedule")
    parameter_name = "schedule"
    column = "schedule_name"


class VersionFilter(RunFilter):
    """The version a run is pinned to."""

    title = _("version")
    parameter_name = "version"
    column = "app_version"


class FamilyFilter(RunFilter):
    """A run's place in its family."""

    title = _("family")
    parameter_name = "family"

    def lookups(self, request: Any, model_admin: Any) -> Choices:
        """Return the places."""
        return [("top", _("Top level")), ("children", _("Children")), ("forks", _("Forks"))]


class WaitingFilter(RunFilter):
    """What an active run waits for."""

    title = _("waiting for")
    parameter_name = "waiting"

    def lookups(self, request: Any, model_admin: Any) -> Choices:
        """Return the kinds."""
        return [
            ("approval", _("An approval")),
            ("message", _("A message")),
            ("event", _("An event")),
            ("result", _("Another run's end")),
            ("stream", _("A stream")),
            ("sleep", _("Its time")),
            ("code", _("Code that fits")),
            ("queue", _("A worker, in its queue")),
            ("delay", _("Its start")),
        ]

    def is_of_any_age(self, value: str) -> bool:
        """Say so of each: what waits has not ended."""
        return bool(value)


FILTERS = (
    StatusFilter, EndedFilter, WorkflowFilter, QueueFilter, ScheduleFilter, VersionFilter,
    FamilyFilter, WaitingFilter,
)  # fmt: skip
