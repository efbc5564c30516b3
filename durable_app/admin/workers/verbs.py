"""The verbs on a worker: a page each, that says what will happen and asks why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import clock
from durable_app.admin.confirming import VerbPage, confirm
from durable_app.admin.workers.links import WorkerLinks
from durable_app.control import workers
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.insight.liveness import holds_lease


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerVerb:
    """Something an operator may do to a worker."""

    label: Any
    done: Any
    """The participle: a worker "was asked to stop"."""
    act: Callable[[Operator, str], Result]
    for_the_living: bool
    """Whether it is possible for live workers, else for others."""
    sentences: tuple[Any, ...]
    is_destructive: bool = False

    def refusal(self, worker: Any) -> str:
        """Return why it is not possible now; empty if it is."""
        is_live = holds_lease(worker, clock.now())
        if is_live != self.for_the_living:
            return _("The worker is live: its lease is valid.") if is_live else _("The worker is not live.")
        if self.for_the_living and worker.kind != "worker":
            return _("This process calls workflows; it takes none from queues.")
        return ""


_HEARS = gettext_lazy("It hears of it with its next heartbeat. This cannot be taken back: start it anew.")

VERBS: Mapping[str, WorkerVerb] = {
    "quiet": WorkerVerb(
        label=gettext_lazy("Quiet"),
        done=gettext_lazy("asked to take no more runs"),
        act=workers.quiet,
        for_the_living=True,
        sentences=(gettext_lazy("The worker takes no more runs; what it executes goes on."), _HEARS),
    ),
    "stop": WorkerVerb(
        label=gettext_lazy("Stop after current"),
        done=gettext_lazy("asked to stop"),
        act=workers.stop,
        for_the_living=True,
        sentences=(
            gettext_lazy("The worker takes no more runs, lets those end that it executes, and ends."),
            gettext_lazy("What takes longer than GRACEFUL_TIMEOUT goes on elsewhere, after its last step."),
            _HEARS,
        ),
        is_destructive=True,
    ),
    "recover": WorkerVerb(
        label=gettext_lazy("Recover its runs now"),
        done=gettext_lazy("relieved of its runs"),
        act=workers.recover,
        for_the_living=False,
        sentences=(
            gettext_lazy("The runs that it held when it died go back to their queues, and on elsewhere."),
            gettext_lazy("Workers do this by themselves when its lease is over."),
        ),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A verb as a link to its page, or the reason why there is none."""

    verb: WorkerVerb
    url: str
    refusal: str = ""


def refusal(verb: WorkerVerb, worker: Any, actor: Actor) -> str:
    """Return why an actor cannot use a verb on a worker now; empty if they can."""
    if not actor.may(workers.PERMISSION, worker):
        return _("You need the permission “%(permission)s”.") % {"permission": workers.PERMISSION}
    return verb.refusal(worker)


class WorkerVerbs(WorkerLinks):
    """The views of the verbs."""

    def buttons(self, request: HttpRequest, worker: Any) -> list[Button]:
        """Return a button for each verb."""
        actor = self.actor_of(request)
        return [
            Button(verb=verb, url=self.verb_url(worker, name), refusal=refusal(verb, worker, actor))
            for name, verb in VERBS.items()
        ]

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Show a verb's page, or do it."""
        verb = VERBS.get(name)
        if verb is None:
            raise Http404
        if not self.has_view_permission(request):
            return self.denied(request, name)
        worker = self.found(request, object_id)
        if not self.may(request, workers.PERMISSION, worker):
            return self.denied(request, name, worker.pk)
        why_not = verb.refusal(worker)
        page = VerbPage(
            title=_("%(verb)s: %(worker)s") % {"verb": verb.label, "worker": worker.name},
            verb=verb.label,
            done=verb.done,
            subject=_("Worker %(name)s") % {"name": worker.name},
            back_url=self.object_url(worker.pk),
            sentences=(*([why_not] if why_not else []), *map(str, verb.sentences)),
            is_destructive=verb.is_destructive,
            obj=worker,
            context={"object": worker, "object_url": self.object_url(worker.pk)},
        )
        return confirm(self, request, page, lambda operator, values: [verb.act(operator, worker.pk)])
