"""From process to process: news is heard at once where the database tells of it, else found by polling."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from durable_app import (
    SendMessage,
    clock,
    get_event,
    get_result,
    read_stream,
    send,
    send_bulk,
    start_workflow,
)
from durable_app.engine import timers
from durable_app.models import Message, Status
from durable_app.store import listening, notify
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, wait_for_status, wait_until
from tests.processes import Program, project_env, write_settings
from tests.shop import talk
from tests.shop.flow import dictate

pytestmark = pytest.mark.django_db(transaction=True)

FOR_EVER = 3600.0
Start = Callable[..., Program]

POSTGRES = pytest.mark.postgres(reason="only PostgreSQL notifies other processes")


@pytest.fixture
def start(worker_env: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a command; the test's end kills it."""
    programs: list[Program] = []

    def start(*arguments: str, **env: str) -> Program:
        log = tmp_path / f"{len(programs)}.log"
        programs.append(Program(arguments, {**worker_env, **env}, log))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


@pytest.fixture
def nobody_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits look again only when they are told to: a lost notification would last for ever."""
    monkeypatch.setattr(timers, "FIRST_LOOK", FOR_EVER)
    monkeypatch.setattr(timers, "LONGEST_LOOK", FOR_EVER)
    monkeypatch.setattr(timers, "HEARING_LOOK", FOR_EVER)
    monkeypatch.setattr(timers, "LISTEN_AFTER", -1.0)


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Say to this process, and to those started with this environment, that a pooler stands between."""
    monkeypatch.setitem(connections["default"].settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    for earlier in listening._processes.values():  # another test's, which would go on for a while
        earlier._wanted_until = 0.0
    wait_until(lambda: not notify.is_listening())
    write_settings(tmp_path, 'DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True')
    return project_env(tmp_path)


def sender(destination: str, topic: str, *messages: Any) -> tuple[str, str, str]:
    """Return a command that sends messages from a process of its own."""
    code = f"import durable_app\nfor m in {messages!r}: durable_app.send({destination!r}, m, {topic!r})"
    return "shell", "-c", code


@POSTGRES
def test_a_worker_hears_a_message_from_another_process(
    start: Start, nobody_polls: None, settings: Any
) -> None:
    """150. The receiver waits in its thread and does not poll: the notification alone wakes it."""
    settings.DURABLE = {"PARK_AFTER": timers.FAR}
    handle = start_workflow(talk.receive, 1, "letters")
    with Worker(threads=1):
        wait_for_status(handle.workflow_id, Status.PENDING)
        wait_until(notify.is_listening)
        start(*sender(handle.workflow_id, "letters", "hello"))
        assert handle.get_result(timeout=60) == ["hello"]


@POSTGRES
def test_a_process_without_a_worker_hears_an_event(start: Start, nobody_polls: None) -> None:
    """159. It listens for as long as it waits; a worker in another process publishes."""
    waiting = in_thread(get_event, "later", "key", FOR_EVER)
    wait_until(notify.is_listening)
    start("durable_worker", "--threads", "1")
    start("shell", "-c", PUBLISH)
    assert waiting.result(60) == "news"


PUBLISH = """
from durable_app import SetWorkflowID, start_workflow
from tests.shop import talk
with SetWorkflowID("later"):
    start_workflow(talk.publish, "key", "news")
"""


def has_seen(seen: list[Any], value: Any) -> bool:
    return bool(seen[-1] == value)


@POSTGRES
def test_a_process_without_a_worker_hears_the_values_of_a_stream(start: Start, nobody_polls: None) -> None:
    """169. Value by value, from a run that another process executes; then the close."""
    handle = start_workflow(dictate, "log")
    seen: list[Any] = []

    def follow() -> None:
        seen.extend(["opened"])
        for value in read_stream(handle.workflow_id, "log"):
            seen.append(value)

    reader = in_thread(follow)
    wait_until(notify.is_listening)
    start("durable_worker", "--threads", "1")
    for value in ("a", "b", "c"):
        send(handle.workflow_id, value, "say")
        wait_until(partial(has_seen, seen, value))
    send(handle.workflow_id, "stop", "say")
    reader.result(60)
    assert seen == ["opened", "a", "b", "c"]


def test_without_notifications_polling_delivers_everything(start: Start, pooled: dict[str, str]) -> None:
    """150, 159, 169. SQLite, or a transaction pooler: messages, events and streams, by looking again."""
    dictating = start_workflow(dictate, "log")
    publishing = start_workflow(talk.publish, "key", "news")
    start("durable_worker", "--threads", "2", **pooled)
    event = in_thread(get_event, publishing.workflow_id, "key", 60)
    values: Any = in_thread(list, read_stream(dictating.workflow_id, "log", polling_interval_sec=0.05))
    start(*sender(dictating.workflow_id, "say", "a", "b", "stop"), **pooled)

    assert event.result(60) == "news"
    assert values.result(60) == ["a", "b"]
    assert get_result(dictating.workflow_id, timeout=60) is None
    assert not notify.is_listening()


def test_a_lost_announcement_is_made_up_for_by_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """150, F30. Nobody is told anything: what was sent is found all the same."""
    monkeypatch.setattr(notify, "announce", lambda *keys: None)
    monkeypatch.setattr(notify.Bulletin, "announce", lambda bulletin, keys: None)
    handle = start_workflow(dictate, "log")
    values: Any = in_thread(list, read_stream(handle.workflow_id, "log"))
    with Worker(threads=1):
        for value in ("a", "stop"):
            send(handle.workflow_id, value, "say")
        assert values.result(60) == ["a"]


def test_messages_of_one_instant_keep_their_order() -> None:
    """139, F48. Order is that of sending, not of the clock: here a hundred have the same time."""
    handle = start_workflow(talk.receive, 100)
    clock.freeze()
    try:
        for number in range(50):
            send(handle.workflow_id, number)
        clock.freeze(clock.now() - timedelta(hours=1))  # and a clock that is set back changes nothing
        send_bulk([SendMessage(handle.workflow_id, number) for number in range(50, 100)])
    finally:
        clock.release()
    assert Message.objects.values("sent_at").distinct().count() == 2
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == list(range(100))


def test_an_ear_hears_what_was_announced_between_two_waits() -> None:
    """150, F50. No wake-up falls into the moment between a look and the next wait."""
    bulletin = notify.bulletin
    with notify.Ear(["key"]).opened() as ear:
        bulletin.announce(["other"])
        ear.wait(0)
        bulletin.announce(["key"])
        ear.wait(FOR_EVER)  # returns at once, or never
        waiting = in_thread(ear.wait, FOR_EVER)
        bulletin.announce(["key"])
        waiting.result(60)


def test_an_ear_on_a_loop_hears_what_was_announced_before_it_waits() -> None:
    """150, 160, F50. The same for coroutines, told from another thread."""
    bulletin = notify.bulletin

    async def hear(ear: notify.Ear) -> None:
        bulletin.announce(["key"])
        await ear.await_news(FOR_EVER)
        telling = in_thread(bulletin.announce, ["key"])
        await ear.await_news(FOR_EVER)
        telling.result(60)

    with notify.Ear(["key"]).opened() as ear:
        asyncio.run(hear(ear))
