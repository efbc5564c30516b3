"""Changing what a run is called, how urgent it is, when it is due: nothing that it has done."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durable_app import clock
from durable_app.control import runs as verbs_on_runs
from durable_app.control.operator import Operator, Result
from durable_app.control.verbs import VERBS
from durable_app.engine.launch import encoded_attributes
from durable_app.errors import InvalidTransitionError, NonExistentWorkflowError
from durable_app.store import delays, lifecycle, runs

PERMISSION = "start_workflow"
"""Who may start a run with these may also change them; the priority needs that verb's permission, too."""

VERB = "change"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is to be different; None: as it is."""

    attributes: dict[str, Any] | None = None
    """Merged into those the run has."""
    priority: int | None = None
    """Of a run that waits in a queue, or will."""
    delay: timedelta | None = None
    """From now on; of a delayed run."""


def change(operator: Operator, workflow_id: str, wanted: Change) -> Result:
    """Change a run, in all that is wanted or in nothing; a state that does not allow it fails."""
    run = runs.find(workflow_id, operator.actor.sees)
    needed = [PERMISSION] if wanted.priority is None else [PERMISSION, VERBS["set_priority"].permission]
    if run is not None and not all(operator.actor.may(one, run) for one in needed):
        return operator.deny(VERB, workflow_id)

    def act() -> str:
        if run is None:
            raise NonExistentWorkflowError(workflow_id)
        _change(run, wanted)
        return ""

    return operator.perform(VERB, workflow_id, act, _noted(wanted))


def _change(run: Any, wanted: Change) -> None:
    workflow_id = run.workflow_id
    if wanted.attributes is not None:
        encoded_attributes(wanted.attributes)  # raises what no column holds
        verbs_on_runs.set_attributes(workflow_id, wanted.attributes, merge=True)
    if wanted.priority is not None and not lifecycle.set_priority(workflow_id, wanted.priority):
        raise InvalidTransitionError(workflow_id, run.status, "be given another priority")
    if wanted.delay is not None:
        delays.set_delay(workflow_id, clock.now() + wanted.delay)


def _noted(wanted: Change) -> dict[str, Any]:
    """Return what the audit says: values of attributes may be secret, their names are not."""
    found: dict[str, Any] = {}
    if wanted.attributes is not None:
        found["attributes"] = sorted(wanted.attributes)
    if wanted.priority is not None:
        found["priority"] = wanted.priority
    if wanted.delay is not None:
        found["delay"] = wanted.delay.total_seconds()
    return found
