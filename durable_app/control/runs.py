"""The verbs of operators: for handles, commands, admin and API alike."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from durable_app import serialization
from durable_app.control.inputs import Inputs, text_for_fork
from durable_app.control.placing import place_of
from durable_app.engine.launch import checked_id, new_id
from durable_app.engine.messaging import checked_topic
from durable_app.errors import ConflictingWorkflowError, InvalidOptionError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store import forking, lifecycle, messages, notify, runs, waits
from durable_app.store.forking import Fork, Rewind
from durable_app.store.records import Parcel


def cancel(workflow_ids: Iterable[str], *, cancel_children: bool = False) -> list[str]:
    """Cancel runs that have not ended, and with them all their descendants if asked.

    A running one notices at its next step. Unknown ids are passed over. Returns the ids cancelled.
    """
    ids = list(workflow_ids)
    cancelled = lifecycle.cancel(ids)
    if cancel_children:
        cancelled += lifecycle.cancel(lifecycle.children(ids, compensations=False))
    _announce(cancelled)
    return cancelled


def resume(workflow_ids: Iterable[str], *, queue_name: str | None = None) -> None:
    """Enqueue runs again that have neither succeeded nor failed, with fresh attempts: in the default queue.

    Raises NonExistentWorkflowError, having changed nothing, if one of them does not exist.
    """
    lifecycle.resume(list(workflow_ids), queue_name or DEFAULT_QUEUE)


def resume_in_place(workflow_id: str, *, queue_name: str | None = None) -> str:
    """Enqueue a run again where it was, unless told otherwise."""
    lifecycle.resume([workflow_id], place_of(workflow_id, queue_name).queue_name)
    return ""


def delete(workflow_ids: Iterable[str], *, delete_children: bool = False) -> int:
    """Delete runs with all that belongs to them; returns how many existed."""
    ids = list(workflow_ids)
    if delete_children:
        ids += lifecycle.children(ids)
    return lifecycle.delete(ids)


def fork(plan: Fork, inputs: Inputs | None = None) -> str:
    """Run a history again under a new id, from a step on, with other arguments if given; returns that id.

    Raises NonExistentWorkflowError; ConflictingWorkflowError if the new id is taken; for arguments
    WorkflowFunctionNotFoundError, InvalidArgumentsError, SerializationError.
    """
    if plan.timeout is not None and plan.timeout <= timedelta(0):
        raise InvalidOptionError(f"a fork's timeout must be above zero, not {plan.timeout}", "timeout")
    checked_id(plan.new_workflow_id)
    if inputs is not None:
        plan = replace(plan, inputs=text_for_fork(plan.workflow_id, plan.new_workflow_id, inputs))
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


def set_attributes(workflow_id: str, attributes: dict[str, Any] | None, *, merge: bool = False) -> None:
    """Replace a run's attributes, or merge these into them; raises NonExistentWorkflowError."""
    runs.set_attributes(workflow_id, attributes, merge=merge)


def retry(workflow_id: str) -> str:
    """Fork an unsuccessful run from the step that failed; return the new run's id."""
    return fork_from(workflow_id, start_step=forking.failed_step(workflow_id))


def fork_from(
    workflow_id: str,
    *,
    start_step: int,
    new_workflow_id: str = "",
    inputs: Inputs | None = None,
    **options: Any,
) -> str:
    """Fork a run, with the other fields of ``Fork`` as options; return the new run's id.

    The new run stands where the old one did, unless told otherwise.
    """
    place = place_of(workflow_id, options.pop("queue_name", None), options.pop("partition_key", None))
    plan = Fork(
        workflow_id=workflow_id,
        new_workflow_id=new_workflow_id or new_id(),
        start_step=_checked_step(workflow_id, start_step),
        **place._asdict(),
        **options,
    )
    return fork(plan, inputs)


def rewind_from(workflow_id: str, *, start_step: int) -> str:
    """Rewind a finished run, to stand where it did; return its id."""
    place = place_of(workflow_id)
    start_step = _checked_step(workflow_id, start_step)
    return rewind(Rewind(workflow_id=workflow_id, start_step=start_step, **place._asdict()))


def _checked_step(workflow_id: str, start_step: int) -> int:
    """Return a step to begin with; raise InvalidOptionError for one beyond what comes next."""
    most = forking.last_step(workflow_id) + 1
    if not 1 <= start_step <= most:
        raise InvalidOptionError(f"start_step is a number from 1 to {most}, not {start_step}", "start_step")
    return start_step


def send(workflow_id: str, *, message: Any, topic: str = "", idempotency_key: str | None = None) -> str:
    """Send a message to a run."""
    form = serialization.wanted(None)
    place = serialization.places.message(checked_id(workflow_id), checked_topic(topic))
    parcel = Parcel(workflow_id, topic, form.write(message, "the message", place), idempotency_key, form.name)
    messages.send([parcel])
    return ""


def _announce(workflow_ids: list[str]) -> None:
    notify.bulletin.announce(waits.News("result", one).key for one in workflow_ids)
