"""Changing a workflow's code while runs of it exist: a marker tells which of them go the new way.

The marker stands in the history where the patch was first asked for. A run without one went past that
place with the old code. What a run is told is decided when it asks, not when it awaits the answer.
"""

from typing import Any

from durable_app.engine.checkpoints import checkpoint, record, replayed
from durable_app.engine.context import Cursor, Scope
from durable_app.engine.flow import Flow
from durable_app.errors import InvalidOptionError, PatchNondeterminismError
from durable_app.identifiers import is_storable
from durable_app.store.records import Position

MARKER = "durable.patch-"

LONGEST_NAME = 200


def patch(scope: Scope, name: str) -> Flow[bool]:
    """Return the flow that tells whether the new code is to run, and marks the run if it is the first to.

    Takes a position where the marker stands or is to stand, and none in a run that has gone past it.
    Raises PatchNondeterminismError if other operations are started before the marker is recorded.
    """
    cursor, marker = scope.cursor, _marker(name)
    if _stands_here(cursor, marker):
        return _found(cursor, cursor.next(), marker)
    if cursor.is_behind:
        return _answer(cursor, False)
    position = cursor.next()
    return _mark(cursor, position, marker, cursor.upcoming)


def deprecate_patch(scope: Scope, name: str) -> Flow[bool]:
    """Return the flow that passes over a marker if there is one; its value is always True."""
    cursor, marker = scope.cursor, _marker(name)
    if _stands_here(cursor, marker):
        return _found(cursor, cursor.next(), marker)
    return _answer(cursor, True)


def _marker(name: Any) -> str:
    if isinstance(name, str) and name.strip() and len(name) <= LONGEST_NAME and is_storable(name):
        return MARKER + name
    raise InvalidOptionError(f"a patch's name is a text of 1 to {LONGEST_NAME} characters, not {name!r}")


def _stands_here(cursor: Cursor, marker: str) -> bool:
    found = cursor.execution.history.get(cursor.upcoming)
    return found is not None and found.name == marker


def _found(cursor: Cursor, position: Position, marker: str) -> Flow[bool]:
    yield from ()
    replayed(cursor, position, marker)
    return True


def _answer(cursor: Cursor, answer: bool) -> Flow[bool]:
    yield from ()
    cursor.check()
    return answer


def _mark(cursor: Cursor, position: Position, marker: str, following: Position) -> Flow[bool]:
    """Record the marker, while nothing else takes the position that follows.

    What took it might be recorded without the marker, were there a crash; and a replay, which does not
    wait here, would give it another position.
    """
    replayed(cursor, position, marker)
    _check_alone(cursor, following, marker)
    cursor.check_may_start()
    yield from record(cursor, checkpoint(cursor.execution, position, marker, output="true"))
    _check_alone(cursor, following, marker)
    return True


def _check_alone(cursor: Cursor, following: Position, marker: str) -> None:
    if cursor.upcoming != following:
        raise PatchNondeterminismError(cursor.execution.workflow_id, marker.removeprefix(MARKER))
