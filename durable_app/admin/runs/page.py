"""The page of a run: its head, why it is where it is, and one of seven tabs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from durable_app.admin import display
from durable_app.admin.approvals.asked import asked_by
from durable_app.admin.audit.words import label_of
from durable_app.admin.keyset import WrongLink
from durable_app.admin.live import FRAGMENT
from durable_app.admin.runs import parts
from durable_app.admin.runs.buttons import buttons
from durable_app.admin.runs.links import RunLinks
from durable_app.admin.runs.parts import Look
from durable_app.admin.runs.steps import one_step, step_page
from durable_app.control.verbs import ON_BEHALF
from durable_app.insight.payloads import attributes, failure, payload
from durable_app.insight.reasons import why
from durable_app.insight.relatives import conceal
from durable_app.insight.timeline import short
from durable_app.models.workflow import TERMINAL
from durable_app.store import bulk_operations

LONGEST_FACT = 120
LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Tab:
    """A part of the page; only the one that is looked at is read from the database."""

    label: Any
    read: Callable[[Look], dict[str, Any]]


def _steps(look: Look) -> dict[str, Any]:
    """Return the run's steps, why it is here, and the step that is looked at."""
    chosen = look.parameters.get("step")
    return {
        "reason": why(look.run, may_see=look.may_see),
        "steps": step_page(look.run, look.actor, look.parameters.get("from")),
        "error": failure(look.run.error, may_see=look.may_see),
        "chosen": chosen_step(look, chosen) if chosen else None,
    }


def chosen_step(look: Look, step_id: str) -> dict[str, Any]:
    """Return a step with its outcome."""
    step = one_step(look.run, step_id)
    may_see = look.may_see
    return {
        "step": step,
        "step_id": step_id,
        "output": payload(step.output, step.serialization, may_see=may_see),
        "error": failure(step.error, may_see=may_see),
    }


TABS: Mapping[str, Tab] = {
    "steps": Tab(label=_("Steps"), read=_steps),
    "values": Tab(label=_("Input & output"), read=parts.values),
    "messages": Tab(label=_("Messages & events"), read=parts.messages),
    "streams": Tab(label=_("Streams"), read=parts.streams),
    "family": Tab(label=_("Family"), read=parts.family),
    "history": Tab(label=_("Attempts & audit"), read=parts.history),
    "raw": Tab(label=_("Raw"), read=parts.raw),
}


class RunPages(RunLinks):
    """The view of one run."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a run; nothing is changed here."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        run = self.found(request, object_id)
        conceal([run], self.actor_of(request).sees)
        name = request.GET.get("tab", "steps")
        try:
            if name not in TABS:
                raise WrongLink("There is no such tab.")
            context = {**self._head(request, run, name), **self._tab(request, run, name)}
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        wanted = request.headers.get(FRAGMENT) == "run"
        template = "body.html" if wanted else "change_form.html"
        return TemplateResponse(
            request,
            f"admin/durable_app/workflow/{template}",
            {**context, **(extra_context or {})},
            headers={"Cache-Control": "no-store"},
        )

    def _tab(self, request: HttpRequest, run: Any, name: str) -> dict[str, Any]:
        look = Look(
            run=run,
            actor=self.actor_of(request),
            link=lambda other: str(self.object_url(other.pk)),
            parameters=request.GET,
        )
        return TABS[name].read(look)

    def _head(self, request: HttpRequest, run: Any, tab: str) -> dict[str, Any]:
        found = buttons(run, self.actor_of(request), lambda verb: self.verb_url(run, verb))
        context: dict[str, Any] = self.page_context(
            request,
            run.workflow_id,
            run=run,
            object=run,
            url=self.object_url(run.pk),
            tab=tab,
            tabs=[(name, one.label) for name, one in TABS.items()],
            badge=display.badge(run.status),
            identifier=display.identifier(run.workflow_id, is_cut=False),
            short_name=display.short_name(run.name),
            facts=self._facts(run),
            attributes=[
                (display.shortened(name, LONGEST_NAME), display.folded(str(value), LONGEST_FACT))
                for name, value in attributes(run.attributes).items()
            ],
            carries_out=self._carries_out(request, run),
            is_live=run.status not in TERMINAL,
            buttons=found,
            fork_url=next((one.url for one in found if one.verb.name == "fork" and not one.refusal), ""),
            history_url=self.run_url("history", run.pk),
            asked=asked_by(self.admin_site, run),
            export_url=self.run_url("export", run.pk),
            may_export=self.may(request, "export_workflow", run) and self.may(request, "view_payload", run),
        )
        return context

    def _carries_out(self, request: HttpRequest, run: Any) -> tuple[str, str] | None:
        """Return name and URL of the operation that a run of ours carries out; None for all other runs."""
        sees = self.actor_of(request).sees_operations
        operation = bulk_operations.of_run(run.workflow_id, sees) if run.name in ON_BEHALF else None
        if operation is None:
            return None
        url = self.operation_url(operation.pk) if self.may(request, "view_bulkoperation") else ""
        return f"{label_of(operation.verb)} {operation.pk}", url

    def _facts(self, run: Any) -> list[tuple[Any, Any]]:
        """Return what the head says of a run, without what is not known."""
        waited = None if run.started_at is None else short(run.started_at - run.created_at)
        facts: list[tuple[Any, Any]] = [
            (_("Created"), display.ago(run.created_at)),
            (_("Waited"), waited),
            (_("Duration"), display.duration(run.started_at, run.finished_at) if run.started_at else None),
            (_("Queue"), run.queue_name),
            (_("Priority"), run.priority or None),
            (_("Partition"), run.partition_key),
            (_("Deduplication"), run.deduplication_id),
            (_("Version"), run.app_version),
            (_("Attempt"), run.attempt),
            (_("Recoveries"), run.recovery_attempts or None),
            (_("Deadline"), display.ago(run.deadline_at) if run.deadline_at else None),
            (_("Schedule"), run.schedule_name),
            (_("User"), run.user),
            (_("Parent"), self._linked(run.parent_workflow_id)),
            (_("Forked from"), self._linked(run.forked_from)),
        ]
        return [(label, value) for label, value in facts if value not in (None, "")]

    def _linked(self, workflow_id: str | None) -> Any:
        return display.identifier(workflow_id, self.url_of(workflow_id)) if workflow_id else None
