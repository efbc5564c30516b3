"""What a worker tells over HTTP, to probes and scrapes: a few addresses, and functions that answer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from durable_app.store import database


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is answered to a GET."""

    text: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Routes = dict[str, Callable[[], Answer]]


class Endpoint:
    """Answers on a port until it is closed. Raises OSError if the port cannot be had."""

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self._server = _Server((host, port), _Handler)
        self._server.routes = routes
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="durable-endpoint", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port; chosen by the system if 0 was wanted."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    routes: Routes


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    server_version = "durable"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer, or say that there is nothing here."""
        respond = self.server.routes.get(self.path.partition("?")[0])
        try:
            found = Answer(text="Not found.\n", status=404) if respond is None else respond()
        except Exception as error:  # noqa: BLE001  (a probe must learn of it, whatever it is)
            found = Answer(text=f"{type(error).__name__}\n", status=503)
        finally:
            database.close_thread_connections()
        body = found.text.encode()
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: probes come every few seconds."""
