"""The verbs on a queue: a page each, or a button that does it at once; what it may not do now, it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin.confirming import ReasonForm, VerbPage, confirm
from durable_app.admin.queues.forms import LimitsForm, PauseForm, initial_of
from durable_app.admin.queues.links import QueueLinks
from durable_app.control import queues
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.insight.queues import differences
from durable_app.models import Queue
from durable_app.store.occupancy import Occupancy

Values = dict[str, Any]

FROM = "from"
"""Names the page that a row's button stands on, and where it leads back."""


def _pause(operator: Operator, name: str, values: Values) -> Result:
    return queues.pause(operator, name, values["until"])


def _resume(operator: Operator, name: str, values: Values) -> Result:
    return queues.resume(operator, name)


def _configure(operator: Operator, name: str, values: Values) -> Result | None:
    return queues.configure(operator, name, values["changes"]) if values["changes"] else None


def _reset(operator: Operator, name: str, values: Values) -> Result:
    return queues.reset(operator, name)


def _create(operator: Operator, name: str, values: Values) -> Result:
    return queues.create(operator, name)


def _none(found: Occupancy) -> str:
    return "" if found.is_served else _("There is no queue of this name: create it first.")


def _not_paused(found: Occupancy) -> str:
    return _none(found) or ("" if found.queue.is_paused else _("It is not paused."))


def _not_overridden(found: Occupancy) -> str:
    if not found.queue.declaration:
        return _none(found) or _("No code declares this queue: there is nothing to go back to.")
    return "" if found.queue.is_overridden else _("It has the limits that code declares.")


def _exists(found: Occupancy) -> str:
    return _("There is such a queue already.") if found.is_served else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueVerb:
    """Something an operator may do to a queue."""

    label: Any
    done: Any
    """The participle: a queue "was paused"."""
    permission: str
    act: Callable[[Operator, str, Values], Result | None]
    refusal: Callable[[Occupancy], str]
    """Returns why it is not possible now; empty if it is."""
    sentences: tuple[Any, ...]
    form_class: type[ReasonForm] = ReasonForm


VERBS: Mapping[str, QueueVerb] = {
    "pause": QueueVerb(
        label=gettext_lazy("Pause"),
        done=gettext_lazy("paused"),
        permission="pause_queue",
        act=_pause,
        refusal=_none,
        sentences=(gettext_lazy("Workers take nothing from it; what runs goes on."),),
        form_class=PauseForm,
    ),
    "resume": QueueVerb(
        label=gettext_lazy("Resume"),
        done=gettext_lazy("resumed"),
        permission="pause_queue",
        act=_resume,
        refusal=_not_paused,
        sentences=(gettext_lazy("Workers take runs from it again."),),
    ),
    "configure": QueueVerb(
        label=gettext_lazy("Edit limits"),
        done=gettext_lazy("given new limits"),
        permission="tune_queue",
        act=_configure,
        refusal=_none,
        sentences=(
            gettext_lazy("Workers follow at once. A lower limit lets those go on that run."),
            gettext_lazy("It stays until the declaration in code itself says something new."),
        ),
        form_class=LimitsForm,
    ),
    "reset": QueueVerb(
        label=gettext_lazy("Back to the code’s limits"),
        done=gettext_lazy("given the code’s limits again"),
        permission="tune_queue",
        act=_reset,
        refusal=_not_overridden,
        sentences=(gettext_lazy("The queue has again what code declares."),),
    ),
    "create": QueueVerb(
        label=gettext_lazy("Create"),
        done=gettext_lazy("created"),
        permission="tune_queue",
        act=_create,
        refusal=_exists,
        sentences=(gettext_lazy("A queue without limits: workers begin to take its runs."),),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A verb as a link to its page, or the reason why there is none."""

    verb: QueueVerb
    url: str
    refusal: str = ""


def refusal(verb: QueueVerb, found: Occupancy, actor: Actor) -> str:
    """Return why an actor cannot use a verb on a queue now; empty if they can."""
    if not actor.may(verb.permission, found.queue):
        return _("You need the permission “%(permission)s”.") % {"permission": verb.permission}
    return verb.refusal(found)


class QueueVerbs(QueueLinks):
    """The views of the verbs."""

    def buttons(self, request: HttpRequest, found: Occupancy) -> list[Button]:
        """Return a button for each verb that means anything for a queue as it is."""
        actor, name = self.actor_of(request), found.queue.name
        useless = {"create"} if found.is_served else VERBS.keys() - {"create"}
        useless = {*useless, "pause" if found.queue.is_paused else "resume"}
        return [
            Button(verb=verb, url=self.verb_url(name, key), refusal=refusal(verb, found, actor))
            for key, verb in VERBS.items()
            if key not in useless
        ]

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Show a verb's page, or do it."""
        verb = VERBS.get(name)
        if verb is None:
            raise Http404
        if not self.has_view_permission(request):
            return self.denied(request, name)
        found = self.occupancy_of(request, object_id)
        if not self.may(request, verb.permission, found.queue):
            return self.denied(request, name, found.queue.name)

        def act(operator: Operator, values: Values) -> list[Result]:
            result = verb.act(operator, found.queue.name, values)
            if result is not None and result.is_done:
                told = _history(verb, found, values, operator.reason)
                self.note(request, Queue(name=found.queue.name), told)
            return [] if result is None else [result]

        return confirm(self, request, self._verb_page(request, found, verb), act)

    def _verb_page(self, request: HttpRequest, found: Occupancy, verb: QueueVerb) -> VerbPage:
        name = found.queue.name
        is_from_list = request.POST.get(FROM) == "list"
        why_not = verb.refusal(found)
        return VerbPage(
            title=_("%(verb)s: %(queue)s") % {"verb": verb.label, "queue": name},
            verb=verb.label,
            done=verb.done,
            back_url=self.list_url() if is_from_list else self.object_url(name),
            sentences=(*([why_not] if why_not else []), *map(str, verb.sentences)),
            form_class=verb.form_class,
            initial=initial_of(found.queue.limits) if verb.form_class is LimitsForm else {},
            hidden=((FROM, "list"),) if is_from_list else (),
            context={"object": Queue(name=name), "object_url": self.object_url(name)},
        )


def _history(verb: QueueVerb, found: Occupancy, values: Values, reason: str) -> str:
    """Return what Django's own history says of it."""
    before = found.queue.limits
    after = queues.changed(before, values.get("changes") or {})
    told = "; ".join(differences(before, after))
    return ": ".join(part for part in (str(verb.label), told, reason) if part)
