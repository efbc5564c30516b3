"""The verbs on many runs: a page that says who is meant and who will be skipped, and why.

Up to ``IMMEDIATE`` chosen runs are done at once; more, or all that match, by a bulk operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext as _

from durable_app import conf
from durable_app.admin.confirming import ReasonForm, VerbPage, confirm
from durable_app.admin.keyset import WrongLink
from durable_app.admin.runs import forms
from durable_app.admin.runs.conditions import Conditions, conditions_of
from durable_app.admin.runs.links import RunLinks
from durable_app.admin.runs.lists import visible
from durable_app.control import bulk
from durable_app.control.operator import Operator, Result
from durable_app.control.verbs import VERBS, Verb
from durable_app.models import Workflow
from durable_app.store import database
from durable_app.store.bulk_operations import COUNTED
from durable_app.store.observing import limited

IMMEDIATE = 200
"""Runs that are done within the request."""

CONFIRMED = "confirmed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a verb asks when it is done to many, and how a bulk operation is told the answer."""

    form_class: type[ReasonForm] = ReasonForm
    options: Mapping[str, str] | None = None
    """The verb's options, by the form's fields."""

    def given(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the verb's options as the form has them."""
        return {option: values[name] for name, option in (self.options or {}).items()}


ASKED: Mapping[str, Asked] = {
    "cancel": Asked(form_class=forms.FamilyForm, options={"children": "cancel_children"}),
    "resume": Asked(form_class=forms.ResumeForm, options={"queue_name": "queue_name"}),
    "run_now": Asked(),
    "set_priority": Asked(form_class=forms.PriorityForm, options={"priority": "priority"}),
    "retry": Asked(),
    "send": Asked(
        form_class=forms.SendForm,
        options={"message": "message", "topic": "topic", "idempotency_key": "idempotency_key"},
    ),
    "delete": Asked(form_class=forms.FamilyForm, options={"children": "delete_children"}),
}


def action(name: str) -> Any:
    """Return a list's action that does a verb to the runs that are checked."""
    verb = VERBS[name]

    @admin.action(description=verb.label, permissions=[name])
    def act(model_admin: Any, request: HttpRequest, queryset: Any) -> HttpResponse:
        found: HttpResponse = model_admin.chosen_view(request, queryset, verb)
        return found

    act.__name__ = "delete_selected" if name == "delete" else name  # ours, not Django's
    return act


def permitted(permission: str) -> Any:
    """Return the method that tells whether a user may use a verb, on a run if one is given."""

    def has_permission(self: Any, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.may(request, permission, obj))

    return has_permission


class ManyRuns(RunLinks):
    """The views of verbs on many runs."""

    actions: Any = tuple(action(name) for name in ASKED)

    has_cancel_permission = permitted("cancel_workflow")
    has_resume_permission = permitted("resume_workflow")
    has_run_now_permission = permitted("resume_workflow")
    has_set_priority_permission = permitted("resume_workflow")
    has_retry_permission = permitted("fork_workflow")
    has_send_permission = permitted("send_message")
    has_delete_permission = permitted("delete_workflow")

    def denied_action(self, request: HttpRequest) -> HttpResponse | None:
        """Return the 403 page for an action that the user may not use: Django passes over it in silence."""
        name = request.POST.get("action", "").removesuffix("_selected")
        if name not in ASKED:
            return None
        if self.has_view_permission(request) and self.may(request, VERBS[name].permission):
            return None
        return self.denied(request, f"bulk {name}", kind=bulk.KIND)

    def chosen_view(self, request: HttpRequest, queryset: Any, verb: Verb) -> HttpResponse:
        """Show the page for the runs that are checked, or do it."""
        if request.POST.get("select_across") == "1":
            return HttpResponseRedirect(f"{self.bulk_url(verb)}?{request.GET.urlencode()}")
        runs = queryset.order_by("pk")
        ids = list(runs.values_list("workflow_id", flat=True))
        if len(ids) > IMMEDIATE:
            act = partial(self._begin, verb, {"workflow_ids": ids})
        else:
            act = partial(_at_once, verb, ids)
        numbers = request.POST.getlist(ACTION_CHECKBOX_NAME)
        hidden = tuple((ACTION_CHECKBOX_NAME, number) for number in numbers)
        page = self._many_page(
            verb,
            counted(runs),
            back_url=f"{self.list_url()}?{request.GET.urlencode()}",
            hidden=(*hidden, ("action", request.POST.get("action", "")), ("select_across", "0")),
            marker=CONFIRMED,
            in_background=len(ids) > IMMEDIATE,
        )
        return confirm(self, request, page, act)

    def bulk_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show the page for all runs that match a list's link, or begin it."""
        verb = VERBS.get(name)
        if verb is None or not verb.is_bulk:
            raise Http404
        operator = self.operator_of(request)
        if not self.has_view_permission(request) or not operator.actor.may(verb.permission):
            return self.denied(request, f"bulk {name}", kind=bulk.KIND)
        try:
            conditions = conditions_of(request.GET, operator.actor.sees)
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        found = visible(operator.actor, conditions)
        count = counted(found)
        most = conf.options().BULK_LIMIT
        if sum(count.values()) > min(most, COUNTED) and bulk.is_too_many(operator.actor, conditions):
            sentence = _("More than %(most)d runs match. Choose a shorter time, or more conditions.")
            return self.trouble(request, 400, _("Too many runs"), sentence % {"most": most})
        back_url = f"{self.list_url()}?{request.GET.urlencode()}"
        page = self._many_page(verb, count, back_url=back_url, is_all=True, in_background=True)
        return confirm(self, request, page, partial(self._begin, verb, conditions))

    def _begin(
        self, verb: Verb, conditions: Conditions, operator: Operator, values: dict[str, Any]
    ) -> list[Result]:
        number = bulk.begin(operator, verb.name, conditions, ASKED[verb.name].given(values))
        return [Result(target=str(number), outcome="done", made=str(number))]

    def _many_page(
        self,
        verb: Verb,
        count: dict[str, int],
        *,
        back_url: str,
        in_background: bool,
        is_all: bool = False,
        **more: Any,
    ) -> VerbPage:
        total = sum(count.values())
        skipped = [(status, many, verb.refusal(status)) for status, many in count.items()]
        return VerbPage(
            title=_("%(verb)s: many runs") % {"verb": verb.label},
            verb=verb.label,
            back_url=back_url,
            is_destructive=verb.is_destructive,
            form_class=ASKED[verb.name].form_class,
            template="admin/durable_app/workflow/many.html",
            context={
                "total": total,
                "is_capped": total > COUNTED,
                "counts": skipped,
                "is_all": is_all,
                "possible": sum(many for _status, many, refusal in skipped if not refusal),
            },
            done=_("started") if in_background else verb.done,
            subject=_("A bulk operation") if in_background else "",
            done_url=partial(self._begun_url, back_url) if in_background else None,
            **more,
        )

    def _begun_url(self, back_url: str, results: list[Result]) -> str:
        """Return the page of the operation that was begun, if somebody shows it."""
        return self.operation_url(results[0].made) or back_url

    def bulk_url(self, verb: Verb) -> str:
        """Return the URL of a verb on all runs that match."""
        return self.run_url("bulk", verb.name)

    def bulk_links(self, request: HttpRequest) -> list[tuple[Any, str]]:
        """Return label and link of each verb that the user may use on all runs that match."""
        query = meant(request.GET).urlencode()
        actor = self.actor_of(request)
        return [
            (VERBS[name].label, f"{self.bulk_url(VERBS[name])}?{query}")
            for name in ASKED
            if actor.may(VERBS[name].permission)
        ]


def meant(parameters: QueryDict) -> QueryDict:
    """Return a list's parameters without those that do not say which runs are meant."""
    found = parameters.copy()
    for name in ("cursor", "cols", "o", "e", "p"):
        found.pop(name, None)
    return found


def counted(runs: Any) -> dict[str, int]:
    """Return how many of the runs have each status, counted up to a limit."""
    some = runs.order_by().values("pk")[: COUNTED + 1]
    rows = Workflow.objects.using(database.alias()).filter(pk__in=some).order_by()
    with limited():
        return dict(rows.values_list("status").annotate(count=Count("pk")).order_by("status"))


def _at_once(verb: Verb, ids: list[str], operator: Operator, values: dict[str, Any]) -> list[Result]:
    found: list[Result] = getattr(operator, verb.name)(ids, **ASKED[verb.name].given(values))
    return found
