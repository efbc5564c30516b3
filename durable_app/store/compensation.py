"""What undoes a cancelled run's steps: a run of its own, enqueued in the transaction of the cancellation.

A registration is a recorded step; what its undoing came to is recorded below it (``Position.below``). So what
is left to undo is the registrations without such a record, whoever asks, and whatever has crashed. The
compensating run waits until the cancelled one's execution has ended: a step in flight is not undone before
it is done.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from durable_app.errors import InvalidTransitionError
from durable_app.identifiers import ID_LENGTH
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import Status, Step, Wait, Workflow
from durable_app.models.workflow import ACTIVE
from durable_app.registry import UNDO
from durable_app.store import database, notify, workers
from durable_app.store.records import Position

COMPENSATE = "durable.compensate"
"""Name of the step that registers what undoes another."""

EXECUTING = "executing:"
"""Key of cancelled runs that a worker, whose id follows, still executes."""

_COPIED = ("user", "roles", "assumed_role", "app_version", "attributes", "max_recovery_attempts")


def in_order_of_undoing(places: Iterable[Position]) -> list[Position]:
    """Return the places of registrations, the last one first; branches by their numbers."""
    return sorted(places, key=_order, reverse=True)


def _order(place: Position) -> tuple[int, tuple[int, ...]]:
    return place.number, tuple(int(part) for part in place.branch.split(".") if part)


def enqueue(executed_by: dict[int, str | None], now: datetime) -> None:
    """Enqueue a compensating run for each of these runs that has something left to undo.

    ``executed_by`` has the worker of each that executes. Called with the rows locked, in the transaction that
    cancels them at ``now``.
    """
    left = _left(list(executed_by))
    if not left:
        return
    rows = _runs().filter(pk__in=list(left)).order_by("pk")
    _runs().bulk_create([_companion(row, left[row.pk], now) for row in rows])
    held = [Wait(key=EXECUTING + worker, workflow_id=run) for run, worker in executed_by.items() if worker]
    _waits().bulk_create([one for one in held if one.workflow_id in left], ignore_conflicts=True)
    transaction.on_commit(notify.work, using=database.alias())


def _left(runs: list[int]) -> dict[int, dict[Position, str]]:
    """Return, for each run that has any, the registrations that nobody has undone."""
    rows = _steps().filter(workflow_id__in=runs, name=COMPENSATE)
    registered = list(rows.values_list("workflow_id", "position", "branch", "output"))
    below = _steps().filter(
        workflow_id__in={run for run, *_ in registered}, branch__endswith=Position(0).below(1).branch
    )
    undone = set(below.values_list("workflow_id", "position", "branch")) if registered else set()
    left: dict[int, dict[Position, str]] = defaultdict(dict)
    for run, number, branch, text in registered:
        place = Position(number, branch)
        if (run, *place.below(1)) not in undone:
            left[run][place] = text
    return left


def _companion(row: Workflow, left: dict[Position, str], now: datetime) -> Workflow:
    name = f"{UNDO}{row.name}"
    texts = ",".join(left[place] for place in in_order_of_undoing(left))
    return Workflow(
        workflow_id=_free_id(row),
        name=name if len(name) <= ID_LENGTH else UNDO,
        parent_workflow_id=row.workflow_id,
        inputs=f'{{"args":[{row.pk},[{texts}]],"kwargs":{{}}}}',
        status=Status.ENQUEUED,
        queue_name=DEFAULT_QUEUE,
        created_at=now,
        enqueued_at=now,
        updated_at=now,
        **{name: getattr(row, name) for name in _COPIED},
    )


def _free_id(row: Workflow) -> str:
    """Return the id of the compensating run; a run that is cancelled a second time gets a second one."""
    wanted = f"{row.workflow_id}-compensation"
    if len(wanted) > ID_LENGTH:
        wanted = f"{row.workflow_id[: ID_LENGTH - 40]}-{row.pk}-compensation"
    number, found = 1, wanted
    while _runs().filter(workflow_id=found).exists():
        number += 1
        found = f"{wanted}-{number}"
    return found


@database.retried
def is_executed(run: int) -> bool:
    """Return whether a cancelled run's execution goes on: its worker lives, and has not let go of it."""
    keys = _waits().filter(workflow_id=run, key__startswith=EXECUTING).values_list("key", flat=True)
    return any(workers.is_alive(key.removeprefix(EXECUTING)) for key in keys)


@database.retried
def let_go(worker_id: str, run: int) -> None:
    """Let the compensation of a cancelled run begin: its worker does not execute it any more."""
    _waits().filter(key=EXECUTING + worker_id, workflow_id=run).delete()


@database.retried
def let_go_of_others(worker_id: str, executing: Iterable[int]) -> None:
    """The same for all that the worker does not execute: what ended them may have been no cancellation."""
    held = _waits().filter(key=EXECUTING + worker_id)
    if held.exists():
        held.exclude(workflow_id__in=list(executing)).delete()


def withdraw(cancelled: dict[str, datetime | None]) -> None:
    """Delete the compensating runs of cancelled runs that are to go on; in the transaction that does that.

    ``cancelled`` has the time of each cancellation. Raises InvalidTransitionError for a run that its
    compensation has begun to undo.
    """
    doomed = []
    for one in _companions(cancelled).select_for_update(no_key=True):
        if one.created_at != cancelled[one.parent_workflow_id]:
            continue  # of an earlier cancellation
        if one.attempt > 0:
            verb = f"go on, for its compensation {one.workflow_id!r} has begun"
            raise InvalidTransitionError(one.parent_workflow_id, Status.CANCELLED, verb)
        doomed.append(one.pk)
    # Not delete(): its collector would look for children, of which a run that never began has none.
    _runs().filter(pk__in=doomed)._raw_delete(database.alias())  # noqa: SLF001


def check_ended(row: Workflow) -> None:
    """Let a cancelled run begin anew; raises InvalidTransitionError while its compensation goes on."""
    if row.status != Status.CANCELLED:
        return
    for one in _companions([row.workflow_id]).filter(created_at=row.finished_at):
        if one.attempt > 0 and one.status in ACTIVE:
            verb = f"be rewound before its compensation {one.workflow_id!r} has ended"
            raise InvalidTransitionError(row.workflow_id, row.status, verb)
        if one.attempt == 0:
            withdraw({row.workflow_id: row.finished_at})


def check_not_undone(row: Workflow, start_step: int) -> None:
    """Raise InvalidTransitionError if a run cannot be run again from a step: what was done before is undone.

    A registration may stand before or behind the step that it is for; so both must be run again.
    """
    registered = _steps().filter(workflow_id=row.pk, name=COMPENSATE)
    places = [Position(*place) for place in registered.values_list("position", "branch")]
    if not places:
        return
    if not _is_being_undone(row):
        left = _left([row.pk]).get(row.pk, {})
        places = [place for place in places if place not in left]
    first = min((place.number for place in places), default=start_step + 1)
    if start_step >= first:
        verb = (
            f"be run again from step {start_step}, for what step {first} stands for is undone: begin earlier"
        )
        raise InvalidTransitionError(row.workflow_id, row.status, verb)


def _is_being_undone(row: Workflow) -> bool:
    """Return whether a compensating run is at it, has been, or will be."""
    if row.status != Status.CANCELLED:
        return False
    companions = _companions([row.workflow_id]).filter(created_at=row.finished_at)
    return any(one.attempt > 0 or one.status in ACTIVE for one in companions)


def _companions(workflow_ids: Iterable[str]) -> Any:
    found = _runs().filter(parent_workflow_id__in=list(workflow_ids), name__startswith=UNDO)
    return found.order_by("pk")


def _waits() -> Any:
    return Wait._base_manager.using(database.alias())


def _steps() -> Any:
    return Step._base_manager.using(database.alias())


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
