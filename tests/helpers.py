"""What the tests share: they wait for conditions, never for time."""

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from django.db import connections
from django.db.models import Value
from django.db.models.functions import Coalesce

from durable_app import get_workflow_status, list_workflow_steps
from durable_app.incarnation import forget_callers
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import Status, Workflow

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 45.0, what: str = "") -> T:
    """Return the first true value of ``condition``; fail if none came within ``timeout`` seconds."""
    give_up_at = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > give_up_at:
            name = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"Waited {timeout} s in vain for {name}; the last answer was {found!r}.")
        time.sleep(0.02)


class Crash(BaseException):
    """Stands for a process's death: nothing catches it and nothing is recorded."""


def crash(function: Callable[..., Any], *args: Any) -> None:
    """Call a workflow that dies in this process; its run goes back to the workers."""
    try:
        function(*args)
    except Crash:
        forget_callers()
    else:
        raise AssertionError(f"{function!r} did not crash.")


def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> "Future[T]":
    """Call a function on a thread of its own, in the caller's context; no connection stays open."""
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(function, *args, **kwargs))
        except BaseException as error:  # noqa: BLE001  (it is the future's)
            future.set_exception(error)
        finally:
            connections.close_all()

    threading.Thread(target=run, name="test", daemon=True).start()
    return future


def step_names(workflow_id: str) -> list[tuple[int | str, str]]:
    """Return position and name of each recorded step."""
    return [(step.step_id, step.name) for step in list_workflow_steps(workflow_id)]


def status(workflow_id: str) -> str | None:
    """Return a run's status, None if it does not exist."""
    found = get_workflow_status(workflow_id)
    return None if found is None else found.status


def wait_for_status(workflow_id: str, *wanted: str, timeout: float = 45.0) -> str:
    """Wait until a run has one of these statuses."""
    return wait_until(
        lambda: found if (found := status(workflow_id)) and found in wanted else "",
        timeout,
        f"{workflow_id} to be {' or '.join(wanted)}",
    )


def execute_again(workflow_id: str) -> None:
    """Let the next worker replay a finished run, as if its process had died just before the outcome."""
    changed = Workflow.objects.filter(workflow_id=workflow_id).update(
        status=Status.ENQUEUED,
        queue_name=Coalesce("queue_name", Value(DEFAULT_QUEUE)),
        output=None,
        error=None,
        finished_at=None,
    )
    assert changed == 1
