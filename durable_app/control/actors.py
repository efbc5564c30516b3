"""On whose behalf a verb is performed, and what they may."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from durable_app import conf
from durable_app.store import audit, bulk_operations

APP = "durable_app"


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts: a Django user, a program with its token, a person at a terminal, or the engine itself."""

    kind: str
    """"user", "token", "cli" or "system"."""
    id: str = ""
    label: str = ""
    user: Any = field(default=None, repr=False, compare=False)
    """The Django user whose permissions hold; None for those that need none."""
    ip: str = ""
    request_id: str = ""

    @classmethod
    def of_request(cls, request: Any, kind: str = "user") -> "Actor":
        """Return who sent a request; ``kind`` is "token" for programs."""
        user = request.user
        return cls(
            kind=kind,
            id=str(user.pk or ""),
            label=user.get_username(),
            user=user,
            ip=request.META.get("REMOTE_ADDR", "") or "",
            request_id=request.headers.get("X-Request-ID", "")[:255],
        )

    @classmethod
    def at_terminal(cls, name: str) -> "Actor":
        """Return the person who typed a command: whoever may run manage.py may do everything."""
        return cls(kind="cli", label=name)

    def may(self, permission: str, target: Any = None) -> bool:
        """Return whether the project's policy lets the actor use a verb, on a target if one is given."""
        return policy().may(self, permission, target)

    def sees(self, runs: Any) -> Any:
        """Return those of a queryset of runs that the project's policy lets the actor know of."""
        return policy().visible(self, runs)

    def sees_events(self, events: Any) -> Any:
        """Return those of a queryset of audit events that the actor may know of."""
        return audit.known_to(events, self.sees, self._own)

    def sees_operations(self, operations: Any) -> Any:
        """Return those of a queryset of bulk operations that the actor may know of."""
        return bulk_operations.known_to(operations, self.sees, self._own)

    @property
    def _own(self) -> dict[str, str]:
        return {"actor_kind": self.kind, "actor_id": self.id}


class Policy:
    """Who may do what, and sees what; subclass it and name the class in ``DURABLE["POLICY"]``."""

    def may(self, actor: Actor, permission: str, target: Any = None) -> bool:
        """Return whether an actor may use a verb: by default, whether the user has Django's permission.

        ``permission`` is a codename of this app ("cancel_workflow") or a full name ("shop.refund");
        ``target`` is the run (a ``Workflow``), the queue (``QueueState``) or the schedule (``ScheduleInfo``),
        None for the question whether there is any.
        """
        if actor.user is None:
            return actor.kind in ("cli", "system")
        name = permission if "." in permission else f"{APP}.{permission}"
        return bool(actor.user.is_active and actor.user.has_perm(name))

    def visible(self, actor: Actor, runs: Any) -> Any:
        """Return those of a queryset of runs that the actor may know of: by default all."""
        return runs


@cache
def policy() -> Policy:
    """Return the project's policy."""
    path = conf.options().POLICY
    found: Policy = import_string(path)() if path else Policy()
    return found


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        policy.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.control.actors")
