"""Where a schedule's pages are, and which verbs there are."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin.base import SITE
from durable_app.admin.histories import HistoryPages
from durable_app.admin.schedules.declared import is_of_code
from durable_app.control import schedules
from durable_app.control.operator import Operator, Result
from durable_app.models import Schedule, ScheduleStatus

PREFIX = "durable_app_schedule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """A verb on one schedule that asks for nothing but a reason."""

    label: Any
    done: Any
    """The participle: a schedule "was paused"."""
    permission: str
    act: Callable[[Operator, str], Result]
    sentence: Any
    is_destructive: bool = False


VERBS: Mapping[str, Verb] = {
    "pause": Verb(
        label=gettext_lazy("Pause"),
        done=gettext_lazy("paused"),
        permission="pause_schedule",
        act=schedules.pause,
        sentence=gettext_lazy("It fires no more until it is resumed. Runs that it has started go on."),
    ),
    "resume": Verb(
        label=gettext_lazy("Resume"),
        done=gettext_lazy("resumed"),
        permission="pause_schedule",
        act=schedules.resume,
        sentence=gettext_lazy("It fires again. Its policy says what becomes of the ticks in between."),
    ),
    "trigger": Verb(
        label=gettext_lazy("Trigger"),
        done=gettext_lazy("triggered"),
        permission="trigger_schedule",
        act=schedules.trigger,
        sentence=gettext_lazy("A run starts now, paused or not, whatever else of it is active."),
    ),
    "delete": Verb(
        label=gettext_lazy("Delete"),
        done=gettext_lazy("deleted"),
        permission="delete_schedule",
        act=schedules.delete,
        sentence=gettext_lazy("The schedule is gone. Its runs stay."),
        is_destructive=True,
    ),
}


def refusal(name: str, row: Schedule) -> str:
    """Return why a verb, or a change, is senseless now; empty if it is not."""
    is_active = row.status == ScheduleStatus.ACTIVE
    if name == "pause" and not is_active:
        return _("It does not fire now.")
    if name == "resume" and is_active:
        return _("It is active.")
    if name in ("change", "delete") and is_of_code(row):
        return _("It is declared in code: change it there.")
    return ""


class ScheduleLinks(HistoryPages):
    """What the views of schedules stand on."""

    target_kind = schedules.KIND

    def target_id(self, obj: Any) -> str:
        """Return the name, which is what the audit knows."""
        return str(obj.name)

    def schedule_url(self, name: str, *args: Any) -> str:
        """Return the URL of one of our views."""
        return reverse(f"{SITE}:{PREFIX}_{name}", args=args, current_app=self.admin_site.name)

    def verb_url(self, row: Schedule, verb: str) -> str:
        """Return the URL of a verb's page."""
        return self.schedule_url("verb", row.pk, verb)

    def labels(self, row: Schedule, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Yield those of these verbs that make sense now, with their labels."""
        return ((name, VERBS[name].label) for name in names if not refusal(name, row))
