"""`durable_worker --reload`, the default with DEBUG: a change of code starts the worker again."""

import os
from pathlib import Path
from typing import Any

import pytest

from durable_app import start_workflow, workflow
from durable_app.models import Status, Worker, Workflow
from tests.helpers import wait_until
from tests.processes import Program, project_env, touch_until, write_settings
from tests.shop import hold

RUNNING = "is running"


@workflow(name="changing.answer")
def answer() -> str:
    """Stand for the workflow of the project in the temporary folder, to be started from here."""
    raise AssertionError("runs in a worker process only")


def write_code(folder: Path, text: str) -> None:
    """Write the app `changing`, whose one workflow returns a text."""
    package = folder / "changing"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "workflows.py").write_text(
        "from durable_app import workflow\n\n\n"
        "@workflow(name='changing.answer')\n"
        f"def answer() -> str:\n    return {text!r}\n"
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project in DEBUG mode with the app `changing`."""
    write_settings(tmp_path, "DEBUG = True", "INSTALLED_APPS += ['changing']")
    write_code(tmp_path, "old")
    return tmp_path


def reloading(manage: Any, project: Path, *arguments: str) -> Program:
    worker: Program = manage("durable_worker", *arguments, env=project_env(project))
    return worker.wait_for(RUNNING)


def live_pids() -> set[int]:
    found = Worker.objects.filter(kind="worker", stopped_at=None)
    return set(found.values_list("pid", flat=True))


def test_new_code_is_run_after_it_is_written(manage, project):
    """--reload is the default with DEBUG: the next run executes the new code, in a new process."""
    worker = reloading(manage, project)
    assert start_workflow(answer).get_result(timeout=60) == "old"
    (before,) = live_pids()
    write_code(project, "new")
    touch_until(project / "changing" / "workflows.py", lambda: worker.output.count(RUNNING) == 2)
    assert start_workflow(answer).get_result(timeout=60) == "new"
    (after,) = live_pids()
    assert len({before, after, worker.pid}) == 3


@pytest.mark.parametrize("holder", [hold.hold, hold.ahold])
def test_a_run_in_the_midst_of_a_reload_goes_on_in_the_new_process(manage, project, holder):
    """--reload: what executes is handed back, not counted as a crash."""
    worker = reloading(manage, project)
    held = start_workflow(holder, str(project))
    wait_until((project / "log").exists)
    (before,) = live_pids()
    touch_until(project / "changing" / "workflows.py", lambda: "handed back" in worker.output)
    worker.wait_for("1 runs were handed back")
    worker.wait_for(RUNNING, times=2)
    (project / "release").touch()
    (pid,) = set(held.get_result(timeout=60))
    assert pid != before
    run = Workflow.objects.get(workflow_id=held.workflow_id)
    assert (run.status, run.recovery_attempts) == (Status.SUCCESS, 0)


@pytest.mark.parametrize(
    ("debug", "arguments", "reloads"),
    [
        (True, [], True),
        (True, ["--no-reload"], False),
        (False, [], False),
        (False, ["--reload"], True),
    ],
)
def test_debug_decides_unless_the_command_line_does(manage, tmp_path, debug, arguments, reloads):
    """A worker that follows code changes runs in a child of the command; another one in the command."""
    write_settings(tmp_path, f"DEBUG = {debug}")
    worker = reloading(manage, tmp_path, *arguments)
    (pid,) = live_pids()
    assert (pid != worker.pid) is reloads


def test_stopping_a_reloading_worker_leaves_no_process_behind(manage, project):
    """SIGTERM to the command ends the child that works, too."""
    worker = reloading(manage, project)
    (child,) = live_pids()
    worker.signal()
    assert worker.ended() == 0, worker.output
    wait_until(lambda: not Path(f"/proc/{child}/exe").exists() or os.getpgid(child) != worker.pid)
