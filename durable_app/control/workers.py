"""Verbs on workers."""

from functools import partial

from durable_app.control.operator import Operator, Refused, Result
from durable_app.store import workers

KIND = "worker"
PERMISSION = "control_worker"


def quiet(operator: Operator, worker_id: str) -> Result:
    """Let a worker take no more runs; what it executes goes on. Raises PermissionDeniedError."""
    operator.require(PERMISSION, "quiet", KIND, worker_id)
    return operator.perform("quiet", worker_id, partial(_ask, worker_id, "quiet"), {}, KIND)


def stop(operator: Operator, worker_id: str) -> Result:
    """Let a worker drain, and end its process. Raises PermissionDeniedError."""
    operator.require(PERMISSION, "stop", KIND, worker_id)
    return operator.perform("stop", worker_id, partial(_ask, worker_id, "stop"), {}, KIND)


def _ask(worker_id: str, request: str) -> str:
    if not workers.ask(worker_id, request):
        raise Refused("The worker is not live.")
    return ""


def recover(operator: Operator, worker_id: str) -> Result:
    """Take the runs of a silent worker back now; a live one is refused. Raises PermissionDeniedError."""
    operator.require(PERMISSION, "recover", KIND, worker_id)
    details = {"runs": 0}

    def act() -> str:
        if workers.is_alive(worker_id):
            raise Refused("The worker is live: its lease is valid.")
        workers.stop(worker_id)
        while found := workers.recover(by_lease=False):
            details["runs"] += len(found)
        return ""

    return operator.perform("recover", worker_id, act, details, KIND)
