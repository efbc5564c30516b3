"""Does a run's history still fit the code of this process? Told without doing anything."""

from dataclasses import dataclass, replace
from typing import Any

from durable_app import serialization
from durable_app.engine.checkpoints import BeyondHistory
from durable_app.engine.execution import Finished
from durable_app.engine.rehearsal import Rehearsed, WritesOutsideOfSteps, rehearse
from durable_app.errors import UnexpectedStepError
from durable_app.registry import registry
from durable_app.store import steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """What came of calling a run's function with the run's history."""

    fits: bool
    sentence: str
    replayed: int
    """How many recorded steps the code came by."""
    recorded: int
    """How many there are."""
    step_id: str | None = None
    """Where the code parts from the history, or goes on behind it."""
    wants: str = ""
    """What the code runs there."""
    found: str = ""
    """What is recorded there."""
    location: str = ""
    """File and line of the code there."""


def rehearsal(run: Any) -> Rehearsal:
    """Rehearse a run, given by its row.

    Raises WorkflowFunctionNotFoundError if this process does not know its function.
    """
    definition = registry.workflow(run.name)
    history = steps.histories([run.pk]).get(run.pk, {})
    func = definition.bind(run.class_name, run.config_name)
    seen = rehearse(run, dict(history), func, definition.validate_args)
    fitting = Rehearsal(fits=True, sentence="", replayed=seen.replayed, recorded=len(history))
    match seen.ended_by:
        case UnexpectedStepError() as error:
            return replace(
                fitting,
                fits=False,
                sentence=f"Step {error.step_id} was recorded as {error.recorded!r}, "
                f"but the code now runs {error.expected!r}.",
                step_id=str(error.step_id),
                wants=error.expected,
                found=error.recorded,
                location=error.line,
            )
        case BeyondHistory() as beyond:
            return _gone_on(run, beyond, fitting)
        case WritesOutsideOfSteps() as writes:
            return replace(
                fitting,
                fits=False,
                sentence=f"The workflow's body writes to a database outside of a step: {writes.sql[:200]}",
                location=definition.location,
            )
        case None:
            return _ended(run, seen, definition.location, fitting)
        case other:
            return replace(fitting, sentence=f"{other}.")


def _gone_on(run: Any, beyond: BeyondHistory, fitting: Rehearsal) -> Rehearsal:
    """Judge a rehearsal that came to something that is not recorded."""
    has_ended = run.status in ("SUCCESS", "ERROR")
    next_is = f"{beyond.name!r} as step {beyond.position.step_id}"
    return replace(
        fitting,
        fits=not has_ended,
        sentence=f"The run has ended, but the code now goes on with {next_is}."
        if has_ended
        else f"The recorded steps fit; the run goes on with {next_is}.",
        step_id=str(beyond.position.step_id),
        wants=beyond.name,
        found="the end of the workflow" if has_ended else "",
        location=beyond.line,
    )


def _ended(run: Any, seen: Rehearsed, location: str, fitting: Rehearsal) -> Rehearsal:
    """Judge a rehearsal that came to the function's end, by all recorded steps."""
    finished = seen.finished or Finished()
    error = finished.error
    outcome = "returns" if error is None else f"raises {type(error).__name__}: {error}"
    wrong = ""
    if run.status == "SUCCESS" and error is not None:
        wrong = f"Every step fits, but the code now {outcome}; the run had returned."
    elif run.status == "ERROR" and error is None:
        wrong = "Every step fits, but the code now returns; the run had failed."
    elif run.status == "SUCCESS" and _differs(run, finished):
        wrong = "Every step fits, but the code now returns another value than the run did."
    return replace(
        fitting,
        fits=not wrong,
        sentence=wrong or f"Every recorded step fits, and the code {outcome}.",
        location=location if wrong else "",
    )


def _differs(run: Any, finished: Finished) -> bool:
    """Return whether values differ, as far as their texts tell: a pickle's may, of the same value."""
    return bool(run.serialization == serialization.FORMAT and run.output != finished.output)
