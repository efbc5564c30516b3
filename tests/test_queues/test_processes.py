"""Real worker processes under load: what their runs write down, and what is seen from outside."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from durable_app import Queue, SetEnqueueOptions, enqueue, enqueue_many, register_queue, retrieve_queue
from durable_app.models import Status, Workflow
from tests.helpers import in_thread, wait_until
from tests.processes import Program
from tests.queue_ledger import begun, ended, lines, most_at_once, most_in_any_window
from tests.shop.queues import atake_a_place, say, take_a_place

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

RUNNING = "is running"
Start = Callable[..., Program]


class Samples:
    """The most runs that were seen executing at one moment, by queue, worker and partition."""

    def __init__(self) -> None:
        self.by_queue: Counter[str] = Counter()
        self.by_worker: Counter[tuple[str, str]] = Counter()
        self.by_partition: Counter[tuple[str, str]] = Counter()
        self.count = 0

    def look(self) -> None:
        """Count in one statement, which sees one moment."""
        rows = Workflow.objects.filter(status=Status.PENDING)
        found = list(rows.values_list("queue_name", "worker_id", "partition_key"))
        for most, keys in (
            (self.by_queue, [queue for queue, _, _ in found]),
            (self.by_worker, [(queue, worker) for queue, worker, _ in found]),
            (self.by_partition, [(queue, key) for queue, _, key in found]),
        ):
            for key, number in Counter[Any](keys).items():
                most[key] = max(most[key], number)
        self.count += 1


@contextmanager
def sampled() -> Iterator[Samples]:
    """Look again and again, from a thread of this process, until the block ends."""
    samples, over = Samples(), threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            samples.look()

    watcher = in_thread(watch)
    try:
        yield samples
    finally:
        over.set()
        watcher.result(60)


def several(start_worker: Start, count: int = 3) -> list[Program]:
    programs = [start_worker("--threads", "6", "--async-concurrency", "6") for _ in range(count)]
    for program in programs:
        program.wait_for(RUNNING)
    return programs


def crowd(queue: str, folder: Path, count: int, *, seconds: float = 0.03, key: str = "") -> None:
    """Enqueue runs on both colours of workers' slots."""
    with SetEnqueueOptions(queue_partition_key=key or None):
        half = count // 2
        enqueue_many(queue, take_a_place, [(str(folder), key, seconds)] * half)
        enqueue_many(queue, atake_a_place, [(str(folder), key, seconds)] * (count - half))


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_limits_hold_over_several_processes(start_worker: Start, tmp_path: Path):
    """181, 182, 183, 186. Three workers, four kinds of limits, 150 runs: seen from inside and outside."""
    register_queue("narrow", concurrency=3)
    register_queue("narrow-here", worker_concurrency=2)
    register_queue("paced", limiter={"limit": 6, "period": 0.8})
    register_queue("shared", concurrency=4, partition_concurrency=1)
    folders = {name: folder_of(tmp_path, name) for name in ("narrow", "narrow-here", "paced", "shared")}
    several(start_worker)
    with sampled() as seen:
        for name in ("narrow", "narrow-here"):
            crowd(name, folders[name], 40)
        crowd("paced", folders["paced"], 24)
        for key in "abcdef":
            crowd("shared", folders["shared"], 8, key=key)
        wait_until(lambda: Workflow.objects.filter(status=Status.SUCCESS).count() == 152, timeout=120)

    assert seen.count > 50
    assert seen.by_queue["narrow"] <= 3
    assert most_at_once(lines(folders["narrow"])) == 3
    assert max(most for (queue, _), most in seen.by_worker.items() if queue == "narrow-here") <= 2
    assert most_at_once(lines(folders["narrow-here"]), by=lambda line: line.pid) == 2
    assert seen.by_queue["shared"] <= 4
    assert max(most for (queue, _), most in seen.by_partition.items() if queue == "shared") == 1
    assert most_at_once(lines(folders["shared"]), by=lambda line: line.key) == 1
    assert 2 <= most_at_once(lines(folders["shared"])) <= 4
    starts = Workflow.objects.filter(queue_name="paced").values_list("started_at", flat=True)
    times = [start for start in starts if start is not None]
    assert len(times) == 24
    assert most_in_any_window(times, timedelta(seconds=0.8)) == 6


def test_a_run_begins_after_its_claim(start_worker: Start, tmp_path: Path):
    """183. So what the claims say about starts holds for the runs: none begins before it was counted."""
    register_queue("paced", limiter={"limit": 3, "period": 0.5})
    several(start_worker, 2)
    before = time.monotonic_ns()
    crowd("paced", tmp_path, 9)
    wait_until(lambda: ended(tmp_path) == 9, timeout=60)
    order = [line.at for line in lines(tmp_path) if line.what == "begins"]
    # The tenth of windows: of nine runs, three can begin in the first, six within two, nine within three.
    assert order[3] - before >= 0.5e9
    assert order[6] - before >= 1.0e9


def test_partitions_share_the_workers(start_worker: Start, tmp_path: Path):
    """185. A key with a backlog of 60 does not keep ten others waiting for its end."""
    register_queue("shared", partition_concurrency=1, concurrency=4)
    crowd("shared", tmp_path, 60, seconds=0.05, key="crowd")
    for number in range(10):
        crowd("shared", tmp_path, 2, key=f"late-{number}")
    several(start_worker, 2)
    wait_until(lambda: ended(tmp_path) == 80, timeout=120)
    order = begun(tmp_path)
    last_of_others = max(index for index, key in enumerate(order) if key != "crowd")
    assert order[:last_of_others].count("crowd") < 40
    assert most_at_once(lines(tmp_path), by=lambda line: line.key) == 1


def test_limits_are_changed_under_load(start_worker: Start, tmp_path: Path):
    """203. Raised: used at once. Lowered: as soon as few enough run, never more again."""
    line = register_queue("line", concurrency=2)
    several(start_worker, 2)
    crowd("line", tmp_path, 90, seconds=0.05)
    wait_until(lambda: ended(tmp_path) > 5)
    assert most_at_once(lines(tmp_path)) <= 2
    line.configure(concurrency=6)
    wait_until(lambda: most_at_once(lines(tmp_path)) > 3)
    line.configure(concurrency=1)
    drained = wait_until(lambda: running() <= 1 and len(lines(tmp_path)))
    wait_until(lambda: ended(tmp_path) == 90, timeout=120)
    found = lines(tmp_path)
    assert most_at_once(found) <= 6
    # One may have been executing at that moment: its begin is in what came before.
    after = found[drained:]
    still = {one.workflow_id for one in found[:drained]} & {one.workflow_id for one in after}
    assert most_at_once(one for one in after if one.workflow_id not in still) == 1


def running() -> int:
    return Workflow.objects.filter(status=Status.PENDING).count()


def test_the_places_of_a_killed_worker_are_freed(start_worker: Start, tmp_path: Path):
    """181, F33. Its runs go on elsewhere, the others follow, and the limit holds all the time."""
    register_queue("line", concurrency=3)
    (victim,) = several(start_worker, 1)
    crowd("line", tmp_path, 3, seconds=30)
    wait_until(lambda: len(begun(tmp_path)) == 3)
    rest = folder_of(tmp_path, "rest")
    crowd("line", rest, 12)
    with sampled() as seen:
        several(start_worker, 2)
        assert running() == 3
        assert begun(rest) == []
        victim.kill()
        wait_until(lambda: Workflow.objects.filter(recovery_attempts=1).count() == 3, timeout=60)
        wait_until(lambda: len(begun(tmp_path)) == 6)
    assert seen.by_queue["line"] <= 3
    assert begun(rest) == []  # the recovered ones have their places again


def test_the_command_serves_the_queues_it_is_told(start_worker: Start, tmp_path: Path):
    """197. --queues and --exclude; two processes split the work."""
    for name in ("mail", "video"):
        register_queue(name)
    folders = {name: folder_of(tmp_path, name) for name in ("mail", "video", "default")}
    mailer = start_worker("--queues", "mail")
    others = start_worker("--exclude", "mail,unheard-of")
    for name, folder in folders.items():
        crowd(name, folder, 6)
    wait_until(lambda: all(ended(folder) == 6 for folder in folders.values()), timeout=60)
    pids = {name: {line.pid for line in lines(folder)} for name, folder in folders.items()}
    assert pids == {"mail": {mailer.pid}, "video": {others.pid}, "default": {others.pid}}


def test_a_queue_is_known_to_processes_that_never_heard_of_it(start_worker: Start, tmp_path: Path):
    """192, 202. Registered while they run: they take its runs without a restart, also with limits."""
    several(start_worker, 1)
    handle = enqueue("late", say, "at last")
    register_queue("late", concurrency=1)
    assert handle.get_result(timeout=60) == "at last"


def test_a_pause_reaches_other_processes_at_once(start_worker: Start, tmp_path: Path):
    """203. What they have not begun when the pause is committed, but for a claim on its way, stays."""
    register_queue("line", concurrency=4)
    several(start_worker, 2)
    crowd("line", tmp_path, 120, seconds=0.05)
    wait_until(lambda: ended(tmp_path) > 8)
    Queue.named("line").pause()
    wait_until(lambda: running() == 0)
    stopped = len(begun(tmp_path))
    register_queue("other")
    assert enqueue("other", say, 1).get_result(timeout=60) == 1
    assert len(begun(tmp_path)) == stopped < 120
    found = retrieve_queue("line")
    assert found is not None
    found.resume()
    wait_until(lambda: ended(tmp_path) == 120, timeout=120)


@pytest.mark.postgres(reason="without NOTIFY other processes find it by polling")
def test_the_wake_up_comes_with_the_commit(start_worker: Start, tmp_path: Path):
    """196. With a poll of a minute nothing but the notification can have told the worker."""
    assert connection.vendor == "postgresql"
    register_queue("line", concurrency=2)
    several(start_worker, 1)
    for number in range(5):
        assert enqueue("line", say, number).get_result(timeout=60) == number
