"""How a job in a worker process tells the trial the moment it began: a datagram on a local socket.

`time.monotonic()` is one clock for all processes of a machine.
"""

import os
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATH = "BENCHMARK_REPORTS"

_MOMENT = struct.Struct("d")


class Reports:
    """The trial's end of the socket."""

    def __init__(self, inbox: socket.socket) -> None:
        self._inbox = inbox

    def next(self, timeout: float = 30.0) -> float:
        """Return the moment the next job began; raises TimeoutError."""
        self._inbox.settimeout(timeout)
        moment: float = _MOMENT.unpack(self._inbox.recv(_MOMENT.size))[0]
        return moment


@contextmanager
def collected() -> Iterator[Reports]:
    """Open the socket; worker processes that start meanwhile find it by their environment."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark_") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox,
    ):
        os.environ[PATH] = str(Path(directory) / "reports")
        inbox.bind(os.environ[PATH])
        yield Reports(inbox)


def send() -> None:
    """Tell the trial that a job begins now."""
    moment = _MOMENT.pack(time.monotonic())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outbox:
        outbox.sendto(moment, os.environ[PATH])
