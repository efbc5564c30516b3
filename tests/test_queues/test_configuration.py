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
    ConflictingRegistrationError,
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
from durable_app.registry import DeclaredQueue, registry
from durable_app.store import queues, versions
from durable_app.worker.declarations import Declarations
from durable_app.worker.versions import CodeVersion
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, in_thread, status, step_names, wait_for_status, wait_until
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


# Declared


def declare(name: str = "line", **limits: Any) -> None:
    """Declare a queue as the next version of the code would: from the same place."""
    registry.queues.pop(name, None)
    Queue(name, **limits)


def test_a_declared_queue_is_created_by_a_starting_worker():
    """209. At once: before the worker takes anything."""
    declare(concurrency=2, polling_interval=3)
    with pytest.raises(NonExistentQueueError):
        limits()
    with Worker(threads=1):
        assert limits() == Limits(concurrency=2)
    assert Row.objects.get().polling_interval == timedelta(seconds=3)


def test_a_queue_that_is_declared_later_is_created_then(worker: Worker):
    """209. By a module that is imported late: its runs do not wait for the next start."""
    handle = enqueue("line", say, "late")
    declare()
    assert handle.get_result(timeout=60) == "late"


def test_an_operators_change_stays_until_the_code_says_something_new():
    """202, 203. A restart takes nothing back; a changed declaration wins."""
    declare(concurrency=2)
    with Worker(threads=1):
        Queue.named("line").configure(concurrency=7)
    with Worker(threads=1):
        assert limits().concurrency == 7
    declare(concurrency=3)
    with Worker(threads=1):
        assert limits().concurrency == 3


def test_a_pause_outlives_a_restart_and_a_new_declaration():
    """203. What is paused was paused for a reason."""
    declare(concurrency=2)
    with Worker(threads=1):
        Queue.named("line").pause()
    declare(concurrency=3)
    with Worker(threads=1):
        assert Queue.named("line").is_paused


def test_older_code_that_starts_again_changes_nothing():
    """202, 252. With versions only the latest one's declarations are taken over."""
    old, new = CodeVersion("v1"), CodeVersion("v2")
    old.register()
    new.register()
    declare(concurrency=2)
    Declarations(new).tell()
    declare(concurrency=1)
    declare("only in v1", concurrency=1)
    old.outdate()  # as the announcement of a version does
    Declarations(old).tell()
    assert limits().concurrency == 2
    assert limits("only in v1").concurrency == 1  # its runs need a queue


def test_two_declarations_that_differ_are_refused():
    """209. Both places are named; the same declaration twice is none."""
    first = Queue("line", concurrency=2)
    assert Queue("line", concurrency=2).name == first.name
    with pytest.raises(ConflictingRegistrationError) as caught:
        Queue("line", concurrency=3)
    assert str(caught.value).count(__file__) == 2
    with pytest.raises(ConflictingRegistrationError):
        Queue("line", concurrency=2, priority_enabled=False)


def test_a_module_that_is_imported_again_may_declare_anew():
    """209. The same line of code: a reload."""
    for number in (1, 2):
        Queue("line", concurrency=number)
    assert registry.queues["line"].limits.concurrency == 2


def test_a_declaration_is_told_once(monkeypatch: pytest.MonkeyPatch):
    """209. Ticks cost nothing for it."""
    told: list[str] = []
    monkeypatch.setattr(queues, "declare", lambda name, *args, **kwargs: told.append(name))
    declare("a")
    declare("b")
    declarations = Declarations(CodeVersion(""))
    declarations.tell()
    declarations.tell()
    declare("a", concurrency=1)
    declarations.tell()
    assert told == ["a", "b", "a"]


def test_a_declaration_is_data():
    """209. Two of the same words are alike wherever they stand."""
    one = DeclaredQueue(limits=Limits(), polling_interval=None, priority_enabled=True, location="a.py:1")
    other = DeclaredQueue(limits=Limits(), polling_interval=None, priority_enabled=True, location="b.py:2")
    assert one.is_like(other)
    assert not one.is_like(
        DeclaredQueue(
            limits=Limits(concurrency=1), polling_interval=None, priority_enabled=True, location="a.py:1"
        )
    )


def test_a_queue_that_is_gone_and_declared_comes_back_with_the_next_worker():
    """208. Until then its runs wait."""
    declare(concurrency=2)
    with Worker(threads=1):
        delete_queue("line")
        handle = enqueue("line", say, "again")
        assert status(handle.workflow_id) == Status.ENQUEUED
    with Worker(threads=1):
        wait_for_status(handle.workflow_id, Status.SUCCESS)
