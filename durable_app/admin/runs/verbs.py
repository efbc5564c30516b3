"""The verbs on one run: a page each, that says what will happen, asks what it must know, and does it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import transfer
from durable_app.admin.confirming import ReasonForm, VerbPage, confirm
from durable_app.admin.runs import forms
from durable_app.admin.runs.buttons import refusal
from durable_app.admin.runs.links import RunLinks
from durable_app.control import inputs, starting
from durable_app.control.inputs import Inputs
from durable_app.control.operator import Operator, Result
from durable_app.control.verbs import VERBS, Verb
from durable_app.errors import DurableError, InvalidArgumentsError, InvalidOptionError, SerializationError
from durable_app.insight.payloads import plain, redacted
from durable_app.models import Step
from durable_app.store import database, forking

MOST_STEPS = 200
"""Steps that a fork can be chosen from; any other position can be typed."""

Values = dict[str, Any]


def _cancel(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.cancel([run.workflow_id], cancel_children=values["children"])


def _resume(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.resume([run.workflow_id], queue_name=values["queue_name"])


def _run_now(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.run_now([run.workflow_id])


def _set_priority(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.set_priority([run.workflow_id], priority=values["priority"])


def _retry(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.retry([run.workflow_id])


def _fork(operator: Operator, run: Any, values: Values) -> list[Result]:
    chosen = {name: values[name] for name in ("app_version", "queue_name", "new_workflow_id") if values[name]}
    if "args" in values:
        edited = _edited(starting.order_like(run.workflow_id), values)
        if edited:
            chosen["inputs"] = Inputs(**edited)
    result = operator.fork(run.workflow_id, values["start_step"], **chosen)
    if isinstance(result.error, InvalidArgumentsError | SerializationError):
        raise result.error  # the form is shown again, with what was typed
    return [result]


def _rewind(operator: Operator, run: Any, values: Values) -> list[Result]:
    return [operator.rewind(run.workflow_id, values["start_step"])]


def _send(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.send([run.workflow_id], values["message"], values["topic"], values["idempotency_key"])


def _delete(operator: Operator, run: Any, values: Values) -> list[Result]:
    return operator.delete([run.workflow_id], delete_children=values["children"])


def _start_like(operator: Operator, run: Any, values: Values) -> list[Result]:
    model = starting.order_like(run.workflow_id)
    given = _given(model, values) if "args" in values else {}
    own = {name: values[name] for name in ("workflow_id", "queue_name", "priority", "delay")}
    return [starting.start(operator, replace(model, **own, **given))]


def _given(model: starting.Order, values: Values) -> Values:
    """Return the arguments that a form was left with; raises InvalidOptionError if one is not to be known.

    An empty text stands for the model's arguments.
    """
    given = {
        name: getattr(model, name)
        if values[name] is None
        else forms.merged(values[name], one, getattr(model, name))
        for name, one in _shown(model).items()
    }
    if forms.holds_hidden(list(given.values())):
        raise InvalidOptionError(_("A hidden value stands where none was: write down what is meant."))
    return given


def _edited(model: starting.Order, values: Values) -> Values:
    """Return the arguments that a form was left with if they are not as they were shown, else nothing."""
    shown = _shown(model)
    is_same = all(values[name] is None or forms.same(values[name], one) for name, one in shown.items())
    return {} if is_same else _given(model, values)


def _shown(order: starting.Order) -> dict[str, Any]:
    """Return an order's arguments as they are shown: plain and redacted."""
    return {"args": redacted(plain(order.args)), "kwargs": redacted(plain(order.kwargs))}


@dataclass(frozen=True, kw_only=True, slots=True)
class VerbView:
    """What a verb's page says and asks, and what does it."""

    act: Callable[[Operator, Any, Values], list[Result]]
    sentences: tuple[Any, ...]
    form_class: type[ReasonForm] = ReasonForm
    shows_steps: bool = False


_AGAIN = gettext_lazy(
    "The results of the steps before it are taken over: they do not run again. It and all later steps run "
    "again, with their side effects."
)

VIEWS: Mapping[str, VerbView] = {
    "cancel": VerbView(
        act=_cancel,
        sentences=(gettext_lazy("The run ends; if it executes, at its next step. It can be resumed later."),),
        form_class=forms.FamilyForm,
    ),
    "resume": VerbView(
        act=_resume,
        sentences=(gettext_lazy("The run goes on after its last recorded step, with fresh attempts."),),
        form_class=forms.ResumeForm,
    ),
    "run_now": VerbView(
        act=_run_now,
        sentences=(gettext_lazy("The run starts as soon as a worker has room: past its queue's limits."),),
    ),
    "set_priority": VerbView(
        act=_set_priority,
        sentences=(gettext_lazy("Of the runs of a queue, those with the lowest number are taken first."),),
        form_class=forms.PriorityForm,
    ),
    "retry": VerbView(
        act=_retry,
        sentences=(
            gettext_lazy("A new run takes over all results before the step that failed, and goes on there."),
            gettext_lazy("This run stays as it is."),
        ),
    ),
    "fork": VerbView(
        act=_fork,
        sentences=(gettext_lazy("A new run goes on from the step you choose. This run stays."), _AGAIN),
        form_class=forms.ForkForm,
        shows_steps=True,
    ),
    "rewind": VerbView(
        act=_rewind,
        sentences=(
            gettext_lazy("This run goes on from the step you choose; what it has recorded since is dropped."),
            _AGAIN,
        ),
        form_class=forms.StepForm,
        shows_steps=True,
    ),
    "send": VerbView(
        act=_send,
        sentences=(gettext_lazy("The run receives it when it asks for a message of this topic."),),
        form_class=forms.SendForm,
    ),
    "start_like": VerbView(
        act=_start_like,
        sentences=(gettext_lazy("A new run of the same workflow starts from its beginning."),),
        form_class=forms.StartForm,
    ),
    "delete": VerbView(
        act=_delete,
        sentences=(gettext_lazy("The run and all that it has recorded are gone. This cannot be undone."),),
        form_class=forms.FamilyForm,
    ),
}


class RunVerbs(RunLinks):
    """The views of the verbs."""

    def verb_view(self, request: HttpRequest, number: int, name: str) -> HttpResponse:
        """Show a verb's page, or do it."""
        verb, view = VERBS.get(name), VIEWS.get(name)
        if verb is None or view is None:
            raise Http404
        if not self.has_view_permission(request):
            return self.denied(request, name)
        run = self.found(request, number)
        if not self.may(request, verb.permission, run):
            return self.denied(request, name, run.workflow_id)
        page = self._verb_page(request, run, verb, view)
        return confirm(self, request, page, partial(_acting, view, run))

    def _verb_page(self, request: HttpRequest, run: Any, verb: Verb, view: VerbView) -> VerbPage:
        form_class, initial = self._form(request, run, verb, view)
        context: Values = {
            "object": run,
            "object_url": self.object_url(run.pk),
            "refusal": refusal(verb, run, self.actor_of(request)),
        }
        if view.shows_steps:
            context |= _steps_to_choose(run, initial["start_step"])
        is_gone = verb.name == "delete"
        return VerbPage(
            title=_("%(verb)s: %(run)s") % {"verb": verb.label, "run": run.workflow_id},
            verb=verb.label,
            done=verb.done,
            back_url=self.object_url(run.pk),
            sentences=tuple(str(one) for one in view.sentences),
            is_destructive=verb.is_destructive,
            form_class=form_class,
            initial=initial,
            done_url=self._done_url(run, is_gone),
            obj=None if is_gone else run,
            template="admin/durable_app/workflow/verb.html",
            context=context,
        )

    def _done_url(self, run: Any, is_gone: bool) -> Callable[[list[Result]], str]:
        def url(results: list[Result]) -> str:
            made = results[0].made
            if is_gone:
                return str(self.list_url())
            return str(self.url_of(made)) if made else str(self.object_url(run.pk))

        return url

    def _form(
        self, request: HttpRequest, run: Any, verb: Verb, view: VerbView
    ) -> tuple[type[ReasonForm], Values]:
        initial = {"queue_name": run.queue_name or "default", "priority": run.priority}
        if view.shows_steps:
            initial["start_step"] = _start_step(request, run)
        may_choose = all(self.may(request, one, run) for one in ("view_payload", inputs.PERMISSION))
        shown = _shown_of(run) if verb.name in _WITH_ARGUMENTS and may_choose else {}
        if not shown:
            return view.form_class, initial
        return _WITH_ARGUMENTS[verb.name], {
            **initial,
            **{name: _indented(one) for name, one in shown.items()},
        }

    def export_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Return all that is stored of a run as a file for ``import_workflow``: not redacted, and audited."""
        if not self.has_view_permission(request):
            return self.denied(request, "export")
        run = self.found(request, number)
        operator = self.operator_of(request)
        if not all(operator.actor.may(one, run) for one in ("export_workflow", "view_payload")):
            return self.denied(request, "export", run.workflow_id)
        operator.perform("export", run.workflow_id, lambda: "")
        return JsonResponse(
            transfer.export_workflow(run.workflow_id),
            json_dumps_params={"indent": 2},
            headers={"Content-Disposition": f'attachment; filename="run-{run.pk}.json"'},
        )


def _acting(view: VerbView, run: Any, operator: Operator, values: Values) -> list[Result]:
    return view.act(operator, run, values)


_WITH_ARGUMENTS: Mapping[str, type[ReasonForm]] = {
    "start_like": forms.StartWithArgumentsForm,
    "fork": forms.ForkWithArgumentsForm,
}


def _start_step(request: HttpRequest, run: Any) -> int:
    asked = request.GET.get("step", "").partition(".")[0]
    is_number = asked.isdecimal() and len(asked) < 10
    return max(1, int(asked) if is_number else forking.failed_step(run.workflow_id))


def _shown_of(run: Any) -> dict[str, Any]:
    """Return a run's arguments as they are shown; nothing if they cannot be read here."""
    try:
        return _shown(starting.order_like(run.workflow_id))
    except DurableError:
        return {}


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _steps_to_choose(run: Any, start: int) -> Values:
    """Return the steps that a new start can be chosen from: those around the one that is preselected."""
    steps = Step.objects.using(database.alias()).filter(workflow_id=run.pk, branch="")
    rows = list(
        steps.filter(position__gt=start - MOST_STEPS)
        .only("position", "name", "child_workflow_id", "started_at", "finished_at")
        .order_by("position")[:MOST_STEPS]
    )
    return {"choices": rows, "start": start, "after_last": rows[-1].position + 1 if rows else 1}
