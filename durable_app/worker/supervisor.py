"""Several worker processes under one parent, which starts again those that die."""

import logging
import signal
import subprocess
import threading
import time

logger = logging.getLogger("durable_app")

HEALTHY = 5.0
"""Seconds a process must have lived for its death to be no reason to pause."""


STOPPED_EARLY = (-signal.SIGTERM, -signal.SIGINT)
"""Exit codes of a process that was stopped before it had begun to listen for signals, or to work."""


class Supervisor:
    """Runs ``count`` copies of a command until it is told to stop.

    ``forever`` says that a copy which ends well is started again, too; else all may end by themselves.
    """

    def __init__(self, command: list[str], count: int, *, forever: bool = True) -> None:
        self._command = command
        self._forever = forever
        self._children: list[subprocess.Popen[bytes] | None] = [None] * count
        self._born = [0.0] * count
        self._stopping = threading.Event()

    def run(self) -> int:
        """Keep the processes alive; return the exit status once they have stopped."""
        while not self._stopping.is_set() and not all(map(self._is_done, self._children)):
            for index, child in enumerate(self._children):
                if not self._is_done(child) and (child is None or child.poll() is not None):
                    self._start(index)
            self._stopping.wait(0.2)
        codes = [child.wait() for child in self._children if child is not None]
        return max((abs(code) for code in codes if code not in STOPPED_EARLY), default=0)

    def _is_done(self, child: "subprocess.Popen[bytes] | None") -> bool:
        return not self._forever and child is not None and child.poll() == 0

    def signal(self, number: int) -> None:
        """Pass a signal on; the first one stops the supervision."""
        self._stopping.set()
        for child in self._children:
            if child is not None and child.poll() is None:
                child.send_signal(number)

    def _start(self, index: int) -> None:
        died_young = time.monotonic() - self._born[index] < HEALTHY
        if self._children[index] is not None:
            self._tell(index)
            if died_young and self._stopping.wait(1.0):
                return
        self._born[index] = time.monotonic()
        child = subprocess.Popen(self._command)  # noqa: S603  (our own command line)
        self._children[index] = child
        if self._stopping.is_set():  # the signal came before there was a child to pass it on to
            child.terminate()

    def _tell(self, index: int) -> None:
        child = self._children[index]
        if child is not None and child.returncode == 0:
            logger.info("Worker process ended, another one follows index=%d", index)
        else:
            logger.warning("Worker process died index=%d", index)
