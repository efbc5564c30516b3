"""Runs out of the database as plain JSON values, and into another one."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import markcoroutinefunction

from durable_app import clock
from durable_app.engine.flow import adrive
from durable_app.engine.launch import checked_id
from durable_app.errors import InvalidOptionError
from durable_app.store import transfer
from durable_app.verbs import perform, verb_flow


def export_workflow(workflow_id: str, *, export_children: bool = False) -> dict[str, Any]:
    """Return all that is stored of a run, and with ``export_children`` of its descendants, as JSON values.

    Payloads stay as they are stored. Raises NonExistentWorkflowError.
    """
    verb = partial(_exported, checked_id(workflow_id), export_children)
    return perform("exportWorkflow", "aexport_workflow", verb)


@markcoroutinefunction
def aexport_workflow(workflow_id: str, *, export_children: bool = False) -> Awaitable[dict[str, Any]]:
    """Async twin of ``export_workflow``."""
    verb = partial(_exported, checked_id(workflow_id), export_children)
    return adrive(verb_flow("exportWorkflow", verb))


def _exported(workflow_id: str, children: bool) -> dict[str, Any]:
    runs = transfer.export(workflow_id, children=children)
    return {"format": transfer.FORMAT, "exported_at": clock.now().isoformat(), "runs": runs}


def import_workflow(exported: dict[str, Any]) -> list[str]:
    """Insert what ``export_workflow`` returned, with every field; return the ids of the runs.

    An active run goes on here after its last recorded step. Raises WorkflowIDInUseError, having changed
    nothing, if one of the ids exists; InvalidOptionError for what is no export.
    """
    return perform("importWorkflow", "aimport_workflow", _insertion(exported))


@markcoroutinefunction
def aimport_workflow(exported: dict[str, Any]) -> Awaitable[list[str]]:
    """Async twin of ``import_workflow``."""
    return adrive(verb_flow("importWorkflow", _insertion(exported)))


def _insertion(exported: Any) -> Callable[[], list[str]]:
    if not isinstance(exported, dict) or exported.get("format") != transfer.FORMAT:
        raise InvalidOptionError(f"an export is an object whose format is {transfer.FORMAT!r}")
    runs = exported.get("runs")
    if not isinstance(runs, list):
        raise InvalidOptionError("an export has a list of runs")
    return partial(transfer.insert, runs)
