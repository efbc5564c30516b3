"""Workflows whose code a test changes between two executions, as a deployment does."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync

from durable_app import SetWorkflowID, arun_step, get_result, run_step, workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again

done: list[str] = []
deployed: dict[str, Callable[[], Any]] = {}
dies_in: set[str] = set()
died: list[str] = []


def forget() -> None:
    """Begin a test: nothing is done, deployed or about to die."""
    done.clear()
    deployed.clear()
    dies_in.clear()
    died.clear()


def act(what: str) -> str:
    if what in dies_in:
        died.append(what)
        raise Crash
    done.append(what)
    return what


def do(what: str) -> str:
    return run_step({"name": what}, act, what)


def ado(what: str) -> Awaitable[str]:
    return arun_step({"name": what}, act, what)


@workflow(name="deployed")
def changing() -> Any:
    return deployed["code"]()


@workflow(name="deployed coroutine")
async def achanging() -> Any:
    return await deployed["code"]()


def arun() -> Any:
    """Run the coroutine workflow with the deployed code, on a loop of this thread."""
    return async_to_sync(achanging.acall)()


def run_here(code: Callable[[], Any]) -> Any:
    """Run the workflow with this code, in this thread."""
    deployed["code"] = code
    with SetWorkflowID("run"):
        return changing()


def crash_here(code: Callable[[], Any], step: str) -> None:
    """Run the workflow with this code until the process dies in a step."""
    deployed["code"] = code
    dies_in.add(step)
    with SetWorkflowID("run"):
        crash(changing)
    dies_in.clear()


def recover(code: Callable[[], Any]) -> Any:
    """Let a worker with this code go on."""
    deployed["code"] = code
    with Worker(threads=2):
        return get_result("run", timeout=60)


def replay(code: Callable[[], Any]) -> Any:
    """Let a worker with this code execute the finished run once more."""
    execute_again("run")
    return recover(code)
