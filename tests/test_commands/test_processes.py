"""Commands in real processes: exit codes, pipes, and a worker that ends by itself."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from durable_app import start_workflow
from durable_app.management.cli.serving import quota_of
from durable_app.management.commands.durable import Command as Durable
from durable_app.management.commands.durable_worker import Command as WorkerCommand
from durable_app.models import Status, Workflow
from durable_app.worker import quota
from durable_app.worker.endpoint import Endpoint
from durable_app.worker.quota import Quota
from durable_app.worker.scheduler import Scheduler
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.processes import ROOT, Program
from tests.shop import hold, workflows
from tests.test_admin.pages import made
from tests.test_commands.keyboard import typed
from tests.test_worker.conftest import manage

__all__ = ["manage"]


def parsed(command: type, *arguments: str) -> int:
    """Parse a command line as a shell would have it; return the exit code, 0 if it is right."""
    typed_by_a_person = command(no_color=True)
    typed_by_a_person._called_from_command_line = True
    parser = typed_by_a_person.create_parser("manage.py", "command")
    try:
        parser.parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.django_db(transaction=True)
def test_exit_codes_and_pipes_as_a_shell_sees_them(worker_env):
    """4 with a sentence on stderr alone; who reads one line only hears no complaint."""
    for number in range(300):
        made(workflow_id=f"{number}-{'x' * 240}")

    def shell(line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/bin/bash", "-c", line.replace("DURABLE", f"{sys.executable} manage.py durable")],
            cwd=ROOT,
            env=worker_env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    piped = shell("DURABLE run list --limit 10k -o ids | head -n 1; exit ${PIPESTATUS[0]}")
    assert (piped.stdout, piped.stderr) == (f"299-{'x' * 240}\n", "")
    assert piped.returncode == 141
    missing = shell("DURABLE run get nobody --settings tests.settings")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert missing.stderr == "Failure: There is no run 'nobody'.\n"


def test_a_wrong_command_line_is_exit_2(capsys):
    """As argparse has it; Django's own options are taken behind the verb, too."""
    assert parsed(Durable, "run", "list", "--limit", "none") == 2
    assert parsed(Durable, "run", "fly") == 2
    assert parsed(Durable) == 2
    assert parsed(Durable, "run", "list", "--traceback", "--no-color", "--pythonpath", "x") == 0
    assert parsed(WorkerCommand, "--queues", "a", "--all") == 2
    assert parsed(WorkerCommand, "--with-scheduler", "--no-scheduler") == 2
    assert parsed(WorkerCommand, "--health-port", "99999") == 2
    assert parsed(WorkerCommand, "--all", "--max-lifetime", "6h", "--metrics-port", "[::1]:9000") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--reload", "--burst"), "--reload does not go with --burst"),
        (("--reload", "--max-runs", "1"), "a reloader never ends"),
        (("--processes", "2", "--health-port", "0"), "--health-port is of one process"),
        (("--processes", "2", "--metrics-port", "0"), "--metrics-port is of one process"),
        (("--processes", "2", "--health-file", "x"), "--health-file is of one process"),
        (("--health-file", "/no/such/folder/x"), "there is no folder"),
    ],
)
def test_options_of_a_worker_that_do_not_go_together(arguments, sentence):
    """Said before anything starts."""
    said = typed("durable_worker", *arguments)
    assert (said.code, said.out) == (1, "")
    assert sentence in said.err


def test_a_worker_ends_after_so_many_runs_and_tells_its_state_meanwhile(manage, tmp_path):
    """Health, metrics, a life sign, JSON lines; drained after the 2nd run, nothing is lost; exit 0."""
    held = start_workflow(hold.hold, str(tmp_path))
    sign = tmp_path / "alive"
    worker: Program = manage(
        "durable_worker", "--threads", "1", "--max-runs", "2", "--no-scheduler", "--all", "--name", "told",
        "--health-port", "127.0.0.1:0", "--metrics-port", "127.0.0.1:0", "--health-file", str(sign),
        "--log-format", "json", "--graceful-timeout", "0.2",
    )  # fmt: skip
    worker.wait_for("is running")
    address = re.search(r"answers +(http://127\.0\.0\.1:\d+)/healthz", worker.output)
    assert address is not None, worker.output
    wait_until(sign.exists)
    wait_until(lambda: get(f"{address[1]}/healthz")["busy"] == 1)
    found = get(f"{address[1]}/healthz")
    assert (found["status"], found["worker"]) == ("ok", "told")
    with urllib.request.urlopen(f"{address[1]}/metrics", timeout=10) as answer:
        assert answer.read().decode().endswith("# EOF\n")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{address[1]}/")
    second = start_workflow(workflows.sum_of_three, 1, 2, 3)
    (tmp_path / "never").mkdir()
    third = start_workflow(workflows.sum_of_three, 4, 5, 6)
    (tmp_path / "release").touch()
    assert worker.ended() == 0, worker.output
    assert held.get_result(timeout=0)
    assert second.get_result(timeout=0) == 6
    left = Workflow.objects.get(workflow_id=third.workflow_id)
    assert (left.status, left.recovery_attempts) in {(Status.ENQUEUED, 0), (Status.SUCCESS, 0)}
    assert not sign.exists()
    lines = [json.loads(line) for line in worker.output.splitlines()]
    assert {line["logger"] for line in lines} == {"durable_app"}
    said = [line["message"] for line in lines]
    assert "queues     all" in said
    assert "schedules  are left to others" in said
    assert any(line.startswith("Worker told ends: it has executed ") for line in said)


def get(address: str) -> dict[str, object]:
    with urllib.request.urlopen(address, timeout=10) as answer:
        found: dict[str, object] = json.load(answer)
    return found


def test_a_quota_says_what_is_used_up(monkeypatch):
    """Runs, lifetime and memory, each by itself; without any a worker is endless."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(quota, "memory", lambda: 300 * quota.MEBIBYTE)
    assert Quota().is_endless
    assert Quota().spent(10**9, 0.0) == ""
    assert Quota(runs=3).spent(2, 0.0) == ""
    assert Quota(runs=3).spent(3, 0.0) == "it has executed 3 runs"
    hour = typed_quota("--max-lifetime", "1m")
    assert hour.spent(0, 50.0) == ""
    assert hour.spent(0, 40.0) == "it has lived for 60 seconds"
    small = typed_quota("--max-memory-mb", "200")
    assert small.spent(0, 0.0) == "it occupies 300 MiB"
    assert typed_quota("--max-memory-mb", "400").spent(0, 0.0) == ""
    monkeypatch.undo()
    assert 10 < quota.memory() / quota.MEBIBYTE < 10_000


def typed_quota(*arguments: str) -> Quota:
    parser = WorkerCommand(no_color=True).create_parser("manage.py", "durable_worker")
    return quota_of(vars(parser.parse_args(arguments)))


def test_a_worker_without_a_scheduler_has_none():
    """--no-scheduler leaves schedules to others."""
    assert any(isinstance(one, Scheduler) for one in Worker(threads=1)._services)
    assert not any(isinstance(one, Scheduler) for one in Worker(threads=1, fires_schedules=False)._services)


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_well_while_its_lease_and_its_services_live():
    """Before its start, and when its lease is lost, it is not."""
    worker = Worker(threads=1)
    assert not worker.is_well
    with worker:
        is_well = [worker.is_well]
        worker.incarnation.lease.lose()
        assert [*is_well, worker.is_well] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_a_port_that_is_taken_is_said(monkeypatch):
    """Exit 1 and a sentence, before the worker begins."""
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    taken = Endpoint("127.0.0.1", 0, {})
    try:
        said = typed("durable_worker", "--burst", "--health-port", f"127.0.0.1:{taken.port}")
    finally:
        taken.close()
    assert (said.code, "The port cannot be had" in said.err) == (1, True)
