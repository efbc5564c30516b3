"""A proxy in front of PostgreSQL that loses one chosen request, or the reply to it."""

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

READY_FOR_QUERY = b"Z\x00\x00\x00\x05"

Fault = Literal["request", "reply"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What gets lost: the statement with this text, or the COMMIT of the transaction it stands in."""

    text: bytes
    at_commit: bool
    fault: Fault


class Proxy:
    """Forwards connections; the first time that ``loss`` occurs, it cuts the connection there."""

    def __init__(self, url: str, loss: Loss) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self.loss = loss
        self.losses = 0
        port = self._listener.getsockname()[1]
        user = parts.netloc.rpartition("@")[0]  # name and password, as they were quoted
        self.url = parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable").geturl()

    def __enter__(self) -> "Proxy":
        self._spawn(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        for one in self._sockets:
            _close(one)
        for thread in self._threads:
            thread.join(10)

    def take_loss(self) -> bool:
        """Return whether the loss is still to occur; it occurs once."""
        with self._guard:
            self.losses += 1
            return self.losses == 1

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                link = _Link(self, client, server)
                self._spawn(link.carry_requests)
                self._spawn(link.carry_replies)

    def _spawn(self, target: object) -> None:
        thread = threading.Thread(target=target, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._marked = False
        self._losing_reply = False

    def carry_requests(self) -> None:
        """Forward what the client says, up to the request that is to be lost."""
        with contextlib.suppress(OSError):
            while data := self._client.recv(1 << 16):
                if self._is_loss(data):
                    if self._proxy.loss.fault == "request":
                        break
                    self._losing_reply = True
                self._server.sendall(data)
        self._cut()

    def _is_loss(self, data: bytes) -> bool:
        loss = self._proxy.loss
        marked = loss.text in data
        if not loss.at_commit:
            return marked and self._proxy.take_loss()
        self._marked = self._marked or marked
        if b"ROLLBACK" in data:
            self._marked = False
        if b"COMMIT" in data and self._marked:
            self._marked = False
            return self._proxy.take_loss()
        return False

    def carry_replies(self) -> None:
        """Forward what the server answers, up to the reply that is to be lost."""
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 16):
                if self._losing_reply:
                    if READY_FOR_QUERY in data:
                        break  # the server has done what it was asked
                    continue
                self._client.sendall(data)
        self._cut()

    def _cut(self) -> None:
        _close(self._client)
        _close(self._server)


def _close(found: socket.socket) -> None:
    with contextlib.suppress(OSError):
        found.shutdown(socket.SHUT_RDWR)
    found.close()
