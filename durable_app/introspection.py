"""Looking at runs and their steps; inside a workflow each look is a recorded step.

Every function has an ``a``-prefixed twin.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import markcoroutinefunction

from durable_app.engine.flow import adrive
from durable_app.engine.launch import checked_id
from durable_app.errors import InvalidOptionError
from durable_app.filters import checked_filter
from durable_app.handles import StepInfo, WorkflowStatus, shown, shown_step, status_of
from durable_app.store import listing
from durable_app.verbs import perform, verb_flow


def get_workflow_status(workflow_id: str) -> WorkflowStatus | None:
    """Return a run's status, None if there is no such run."""
    return perform("getStatus", "aget_workflow_status", partial(status_of, workflow_id))


@markcoroutinefunction
def aget_workflow_status(workflow_id: str) -> Awaitable[WorkflowStatus | None]:
    """Async twin of ``get_workflow_status``."""
    return adrive(verb_flow("getStatus", partial(status_of, workflow_id)))


def list_workflows(**filters: Any) -> list[WorkflowStatus]:
    """Return runs, oldest first.

    Filters, combined with AND; texts may be lists, of which one must fit: ``workflow_ids``,
    ``workflow_id_prefix``, ``status``, ``name``, ``queue_name``, ``app_version``, ``user``, ``worker``,
    ``schedule_name``, ``parent_workflow_id``, ``has_parent``, ``forked_from``, ``is_fork``,
    ``was_forked_from``, ``error_type``, ``waiting_for`` (message, event, stream, result, sleep, code, queue,
    delay), ``queues_only``, ``attributes``; times, as datetimes or ISO 8601 texts:
    ``start_time``/``end_time`` (of creation), ``completed_after``/``_before``, ``dequeued_after``/
    ``_before``.
    Also ``limit``, ``offset``, ``sort_desc``, ``load_input``, ``load_output``. Raises InvalidOptionError for
    an unknown filter or a value that it cannot have, QueryTimeoutError.
    """
    return perform("listWorkflows", "alist_workflows", _listing(filters))


@markcoroutinefunction
def alist_workflows(**filters: Any) -> Awaitable[list[WorkflowStatus]]:
    """Async twin of ``list_workflows``."""
    return adrive(verb_flow("listWorkflows", _listing(filters)))


def list_queued_workflows(**filters: Any) -> list[WorkflowStatus]:
    """Return the active runs of queues, oldest first; the filters are those of ``list_workflows``."""
    verb = _listing({**filters, "queues_only": True})
    return perform("listQueuedWorkflows", "alist_queued_workflows", verb)


@markcoroutinefunction
def alist_queued_workflows(**filters: Any) -> Awaitable[list[WorkflowStatus]]:
    """Async twin of ``list_queued_workflows``."""
    return adrive(verb_flow("listQueuedWorkflows", _listing({**filters, "queues_only": True})))


_PAGING = frozenset({"limit", "offset", "sort_desc", "load_input", "load_output"})


def _listing(given: dict[str, Any]) -> Callable[[], list[WorkflowStatus]]:
    wanted = checked_filter({k: v for k, v in given.items() if k not in _PAGING}, also=_PAGING)
    paging = {k: v for k, v in given.items() if k in _PAGING}
    _check_page(given.get("limit"), given.get("offset"))
    loads = {k: v for k, v in paging.items() if k.startswith("load_")}

    def verb() -> list[WorkflowStatus]:
        return [shown(row, **loads) for row in listing.rows(wanted, **paging)]

    return verb


def _check_page(limit: int | None, offset: int | None) -> None:
    for name, value in (("limit", limit), ("offset", offset)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidOptionError(f"{name} is a whole number, not {value!r}")
        if value < 0:
            raise InvalidOptionError(f"{name} must not be below zero, but is {value}")


def list_workflow_steps(
    workflow_id: str,
    *,
    load_output: bool = True,
    limit: int | None = None,
    offset: int | None = None,
) -> list[StepInfo]:
    """Return a run's recorded steps in the order of their positions; none of an unknown run.

    Raises InvalidOptionError, QueryTimeoutError.
    """
    verb = _steps(workflow_id, load_output, limit, offset)
    return perform("listWorkflowSteps", "alist_workflow_steps", verb)


@markcoroutinefunction
def alist_workflow_steps(
    workflow_id: str,
    *,
    load_output: bool = True,
    limit: int | None = None,
    offset: int | None = None,
) -> Awaitable[list[StepInfo]]:
    """Async twin of ``list_workflow_steps``."""
    return adrive(verb_flow("listWorkflowSteps", _steps(workflow_id, load_output, limit, offset)))


def _steps(
    workflow_id: str, load_output: bool, limit: int | None, offset: int | None
) -> Callable[[], list[StepInfo]]:
    _check_page(limit, offset)

    def verb() -> list[StepInfo]:
        rows = listing.steps(checked_id(workflow_id), limit, offset, load_output=load_output)
        return [shown_step(row, load_output=load_output) for row in rows]

    return verb
