"""Asking people: a run waits until somebody has answered in the admin, by REST or at a terminal."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict, TypeVar, Unpack

from asgiref.sync import markcoroutinefunction

from durable_app import serialization
from durable_app.engine import approvals, timers
from durable_app.engine.context import require_trunk
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.errors import InvalidOptionError
from durable_app.registry import registry
from durable_app.store.approvals import Question

F = TypeVar("F", bound=type)

TITLE_LENGTH = 255


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a person answered. ``values`` are the form's cleaned data, if there was a form."""

    approved: bool
    answered_by: str
    at: datetime
    values: dict[str, Any] = field(default_factory=dict)
    comment: str = ""


def approval_form(form: F) -> F:
    """Register a ``django.forms.Form`` class for ``wait_for_approval(form=...)``; a class decorator.

    Forms are found by name in the process that shows them, so the class stands in a module that every
    process of the project imports, such as ``workflows.py``.
    """
    registry.forms[form_name(form)] = form
    return form


def form_name(form: type) -> str:
    """Return the name under which a form is registered."""
    return f"{form.__module__}.{form.__qualname__}"


class ApprovalOptions(TypedDict, total=False):
    """What else ``wait_for_approval`` may be told."""

    description: str
    form: type | None
    context: dict[str, Any]
    assignee_group: str
    permission: str
    timeout: float | timedelta | None


def wait_for_approval(title: str, **options: Unpack[ApprovalOptions]) -> Answer | None:
    """Ask people, and wait for the answer; None if nobody answered in time.

    ``description`` is text with a little Markdown, ``form`` a class registered with ``approval_form`` to be
    filled in, ``context`` a dict of plain JSON shown beside it. ``assignee_group`` names the group whose
    members may answer, ``permission`` (such as "shop.refund") what it takes instead of the general one;
    ``timeout`` is in seconds or a timedelta, None waits for ever. A waiting run costs a row. Raises
    NotInWorkflowError, NotAllowedInStepError, InvalidOptionError for a form that is not registered.
    """
    return drive_blocking(_flow("wait_for_approval", title, options), "await_for_approval")


@markcoroutinefunction
def await_for_approval(title: str, **options: Unpack[ApprovalOptions]) -> Awaitable[Answer | None]:
    """Async twin of ``wait_for_approval``."""
    return adrive(_flow("await_for_approval", title, options))


def _flow(verb: str, title: str, options: ApprovalOptions) -> Flow[Answer | None]:
    unknown = options.keys() - ApprovalOptions.__annotations__.keys()
    if unknown:
        raise InvalidOptionError(f"{verb}() takes no {min(unknown)!r}")
    if not title or len(title) > TITLE_LENGTH:
        raise InvalidOptionError(f"a title has 1 to {TITLE_LENGTH} characters")
    scope = require_trunk(verb)
    timeout = options.get("timeout")
    seconds = approvals.FOREVER if timeout is None else timers.seconds_of(timeout, "a timeout")
    question = Question(
        title=title,
        description=options.get("description", ""),
        form=_registered(options.get("form")),
        context=options.get("context", {}),
        group=options.get("assignee_group", ""),
        permission=options.get("permission", ""),
        deadline_at=None if timeout is None else timers.after(seconds),
    )
    places = scope.cursor.next(), scope.cursor.next(), scope.cursor.next()
    return _answer(approvals.wait_for_approval(scope, places, question, seconds))


def _answer(flow: Flow[Any]) -> Flow[Answer | None]:
    found = yield from flow
    return None if found is None else Answer(**found)


def _registered(form: type | None) -> str:
    if form is None:
        return ""
    name = form_name(form)
    if name not in registry.forms:
        raise InvalidOptionError(f"the form {name} is not registered: decorate it with @approval_form")
    return name
