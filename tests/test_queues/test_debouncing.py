"""Debouncing: of many calls in a short time the last one runs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    ConfiguredInstance,
    Debouncer,
    InvalidOptionError,
    QueueDeduplicatedError,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    cancel_workflow,
    clock,
    enqueue,
    register_queue,
    set_workflow_delay,
    workflow,
)
from durable_app.debouncing import debounce_key
from durable_app.models import Status, Workflow
from durable_app.store import delays
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
calls: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    yield


@pytest.fixture
def frozen() -> Iterator[None]:
    clock.freeze()
    yield
    clock.release()


@workflow
def index(what: str) -> str:
    calls.append(what)
    return what


@workflow
def other_index(what: str) -> str:
    return what


class Indexer(ConfiguredInstance):
    @workflow
    def index(self, what: str) -> str:
        return what


def bounce(what: str = "x", key: str = "key", period: float = HOUR, **options: Any) -> str:
    return Debouncer(index, **options).debounce(key, period, what).workflow_id


def only() -> Workflow:
    return Workflow.objects.get()


def make_due() -> None:
    """Let all delayed runs be due, and release them."""
    Workflow.objects.update(run_after=clock.now())
    delays.release_delayed()


def test_the_first_call_makes_a_delayed_run(frozen: None):
    """215. Due in a period from now."""
    assert bounce() == only().workflow_id
    assert only().status == Status.DELAYED
    assert only().run_after == clock.now() + timedelta(hours=1)


def test_further_calls_replace_the_inputs_and_put_the_run_off(frozen: None):
    """215. They return handles to the same run, which runs once with the last inputs."""
    first = bounce("one")
    clock.advance(timedelta(minutes=30))
    assert bounce("two") == first
    assert bounce("three") == first
    assert only().run_after == clock.now() + timedelta(hours=1)
    make_due()
    clock.release()
    with Worker(threads=1):
        wait_until(lambda: calls)
    assert calls == ["three"]


def test_the_total_delay_is_capped(frozen: None):
    """216. From the first call on, not from the last."""
    began = clock.now()
    for _ in range(5):
        bounce(debounce_timeout=90 * 60)
        clock.advance(timedelta(minutes=20))
    assert only().run_after == began + timedelta(minutes=90)


def test_a_cap_below_the_period_holds_for_the_first_call_too(frozen: None):
    """216."""
    bounce(debounce_timeout=10)
    assert only().run_after == clock.now() + timedelta(seconds=10)


def test_once_due_the_key_is_released():
    """217. The next call makes another run; the first keeps its inputs."""
    first = bounce("one")
    make_due()
    second = bounce("two")
    assert second != first
    rows = Workflow.objects.order_by("pk").values_list("status", "deduplication_id")
    assert list(rows) == [(Status.ENQUEUED, None), (Status.DELAYED, debounce_key("index", "key"))]


def test_keys_and_workflows_are_independent():
    """218. Even where name and key, put together, read the same."""
    runs = {bounce(key="a"), bounce(key="b"), Debouncer(other_index).debounce("a", HOUR, "x").workflow_id}
    assert len(runs) == 3
    assert debounce_key("a-b", "c") != debounce_key("a", "b-c")
    assert debounce_key('a","b', "c") != debounce_key("a", 'b","c')


def test_long_keys_stay_apart():
    """218, F37. A key of 5 KB is hashed, not cut."""
    long = "k" * 5000
    assert bounce(key=long + "1") != bounce(key=long + "2")
    assert bounce(key=long + "1") == Workflow.objects.order_by("pk")[0].workflow_id
    assert len(debounce_key("index", long)) <= 255


@pytest.mark.parametrize("key", [7, None, "", "nul\x00", "\ud800"])
def test_a_senseless_key_is_refused(key: Any):
    """F37, F74. Before anything is written, and not by the database."""
    with pytest.raises(InvalidOptionError, match="debounce key"):
        bounce(key=key)
    assert not Workflow.objects.exists()


def test_a_key_held_by_an_ordinary_run_is_refused():
    """219."""
    with SetEnqueueOptions(deduplication_id=debounce_key("index", "key")):
        holder = enqueue("default", index, "ordinary")
    with pytest.raises(QueueDeduplicatedError) as caught:
        bounce()
    assert caught.value.workflow_id == holder.workflow_id


def test_a_debounced_run_that_was_let_go_by_hand_holds_its_key_no_longer_than_it_is_active():
    """219. An operator moved it into the queue: it is as good as an ordinary run; nothing spins."""
    bounce()
    Workflow.objects.update(status=Status.ENQUEUED)
    with pytest.raises(QueueDeduplicatedError):
        bounce()


@pytest.mark.parametrize(
    "options",
    [
        {"deduplication_id": "x"},
        {"delay_seconds": 1},
        {"priority": 1},
        {"queue_partition_key": "x"},
        {"deduplication_id": "x", "duplication_policy": "return-existing"},
    ],
)
def test_options_that_debouncing_sets_itself_are_refused(options: dict[str, Any]):
    """220."""
    with SetEnqueueOptions(**options), pytest.raises(InvalidOptionError, match="debounced"):
        bounce()
    assert not Workflow.objects.exists()


def test_rejected_reuse_and_methods_and_negative_periods_are_refused():
    """220. And an id that may not be reused makes no sense where runs are joined."""
    with SetWorkflowID("x", workflow_id_reuse_policy="reject"), pytest.raises(InvalidOptionError):
        bounce()
    with pytest.raises(InvalidOptionError, match="method"):
        Debouncer(Indexer("one").index)
    with pytest.raises(InvalidOptionError, match="period"):
        bounce(period=-1)
    with pytest.raises(InvalidOptionError, match="debounce_timeout"):
        bounce(debounce_timeout=-1)
    assert not Workflow.objects.exists()


def test_version_attributes_and_timeout_of_the_caller_are_kept():
    """225. What says nothing about the place in the queue is the caller's to say."""
    with SetEnqueueOptions(app_version="v7"), SetWorkflowAttributes({"a": 1}), SetWorkflowTimeout(5):
        bounce()
    row = only()
    assert (row.app_version, row.attributes, row.timeout) == ("v7", {"a": 1}, timedelta(seconds=5))


def test_a_pinned_id_is_the_runs_and_is_bounced_again(frozen: None):
    """222. The last input wins, and the time may also come nearer."""
    for what, period in (("one", HOUR), ("two", 60)):
        with SetWorkflowID("pinned"):
            assert bounce(what, period=period) == "pinned"
    assert only().run_after == clock.now() + timedelta(seconds=60)
    assert "two" in only().inputs


def test_a_pinned_id_that_was_not_needed_does_not_leak():
    """222. The run under the key exists: the id is given to nobody."""
    first = bounce("one")
    with SetWorkflowID("pinned"):
        assert bounce("two") == first
        assert bounce("three", key="other") != "pinned"
    assert not Workflow.objects.filter(workflow_id="pinned").exists()


def test_a_pinned_id_of_a_run_that_has_started_means_that_run():
    """222, 193. The key is free, the id is not."""
    with SetWorkflowID("pinned"):
        bounce("one")
    make_due()
    with SetWorkflowID("pinned"):
        assert bounce("two") == "pinned"
    assert "one" in only().inputs


def test_cancelling_frees_the_key():
    """223."""
    first = bounce()
    cancel_workflow(first)
    assert bounce() != first


def test_a_queue_can_be_named():
    """224. The key is that queue's."""
    register_queue("line")
    assert bounce(queue="line") != bounce()
    assert Workflow.objects.filter(queue_name="line").count() == 1


def test_the_twin_does_the_same():
    """224."""

    async def twice() -> set[str]:
        debouncer = Debouncer(index)
        handles = [await debouncer.adebounce("key", HOUR, what) for what in ("one", "two")]
        return {handle.workflow_id for handle in handles}

    assert async_to_sync(twice)() == {only().workflow_id}


def test_the_delay_of_a_debounced_run_can_be_set(frozen: None):
    """190, 215. As that of any delayed run."""
    set_workflow_delay(bounce(), delay_seconds=5)
    assert only().run_after == clock.now() + timedelta(seconds=5)


def test_say_is_untouched_by_all_this():
    """218. A workflow that is debounced elsewhere can be enqueued as ever."""
    Debouncer(say).debounce("key", HOUR, 1)
    assert enqueue("default", say, 2).workflow_id != Workflow.objects.order_by("pk")[0].workflow_id
