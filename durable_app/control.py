"""The verbs of operators: for handles, commands, admin and API alike."""

from collections.abc import Iterable
from datetime import timedelta

from durable_app.engine.launch import checked_id
from durable_app.errors import ConflictingWorkflowError, InvalidOptionError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store import forking, lifecycle, notify, waits
from durable_app.store.forking import Fork, Rewind


def cancel(workflow_ids: Iterable[str], *, cancel_children: bool = False) -> list[str]:
    """Cancel runs that have not ended, and with them all their descendants if asked.

    A running one notices at its next step. Unknown ids are passed over. Returns the ids cancelled.
    """
    ids = list(workflow_ids)
    cancelled = lifecycle.cancel(ids)
    if cancel_children:
        cancelled += lifecycle.cancel(lifecycle.children(ids))
    _announce(cancelled)
    return cancelled


def resume(workflow_ids: Iterable[str], *, queue_name: str | None = None) -> None:
    """Enqueue runs again that have neither succeeded nor failed, with fresh attempts.

    Raises NonExistentWorkflowError, having changed nothing, if one of them does not exist.
    """
    lifecycle.resume(list(workflow_ids), queue_name or DEFAULT_QUEUE)


def delete(workflow_ids: Iterable[str], *, delete_children: bool = False) -> int:
    """Delete runs with all that belongs to them; returns how many existed."""
    ids = list(workflow_ids)
    if delete_children:
        ids += lifecycle.children(ids)
    return lifecycle.delete(ids)


def fork(plan: Fork) -> str:
    """Run a history again under a new id, from a step on; returns that id.

    Raises NonExistentWorkflowError; ConflictingWorkflowError if the new id is taken.
    """
    if plan.timeout is not None and plan.timeout <= timedelta(0):
        raise InvalidOptionError(f"a fork's timeout must be above zero, not {plan.timeout}")
    checked_id(plan.new_workflow_id)
    if not forking.fork(plan):
        raise ConflictingWorkflowError(
            plan.new_workflow_id, "origin", plan.new_workflow_id, f"a fork of {plan.workflow_id}"
        )
    return plan.new_workflow_id


def rewind(plan: Rewind) -> str:
    """Run a finished run again under its own id, from a step on; returns its id.

    Raises InvalidOptionError for a step below 1, InvalidTransitionError for a run that has not ended,
    NonExistentWorkflowError.
    """
    if plan.start_step < 1:
        raise InvalidOptionError(f"start_step counts from 1, not {plan.start_step}")
    forking.rewind(plan)
    return plan.workflow_id


def _announce(workflow_ids: list[str]) -> None:
    notify.bulletin.announce(waits.News("result", one).key for one in workflow_ids)
