"""What a schedule is asked for: its definition, and the span of a backfill."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, tzinfo
from itertools import islice
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from durable_app import clock, scheduling
from durable_app.admin.confirming import ReasonForm
from durable_app.admin.runs.forms import JSONText, holds_hidden, merged
from durable_app.admin.schedules import choices
from durable_app.errors import DurableError
from durable_app.insight.payloads import plain, redacted
from durable_app.models import CatchUp, Overlap, Schedule
from durable_app.recurrence import LONGEST, Recurrence
from durable_app.registry import ScheduleDefinition, registry
from durable_app.scheduling import ScheduleInput
from durable_app.store import schedules

T = TypeVar("T")

EARLIEST = 1970
"""The first year of a backfill."""

MOST_TICKS = 1_000
"""Ticks of one backfill in the admin; a terminal has no such limit."""


def _checked(check: Callable[[], T]) -> T:
    """Return what a check returns; what it refuses is said at the field."""
    try:
        return check()
    except DurableError as error:
        raise ValidationError(str(error)) from error


class ScheduleForm(ReasonForm):
    """A schedule's definition; ``form_for`` fits it to a row and to who fills it in."""

    row: Schedule | None = None
    """The schedule that is changed; None for a new one."""
    may_see = True
    """Whether the context is shown; where it is not, it stays as it is."""
    may_pause = True

    name = forms.CharField(label=_("Name"), max_length=scheduling.NAME_LENGTH)
    workflow = forms.ChoiceField(
        label=_("Workflow"), help_text=_("Each run is called with its tick, a time, and the context.")
    )
    cron = forms.CharField(
        label=_("Cron expression"),
        max_length=LONGEST,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
        help_text=_("minute hour day month weekday; or six fields, the seconds first"),
    )
    timezone = forms.CharField(
        label=_("Time zone"),
        max_length=LONGEST,
        required=False,
        widget=forms.TextInput(attrs={"list": "durable-zones", "autocomplete": "off"}),
        help_text=_("A name such as Europe/Berlin; empty: UTC"),
    )
    queue = forms.ChoiceField(label=_("Queue"), required=False)
    context = JSONText(label=_("Context"), required=False, help_text=_("JSON; every run is given it."))
    catch_up = forms.ChoiceField(label=_("Ticks that nobody could start in time"), choices=CatchUp.choices)
    catch_up_limit = forms.IntegerField(
        label=_("At most so many of them"),
        required=False,
        min_value=1,
        max_value=2_147_483_647,
        help_text=_("Only with “start all”: the last so many. Empty: all."),
    )
    overlap = forms.ChoiceField(label=_("A tick while an earlier run is active"), choices=Overlap.choices)
    is_enabled = forms.BooleanField(label=_("Enabled"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keeps_context = True
        fields: dict[str, Any] = self.fields
        fields["name"].disabled = self.row is not None
        fields["workflow"].choices = choices.workflows(self.row)
        fields["queue"].choices = choices.queues(self.row)
        for name, is_there in (("context", self.may_see), ("is_enabled", self.may_pause)):
            if not is_there:
                del fields[name]

    def clean_name(self) -> str:
        """Refuse what is no name, or is taken."""
        name: str = self.cleaned_data["name"]
        if self.row is None:
            _checked(lambda: scheduling.checked_name(name))
            if schedules.get(name) is not None:
                raise ValidationError(_("There is a schedule of this name."))
        return name

    def clean_workflow(self) -> str:
        """Refuse a function that cannot be called with a tick and a context."""
        name: str = self.cleaned_data["workflow"]
        known = registry.workflows.get(name)
        try:
            if known is not None:
                inspect.signature(known.func).bind(None, None)
        except TypeError as error:
            sentence = _("It cannot be called with two values, the tick and the context: %(error)s.")
            raise ValidationError(sentence % {"error": error}) from error
        return name

    def clean_cron(self) -> str:
        """Refuse what is no expression, or never fires."""
        cron: str = self.cleaned_data["cron"]
        return _checked(lambda: Recurrence(cron).cron)

    def clean_timezone(self) -> str | None:
        """Refuse what is no zone; an empty one is UTC."""
        name: str = self.cleaned_data["timezone"]
        return _checked(lambda: Recurrence("* * * * *", name).timezone) if name else None

    def clean_context(self) -> Any:
        """Put back what was hidden, and what was not touched."""
        edited = self.cleaned_data["context"]
        if self.row is None:
            return edited
        original = schedules.context_of(self.row)
        shown = redacted(plain(original))
        self.keeps_context = edited == shown and type(edited) is type(shown)
        value = merged(edited, shown, original)
        if holds_hidden(value):
            raise ValidationError(_("A hidden value stands where none was: write down what is meant."))
        return value

    def clean(self) -> dict[str, Any]:
        """Put the definition together."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.get("catch_up_limit") and values.get("catch_up") != CatchUp.ALL:
            self.add_error("catch_up_limit", _("This goes with “start all” only."))
        if not self.errors:
            try:
                values["definition"] = self._definition(values)
            except DurableError as error:
                self.add_error("context" if self.may_see else None, str(error))
        return values

    def _definition(self, values: dict[str, Any]) -> ScheduleDefinition:
        row = self.row
        is_same = row is not None and row.workflow_name == values["workflow"]
        given = ScheduleInput(
            schedule_name=values["name"],
            workflow_fn=values["workflow"],
            schedule=values["cron"],
            cron_timezone=values["timezone"],
            queue_name=values["queue"] or None,
            workflow_class_name=row.class_name if row is not None and is_same else None,
            context=values.get("context"),
            catch_up=values["catch_up_limit"] or values["catch_up"],
            overlap=values["overlap"],
        )
        found = scheduling.definition_of(given)
        return replace(found, context=row.context) if row is not None and self.keeps_context else found


def form_for(row: Schedule | None, *, may_see: bool, may_pause: bool) -> type[ScheduleForm]:
    """Return the form of a schedule, or of a new one, for somebody with these permissions."""
    return type("ScheduleForm", (ScheduleForm,), {"row": row, "may_see": may_see, "may_pause": may_pause})


def initial_of(row: Schedule | None) -> dict[str, Any]:
    """Return what the form shows at first."""
    if row is None:
        return {"is_enabled": True, "catch_up": CatchUp.NONE, "overlap": Overlap.ALLOW}
    shown = redacted(plain(schedules.context_of(row)))
    return {
        "name": row.name,
        "workflow": row.workflow_name,
        "cron": row.cron,
        "timezone": row.timezone or "",
        "queue": row.queue_name or "",
        "context": "" if row.context is None else json.dumps(shown, indent=2, ensure_ascii=False),
        "catch_up": row.catch_up,
        "catch_up_limit": row.catch_up_limit,
        "overlap": row.overlap,
        "is_enabled": row.status == "ACTIVE",
    }


class ZonedDateTimeField(forms.DateTimeField):
    """A time as the clocks of a zone show it; one with an offset is taken as it is."""

    zone: tzinfo = ZoneInfo("UTC")

    def to_python(self, value: Any) -> datetime | None:
        """Return the time, aware."""
        with timezone.override(self.zone):
            found: datetime | None = super().to_python(value)
            return found


class BackfillForm(ReasonForm):
    """Between which times ticks are made up for; ``backfill_form_for`` fits it to a schedule."""

    recurrence = Recurrence("* * * * *")

    start = ZonedDateTimeField(label=_("After"), help_text=_("Such as 2027-01-31 00:00, exclusive."))
    end = ZonedDateTimeField(label=_("Before"), help_text=_("Exclusive; not in the future."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        for name in ("start", "end"):
            fields[name].zone = ZoneInfo(self.recurrence.timezone)

    def clean_start(self) -> datetime:
        """Refuse what no calendar can reckon with in every zone."""
        start: datetime = self.cleaned_data["start"]
        if start.year < EARLIEST:
            raise ValidationError(_("This is before %(year)d.") % {"year": EARLIEST})
        return start

    def clean_end(self) -> datetime:
        """Refuse the future: its ticks fire by themselves."""
        end: datetime = self.cleaned_data["end"]
        if end > clock.now():
            raise ValidationError(_("This is in the future: those ticks will fire by themselves."))
        return end

    def clean(self) -> dict[str, Any]:
        """Find the ticks, and refuse more than a page can show."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        start, end = values.get("start"), values.get("end")
        if start is None or end is None:
            return values
        if start >= end:
            self.add_error("end", _("This is not after the beginning."))
            return values
        ticks = list(islice(self.recurrence.between(start, end), MOST_TICKS + 1))
        if len(ticks) > MOST_TICKS:
            sentence = _("More than %(most)d ticks lie in between: choose a shorter time.")
            self.add_error("end", sentence % {"most": MOST_TICKS})
        values["ticks"] = ticks
        return values


def backfill_form_for(recurrence: Recurrence) -> type[BackfillForm]:
    """Return the form of a schedule's backfill."""
    return type("BackfillForm", (BackfillForm,), {"recurrence": recurrence})
