"""What the verbs on a queue ask for besides a reason."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext_lazy as _

from durable_app import clock
from durable_app.admin.confirming import ReasonForm
from durable_app.control.queues import changed
from durable_app.errors import InvalidOptionError
from durable_app.limits import LONGEST_PERIOD, Limits, RateLimit

LIMITERS = ("limiter", "partition_limiter")


class PauseForm(ReasonForm):
    """Asks until when."""

    until = forms.DateTimeField(
        label=_("Until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = {"zone": get_current_timezone_name()}
        self.fields["until"].help_text = _("Time zone %(zone)s. Empty: until somebody resumes it.") % zone

    def clean_until(self) -> datetime | None:
        """Return the time, which lies ahead, within a hundred years."""
        until: datetime | None = self.cleaned_data["until"]
        if until is not None and until <= clock.now():
            raise ValidationError(_("This time is past."))
        if until is not None and until > clock.now() + LONGEST_PERIOD:
            raise ValidationError(_("This time is too far away."))
        return until


def _number(label: Any, help_text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, help_text=help_text, required=False, show_hidden_initial=True)


def _seconds(label: Any) -> forms.FloatField:
    return forms.FloatField(label=label, required=False, show_hidden_initial=True)


class LimitsForm(ReasonForm):
    """Asks for limits; an empty field is no limit.

    Only what somebody has changed is taken over: two who change different limits both have their way.
    """

    concurrency = _number(_("Runs at once, over all workers"), _("Empty: no limit."))
    worker_concurrency = _number(_("Runs at once, in each worker"))
    limiter_limit = _number(_("Rate limit: starts"))
    limiter_period = _seconds(_("Rate limit: within seconds"))
    partition_queue = forms.BooleanField(
        label=_("Runs need a partition key"), required=False, show_hidden_initial=True
    )
    partition_concurrency = _number(_("Of each partition key: runs at once, over all workers"))
    partition_worker_concurrency = _number(_("Of each partition key: runs at once, in each worker"))
    partition_limiter_limit = _number(_("Of each partition key: rate limit, starts"))
    partition_limiter_period = _seconds(_("Of each partition key: rate limit, within seconds"))

    def clean(self) -> dict[str, Any]:
        """Add ``changes``, as ``control.queues.configure`` takes them; limits that do not fit are errors."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        touched = set(self.changed_data)
        changes = {
            field.name: cleaned[field.name]
            for field in fields(Limits)
            if field.name in touched and field.name not in LIMITERS
        }
        for name in LIMITERS:
            if touched & {f"{name}_limit", f"{name}_period"}:
                changes[name] = self._limiter(name)
        if not self.errors:
            self._check(changes)
        return {**cleaned, "changes": changes}

    def _limiter(self, name: str) -> RateLimit | None:
        limit, period = (self.cleaned_data[f"{name}_{part}"] for part in ("limit", "period"))
        if limit is None and period is None:
            return None
        for part, value in (("limit", limit), ("period", period)):
            if value is None:
                self.add_error(f"{name}_{part}", _("A rate limit has both, or neither."))
                return None
        try:
            return RateLimit.of({"limit": limit, "period": period})
        except InvalidOptionError as error:
            part = "limit" if "limit must" in str(error) else "period"
            self.add_error(f"{name}_{part}", str(error))
            return None

    def _check(self, changes: dict[str, Any]) -> None:
        try:
            changed(self.initial["limits"], changes)
        except InvalidOptionError as error:
            self.add_error(_named(str(error)), str(error))


def _named(sentence: str) -> str | None:
    """Return the limit that a sentence begins with: the longest name that fits."""
    names = sorted((field.name for field in fields(Limits)), key=len, reverse=True)
    return next((name for name in names if name not in LIMITERS and sentence.startswith(name)), None)


def initial_of(limits: Limits) -> dict[str, Any]:
    """Return what the form shows of a queue's limits."""
    found: dict[str, Any] = {"limits": limits}
    for field in fields(Limits):
        value = getattr(limits, field.name)
        if field.name in LIMITERS:
            seconds = None if value is None else value.period.total_seconds()
            found[f"{field.name}_limit"] = None if value is None else value.limit
            found[f"{field.name}_period"] = int(seconds) if seconds and seconds.is_integer() else seconds
        else:
            found[field.name] = value
    return found
