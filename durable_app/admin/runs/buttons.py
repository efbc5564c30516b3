"""The verbs as buttons of a run's page: those that are not possible now stay, and say why."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from durable_app.control.actors import Actor
from durable_app.control.verbs import ON_BEHALF, SAFE_ON_BEHALF, VERBS, Verb
from durable_app.errors import DurableError
from durable_app.registry import registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A verb as a link to its page, or the reason why there is none."""

    verb: Verb
    url: str
    refusal: str = ""


def buttons(run: Any, actor: Actor, url: Any) -> list[Button]:
    """Return a button for each verb that is ever possible on a run; ``url`` tells a verb's page."""
    return [
        Button(verb=verb, url=url(verb.name), refusal=refusal(verb, run, actor))
        for verb in VERBS.values()
        if run.name not in ON_BEHALF or verb.name in SAFE_ON_BEHALF
    ]


def refusal(verb: Verb, run: Any, actor: Actor) -> str:
    """Return why an actor cannot use a verb on a run now; empty if they can."""
    if not actor.may(verb.permission, run):
        return _("You need the permission “%(permission)s”.") % {"permission": verb.permission}
    if verb.name == "start_like":
        return verb.refusal_of(run) or _not_startable(run.name)
    return verb.refusal_of(run)


def _not_startable(name: str) -> str:
    try:
        definition = registry.workflow(name)
    except DurableError:
        return _("No workflow of this name is registered in this process.")
    if definition.binding in ("class", "instance"):
        return _("It is a method: it is started from code.")
    return ""
