"""The mode without a daemon: ticks that cron runs, alone on their host, and what they leave behind."""

import contextlib
import fcntl
import logging
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_app import (
    Status,
    clock,
    create_schedule,
    get_result,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.conf import Options
from durable_app.cron import lock_path, tick
from durable_app.incarnation import process_space
from durable_app.models import Schedule, Worker, Workflow
from durable_app.store import workers
from tests.helpers import in_thread, status, wait_for_status, wait_until
from tests.processes import Program, project_env, write_settings
from tests.shop import hold, workflows
from tests.shop.models import Effect
from tests.shop.punctual import strike

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, settings: Any) -> None:
    """Keep ticks of tests that run beside this one apart; and do not wait for a minute."""
    settings.DURABLE = {"CRON_LOCK": str(tmp_path / "lock"), "CRON_BUDGET": timedelta(seconds=40)}


@workflow
def nap_in_tick(seconds: float) -> str:
    sleep(seconds)
    return "awake"


def make_due() -> datetime:
    """Create a daily schedule whose tick of this minute is due; return the tick."""
    due_at = clock.now().replace(second=0, microsecond=0)
    daily = f"{due_at.minute} {due_at.hour} * * *"
    create_schedule(schedule_name="bell", workflow_fn=strike, schedule=daily)
    Schedule.objects.update(next_at=due_at)
    return due_at


# In this process


def test_a_tick_runs_what_is_ready_and_ends() -> None:
    """Everything in line, of both colours, also what it enqueues itself."""
    handles = [start_workflow(workflows.sum_of_three, n, 1, 1) for n in range(20)]
    tick()
    assert [one.get_result(timeout=0) for one in handles] == [n + 2 for n in range(20)]
    row = Worker.objects.get(kind="worker")
    assert row.stopped_at is not None


def test_a_tick_with_nothing_to_do_ends_at_once(settings: Any) -> None:
    """What is due tomorrow is a later tick's; this one had an hour, and the test has not."""
    settings.DURABLE = {**settings.DURABLE, "CRON_BUDGET": timedelta(hours=1)}
    in_half_a_year = f"0 0 1 {(clock.now().month + 5) % 12 + 1} *"
    create_schedule(schedule_name="rare", workflow_fn=strike, schedule=in_half_a_year)
    waiting = start_workflow(nap_in_tick, 24 * 3600)
    tick()
    assert status(waiting.workflow_id) == Status.WAITING


def test_a_tick_fires_due_schedules_and_runs_what_they_start() -> None:
    """227. Also one whose time came while no process lived, within the grace."""
    due_at = make_due()
    tick()
    assert Effect.objects.filter(step=due_at.isoformat()).count() == 1
    row = Schedule.objects.get()
    assert (row.last_fired_at, row.next_at) == (due_at, due_at + timedelta(days=1))


def test_a_tick_stays_for_what_is_due_within_its_time() -> None:
    """A sleep of seconds, a schedule of every second: no reason to come back in a minute."""
    napping = start_workflow(nap_in_tick, 2)
    tick()
    assert napping.get_result(timeout=0) == "awake"


def test_a_tick_ends_when_its_time_is_over(settings: Any) -> None:
    """Though there will always be more to do."""
    settings.DURABLE = {**settings.DURABLE, "CRON_BUDGET": timedelta(seconds=5)}
    create_schedule(schedule_name="bell", workflow_fn=strike, schedule="* * * * * *")
    tick()
    assert Effect.objects.count() >= 1
    assert Worker.objects.filter(stopped_at=None, kind="worker").count() == 0
    assert not Workflow.objects.filter(status=Status.PENDING).exists()


released = threading.Event()


@step
def long_step() -> str:
    assert released.wait(60)
    return "done"


@workflow
def with_long_step() -> str:
    return long_step()


def test_what_does_not_end_in_time_is_handed_back(settings: Any) -> None:
    """A step that outlasts budget and grace is begun again by the next tick; nothing is stuck."""
    released.clear()
    settings.DURABLE = {
        **settings.DURABLE,
        "CRON_BUDGET": timedelta(seconds=0.5),
        "GRACEFUL_TIMEOUT": timedelta(0),
    }
    handle = start_workflow(with_long_step)
    tick()
    assert status(handle.workflow_id) == Status.ENQUEUED
    released.set()
    settings.DURABLE = {**settings.DURABLE, "CRON_BUDGET": timedelta(seconds=40)}
    tick()
    assert handle.get_result(timeout=0) == "done"


def test_a_tick_takes_back_the_runs_of_dead_workers() -> None:
    """79-81. Those of a process of this host at once, though its lease has not run out."""
    handle = start_workflow(workflows.sum_of_three, 1, 2, 3)
    now = clock.now()
    dead = Worker.objects.create(
        id="dead", name="dead", hostname="h", process_space=process_space(), pid=2**30, pid_started="1",
        started_at=now, heartbeat_at=now, expires_at=now + MINUTE,
    )  # fmt: skip
    Workflow.objects.update(status=Status.PENDING, worker=dead, attempt=1)
    tick()
    assert handle.get_result(timeout=0) == 6


def test_a_tick_waits_until_it_may_judge_a_lapsed_lease(settings: Any) -> None:
    """F16. Of a process elsewhere only its lease is known: the tick first holds its own for as long."""
    settings.DURABLE = {**settings.DURABLE, "LEASE": timedelta(seconds=2)}
    handle = start_workflow(workflows.sum_of_three, 1, 2, 3)
    now = clock.now()
    silent = Worker.objects.create(
        id="silent", name="silent", hostname="h", process_space="elsewhere", pid=1, pid_started="1",
        started_at=now - MINUTE, heartbeat_at=now - MINUTE, expires_at=now - MINUTE,
    )  # fmt: skip
    Workflow.objects.update(status=Status.PENDING, worker=silent, attempt=1)
    assert workers.any_dead()
    tick()
    assert handle.get_result(timeout=0) == 6
    assert not workers.any_dead()


# Alone on its host


@pytest.fixture
def locked(settings: Any) -> Iterator[Path]:
    """Hold the lock as another process's tick would."""
    path = Path(settings.DURABLE["CRON_LOCK"])
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    yield path
    os.close(file)


def test_a_tick_does_nothing_while_another_is_at_work(locked: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It ends at once, without an error, and says so in the log."""
    handle = start_workflow(workflows.sum_of_three, 1, 2, 3)
    with caplog.at_level(logging.INFO, "durable_app"):
        tick()
    assert "The tick before is still at work" in caplog.text
    assert status(handle.workflow_id) == Status.ENQUEUED
    assert not Worker.objects.filter(kind="worker").exists()


def test_two_ticks_at_once_are_one(settings: Any) -> None:
    """Also two threads of one process; the lock goes with its holder."""
    settings.DURABLE = {**settings.DURABLE, "CRON_BUDGET": timedelta(seconds=2)}
    create_schedule(schedule_name="bell", workflow_fn=strike, schedule="* * * * * *")
    futures = [in_thread(tick) for _ in range(3)]
    for future in futures:
        future.result(60)
    assert Worker.objects.filter(kind="worker").count() == 1
    tick()
    assert Worker.objects.filter(kind="worker").count() == 2


def test_each_database_has_its_lock(settings: Any) -> None:
    """In the folder for such files, one for each user; or where the settings say."""
    assert str(lock_path()) == settings.DURABLE["CRON_LOCK"]
    settings.DURABLE = {}
    first = lock_path()
    assert f"-{os.getuid()}-" in first.name
    settings.DURABLE = {"DATABASE": "other"}
    assert lock_path() != first
    assert lock_path().parent == first.parent


def test_the_lock_is_its_users_own_and_follows_no_link(settings: Any, tmp_path: Path) -> None:
    """A link that somebody else has put there is an error, and its target stays as it is."""
    tick()
    path = Path(settings.DURABLE["CRON_LOCK"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    target = tmp_path / "target"
    target.write_text("untouched")
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(OSError, match="lock"):
        tick()
    assert target.read_text() == "untouched"


def test_the_budget_is_longer_than_a_lease() -> None:
    """F16. Else a tick could never judge the lease of a process elsewhere."""
    assert Options().CRON_BUDGET > Options().LEASE


# As cron runs it

CRONTAB = """#!/bin/sh
# Stands for Debian's: -l lists the table, a file's name replaces it.
if [ "$1" = -l ]; then cat "$CRONTAB_FILE" 2>/dev/null || { echo "no crontab" >&2; exit 1; }
else cp "$1" "$CRONTAB_FILE"; fi
"""

Manage = Callable[..., Program]


@pytest.fixture
def manage(worker_env: dict[str, str], tmp_path: Path) -> Iterator[Manage]:
    """Return a function that runs commands of a project that uses django-crontab."""
    crontab = tmp_path / "crontab"
    crontab.write_text(CRONTAB)
    crontab.chmod(0o755)
    write_settings(
        tmp_path,
        'INSTALLED_APPS = [*INSTALLED_APPS, "django_crontab"]',
        'CRONJOBS = [("* * * * *", "durable_app.cron.tick")]',
        f'CRONTAB_EXECUTABLE = "{crontab}"',
        f'DURABLE = {{"CRON_LOCK": "{tmp_path / "lock"}"}}',
    )
    env = {**worker_env, **project_env(tmp_path), "CRONTAB_FILE": str(tmp_path / "table")}
    programs: list[Program] = []

    def start(*arguments: str) -> Program:
        programs.append(Program(arguments, env, tmp_path / f"output-{len(programs)}"))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


def ended(program: Program) -> str:
    assert program.ended() == 0, program.output
    return program.output


def entries(folder: Path) -> list[str]:
    table = folder / "table"
    return table.read_text().splitlines() if table.exists() else []


def test_crontab_adds_shows_and_removes_our_line(manage: Manage, tmp_path: Path) -> None:
    """`manage.py crontab add` writes one line that runs our tick; others in the table stay."""
    (tmp_path / "table").write_text("0 5 * * * /usr/bin/backup\n")
    ended(manage("crontab", "add"))
    assert len(entries(tmp_path)) == 2
    line = entries(tmp_path)[1]
    assert line.startswith("* * * * * ")
    assert "manage.py crontab run" in line
    assert "durable_app.cron.tick" in ended(manage("crontab", "show"))
    ended(manage("crontab", "add"))
    assert len(entries(tmp_path)) == 2
    ended(manage("crontab", "remove"))
    assert entries(tmp_path) == ["0 5 * * * /usr/bin/backup"]


Run = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def line(manage: Manage, tmp_path: Path, worker_env: dict[str, str]) -> Iterator[Run]:
    """Return a function that starts the line which django-crontab has written, as cron does: by a shell."""
    ended(manage("crontab", "add"))
    command = entries(tmp_path)[0].split("#")[0].split(maxsplit=5)[5]
    env = {**worker_env, **project_env(tmp_path), "CRONTAB_FILE": str(tmp_path / "table")}
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        with (tmp_path / "mail").open("ab") as mail:
            started.append(
                subprocess.Popen(
                    ["/bin/sh", "-c", command],
                    cwd="/",
                    env=env,
                    stdout=mail,
                    stderr=mail,
                    start_new_session=True,
                )
            )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_the_line_that_cron_runs_does_the_work(line: Run, tmp_path: Path) -> None:
    """A ready run, and a schedule's due tick, in a process that ends with status 0."""
    handle = start_workflow(workflows.sum_of_three, 1, 2, 3)
    due_at = make_due()
    assert line().wait(80) == 0, (tmp_path / "mail").read_text()
    assert handle.get_result(timeout=0) == 6
    assert Effect.objects.filter(step=due_at.isoformat()).count() == 1


def test_lines_run_while_one_is_at_work_do_nothing(line: Run, tmp_path: Path) -> None:
    """What the first holds, the second does not touch."""
    held = start_workflow(hold.hold, str(tmp_path))
    first = line()
    wait_for_status(held.workflow_id, Status.PENDING)
    later = start_workflow(workflows.sum_of_three, 1, 2, 3)
    get_result(later.workflow_id, timeout=60)
    before = Worker.objects.count()
    assert line().wait(60) == 0
    assert Worker.objects.count() == before
    (tmp_path / "release").touch()
    assert first.wait(80) == 0, (tmp_path / "mail").read_text()
    assert len(get_result(held.workflow_id, timeout=0)) == 2


def test_a_killed_tick_leaves_nothing_behind_but_work_for_the_next(line: Run, tmp_path: Path) -> None:
    """79. The lock is free, its runs are taken back at once."""
    held = start_workflow(hold.hold, str(tmp_path))
    first = line()
    wait_for_status(held.workflow_id, Status.PENDING)
    wait_until(lambda: (tmp_path / "log").exists())
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(30)
    (tmp_path / "release").touch()
    assert line().wait(80) == 0, (tmp_path / "mail").read_text()
    assert len(get_result(held.workflow_id, timeout=0)) == 2


def test_a_terminated_tick_hands_its_runs_back(line: Run, tmp_path: Path) -> None:
    """Shutdown of the host: what it executes goes on in the next tick, not counted as a crash."""
    waiting = start_workflow(workflows.nap_and_add, 45, 1, 1)
    first = line()
    wait_for_status(waiting.workflow_id, Status.WAITING)
    wait_until(lambda: Worker.objects.filter(kind="worker", stopped_at=None).exists())
    os.killpg(first.pid, signal.SIGTERM)
    first.wait(60)
    wait_until(lambda: not Worker.objects.filter(kind="worker", stopped_at=None).exists())
    assert Workflow.objects.get(workflow_id=waiting.workflow_id).recovery_attempts == 0
