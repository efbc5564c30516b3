"""Cancelling the running step of a cancelled workflow, for steps that asked for it."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from durable_app.engine.context import Execution
from durable_app.errors import OwnershipLost, WorkflowCancelled
from durable_app.store import database, runs

INTERVAL = 0.5
"""Seconds between two looks at the run's state."""


async def watched(execution: Execution, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await a coroutine; cancel it, and let it clean up, once the run is not ours any more."""
    task = asyncio.ensure_future(coroutine)
    try:
        while not (await asyncio.wait({task}, timeout=INTERVAL))[0]:
            found = await database.acall(runs.statuses, [execution.run])
            status, attempt = found.get(execution.run, ("", -1))
            if (status, attempt) == ("PENDING", execution.attempt):
                continue
            lost = WorkflowCancelled if status == "CANCELLED" else OwnershipLost
            execution.end(lost(execution.workflow_id))
            raise lost(execution.workflow_id)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
