"""`DURABLE["DEV_WORKER"]`: `runserver` carries a worker, and nothing else does."""

import signal
import socket
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from durable_app import start_workflow
from durable_app.models import Status, Worker, Workflow
from durable_app.worker import embedded
from tests.helpers import wait_until
from tests.processes import Program, project_env, touch_until, write_settings
from tests.shop import hold, workflows

URLS = """
import threading

from django.http import HttpResponse
from django.urls import path


def threads(request):
    return HttpResponse(" ".join(thread.name for thread in threading.enumerate()))


urlpatterns = [path("threads/", threads)]
"""

PRINT_THREADS = "import threading; print([thread.name for thread in threading.enumerate()])"


class Server:
    """A `runserver` process of a project, and the page that names its threads."""

    def __init__(self, manage: Any, project: Path, *arguments: str, **env: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.program: Program = manage(
            "runserver", self.address, *arguments, env={**project_env(project), **env}
        )

    def threads(self) -> str:
        """Return the names of the serving process's threads, once it answers."""
        return wait_until(self._page, what=f"an answer of {self.address}")

    def _page(self) -> str:
        try:
            with urlopen(f"http://{self.address}/threads/", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            assert self.program.process.poll() is None, self.program.output
            return ""

    def has_worker(self) -> bool:
        return "durable-claimer" in self.threads()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project in DEBUG mode that wants an embedded worker."""
    (tmp_path / "project_urls.py").write_text(URLS)
    write_settings(
        tmp_path, "DEBUG = True", "DURABLE = {'DEV_WORKER': True}", "ROOT_URLCONF = 'project_urls'"
    )
    return tmp_path


def run_of(handle: Any) -> Workflow:
    return Workflow.objects.get(workflow_id=handle.workflow_id)


def rows() -> list[Worker]:
    return list(Worker.objects.filter(kind="worker").order_by("started_at"))


@pytest.mark.parametrize("arguments", [["--noreload"], []])
def test_runserver_executes_workflows(manage, project, arguments):
    """The serving process has one worker, with the autoreloader and without it; its parent has none."""
    server = Server(manage, project, *arguments)
    handle = start_workflow(workflows.sum_of_three, 1, 2, 3)
    assert handle.get_result(timeout=60) == 6
    assert server.has_worker()
    (row,) = rows()
    assert (row.pid == server.program.pid) is bool(arguments)


def test_a_server_that_ends_hands_its_runs_back(manage, project):
    """Ctrl-C: a run in the midst of a step is handed back, not counted as a crash."""
    server = Server(manage, project, "--noreload")
    held = start_workflow(hold.ahold, str(project))
    wait_until((project / "log").exists)
    server.threads()
    server.program.signal(signal.SIGINT)
    assert server.program.ended() == 0, server.program.output
    run = run_of(held)
    assert (run.status, run.recovery_attempts) == (Status.ENQUEUED, 0)
    assert rows()[0].stopped_at is not None
    assert "Traceback" not in server.program.output


@pytest.mark.parametrize("holder", [hold.hold, hold.ahold])
def test_a_reload_takes_the_worker_along(manage, project, holder):
    """A change of code restarts server and worker; the run that was held goes on in the new one."""
    server = Server(manage, project)
    held = start_workflow(holder, str(project))
    wait_until((project / "log").exists)
    server.threads()
    touch_until(project / "project_urls.py", lambda: run_of(held).attempt > 1)
    (project / "release").touch()
    assert len(set(held.get_result(timeout=60))) == 1
    first, second = rows()
    assert first.pid != second.pid
    assert first.stopped_at is not None
    assert run_of(held).recovery_attempts == 0


def test_the_worker_waits_for_the_migrations(manage, project):
    """A newcomer starts the server first and migrates in a second terminal: the worker then begins."""
    url = f"sqlite:///{project / 'empty.sqlite3'}"
    server = Server(manage, project, "--noreload", DATABASE_URL=url)
    server.program.wait_for("The embedded worker waits for the database: python manage.py migrate")
    assert "durable-claimer" not in server.threads()
    migrate = manage("migrate", env={**project_env(project), "DATABASE_URL": url})
    assert migrate.ended() == 0, migrate.output
    wait_until(server.has_worker)
    assert server.program.output.count("waits for the database") == 1


def test_without_the_setting_there_is_no_worker(manage, tmp_path):
    """DEV_WORKER is false by default: the server has no thread of the engine."""
    (tmp_path / "project_urls.py").write_text(URLS)
    write_settings(tmp_path, "DEBUG = True", "ROOT_URLCONF = 'project_urls'")
    server = Server(manage, tmp_path, "--noreload")
    assert "durable" not in server.threads()


@pytest.mark.parametrize("variables", [{}, {"RUN_MAIN": "true"}])
def test_other_commands_carry_no_worker(manage, project, variables):
    """Neither a shell, nor one that a reloading server started."""
    shell = manage("shell", "-c", PRINT_THREADS, env={**project_env(project), **variables})
    assert shell.ended() == 0, shell.output
    assert "MainThread" in shell.output
    assert "durable" not in shell.output


@pytest.mark.parametrize(
    ("argv", "environ", "serves"),
    [
        (["manage.py", "runserver"], {}, False),
        (["manage.py", "runserver"], {"RUN_MAIN": "true"}, True),
        (["manage.py", "runserver", "8001", "--noreload"], {}, True),
        (["/usr/bin/django-admin", "runserver", "--settings=x"], {"RUN_MAIN": "true"}, True),
        (["manage.py", "migrate"], {"RUN_MAIN": "true"}, False),
        (["manage.py", "durable_worker", "--reload"], {"RUN_MAIN": "true"}, False),
        (["manage.py", "test", "runserver"], {"RUN_MAIN": "true"}, False),
        (["pytest"], {}, False),
        (["manage.py"], {}, False),
        ([""], {}, False),
    ],
)
def test_the_serving_process_is_told_from_all_others(argv, environ, serves):
    """`runserver` itself, and of its two processes the one that answers requests."""
    assert embedded.is_serving(argv, environ) is serves


@pytest.mark.parametrize("given", [{"DEV_WORKER": "yes"}, {"DEV_WORKR": True}, {}])
def test_settings_that_cannot_be_read_want_no_worker(given, settings):
    """The system checks report them; the server still starts, to show the report."""
    settings.DURABLE = given
    assert not embedded.is_wanted()
