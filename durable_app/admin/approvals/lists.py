"""The inbox: what waits for an answer, longest first; and what has been answered, newest first."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.approvals.state import state_of
from durable_app.admin.base import DurableAdminMixin
from durable_app.admin.keyset import NEWEST, KeysetChangeList, Order, WrongLink
from durable_app.admin.neighbours import page_url
from durable_app.admin.runs.columns import cut
from durable_app.control.answering import addressed_to
from durable_app.models import Approval, Workflow
from durable_app.models.workflow import TERMINAL
from durable_app.store import approvals

SHOW_VAR = "show"

MINE, OPEN, CLOSED = "mine", "open", "closed"

SHOWN: Mapping[str, Any] = {MINE: _("For me"), OPEN: _("All open"), CLOSED: _("Answered or closed")}

LONGEST_FIRST = Order(label=_("Waiting longest"), fields=("pk",))

IS_CLOSED = Q(closed_at__isnull=False) | Q(workflow__status__in=TERMINAL)


class InboxChangeList(KeysetChangeList):
    """Pages of questions: open ones for somebody, all open ones, or closed ones."""

    @property
    def shown(self) -> str:
        """Which of the three are shown."""
        wanted = str(self.params.get(SHOW_VAR, MINE))
        if wanted not in SHOWN:
            raise WrongLink("There are no such approvals.")
        return wanted

    @property
    def orders(self) -> dict[str, Order]:
        """What has waited longest is the most urgent; what is closed is history."""
        return {"": NEWEST if self.shown == CLOSED else LONGEST_FIRST}

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Keep the choice out of the conditions."""
        found = super().get_filters_params(params)
        found.pop(SHOW_VAR, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Return the questions that are shown; payloads stay in the database."""
        shown = self.shown
        found = super().get_queryset(request, exclude_parameters)
        found = found.filter(IS_CLOSED if shown == CLOSED else approvals.IS_OPEN)
        if shown == MINE:
            model_admin: Any = self.model_admin
            found = addressed_to(model_admin.actor_of(request), found)
        hidden = ("description", "context", "values", "comment")
        runs = ("workflow__inputs", "workflow__output", "workflow__error")
        return found.select_related("workflow").defer(*hidden, *runs)

    @property
    def tabs(self) -> list[tuple[Any, str, bool]]:
        """Label, link and whether it is the present one, of each choice."""
        links = {name: self.get_query_string({SHOW_VAR: name}, ["cursor"]) for name in SHOWN}
        return [(label, links[name], name == self.shown) for name, label in SHOWN.items()]


class Inbox(DurableAdminMixin):
    """The view of the list."""

    list_display = (
        "shown_title", "shown_state", "shown_run", "shown_since", "shown_deadline", "shown_assignee",
    )  # fmt: skip
    list_display_links: Any = None
    search_fields: ClassVar[Any] = ("title", "workflow__workflow_id")
    search_help_text: ClassVar[Any] = _("A part of the title, or of the run's id")
    ordering: ClassVar[Any] = ("pk",)

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Let a link ask for nothing but our choices: not for what answers contain."""
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of questions, on top of the theme's."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("InboxChangeList", (InboxChangeList, found), {})

    @admin.display(description=_("Title"))
    def shown_title(self, question: Approval) -> SafeString:
        """Return the title, which leads to the question's page."""
        tag = '<a class="durable-id durable-title" href="{}">{}</a>'
        return format_html(tag, self.object_url(question.pk), cut(question.title))

    @admin.display(description=_("Run"))
    def shown_run(self, question: Approval) -> SafeString:
        """Return the function's name, and the run's id, which leads to its page."""
        run = question.workflow
        url = page_url(self.admin_site, Workflow, run.pk)
        shown = display.identifier(run.workflow_id, url, is_copied=False)
        return format_html("{}<br>{}", display.short_name(run.name), shown)

    @admin.display(description=_("Waiting since"))
    def shown_since(self, question: Approval) -> SafeString:
        """Return when it was asked."""
        return display.ago(question.created_at)

    @admin.display(description=_("Deadline"))
    def shown_deadline(self, question: Approval) -> SafeString:
        """Return until when it can be answered."""
        return display.ago(question.deadline_at)

    @admin.display(description=_("For"))
    def shown_assignee(self, question: Approval) -> Any:
        """Return who is asked: a group, or those with a permission."""
        wanted = question.group or question.permission
        return cut(wanted, 24) if wanted else display.NOTHING

    @admin.display(description=_("State"))
    def shown_state(self, question: Approval) -> SafeString:
        """Return whether it is open, overdue, or how it was answered."""
        state = state_of(question, clock.now())
        return display.mark(state.kind, state.shape, state.label, state.sentence)
