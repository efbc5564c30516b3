"""A proxy in front of PostgreSQL that counts the statements which pass: works without an extension.

(What the client sends is a message of a type, a length and a body; "Q" and "E" execute something.
PostgreSQL's documentation, chapter "Frontend/Backend Protocol".)
"""

import socket
import struct
import threading
from contextlib import suppress
from urllib.parse import urlsplit

EXECUTING = b"QE"
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104

_LENGTH = struct.Struct("!i")


class StatementCounter:
    """Forwards connections to a server; ``url`` leads through it, ``count`` is of all statements so far."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        user = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{user}@127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self.count = 0

    def __enter__(self) -> "StatementCounter":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._carry_requests, args=(client, server), daemon=True).start()
                threading.Thread(target=_carry_replies, args=(server, client), daemon=True).start()

    def _carry_requests(self, client: socket.socket, server: socket.socket) -> None:
        messages = _Messages(client)
        with suppress(OSError, EOFError):
            while not messages.is_started:
                server.sendall(messages.take_opening())
            while True:
                kind, message = messages.take()
                self.count += kind in EXECUTING
                server.sendall(message)
        server.close()


class _Messages:
    """What a client says, message by message."""

    def __init__(self, client: socket.socket) -> None:
        self._stream = client.makefile("rb")
        self.is_started = False

    def take_opening(self) -> bytes:
        """Return the start-up message, or a question for encryption, which come without a type."""
        length = self._read(_LENGTH.size)
        body = self._read(_LENGTH.unpack(length)[0] - _LENGTH.size)
        self.is_started = _LENGTH.unpack(body[: _LENGTH.size])[0] not in (SSL_REQUEST, GSS_REQUEST)
        return length + body

    def take(self) -> tuple[bytes, bytes]:
        """Return a message's type, and the whole message."""
        head = self._read(1 + _LENGTH.size)
        return head[:1], head + self._read(_LENGTH.unpack(head[1:])[0] - _LENGTH.size)

    def _read(self, size: int) -> bytes:
        found = self._stream.read(size)
        if len(found) < size:
            raise EOFError
        return found


def _carry_replies(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while data := server.recv(65_536):
            client.sendall(data)
    client.close()
