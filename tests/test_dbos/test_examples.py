"""Each example of `examples.md`, verbatim but for its imports, does what its author meant."""

import logging
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from durable_app.dbos import DBOS, SetWorkflowID
from durable_app.engine import timers

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = Path(__file__).with_name("examples.md")


def example(title: str) -> str:
    """Return an example's code, with its imports changed and nothing else."""
    found = re.search(rf"^## {title}\n\n```python\n(.*?)^```$", EXAMPLES.read_text(), re.M | re.S)
    assert found is not None, title
    return found[1].replace("from dbos import", "from durable_app.dbos import")


def run(title: str, **names: Any) -> dict[str, Any]:
    """Execute an example among these names; return all names afterwards."""
    world = {"__name__": "example", "DBOS": DBOS, **names}
    exec(compile(example(title), f"<{title}>", "exec"), world)
    return world


def steps(workflow_id: str) -> list[tuple[int, str, Any]]:
    found = DBOS.list_workflow_steps(workflow_id)
    return [(one["function_id"], one["function_name"], one["output"]) for one in found]


exec(compile(example("Testing fixture"), str(EXAMPLES), "exec"))  # defines the fixture `reset_dbos`

STAND_INS = {
    "fastapi.py": """
import builtins
from types import SimpleNamespace

sent = []
builtins.email_service = SimpleNamespace(send=lambda to, subject: sent.append((to, subject)))
builtins.payment_service = SimpleNamespace(charge=lambda amount: f"payment of {amount}")


class FastAPI:
    def __init__(self):
        self.routes = {}

    def post(self, path):
        return lambda endpoint: self.routes.setdefault(path, endpoint)
""",
    "uvicorn.py": """
import fastapi
from durable_app.dbos import DBOS


def run(app, host, port):
    print(app.routes["/checkout"]("ada", 9.5))
    (workflow,) = DBOS.list_workflows()
    print(workflow.name, workflow.status, workflow.output)
    print([step["function_name"] for step in DBOS.list_workflow_steps(workflow.workflow_id)])
    print(fastapi.sent)
""",
}


def test_core_pattern(worker_env, tmp_path):
    """The program is a script; only its import and DJANGO_SETTINGS_MODULE tell it of Django."""
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "shop.py").write_text(example("Core pattern"))
    env = {**worker_env, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "shop.py"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=80, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "{'payment_id': 'payment of 9.5'}",
        "checkout_workflow SUCCESS payment of 9.5",
        "['process_payment', 'send_email']",
        "[('ada', 'Payment received')]",
    ], done.stderr
    assert done.returncode == 0
    assert "Warning" not in done.stderr


def test_background_workflows(dbos):
    """The handle, and one retrieved by its id, give the result of a run in the background."""

    @DBOS.workflow()
    def long_task(name):
        return f"done {name}"

    world = run("Background workflows", long_task=long_task)
    assert world["result"] == "done task-123"
    assert world["handle2"].get_result() == "done task-123"
    assert world["handle2"].get_status().status == "SUCCESS"


def test_idempotency(dbos):
    """A second checkout of the same order returns the first one's result."""
    charged: list[float] = []

    @DBOS.step()
    def process_payment(amount):
        charged.append(amount)
        return len(charged)

    @DBOS.workflow()
    def checkout_workflow(user_id, amount):
        return process_payment(amount)

    names = {"checkout_workflow": checkout_workflow, "user_id": "ada", "order_id": 7}
    assert run("Idempotency", amount=9.5, **names)["result"] == 1
    assert run("Idempotency", amount=100.0, **names)["result"] == 1
    assert charged == [9.5]
    status = DBOS.get_workflow_status("order-7")
    assert status is not None and status.input == {"args": ("ada", 9.5), "kwargs": {}}


def test_durable_sleep(dbos):
    """The sleep is a step that holds its wake time."""

    @DBOS.workflow()
    def nap(delay_seconds):
        run("Durable sleep", delay_seconds=delay_seconds)

    with SetWorkflowID("nap"):
        nap(0.05)
    ((number, name, wake_at),) = steps("nap")
    assert (number, name) == (1, "DBOS.sleep")
    assert isinstance(wake_at, datetime)


def test_step_retries(dbos, monkeypatch):
    """Four failures, with growing pauses, and the fifth try's text."""
    tries: list[str] = []
    pauses: list[float] = []

    def get(url):
        tries.append(url)
        if len(tries) < 5:
            raise ConnectionError("away")
        return SimpleNamespace(text="<html>")

    monkeypatch.setattr(timers, "wait", lambda cursor, until: iter(()))
    monkeypatch.setattr(timers, "after", lambda seconds: pauses.append(seconds))
    call = run("Step retries", requests=SimpleNamespace(get=get))["unreliable_api_call"]

    @DBOS.workflow()
    def fetch():
        return str(call())

    with SetWorkflowID("fetch"):
        assert fetch() == "<html>"
    assert pauses == [2, 4, 8, 16]
    assert tries == ["https://example.com"] * 5
    assert steps("fetch") == [(1, "unreliable_api_call", "<html>")]


def test_scheduled_workflow(dbos):
    """The schedule is there from the declaration on; a tick gives the function two times."""
    calls: list[Any] = []
    world = run("Scheduled workflow", perform_cleanup=lambda: calls.append("cleaned"))
    schedule = DBOS.get_schedule("daily_cleanup")
    assert schedule is not None
    assert (schedule["schedule"], schedule["workflow_name"]) == ("0 0 * * *", "daily_cleanup")
    DBOS.trigger_schedule("daily_cleanup").get_result()
    assert calls == ["cleaned"]
    (tick,) = DBOS.list_workflows(name="daily_cleanup")
    assert tick.input is not None
    scheduled_time, actual_time = tick.input["args"]
    assert isinstance(scheduled_time, datetime) and isinstance(actual_time, datetime)
    assert tick.schedule_name == "daily_cleanup"
    assert callable(world["daily_cleanup"])


def test_queues(dbos):
    """A queue made after the launch is served at once, and has its limit."""

    @DBOS.workflow()
    def task_workflow(task):
        return task * 2

    world = run("Queues", task_workflow=task_workflow, task=21)
    assert world["result"] == 42
    assert world["queue"].worker_concurrency == 5
    assert world["handle"].get_status().queue_name == "task_queue"


@pytest.mark.usefixtures("reset_dbos")
@pytest.mark.parametrize("round_", [1, 2, 3])
def test_testing_fixture(round_):
    """Each test that uses it finds a launched DBOS without any run of the tests before."""
    assert DBOS.list_workflows() == []

    @DBOS.workflow()
    def greet(name):
        return f"hello {name}"

    assert DBOS.start_workflow(greet, "you").get_result() == "hello you"
    assert len(DBOS.list_workflows()) == 1


def test_error_logging(caplog):
    """The line arrives with its level."""
    caplog.set_level(logging.ERROR)
    run("Error logging", error=ValueError("no tea"))
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("ERROR", "Error: no tea")]


def test_the_program_of_the_document(worker_env, tmp_path):
    """docs/coming-from-dbos.md: its last example is a whole program."""
    page = (Path(__file__).parents[2] / "docs" / "coming-from-dbos.md").read_text()
    program = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)[-1]
    (tmp_path / "album.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "album.py", "a", "b"],
        cwd=tmp_path, env={**worker_env, "PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, timeout=80, check=False,
    )  # fmt: skip
    assert done.stdout == "['a.small', 'b.small']\n", done.stderr
    assert "Warning" not in done.stderr
