"""Queues declared in code: created by workers, followed when the code says something new."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    ConflictingRegistrationError,
    NonExistentQueueError,
    Queue,
    delete_queue,
    enqueue,
    list_queues,
    retrieve_queue,
)
from durable_app.limits import Limits
from durable_app.models import Queue as Row
from durable_app.models import Status
from durable_app.registry import DeclaredQueue, registry
from durable_app.store import queues
from durable_app.worker.declarations import Declarations
from durable_app.worker.versions import CodeVersion
from durable_app.worker.worker import Worker
from tests.helpers import status, wait_for_status
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)


def limits(name: str = "line") -> Limits:
    return Queue.named(name).limits


def declare(name: str = "line", **limits: Any) -> None:
    """Declare a queue as the next version of the code would: from the same place."""
    registry.queues.pop(name, None)
    Queue(name, **limits)


def test_a_declared_queue_is_created_by_a_starting_worker():
    """209. At once: before the worker takes anything."""
    declare(concurrency=2, polling_interval=3)
    assert not Row.objects.exists()
    with Worker(threads=1):
        assert limits() == Limits(concurrency=2)
    assert Row.objects.get().polling_interval == timedelta(seconds=3)


def test_a_declared_queue_is_there_before_any_worker_has_started():
    """209. The code says what it is; the first change of it makes its row."""
    declare(concurrency=2, polling_interval=3)
    line = retrieve_queue("line")
    assert line is not None
    assert "line" in [found.name for found in list_queues()]
    before = (line.limits, line.is_paused, line.paused)
    assert before == (Limits(concurrency=2), False, None)
    assert not Row.objects.exists()
    line.pause(until=60, reason="not yet")
    row = Row.objects.get()
    assert (row.concurrency, row.polling_interval) == (2, timedelta(seconds=3))
    pause = line.paused
    assert pause is not None
    assert (pause.since, pause.until, pause.reason) == (row.paused_at, row.paused_until, "not yet")
    with Worker(threads=1):
        paused = [line.is_paused]
    line.resume()
    assert [*paused, line.is_paused] == [True, False]
    assert line.configure(worker_concurrency=1) == Limits(concurrency=2, worker_concurrency=1)
    with pytest.raises(NonExistentQueueError):
        Queue.named("lime").pause()


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
