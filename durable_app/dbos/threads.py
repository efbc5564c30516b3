"""Blocking work where an event loop runs: on a thread of its own, while the loop waits, as the seed does."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from durable_app.engine.flow import on_event_loop
from durable_app.store import database, leftovers

P = ParamSpec("P")
R = TypeVar("R")


def blocking(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that blocks, whether or not an event loop runs in this thread."""
    if not on_event_loop():
        return function(*args, **kwargs)
    context = contextvars.copy_context()
    future: Future[R] = Future()

    def run() -> None:
        database.borrow_connections()
        try:
            future.set_result(context.run(function, *args, **kwargs))
        except BaseException as error:  # noqa: BLE001  (raised in the thread that waits)
            future.set_exception(error)
        finally:
            leftovers.close_connections()

    thread = threading.Thread(target=run, name="durable-blocking")
    thread.start()
    thread.join()
    return future.result()
