"""Threads that start together."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections


def raced(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls in threads that start together; return their answers, or what the fence raised."""
    barrier = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def target(index: int) -> None:
        try:
            barrier.wait()
            answers[index] = calls[index]()
        except BaseException as error:  # noqa: BLE001  (judged by the test)
            answers[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=target, args=[index]) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
