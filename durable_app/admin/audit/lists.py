"""The list of audit events, newest first."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from durable_app.admin import display
from durable_app.admin.audit.conditions import FILTERS as PARAMETERS
from durable_app.admin.audit.conditions import conditions_of
from durable_app.admin.audit.words import LONGEST_REASON, changes_of, label_of
from durable_app.admin.base import SITE, DurableAdminMixin
from durable_app.admin.keyset import KeysetChangeList, WrongLink
from durable_app.admin.runs.filters import WindowFilter
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, AuditOutcome

KINDS = ("workflow", "queue", "schedule", "worker", "approval", "version", "bulk operation", "audit")

VERBS_OFFERED = (
    *VERBS, "start", "export", "download", "import", "pause", "resume", "configure", "reset", "create",
    "change", "trigger", "backfill", "sync", "answer", "quiet", "stop", "recover",
)  # fmt: skip

LONGEST_CHANGE = 60

MARKS = {
    AuditOutcome.DONE: ("is-ok", "✓"),
    AuditOutcome.DENIED: ("is-bad", "⊘"),
    AuditOutcome.REFUSED: ("is-wait", "‖"),
    AuditOutcome.FAILED: ("is-bad", "✗"),
}


def outcome(event: AuditEvent) -> SafeString:
    """Return what became of an attempt, as a badge."""
    kind, shape = MARKS.get(AuditOutcome(event.outcome), ("is-idle", "?"))
    return display.mark(kind, shape, event.get_outcome_display())


class AuditFilter(SimpleListFilter):
    """Shows choices; what they mean is known to ``conditions``."""

    choices_offered: tuple[str, ...] = ()

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the values to choose from, and the one that is chosen."""
        chosen = self.value()
        return [(one, one) for one in dict.fromkeys((*self.choices_offered, *([chosen] if chosen else [])))]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Leave it to ``conditions``, which applies all at once."""
        return queryset


class OutcomeFilter(AuditFilter):
    """What became of it."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the outcomes."""
        return AuditOutcome.choices


class VerbFilter(AuditFilter):
    """What was tried."""

    title = _("verb")
    parameter_name = "verb"
    choices_offered = tuple(dict.fromkeys(VERBS_OFFERED))

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the verbs as people say them."""
        return [(name, label_of(name)) for name, _same in super().lookups(request, model_admin)]


class KindFilter(AuditFilter):
    """What it was done to."""

    title = _("target")
    parameter_name = "kind"
    choices_offered = KINDS


class ActorFilter(AuditFilter):
    """Who; offered is the user, a link or a search names others."""

    title = _("who")
    parameter_name = "actor"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the user, and who is chosen."""
        own = request.user.get_username()
        chosen = self.value()
        others = [(chosen, chosen)] if chosen and chosen != own else []
        return [(own, _("Myself")), *others]


class WhenFilter(WindowFilter):
    """When it was tried."""

    title = _("when")


class AuditChangeList(KeysetChangeList):
    """Pages of the events that a link's conditions describe."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Return what matches; the filters only show what there is to choose."""
        self.filter_specs, self.has_filters, remaining, _many, self.has_active_filters = self.get_filters(
            request
        )
        self.clear_all_filters_qs = self.get_query_string(
            new_params=remaining, remove=list(self.get_filters_params())
        )
        try:
            found = self.root_queryset.filter(conditions_of(request.GET))
        except WrongLink as error:
            found, self.trouble = self.root_queryset.none(), str(error)
        return found.order_by(*self.get_ordering(request, found))


class AuditLists(DurableAdminMixin):
    """The columns and filters of the list."""

    change_list_template = "admin/durable_app/audit/change_list.html"
    list_display = (
        "shown_time", "shown_actor", "shown_verb", "shown_target", "shown_outcome", "shown_reason",
    )  # fmt: skip
    list_display_links: Any = None
    list_filter: ClassVar[Any] = (OutcomeFilter, WhenFilter, VerbFilter, KindFilter, ActorFilter)
    search_fields: ClassVar[Any] = ("target_id",)
    search_help_text: ClassVar[Any] = _("A target's id; actor: verb: kind: target: outcome: bulk: request:")
    ordering: ClassVar[Any] = ("-pk",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of events, on top of the theme's."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("AuditChangeList", (AuditChangeList, found), {})

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Let a link ask for nothing but our filters."""
        return lookup in PARAMETERS

    def target_url(self, event: AuditEvent) -> str:
        """Return a URL that leads to a target that is a run; empty for others."""
        if event.target_kind != "workflow" or not event.target_id:
            return ""
        try:
            url = reverse(f"{SITE}:durable_app_workflow_by_id", current_app=self.admin_site.name)
        except NoReverseMatch:
            return ""
        return f"{url}?{urlencode({'id': event.target_id})}"

    @admin.display(description=_("When"))
    def shown_time(self, event: AuditEvent) -> SafeString:
        """Return the time, which leads to the event."""
        url = self.object_url(event.pk)
        return format_html('<a class="durable-nowrap" href="{}">{}</a>', url, display.exactly(event.at))

    @admin.display(description=_("Who"))
    def shown_actor(self, event: AuditEvent) -> SafeString:
        """Return who it was: a user, a token, somebody at a terminal."""
        return format_html('{} <span class="durable-quiet">{}</span>', event.actor_label, event.actor_kind)

    @admin.display(description=_("Verb"))
    def shown_verb(self, event: AuditEvent) -> SafeString:
        """Return what was tried, and what it changed."""
        changes = display.folded("; ".join(changes_of(event)), LONGEST_CHANGE)
        pattern = '{}<br><span class="durable-quiet">{}</span>' if changes else "{}{}"
        return format_html(pattern, label_of(event.verb), changes)

    @admin.display(description=_("Target"))
    def shown_target(self, event: AuditEvent) -> SafeString:
        """Return what it was done to."""
        found = display.identifier(event.target_id, self.target_url(event), is_copied=False)
        return format_html('{} <span class="durable-quiet">{}</span>', found, event.target_kind)

    @admin.display(description=_("Outcome"))
    def shown_outcome(self, event: AuditEvent) -> SafeString:
        """Return what became of it."""
        return outcome(event)

    @admin.display(description=_("Reason"))
    def shown_reason(self, event: AuditEvent) -> Any:
        """Return why, as the person said."""
        return display.folded(event.reason, LONGEST_REASON) if event.reason else display.NOTHING
