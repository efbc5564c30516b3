"""Messages, events and streams through the seed's names."""

import threading
from typing import Any

import pytest

from durable_app.dbos import DBOS, SendMessage, SetWorkflowID, error
from tests.helpers import in_thread, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_messages(dbos):
    """139, 140, 143, 144, 148. FIFO by topic; once for a key; None is a message; a timeout is None."""

    @DBOS.workflow()
    def receives():
        first = [DBOS.recv("a"), DBOS.recv("a"), DBOS.recv("a"), DBOS.recv(), DBOS.recv("a", 0)]
        return [*first, DBOS.recv("b", timeout_seconds=0.01)]

    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(receives)
    DBOS.send("w", 1, "a")
    for _ in range(2):
        DBOS.send("w", 2, "a", idempotency_key="k")
    DBOS.send("w", None, "a")
    DBOS.send("w", "no topic")
    assert handle.get_result() == [1, 2, None, "no topic", None, None]


def test_bulk_messages(dbos):
    """145, 146. All or none; to forks too."""

    @DBOS.workflow()
    def receives():
        return DBOS.recv(timeout_seconds=60)

    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(receives)
    fork = DBOS.fork_workflow("w", 1)
    with pytest.raises(error.DBOSNonExistentWorkflowError):
        DBOS.send_bulk([SendMessage("w", "lost"), SendMessage("none", "lost")])
    DBOS.send_bulk([])
    DBOS.send_bulk([SendMessage("w", "found")], send_to_forks=True)
    assert (handle.get_result(), fork.get_result()) == ("found", "found")


def test_events(dbos):
    """153, 155, 157, 158. The latest value; waited for before the run exists, and there after its end."""

    @DBOS.workflow()
    def publishes():
        DBOS.set_event("a", 1)
        DBOS.set_event("a", 2)
        DBOS.set_event("none", None)

    waiting = in_thread(DBOS.get_event, "w", "a", 60)
    with SetWorkflowID("w"):
        publishes()
    assert waiting.result(60) in (1, 2)
    assert DBOS.get_event("w", "a") == 2
    assert DBOS.get_event("w", "b", timeout_seconds=0.01) is None
    assert DBOS.get_all_events("w") == {"a": 2, "none": None}
    assert DBOS.get_all_events("nobody") == {}


def test_streams_are_followed_live(dbos):
    """161, 164, 167, 168, 169. Values arrive before the run ends; offsets; the end of it."""
    go_on = threading.Event()
    read: list[Any] = []

    @DBOS.workflow()
    def writes():
        for value in (1, None, "x"):
            DBOS.write_stream("s", value)
        assert go_on.wait(30)
        DBOS.write_stream("s", "last")
        DBOS.close_stream("s")
        DBOS.recv(timeout_seconds=60)

    handle = DBOS.start_workflow(writes)
    follower = in_thread(lambda: read.extend(DBOS.read_stream(handle.workflow_id, "s")))
    wait_until(lambda: len(read) == 3)
    go_on.set()
    follower.result(60)
    assert read == [1, None, "x", "last"]
    assert list(DBOS.read_stream(handle.workflow_id, "s", offset=2)) == ["x", "last"]
    assert DBOS.read_stream_offset(handle.workflow_id, "s", 3) == "last"
    DBOS.send(handle.workflow_id, "end")
    handle.get_result()


def test_a_stream_ends_with_its_run(dbos):
    """162, 165. Even without a close; a failed step's writes stay."""
    tries: list[int] = []

    @DBOS.step(retries_allowed=True, interval_seconds=0.001)
    def writes_in_a_step():
        tries.append(1)
        DBOS.write_stream("s", len(tries))
        if len(tries) < 3:
            raise ValueError("again")

    @DBOS.workflow()
    def writes():
        writes_in_a_step()
        raise KeyError("the end")

    with SetWorkflowID("w"), pytest.raises(KeyError):
        writes()
    assert list(DBOS.read_stream("w", "s")) == [1, 2, 3]
    assert list(DBOS.read_stream("w", "other")) == []
