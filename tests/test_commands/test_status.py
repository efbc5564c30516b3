"""`manage.py durable_status`: one screen, and an exit code for whoever does not look."""

import time
from datetime import timedelta

import pytest

from durable_app import clock, register_queue, retrieve_queue
from durable_app.models import Status, Worker
from tests.test_admin.pages import made
from tests.test_commands.keyboard import typed

pytestmark = pytest.mark.django_db


def live(name: str = "one", **columns: object) -> None:
    now = clock.now()
    Worker.objects.create(
        id=name,
        name=f"host:{name}",
        kind="worker",
        hostname="host",
        pid=1,
        slots=8,
        started_at=now,
        heartbeat_at=now,
        expires_at=now + timedelta(minutes=1),
        **columns,
    )


def test_all_is_well():
    """Exit 0, and on one screen: runs, workers, schedules, retention, migrations, queues, failures."""
    register_queue("status mail", concurrency=5)
    live()
    made(Status.ENQUEUED, queue_name="status mail", enqueued_at=clock.now() - timedelta(minutes=5))
    made(Status.ERROR)
    made()
    queue = retrieve_queue("status mail")
    assert queue is not None
    said = typed("durable_status")
    assert (said.code, said.err) == (0, "")
    assert said.lines[0] == "ok All is well."
    assert "runs         0 running, 1 waiting (the oldest for 5 m " in said.out
    assert "1 succeeded, 1 failed, 0 cancelled" in said.out
    assert "workers      1 live with 8 slots" in said.out
    assert "migrations   are applied" in said.out
    assert "shop.Declined" in said.out
    queue.pause()
    assert "paused" in typed("durable_status").out
    assert typed("durable_status", "--quiet").out == ""


def test_what_is_not_well_comes_first_and_is_exit_1():
    """Runs without a worker, and in a queue that there is not; --quiet prints nothing else."""
    made(Status.ENQUEUED)
    made(Status.ENQUEUED, queue_name="\x1b[2Jnowhere")
    said = typed("durable_status")
    assert (said.code, said.err) == (1, "2 things are not well.")
    assert [line[:2] for line in said.lines[:2]] == ["!!", "!!"]
    assert "\\x1b[2Jnowhere" in said.out
    assert "\x1b" not in said.out
    quiet = typed("durable_status", "--quiet")
    assert (quiet.code, quiet.lines) == (1, said.lines[:2])


def test_as_json_it_has_all_of_the_overview():
    """For monitors: is_well, banners, counts, throughput, queues, failures, schedules, workers."""
    made(Status.ENQUEUED)
    said = typed("durable_status", "-o", "json", "--over", "1h")
    assert said.code == 1
    found = said.json
    assert found["is_well"] is False
    assert found["banners"][0]["code"] == "no_worker"
    assert found["counts"]["waiting"] == 1
    assert found["window"] == 3600.0
    assert {"throughput", "queues", "failures", "schedules", "workers"} <= found.keys()


def test_many_queues_are_cut():
    """--rows: those in which the most waits come first."""
    live()
    for number in range(4):
        register_queue(f"status {number}")
    made(Status.ENQUEUED, queue_name="status 3")
    said = typed("durable_status", "--rows", "1")
    assert "status 3" in said.out
    assert "status 1" not in said.out
    assert said.lines[-1].startswith("and ")


def test_it_is_watched_until_ctrl_c(monkeypatch):
    """--watch: again after each pause; Ctrl-C is exit 130."""
    looks: list[float] = []

    def rest(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", rest)
    said = typed("durable_status", "--watch")
    assert (said.code, looks, said.err) == (130, [2.0, 2.0], "Interrupted.")
    assert said.out.count("All is well.") == 2


def test_nonsense_is_refused():
    """A span that is none, or longer than a year: a sentence."""
    assert "'soon' is no span" in typed("durable_status", "--over", "soon").err
    assert typed("durable_status", "--over", "9999d").code == 2
