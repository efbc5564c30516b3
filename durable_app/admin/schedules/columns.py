"""The columns of the list of schedules."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_app import clock, conf
from durable_app.admin import display
from durable_app.admin.neighbours import page_url
from durable_app.admin.schedules.declared import conflict, is_of_code
from durable_app.admin.schedules.links import ScheduleLinks
from durable_app.errors import InvalidOptionError
from durable_app.insight.fires import in_words, upcoming
from durable_app.models import Schedule, ScheduleStatus, Workflow
from durable_app.store.firings import Missed
from durable_app.store.schedules import recurrence_of

ROW_FORM = "durable-row-verb"
"""The id of the one form whose verbs all rows' buttons post: a form cannot stand within the list's own."""

NEXT = 3
"""Fires to come that a row shows."""

_STATUS = {
    ScheduleStatus.ACTIVE: ("is-ok", "✓"),
    ScheduleStatus.PAUSED: ("is-wait", "‖"),
    ScheduleStatus.RETIRED: ("is-idle", "⊘"),
}


_BUTTON = (
    '<button type="submit" class="durable-button is-small" form="{}" formaction="{}" name="back" '
    'value="list" aria-label="{}">{}</button>'
)


def status_badge(row: Schedule) -> SafeString:
    """Return a schedule's status; one that nobody fires is late."""
    late = lateness(row)
    if late:
        title = gettext("%(late)s late: no worker fires it") % {"late": late}
        return display.mark("is-bad", "◷", gettext("late"), title)
    kind, shape = _STATUS.get(ScheduleStatus(row.status), ("is-idle", "?"))
    return display.mark(kind, shape, row.get_status_display())


def lateness(row: Schedule) -> str:
    """Return by how much a due tick is overdue; empty within the grace that ticks have anyway."""
    late = timedelta(0) if row.next_at is None else clock.now() - row.next_at
    return display.roughly(late) if late > conf.options().SCHEDULE_GRACE else ""


def next_ticks(row: Schedule, count: int) -> list[Any]:
    """Return a schedule's next fires; none if it is not active, or cannot be read here."""
    if row.next_at is None:
        return []
    try:
        return [row.next_at, *upcoming(recurrence_of(row), max(row.next_at, clock.now()), count - 1)]
    except InvalidOptionError:
        return [row.next_at]


def _not_run(missed: Missed | None) -> SafeString:
    if missed is None or not missed.count:
        return SafeString("")
    title = gettext("Of the last %(of)d ticks, as it is defined now, so many have no run: missed or skipped")
    words = gettext("%(count)d of %(of)d not run") % {"count": missed.count, "of": missed.of}
    return format_html('<span class="durable-quiet" title="{}">{}</span>', title % {"of": missed.of}, words)


class ScheduleColumns(ScheduleLinks):
    """Methods for ``list_display``; rows have ``latest``, ``missed`` and ``verbs`` from the change list."""

    list_display = (
        "shown_name", "shown_when", "shown_status", "shown_next", "shown_last", "shown_buttons",
    )  # fmt: skip

    @admin.display(description=_("Schedule"))
    def shown_name(self, row: Schedule) -> SafeString:
        """Return the name, which leads to the schedule's page, and what it starts."""
        name = row.name if len(row.name) <= 40 else f"{row.name[:39]}…"
        code = (
            format_html(' <span class="durable-quiet">({})</span>', gettext("code"))
            if is_of_code(row)
            else ""
        )
        return format_html(
            '<a class="durable-id" href="{}" title="{}">{}</a>{}<br><span class="durable-quiet">{}</span>',
            self.object_url(row.pk),
            row.name,
            name,
            code,
            display.short_name(row.workflow_name),
        )

    @admin.display(description=_("When"))
    def shown_when(self, row: Schedule) -> SafeString:
        """Return the expression, in words if they can be had, and the zone."""
        words = in_words(row.cron)
        first = format_html('<span class="durable-mono">{}</span>', row.cron)
        return format_html(
            '<span title="{}">{}</span><br><span class="durable-quiet">{}{}</span>',
            words,
            first,
            f"{words}, " if words else "",
            row.timezone or "UTC",
        )

    @admin.display(description=_("Status"))
    def shown_status(self, row: Schedule) -> SafeString:
        """Return whether it fires, and whether the code of this process says something else."""
        shown, other = status_badge(row), conflict(row)
        if not other or row.status == ScheduleStatus.RETIRED:
            return shown
        return format_html(
            "{}<br>{}", shown, display.mark("is-bad", "⚠", gettext("differs from code"), other)
        )

    @admin.display(description=_("Next"))
    def shown_next(self, row: Schedule) -> SafeString:
        """Return the next fires."""
        ticks = next_ticks(row, NEXT)
        if not ticks:
            return display.NOTHING
        return format_html_join(SafeString("<br>"), "{}", ((display.ago(tick),) for tick in ticks))

    @admin.display(description=_("Last fired"))
    def shown_last(self, row: Schedule) -> SafeString:
        """Return when it fired, what became of its latest runs, and how many ticks have none."""
        latest: list[Workflow] = row.latest  # type: ignore[attr-defined]
        lines = [self._last(row, latest), self.dots(latest), _not_run(row.missed)]  # type: ignore[attr-defined]
        return format_html_join(SafeString("<br>"), "{}", ((line,) for line in lines if line))

    def _last(self, row: Schedule, latest: list[Workflow]) -> SafeString:
        if not latest:
            return display.ago(row.last_fired_at)
        run = latest[0]
        url = page_url(self.admin_site, Workflow, run.pk)
        shown = display.badge(run.status)
        linked = format_html('<a class="durable-plain" href="{}">{}</a>', url, shown) if url else shown
        return format_html("{} {}", linked, display.ago(row.last_fired_at or run.created_at))

    def dots(self, runs: list[Workflow]) -> SafeString:
        """Return runs as a row of signs, the newest last."""
        if not runs:
            return SafeString("")
        signs = ((self._dot(run),) for run in reversed(runs))
        return format_html('<span class="durable-dots">{}</span>', format_html_join("", "{}", signs))

    def _dot(self, run: Workflow) -> SafeString:
        url = page_url(self.admin_site, Workflow, run.pk)
        return display.dot(run.status, url, display.exactly(run.created_at))

    @admin.display(description=_("Verbs"))
    def shown_buttons(self, row: Schedule) -> SafeString:
        """Return the verbs of one click, for those who have them."""
        verbs = self.labels(row, row.verbs)  # type: ignore[attr-defined]
        found = [(ROW_FORM, self.verb_url(row, name), f"{label}: {row.name}", label) for name, label in verbs]
        return format_html_join(" ", _BUTTON, found)
