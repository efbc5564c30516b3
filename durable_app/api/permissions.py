"""Who may use an endpoint: closed by default, and every denied attempt at a verb is recorded."""

from dataclasses import dataclass
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from durable_app.control.actors import Actor
from durable_app.control.operator import Operator


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a method of an endpoint needs: Django's permission, or what the project's policy makes of it."""

    permission: str
    """A codename of this app: "cancel_workflow"."""
    verb: str = ""
    """What the audit calls the attempt; empty for a look, which is not audited."""
    kind: str = "workflow"
    """What the verb's target is."""


VIEW = Need(permission="view_workflow")


def actor_of(request: Request) -> Actor:
    """Return who sent a request; who came with a token is a program."""
    return Actor.of_request(request, "user" if request.auth is None else "token")


class DurablePermission(BasePermission):
    """Lets nobody in who is not authenticated, whatever the project's default; then the policy decides.

    An endpoint says in ``needs`` what each method needs; what it does not name is for nobody.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the actor may use the method at all; which targets is the view's to ask."""
        user: Any = request.user
        if user is None or not user.is_authenticated or not user.is_active:
            return False
        need = view.needs.get(view.verb)
        if need is None:
            return view.verb not in view.implemented  # that is for 405 to say
        actor = actor_of(request)
        if actor.may(need.permission):
            return True
        if need.verb:
            Operator(actor=actor).deny(need.verb, view.target(), need.kind)
        return False
