"""Queues as both generations of programs use them: declared by making one, and registered at run time."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_app.dbos import DBOS, Queue, SetEnqueueOptions, SetWorkflowID, SetWorkflowTimeout, error
from durable_app.models import Queue as Row
from durable_app.models import Workflow
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Crowd:
    """Workflows that wait at a gate; knows how many were inside at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.begun: list[Any] = []
        self.gate = threading.Event()
        self._guard = threading.Lock()

        @DBOS.workflow(name="crowd")
        def enter(number):
            with self._guard:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.begun.append(number)
            assert self.gate.wait(30)
            with self._guard:
                self.inside -= 1
            return number

        self.enter = enter

    def finished(self, handles: list[Any]) -> list[Any]:
        self.gate.set()
        return [handle.get_result() for handle in handles]


@pytest.fixture
def crowd(dbos: Any) -> Iterator[Crowd]:
    found = Crowd()
    yield found
    found.gate.set()


@pytest.mark.parametrize("limit", ["worker_concurrency", "global_concurrency", "concurrency"])
@pytest.mark.parametrize("way", ["declared", "registered"])
def test_concurrency(crowd, limit, way):
    """181, 182. Never more at once; in the order of arrival."""
    make: Callable[..., Queue] = Queue if way == "declared" else DBOS.register_queue
    queue = make("q", **{limit: 2})
    handles = [queue.enqueue(crowd.enter, number) for number in range(6)]
    wait_until(lambda: crowd.inside == 2)
    assert [handle.get_status().status for handle in handles].count("ENQUEUED") == 4
    assert crowd.finished(handles) == [0, 1, 2, 3, 4, 5]
    assert crowd.most == 2
    assert set(crowd.begun[:2]) == {0, 1}  # two threads: either may be first to say so


def test_a_positional_concurrency(crowd):
    """2.x: `Queue(name, concurrency)`."""
    queue = Queue("q", 1)
    assert queue.concurrency == 1
    handles = [queue.enqueue(crowd.enter, number) for number in range(3)]
    assert crowd.finished(handles) == [0, 1, 2]
    assert (crowd.most, crowd.begun) == (1, [0, 1, 2])


def test_queues_declared_before_the_launch(crowd):
    """2.x: at import; the limits can be asked for even then."""
    DBOS.destroy()
    queue = Queue("early", worker_concurrency=1, limiter={"limit": 5, "period": 2.5})
    assert (queue.worker_concurrency, queue.limiter) == (1, {"limit": 5, "period": 2.5})
    assert not Row.objects.exists()
    DBOS(config={"name": "test-app"})
    DBOS.launch()
    handle = queue.enqueue(crowd.enter, 1)
    assert crowd.finished([handle]) == [1]
    assert (queue.worker_concurrency, queue.limiter) == (1, {"limit": 5, "period": 2.5})


def test_a_limiter_starts_no_more(crowd):
    """183. Of five runs three start in the first period."""
    queue = DBOS.register_queue("q", limiter={"limit": 3, "period": 600})
    crowd.gate.set()
    handles = [queue.enqueue(crowd.enter, number) for number in range(5)]
    assert [handle.get_result() for handle in handles[:3]] == [0, 1, 2]
    queue.set_limiter(None)
    assert [handle.get_result() for handle in handles[3:]] == [3, 4]


def test_partitions(crowd):
    """185. A limit for each key."""
    queue = DBOS.register_queue("q", partition_concurrency=1)
    handles = []
    for key in ("a", "b"):
        for number in range(2):
            with SetEnqueueOptions(queue_partition_key=key):
                handles.append(queue.enqueue(crowd.enter, f"{key}{number}"))
    wait_until(lambda: crowd.inside == 2)
    assert sorted(crowd.begun) == ["a0", "b0"]
    assert crowd.finished(handles) == ["a0", "a1", "b0", "b1"]


def test_partition_queue_of_2x(crowd):
    """2.x: with `partition_queue` the queue's limits are those of each key."""
    queue = Queue("q", partition_queue=True, concurrency=1)
    handles = []
    for key in ("a", "b"):
        for number in range(2):
            with SetEnqueueOptions(queue_partition_key=key):
                handles.append(queue.enqueue(crowd.enter, f"{key}{number}"))
    wait_until(lambda: crowd.inside == 2)
    assert sorted(crowd.begun) == ["a0", "b0"]
    assert crowd.finished(handles) == ["a0", "a1", "b0", "b1"]


def test_priorities(crowd):
    """179. The lowest number first, and without one before all; those alike in the order of arrival."""
    queue = DBOS.register_queue("q", worker_concurrency=1)
    handles = [queue.enqueue(crowd.enter, "running")]
    wait_until(lambda: crowd.inside == 1)
    for number, priority in enumerate([5, 1, None, 5, 1]):
        with SetEnqueueOptions(priority=priority):
            handles.append(queue.enqueue(crowd.enter, number))
    crowd.finished(handles)
    assert crowd.begun == ["running", 2, 1, 4, 0, 3]


def test_priorities_of_2x_must_be_enabled(crowd):
    """2.x: a declared queue refuses them otherwise."""
    plain, ranked = Queue("plain"), Queue("ranked", priority_enabled=True)
    with SetEnqueueOptions(priority=1):
        with pytest.raises(error.DBOSException, match="priority"):
            plain.enqueue(crowd.enter, 1)
        assert crowd.finished([ranked.enqueue(crowd.enter, 2)]) == [2]
    assert Workflow.objects.count() == 1


def test_deduplication(crowd):
    """210, 212, 213. One active run for each id, until it ends; the policy may join it."""
    queue = DBOS.register_queue("q")

    def enqueue(value: Any, **options: Any) -> Any:
        with SetEnqueueOptions(deduplication_id="once", **options):
            return queue.enqueue(crowd.enter, value)

    with SetWorkflowID("first"):
        first = enqueue("first")
    with pytest.raises(error.DBOSQueueDeduplicatedError):
        enqueue("second")
    assert enqueue("third", duplication_policy="return-existing").workflow_id == "first"
    with SetWorkflowID("first"):
        assert enqueue("again").workflow_id == "first"
    crowd.finished([first])
    assert enqueue("fourth").get_result() == "fourth"


def test_a_queue_that_comes_later(crowd):
    """192. The runs wait for it."""
    handle = DBOS.enqueue_workflow("later", crowd.enter, 1)
    other = DBOS.start_workflow(crowd.enter, 2)
    crowd.gate.set()
    assert other.get_result() == 2
    assert handle.get_status().status == "ENQUEUED"
    DBOS.register_queue("later")
    assert handle.get_result() == 1


def test_limits_change_while_workers_run(crowd):
    """203, 204, 205. Setters write, getters read, and bad values are refused."""
    queue = DBOS.register_queue("q", worker_concurrency=1, global_concurrency=3)
    handles = [queue.enqueue(crowd.enter, number) for number in range(4)]
    wait_until(lambda: crowd.inside == 1)
    queue.set_worker_concurrency(2)
    wait_until(lambda: crowd.inside == 2)
    with pytest.raises(ValueError, match="worker_concurrency"):
        queue.set_worker_concurrency(4)
    with pytest.raises(ValueError, match="limiter"):
        queue.set_limiter({"limit": 1})
    queue.set_worker_concurrency(None)
    wait_until(lambda: crowd.inside == 3)
    queue.set_polling_interval_sec(0.25)
    same = DBOS.retrieve_queue("q")
    assert same is not None
    assert (same.name, same.worker_concurrency, same.global_concurrency, same.concurrency) == (
        "q",
        None,
        3,
        3,
    )
    assert (same.limiter, same.partition_concurrency, same.polling_interval_sec) == (None, None, 0.25)
    crowd.finished(handles)
    assert crowd.most == 3


@pytest.mark.parametrize(
    "limits",
    [
        {"worker_concurrency": 3, "global_concurrency": 2},
        {"worker_concurrency": 0},
        {"partition_concurrency": 3, "global_concurrency": 2},
        {"limiter": {"limit": 1}},
        {"limiter": {"limit": 0, "period": 1}},
        {"polling_interval_sec": 0},
    ],
    ids=str,
)
def test_limits_are_checked(dbos, limits):
    """205."""
    with pytest.raises(ValueError):
        DBOS.register_queue("q", **limits)
    with pytest.raises(ValueError):
        Queue("q", **limits)
    assert DBOS.retrieve_queue("q") is None


def test_registering_again(dbos):
    """202, 206, 207, 208. The conflict policy; reserved names; deletion."""
    DBOS.register_queue("q", worker_concurrency=1)
    DBOS.register_queue("q", worker_concurrency=2, on_conflict="never_update")
    queue = DBOS.register_queue("q", worker_concurrency=3)
    assert queue.worker_concurrency == 3
    DBOS.register_queue("q", worker_concurrency=4, on_conflict="always_update")
    assert queue.worker_concurrency == 4
    with pytest.raises(ValueError, match="reserved"):
        DBOS.register_queue("_dbos_mine")
    DBOS.register_queue("other")
    assert [one.name for one in DBOS.list_queues()] == ["other", "q"]
    DBOS.delete_queue("q")
    DBOS.delete_queue("q")
    assert DBOS.retrieve_queue("q") is None
    with pytest.raises(error.DBOSException):
        queue.worker_concurrency  # noqa: B018


def test_only_the_latest_version_updates(dbos):
    """202. The default policy: older code that starts again takes nothing back."""
    DBOS.destroy()
    for version, limit in (("v1", 1), ("v2", 2), ("v1", 3)):
        DBOS(config={"name": "test-app", "application_version": version})
        DBOS.launch()
        queue = DBOS.register_queue("q", worker_concurrency=limit)
        assert queue.worker_concurrency == min(limit, 2)
        DBOS.destroy()
    with pytest.raises(error.DBOSException, match="launch"):
        DBOS.register_queue("q")


def test_listen_queues(crowd):
    """197. This process serves the named queues; it may enqueue on others, and starts its own runs."""
    DBOS.destroy()
    DBOS(config={"name": "test-app"})
    mine = Queue("mine")
    DBOS.listen_queues([mine])
    with pytest.raises(error.DBOSException, match="already"):
        DBOS.listen_queues(["other"])
    DBOS.launch()
    with pytest.raises(error.DBOSException, match="before"):
        DBOS.listen_queues(["other"])
    DBOS.register_queue("theirs")
    theirs = DBOS.enqueue_workflow("theirs", crowd.enter, 1)
    crowd.gate.set()
    assert mine.enqueue(crowd.enter, 2).get_result() == 2
    assert DBOS.start_workflow(crowd.enter, 3).get_result() == 3
    assert theirs.get_status().status == "ENQUEUED"


def test_steps_and_transactions_are_enqueued(dbos):
    """194, 48."""

    @DBOS.step(name="a-step")
    def step(value):
        return value

    @DBOS.transaction(name="a-transaction")
    def transaction(value):
        return value

    queue = Queue("q")
    for func, value in ((step, 1), (transaction, 2)):
        handle = queue.enqueue(func, value)
        assert handle.get_result() == value
        assert handle.get_status().name == f"<temp>.a-{func.__name__}"


def test_options_by_name(crowd):
    """278. The options win over the blocks around; the code may be elsewhere."""
    queue = DBOS.register_queue("q")
    crowd.gate.set()
    with SetWorkflowID("around"), SetEnqueueOptions(priority=9):
        handle = DBOS.enqueue_workflow_with_options(
            {
                "workflow_name": "crowd",
                "queue_name": queue.name,
                "workflow_id": "given",
                "priority": 2,
                "attributes": {"a": 1},
                "authenticated_user": "ann",
                "authenticated_roles": ["staff"],
                "workflow_timeout": 60.0,
                "max_recovery_attempts": 7,
            },
            7,
        )
    assert (handle.workflow_id, handle.get_result()) == ("given", 7)
    found = handle.get_status()
    assert (found.priority, found.attributes, found.workflow_timeout_ms) == (2, {"a": 1}, 60_000)
    assert (found.authenticated_user, found.authenticated_roles) == ("ann", ["staff"])
    assert Workflow.objects.get(workflow_id="given").max_recovery_attempts == 7
    unknown = DBOS.enqueue_workflow_with_options({"workflow_name": "elsewhere", "queue_name": "q"}, 1, a=2)
    assert unknown.get_status().input == {"args": (1,), "kwargs": {"a": 2}}
    assert crowd.enter(8) == 8
    assert unknown.get_status().status == "ENQUEUED"


def test_deadlines_of_enqueued_runs(crowd):
    """127, 131. They count from when the run is taken; the end of it is a cancellation."""
    queue = DBOS.register_queue("q", worker_concurrency=1)
    with SetWorkflowTimeout(0.2):
        handle = queue.enqueue(crowd.enter, 1)
    with pytest.raises(error.DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    found = handle.get_status()
    assert (found.status, found.workflow_timeout_ms) == ("CANCELLED", 200)
