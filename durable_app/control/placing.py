"""Where a run stands that an operator starts, or lets go on: in a queue that can ever give it to a worker."""

from typing import NamedTuple

from durable_app.errors import InvalidOptionError, NonExistentWorkflowError
from durable_app.limits import DEFAULT_QUEUE, checked_queue_name
from durable_app.store import queues, runs


class Place(NamedTuple):
    """A queue, and the run's partition of it."""

    queue_name: str
    partition_key: str | None


def checked_place(queue_name: str, partition_key: str | None) -> Place:
    """Return a place; raise InvalidOptionError for one from which nothing would ever be taken.

    Code may enqueue on a queue before there is one; what a person types is more likely a mistake.
    """
    if checked_queue_name(queue_name) == DEFAULT_QUEUE:
        return Place(queue_name, partition_key)
    queue = queues.get(queue_name)
    if queue is None:
        known = ", ".join(one.name for one in queues.known_queues()[:20])
        raise InvalidOptionError(
            f"there is no queue {queue_name!r}; there are: {known or 'none'}", "queue_name"
        )
    if queue.limits.is_partitioned and partition_key is None:
        raise InvalidOptionError(
            f"the queue {queue_name!r} is partitioned: it takes a partition key", "partition_key"
        )
    return Place(queue_name, partition_key)


def place_of(workflow_id: str, queue_name: str | None = None, partition_key: str | None = None) -> Place:
    """Return where a run is to go on: where it was, as far as nothing else is asked for.

    A run that was in no queue, or in one that is gone, goes on in the default queue. Raises
    InvalidOptionError as ``checked_place`` does, NonExistentWorkflowError.
    """
    run = runs.find(workflow_id)
    if run is None:
        raise NonExistentWorkflowError(workflow_id)
    if queue_name is None:
        is_there = run.queue_name is not None and queues.get(run.queue_name) is not None
        queue_name = run.queue_name if is_there else DEFAULT_QUEUE
    return checked_place(queue_name or DEFAULT_QUEUE, partition_key or run.partition_key)
