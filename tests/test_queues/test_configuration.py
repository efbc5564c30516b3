"""Queues as rows: declared, registered, changed while workers run, deleted; and what is refused."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    InvalidOptionError,
    NonExistentQueueError,
    Queue,
    SynchronousCallError,
    adelete_queue,
    alist_queues,
    aregister_queue,
    aretrieve_queue,
    delete_queue,
    enqueue,
    enqueue_many,
    list_queues,
    register_queue,
    retrieve_queue,
    workflow,
)
from durable_app.limits import Limits, RateLimit
from durable_app.models import AppVersion, QueueStart, Status, Workflow
from durable_app.models import Queue as Row
from durable_app.registry import registry
from durable_app.store import versions
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, in_thread, status, step_names, wait_until
from tests.shop.queues import say
from tests.test_queues.rows import put, taken

pytestmark = pytest.mark.django_db(transaction=True)

gate = threading.Event()


@pytest.fixture(autouse=True)
def closed_gate() -> Iterator[None]:
    gate.clear()
    yield
    gate.set()


@workflow
def stand_at_gate() -> str:
    assert gate.wait(60)
    return "passed"


@workflow
def tune(name: str) -> list[Any]:
    found: list[Any] = [register_queue(name, concurrency=3).limits]
    line = Queue.named(name)
    found.append(line.configure(concurrency=4))
    line.pause(reason="in a workflow")
    found.append(line.is_paused)
    line.resume()
    found += [one.name for one in list_queues()]
    found.append(retrieve_queue("nowhere"))
    try:
        line.configure(worker_concurrency=9)
    except InvalidOptionError as error:
        found.append(type(error).__name__)
    delete_queue(name)
    return found


def limits(name: str = "line") -> Limits:
    return Queue.named(name).limits


# Registered


def test_registering_creates_and_then_changes():
    """202. An upsert: the last word holds, what it does not name is unlimited."""
    register_queue("line", concurrency=5, worker_concurrency=2)
    register_queue("line", limiter={"limit": 5, "period": 60}, polling_interval=0.5)
    assert limits() == Limits(limiter=RateLimit(limit=5, period=timedelta(minutes=1)))
    assert Row.objects.get().polling_interval == timedelta(seconds=0.5)


@pytest.mark.parametrize(
    ("policy", "is_latest", "changed"),
    [
        ("update_if_latest_version", True, True),
        ("update_if_latest_version", False, False),
        ("always_update", False, True),
        ("never_update", True, False),
    ],
)
def test_who_may_change_an_existing_queue(policy: Any, is_latest: bool, changed: bool, settings: Any):
    """202. Only the latest version, everybody, nobody; everybody creates it."""
    settings.DURABLE = {"APP_VERSION": "v1"}
    versions.register("v1")
    if not is_latest:
        versions.register("v2")
    register_queue("line", concurrency=1, on_conflict=policy)
    register_queue("line", concurrency=9, on_conflict=policy)
    assert limits().concurrency == (9 if changed else 1)


def test_a_version_that_nobody_knows_yet_is_a_new_one(settings: Any):
    """202. A web process of a fresh deployment registers before the first worker of its version starts."""
    versions.register("v1")
    register_queue("line", concurrency=1)
    settings.DURABLE = {"APP_VERSION": "v2"}
    register_queue("line", concurrency=2)
    assert limits().concurrency == 2
    assert AppVersion.objects.count() == 1


def test_an_unknown_policy_is_refused():
    """202."""
    with pytest.raises(InvalidOptionError, match="on_conflict"):
        register_queue("line", on_conflict="sometimes")  # type: ignore[arg-type]
    assert not Row.objects.exists()


def test_registrations_at_the_same_moment_leave_one_of_them():
    """202. None fails, and the row is one that somebody wrote."""
    line_up = threading.Barrier(8)

    def register(number: int) -> None:
        line_up.wait()
        register_queue("line", concurrency=number, worker_concurrency=number)

    for one in [in_thread(register, number) for number in range(1, 9)]:
        one.result(60)
    row = Row.objects.get()
    assert row.concurrency == row.worker_concurrency


REFUSED: list[dict[str, Any]] = [
    {"concurrency": 0},
    {"worker_concurrency": 5, "concurrency": 4},
    {"limiter": {"limit": 5}},
    {"limiter": {"limit": 0, "period": 1}},
    {"limiter": {"limit": 5, "period": 0}},
    {"polling_interval": 0},
    {"polling_interval": -1},
    {"polling_interval": float("nan")},
    {"polling_interval": float("inf")},
    {"polling_interval": "1s"},
    {"parallelism": 3},
]


@pytest.mark.parametrize("given", REFUSED)
def test_what_makes_no_sense_is_refused_everywhere(given: dict[str, Any]):
    """205. By declaration, registration and change: a ValueError, and nothing is changed."""
    register_queue("known")
    verbs: list[Callable[[], Any]] = [
        lambda: Queue("line", **given),
        lambda: register_queue("line", **given),
        lambda: Queue.named("known").configure(**given),
    ]
    for verb in verbs:
        with pytest.raises(ValueError, match=next(iter(given)).replace("_", ".")) as caught:
            verb()
        assert isinstance(caught.value, InvalidOptionError)
    assert list(Row.objects.values_list("name", flat=True)) == ["known"]
    assert limits("known") == Limits()
    assert "line" not in registry.queues


# Read and changed


def test_limits_are_read_from_the_database_each_time():
    """204. And a queue that is gone is an error."""
    line = register_queue("line", concurrency=1)
    Row.objects.update(concurrency=2)
    assert line.limits.concurrency == 2
    delete_queue("line")
    for verb in (lambda: line.limits, lambda: line.is_paused, line.pause, line.resume, line.configure):
        with pytest.raises(NonExistentQueueError) as caught:
            verb()
        assert caught.value.name == "line"
    assert not Row.objects.exists()


def test_a_change_names_what_changes():
    """203, 205. None removes a limit; a change that does not fit the rest changes nothing."""
    line = register_queue("line", concurrency=5, worker_concurrency=2)
    assert line.configure(concurrency=6) == Limits(concurrency=6, worker_concurrency=2)
    with pytest.raises(InvalidOptionError):
        line.configure(concurrency=1)
    assert line.configure(worker_concurrency=None, polling_interval=2) == Limits(concurrency=6)
    assert Row.objects.get().polling_interval == timedelta(seconds=2)
    assert line.limits == Limits(concurrency=6)


def test_a_running_worker_follows(worker: Worker):
    """203. Without a restart: more room at once, less room for what comes next."""
    line = register_queue("line", concurrency=1)
    handles = enqueue_many("line", stand_at_gate, [()] * 4)

    def running() -> int:
        return Workflow.objects.filter(status=Status.PENDING).count()

    wait_until(lambda: running() == 1)
    line.configure(concurrency=3)
    wait_until(lambda: running() == 3)
    line.configure(concurrency=None)
    wait_until(lambda: running() == 4)
    gate.set()
    assert {handle.get_result(timeout=60) for handle in handles} == {"passed"}


def test_deleting_a_queue_leaves_its_runs_for_the_next_of_that_name(worker: Worker):
    """208, 192. Nothing is taken meanwhile; its log of starts goes with it."""
    register_queue("line", limiter={"limit": 1, "period": 3600})
    first, second = enqueue_many("line", say, [1, 2])
    assert first.get_result(timeout=60) == 1
    assert QueueStart.objects.count() == 1
    delete_queue("line")
    assert QueueStart.objects.count() == 0
    with suppress(TimeoutError):
        second.get_result(timeout=0.1)
    assert status(second.workflow_id) == Status.ENQUEUED
    register_queue("line")
    assert second.get_result(timeout=60) == 2


def test_deleting_what_is_not_there_is_fine():
    """208."""
    delete_queue("nowhere")


def test_the_default_queue_is_always_there():
    """192. Without a row too; with limits it is like any other, and deleting them makes it unlimited."""
    found = retrieve_queue("default")
    assert found is not None
    assert found.limits == Limits()
    assert not found.is_paused
    assert [one.name for one in list_queues()] == ["default"]
    found.configure(concurrency=1)
    put(3, queue="default")
    assert len(taken(name="default")) == 1
    delete_queue("default")
    assert found.limits == Limits()


def test_queues_are_found_and_listed():
    """202, 204. By name; None is an answer."""
    register_queue("b")
    register_queue("a")
    assert [one.name for one in list_queues()] == ["a", "b", "default"]
    found = retrieve_queue("a")
    assert found is not None
    assert repr(found) == "Queue('a')"
    assert retrieve_queue("c") is None


def test_the_twins_do_the_same():
    """202, 203. And the plain ones say so on an event loop."""

    async def use() -> None:
        line = await aregister_queue("line", concurrency=2)
        assert (await line.alimits()).concurrency == 2
        assert (await line.aconfigure(concurrency=3)).concurrency == 3
        await line.apause(until=60)
        assert await line.ais_paused()
        await line.aresume()
        assert await aretrieve_queue("line") is not None
        assert [one.name for one in await alist_queues()] == ["default", "line"]
        await adelete_queue("line")
        assert await aretrieve_queue("line") is None

    async def misuse() -> None:
        with pytest.raises(SynchronousCallError, match="aregister_queue"):
            register_queue("line")

    async_to_sync(use)()
    asyncio.run(misuse())


def test_in_a_workflow_each_verb_is_a_step(worker: Worker):
    """202, 106. Done once, refusals included; the replay reads what was found then."""
    handle = enqueue("default", tune, "line")
    found = handle.get_result(timeout=60)
    names = [name for _, name in step_names(handle.workflow_id)]
    assert names == [
        "durable.registerQueue",
        "durable.getQueue",
        "durable.configureQueue",
        "durable.pauseQueue",
        "durable.isQueuePaused",
        "durable.resumeQueue",
        "durable.listQueues",
        "durable.retrieveQueue",
        "durable.configureQueue",
        "durable.deleteQueue",
    ]
    assert found[-1] == "InvalidOptionError"
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == found
    assert not Row.objects.exists()
