"""Under ASGI: events as they happen, resumed after a cut; and clients that go away leave nothing behind."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.test import Client

from durable_app.api import sse
from durable_app.models import Status, Workflow
from durable_app.store import notify, streams
from durable_app.store.waits import News
from tests.helpers import wait_until
from tests.test_admin.pages import made
from tests.test_api.conftest import BASE
from tests.test_api.test_streaming import entries

PATIENCE = 30


@pytest.fixture
def cookie(transactional_db: None) -> bytes:
    """Return the cookie of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("live"))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode()


class Visit:
    """A request to the ASGI application, and what has come of it so far."""

    def __init__(self, communicator: ApplicationCommunicator) -> None:
        self.communicator = communicator
        self.text = ""
        self.is_over = False

    async def begin(self) -> dict[bytes, bytes]:
        """Wait for the status and the headers."""
        start = await self.communicator.receive_output(PATIENCE)
        self.status = start["status"]
        return dict(start["headers"])

    async def hear(self, wanted: str) -> None:
        """Wait until this has come."""
        while wanted not in self.text:
            await self._more()

    async def finish(self) -> str:
        """Wait for the end; return all that has come."""
        while not self.is_over:
            await self._more()
        return self.text

    async def _more(self) -> None:
        assert not self.is_over, self.text
        part = await self.communicator.receive_output(PATIENCE)
        self.text += part.get("body", b"").decode()
        self.is_over = not part.get("more_body")


@asynccontextmanager
async def visit(path: str, cookie: bytes, **headers: str) -> AsyncIterator[Visit]:
    """Ask, and go away at the end of the block."""
    path, _, query = path.partition("?")
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": f"{BASE}{path}",
        "query_string": query.encode(),
        "headers": [(b"host", b"testserver"), (b"cookie", cookie), *sent],
    }
    communicator = ApplicationCommunicator(ASGIHandler(), scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    yield Visit(communicator)
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(PATIENCE)


def append(run: Workflow, *values: Any, ends: bool = False) -> None:
    entries(run, *values, ends=ends)
    streams.announce(run.workflow_id, "words")


def end(run: Workflow) -> None:
    Workflow.objects.filter(pk=run.pk).update(
        status=Status.SUCCESS, output='"paid"', finished_at=run.created_at
    )
    notify.announce(News("result", run.workflow_id).key)


def live(test: Callable[..., Any]) -> Any:
    """Run a coroutine on a loop, its calls of the ORM on the test's thread; it may leave nothing behind."""
    before = set(threading.enumerate())
    async_to_sync(test)()
    assert not notify.bulletin._waiting
    kept = ("durable-store", "durable-listener", "durable-notifier")
    wait_until(
        lambda: not [one for one in set(threading.enumerate()) - before if not one.name.startswith(kept)]
    )


def test_a_stream_is_told_as_it_is_written(cookie):
    """Each entry as it comes; after a cut the rest, from the last id on; then the end."""
    run = made(Status.PENDING)
    path = f"/workflows/{run.workflow_id}/streams/words/sse"

    async def follow() -> None:
        async with visit(path, cookie) as first:
            headers = await first.begin()
            assert headers[b"Content-Type"] == b"text/event-stream"
            assert headers[b"X-Accel-Buffering"] == b"no"
            await first.hear("retry: 2000\n\n")
            await sync_to_async(append)(run, "a")
            await first.hear('id: 0\ndata: "a"\n\n')
            await sync_to_async(append)(run, "b")
            await first.hear('id: 1\ndata: "b"\n\n')
        await sync_to_async(append)(run, "c")
        async with visit(path, cookie, last_event_id="1") as second:
            await second.begin()
            await second.hear('data: "c"\n\n')
            await sync_to_async(append)(run, "d", ends=True)
            assert await second.finish() == (
                'retry: 2000\n\nid: 2\ndata: "c"\n\nid: 3\ndata: "d"\n\n'
                'id: end\nevent: end\ndata: {"reason": "closed"}\n\n'
            )

    live(follow)


def test_a_silent_line_is_kept_alive_but_not_for_ever(cookie, monkeypatch):
    """A ping in every silence; after a while the response ends without an end, and may be asked for again."""
    monkeypatch.setattr(sse, "PING_EVERY", 0.01)
    monkeypatch.setattr(sse, "LONGEST", 0.2)
    run = made(Status.WAITING)

    async def follow() -> None:
        async with visit(f"/workflows/{run.workflow_id}/streams/words/sse", cookie) as silent:
            await silent.begin()
            text = await silent.finish()
        assert ": ping\n\n: ping\n\n" in text
        assert "event: end" not in text

    live(follow)


def test_the_progress_of_a_run_is_told_until_its_end(cookie):
    """The state at once, each change of it, and the end."""
    run = made(Status.ENQUEUED)

    async def follow() -> None:
        async with visit(f"/workflows/{run.workflow_id}/progress/sse", cookie) as watch:
            await watch.begin()
            await watch.hear('"status": "ENQUEUED"')
            await Workflow.objects.filter(pk=run.pk).aupdate(status=Status.PENDING)
            await watch.hear('"status": "PENDING"')
            await sync_to_async(end)(run)
            text = await watch.finish()
        assert text.count("event: progress") == 3
        assert text.endswith('id: end\nevent: end\ndata: {"reason": "SUCCESS"}\n\n')

    live(follow)


def test_a_run_that_is_deleted_ends_its_events(cookie):
    """Whoever follows is told, rather than left waiting."""
    run = made(Status.SUCCESS)
    Workflow.objects.filter(pk=run.pk).update(status=Status.PENDING)

    async def follow() -> None:
        async with visit(f"/workflows/{run.workflow_id}/streams/words/sse", cookie) as watch:
            await watch.begin()
            await watch.hear("retry")
            await Workflow.objects.filter(pk=run.pk).adelete()
            assert '{"reason": "deleted"}' in await watch.finish()

    live(follow)


def test_a_result_is_waited_for(cookie):
    """The answer comes when the run ends; who goes away meanwhile is not waited for."""
    run = made(Status.PENDING)
    path = f"/workflows/{run.workflow_id}/result?wait=30"

    async def follow() -> None:
        async with visit(path, cookie):
            pass
        async with visit(path, cookie) as waiting:
            await sync_to_async(end)(run)
            await waiting.begin()
            assert waiting.status == 200
            assert '"result":"paid"' in await waiting.finish()

    live(follow)


def test_whoever_waits_holds_no_thread(cookie):
    """A hundred browsers that follow runs cost no hundred threads, nor connections."""
    run = made(Status.PENDING)
    path, before = f"/workflows/{run.workflow_id}", kept_for_requests()

    async def follow() -> None:
        async with visit(f"{path}/streams/words/sse", cookie) as one, visit(f"{path}/result?wait=30", cookie):
            await one.begin()
            await one.hear("retry")
            give_up_at = time.monotonic() + PATIENCE
            while kept := kept_for_requests() - before:
                assert time.monotonic() < give_up_at, kept
                await asyncio.sleep(0.01)

    asyncio.run(follow())  # ``async_to_sync`` would lend requests the test's own thread


def kept_for_requests() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")}


def test_an_unknown_run_and_a_wrong_offset_are_problems(cookie):
    """Before anything is streamed."""

    async def follow() -> None:
        for path, status in (
            ("/workflows/nowhere/streams/words/sse", 404),
            ("/workflows/nowhere/result?wait=nine", 400),
        ):
            async with visit(path, cookie) as lost:
                headers = await lost.begin()
                assert lost.status == status
                assert headers[b"Content-Type"] == b"application/problem+json"

    live(follow)
