"""Threads, the one event loop, and the few connections that all runs of a process share."""

import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from durable_app import start_workflow
from durable_app.models import Status, Step, Workflow
from durable_app.store import database
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.shop import crowd, hold
from tests.shop.crowd import Meeting

pytestmark = pytest.mark.django_db(transaction=True)

ENGINE_CONNECTIONS = 10
"""Claimer, timers, deadlines, recovery, heartbeat, listener, committer, two for the store, main thread."""


def open_connections(pid: int, name: str) -> int:
    """Count what a process has open to the test's database, by its name there or by its open files."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name])
            return int(cursor.fetchone()[0])
    path = str(connection.settings_dict["NAME"])
    return sum(target(file) == path for file in Path(f"/proc/{pid}/fd").iterdir())


def target(file: Path) -> str:
    try:
        return os.readlink(file)
    except FileNotFoundError:  # closed since the folder was read
        return ""


def test_a_thousand_coroutine_runs_are_under_way_at_once():
    """200. A thousand runs await one another on one event loop and its one thread; none is lost."""
    Meeting.of(1000)
    handles = [start_workflow(crowd.meet_everybody, number) for number in range(1000)]
    before = threading.active_count()
    with Worker(threads=1, async_concurrency=1000):
        wait_until(lambda: Meeting.present == 1000)
        assert threading.active_count() - before < 20
        wait_until(lambda: Workflow.objects.filter(status=Status.SUCCESS).count() == 1000)
    assert (len(Meeting.loops), len(Meeting.threads)) == (1, 1)
    assert [handle.get_result(timeout=0) for handle in handles] == [number + 1 for number in range(1000)]


@pytest.mark.parametrize("flow", [crowd.five_doubles, crowd.afive_doubles])
def test_hundreds_of_runs_end_with_every_step_recorded_once(flow):
    """29. 300 runs on 8 threads, or 100 at a time on the loop: each with its own result and steps."""
    handles = [start_workflow(flow, number) for number in range(300)]
    with Worker(threads=8, async_concurrency=100):
        results = [handle.get_result(timeout=80) for handle in handles]
    assert results == [32 * number for number in range(300)]
    assert Counter(Step.objects.values_list("position", flat=True)) == dict.fromkeys(range(1, 6), 300)
    assert not Workflow.objects.filter(recovery_attempts__gt=0).exists()


@pytest.mark.parametrize("holder", [hold.hold, hold.ahold])
@pytest.mark.parametrize("many", [2, 16])
def test_runs_that_do_not_touch_the_database_need_no_connections(manage, worker_env, tmp_path, holder, many):
    """29. Sixteen runs in their steps hold no more connections than two: those of the engine."""
    handles = [start_workflow(holder, str(tmp_path)) for _ in range(many)]
    env = {}
    if connection.vendor == "postgresql":
        url = worker_env["DATABASE_URL"]
        env["DATABASE_URL"] = f"{url}{'&' if '?' in url else '?'}application_name=counted-{many}"
    worker = manage("durable_worker", "--threads", "16", "--async-concurrency", "16", env=env)
    wait_until(lambda: len(begun(tmp_path)) == many)
    worker.wait_for("is running")
    assert 1 <= open_connections(worker.pid, f"counted-{many}") <= ENGINE_CONNECTIONS
    (tmp_path / "release").touch()
    for handle in handles:
        handle.get_result(timeout=60)
    assert 1 <= open_connections(worker.pid, f"counted-{many}") <= ENGINE_CONNECTIONS


def begun(folder: Path) -> list[str]:
    log = folder / "log"
    return [line for line in log.read_text().splitlines() if " begins " in line] if log.exists() else []


class Counted:
    """Counts what a writer is given: how often, and how much."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        writer: Any = database.committer()._writer
        write = writer.write

        def counting(records: list[Any]) -> list[Any]:
            self.batches.append(len(records))
            return write(records)  # type: ignore[no-any-return]

        monkeypatch.setattr(writer, "write", counting)


@pytest.mark.parametrize("flow", [crowd.five_doubles, crowd.afive_doubles])
def test_concurrent_runs_share_their_commits(flow, monkeypatch):
    """10. 32 runs at a time with six records each commit far fewer times than there are records."""
    for number in range(96):
        start_workflow(flow, number)
    counted = Counted(monkeypatch)
    with Worker(threads=32, async_concurrency=32):
        wait_until(lambda: Workflow.objects.filter(status=Status.SUCCESS).count() == 96)
    assert sum(counted.batches) == 96 * 6
    assert len(counted.batches) < 96 * 6 / 2
    assert Step.objects.count() == 96 * 5


def test_a_run_alone_commits_once_a_record(monkeypatch):
    """10. No timer collects records: a single run's are written one by one, each before its value is used."""
    counted = Counted(monkeypatch)
    assert crowd.five_doubles(1) == 32
    assert counted.batches == [1] * 7
