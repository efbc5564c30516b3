"""What others can ask a worker process: is it well, and what are the figures?"""

import json
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from durable_app.ops import metrics, openmetrics
from durable_app.worker.endpoint import Answer, Endpoint, Routes
from durable_app.worker.worker import Worker

Address = tuple[str, int]

SIGN_EVERY = 5.0
"""Seconds between two signs of life in a file."""


def listen(worker: Worker, health: Address | None, figures: Address | None, stack: ExitStack) -> list[str]:
    """Answer on these ports until the stack ends; return a line for each address.

    Raises OSError if a port cannot be had.
    """
    wanted: dict[Address, Routes] = defaultdict(dict)
    if health is not None:
        wanted[health]["/healthz"] = lambda: _health(worker)
    if figures is not None:
        wanted[figures]["/metrics"] = _figures
    lines = []
    for (host, port), routes in wanted.items():
        endpoint = Endpoint(host, port, routes)
        stack.callback(endpoint.close)
        lines += [f"answers    http://{host or '0.0.0.0'}:{endpoint.port}{path}" for path in routes]  # noqa: S104
    return lines


def _health(worker: Worker) -> Answer:
    """Say whether the worker can work; one that drains is well, and is to be left alone."""
    is_draining = not worker.claimer.accepting
    state = "draining" if is_draining else "ok" if worker.is_well else "failing"
    body = {"status": state, "worker": worker.name, "busy": worker.busy, "executed": worker.executed}
    status = 503 if state == "failing" else 200
    return Answer(text=json.dumps(body), status=status, content_type="application/json")


def _figures() -> Answer:
    return Answer(text=metrics.document(), content_type=openmetrics.CONTENT_TYPE)


class LifeSign:
    """A file that is young while a worker is well; without a path, nothing."""

    def __init__(self, worker: Worker, path: str | None) -> None:
        self._worker = worker
        self._path = None if path is None else Path(path)
        self._given_at = float("-inf")

    def give(self) -> None:
        """Touch the file, if it is time to and the worker is well."""
        now = time.monotonic()
        if self._path is not None and now - self._given_at >= SIGN_EVERY and self._worker.is_well:
            self._path.touch()
            self._given_at = now

    def take_back(self) -> None:
        """Remove the file: the worker ends."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
