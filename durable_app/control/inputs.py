"""Arguments that an operator gives a run, at its start or in a fork: one rule for both."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from durable_app import serialization
from durable_app.errors import (
    InvalidArgumentsError,
    NonExistentWorkflowError,
    WorkflowFunctionNotFoundError,
)
from durable_app.registry import UNDO, Definition, registry
from durable_app.serialization import places
from durable_app.store import runs

PERMISSION = "start_workflow"
"""What it takes to choose a run's arguments."""

OWN = ("durable.", UNDO)
"""How the names of workflows begin whose arguments only the engine gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """All arguments of a run."""

    args: Sequence[Any] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def check(definition: Definition, inputs: Inputs) -> None:
    """Make sure that an operator can have a workflow called with these arguments.

    Raises WorkflowFunctionNotFoundError for the engine's own, InvalidArgumentsError.
    """
    name = definition.name
    if name.startswith(OWN):
        raise WorkflowFunctionNotFoundError(f"{name!r} is the engine's own: nobody else gives it arguments.")
    first = () if definition.binding in ("function", "static") else (None,)  # self or cls
    try:
        inspect.signature(definition.func).bind(*first, *inputs.args, **inputs.kwargs)
    except TypeError as error:
        raise InvalidArgumentsError(f"The arguments do not fit {name!r}: {error}.") from None
    except ValueError:  # a function that tells no signature
        pass


def text_for_fork(workflow_id: str, new_workflow_id: str, inputs: Inputs) -> str:
    """Return the text of a fork's own arguments, in the format of the run that is forked.

    Raises NonExistentWorkflowError, WorkflowFunctionNotFoundError, InvalidArgumentsError, SerializationError.
    """
    original = runs.find(workflow_id)
    if original is None:
        raise NonExistentWorkflowError(workflow_id)
    check(registry.workflow(original.name), inputs)
    form = serialization.named(original.serialization)
    what = f"the inputs of workflow {original.name!r}"
    return form.write_inputs((tuple(inputs.args), inputs.kwargs), what, places.inputs(new_workflow_id))
