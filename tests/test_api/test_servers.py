"""What waits and what streams, behind real servers in processes of their own: ASGI and threads of WSGI."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from durable_app.models import Status, Workflow
from tests.helpers import in_thread, wait_until
from tests.processes import Program
from tests.test_admin.pages import made
from tests.test_api.conftest import BASE
from tests.test_api.test_live import append, end

PATIENCE = 30

CROWD = 16
"""Clients at once: more than the sockets and threads that a server's own connections take."""


class Uvicorn(Program):
    """An ASGI server."""

    program = ("-m", "uvicorn", "--factory", "django.core.asgi:get_asgi_application", "--port", "0")


class ThreadedWSGI(Program):
    """The standard library's server, a thread a connection."""

    program = (
        "-c",
        "from django.core.wsgi import get_wsgi_application\n"
        "from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler\n"
        "server = ThreadedWSGIServer(('127.0.0.1', 0), WSGIRequestHandler)\n"
        "server.set_app(get_wsgi_application())\n"
        "print(f'running on http://127.0.0.1:{server.server_port} ', flush=True)\n"
        "server.serve_forever()",
    )


class Site:
    """A server, and somebody who is logged in."""

    def __init__(self, program: Program, cookie: str) -> None:
        self.program, self.cookie = program, cookie
        self._asked: list[tuple[HTTPConnection, HTTPResponse]] = []
        wait_until(lambda: self._address() or program.process.poll() is not None)
        found = self._address()
        assert found, program.output
        self.port = int(found[1])

    def _address(self) -> re.Match[str] | None:
        return re.search(r"running on http://127\.0\.0\.1:(\d+) ", self.program.output)

    def get(self, path: str, **headers: str) -> HTTPResponse:
        """Ask; what comes is read as it comes."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(
            "GET", f"{BASE}{path}", headers={"Host": "testserver", "Cookie": self.cookie, **sent}
        )
        response = connection.getresponse()
        self._asked.append((connection, response))
        return response

    def leave(self) -> None:
        """Go away from all that was asked, be it in the middle of an answer."""
        while self._asked:
            for one in self._asked.pop():
                one.close()

    def held(self) -> tuple[int, int]:
        """Return how many sockets and threads the server has."""
        process = Path(f"/proc/{self.program.pid}")
        return sum(map(_is_socket, (process / "fd").iterdir())), len(list((process / "task").iterdir()))


def _is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def heard(response: HTTPResponse, wanted: str) -> str:
    """Read until this has come, or fail at the end of the answer."""
    text = ""
    while wanted not in text:
        line = response.readline().decode()
        assert line, text
        text += line
    return text


@pytest.fixture
def site(request: Any, worker_env: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """Start the server that the test names, on the test's database."""
    client = Client()
    client.force_login(User.objects.create_superuser("visitor"))
    cookie = "; ".join(f"{name}={one.value}" for name, one in client.cookies.items())
    program = request.param((), worker_env, tmp_path / "server.log")
    try:
        site = Site(program, cookie)
        yield site
        site.leave()
    finally:
        program.kill()


def events(run: Workflow) -> str:
    return f"/workflows/{run.workflow_id}/streams/words/sse"


def progress(run: Workflow) -> str:
    return f"/workflows/{run.workflow_id}/progress/sse"


def result(run: Workflow) -> str:
    return f"/workflows/{run.workflow_id}/result?wait=30"


@pytest.mark.parametrize("site", [Uvicorn], indirect=True)
def test_an_asgi_server_tells_as_it_happens_and_keeps_nothing_of_who_goes(site: Site) -> None:
    """A stream resumed after a cut, progress until the end, a result waited for; then the line is free."""
    run = made(Status.PENDING)
    append(run, "a")
    first = site.get(events(run))
    assert first.getheader("Content-Type") == "text/event-stream"
    assert heard(first, '"a"\n') == 'retry: 2000\n\nid: 0\ndata: "a"\n'
    site.leave()
    append(run, "b")
    second = site.get(events(run), Last_Event_ID="0")
    assert heard(second, '"b"\n') == 'retry: 2000\n\nid: 1\ndata: "b"\n'
    site.leave()

    crowd = [site.get(events(run), Last_Event_ID="1") for _ in range(CROWD)]
    for one in crowd:
        heard(one, "retry")
    assert site.held()[0] > CROWD
    wait_until(lambda: site.held()[1] < CROWD, what="fewer threads than followers")
    site.leave()
    wait_until(lambda: site.held()[0] < CROWD, what="fewer sockets than there were followers")

    third = site.get(events(run), Last_Event_ID="1")
    follower, waiting = site.get(progress(run)), in_thread(lambda: json.load(site.get(result(run))))
    heard(follower, '"status": "PENDING"')
    append(run, "c", ends=True)
    assert third.read().decode() == (
        'retry: 2000\n\nid: 2\ndata: "c"\n\nid: end\nevent: end\ndata: {"reason": "closed"}\n\n'
    )
    end(run)
    assert follower.read().decode().endswith('id: end\nevent: end\ndata: {"reason": "SUCCESS"}\n\n')
    assert waiting.result(PATIENCE)["result"] == "paid"


@pytest.mark.parametrize("site", [ThreadedWSGI], indirect=True)
def test_a_wsgi_server_tells_the_same_in_batches_and_keeps_no_thread(site: Site) -> None:
    """Each answer ends by itself; who asks again with the last id misses nothing, and is told to stop."""
    run = made(Status.PENDING)
    append(run, "a", "b")
    assert site.get(events(run)).read().decode() == (
        'retry: 2000\n\nid: 0\ndata: "a"\n\nid: 1\ndata: "b"\n\n'
    )
    assert site.get(events(run), Last_Event_ID="1").read().decode() == "retry: 2000\n\n: ping\n\n"
    append(run, "c", ends=True)
    assert site.get(events(run), Last_Event_ID="1").read().decode().count("data:") == 2
    assert site.get(events(run), Last_Event_ID="end").status == 204
    assert '"status": "PENDING"' in site.get(progress(run)).read().decode()

    waiting = [in_thread(lambda: json.load(site.get(result(run)))) for _ in range(CROWD)]
    wait_until(lambda: site.held()[1] > CROWD)
    assert site.get(progress(run)).status == 200  # nobody stands in the way of others
    end(run)
    assert [one.result(PATIENCE)["result"] for one in waiting] == ["paid"] * CROWD
    assert site.get(progress(run)).read().decode().endswith('data: {"reason": "SUCCESS"}\n\n')
    wait_until(lambda: max(site.held()) < CROWD, what="fewer sockets and threads than there were clients")
