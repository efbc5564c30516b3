"""The processes of the demo: started here, ended here, by their handle only."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from demo_project.tour.errors import DemoFailed

GRACE_SECONDS = 8
LOG_LINES = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """One process, with the file that holds what it prints."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL: it gets no chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LOG_LINES:]) or "    (it printed nothing)"


@dataclass(kw_only=True)
class Children:
    """All processes of the demo; leaving the ``with`` block ends them."""

    folder: Path
    logs: Path
    environment: dict[str, str] = field(default_factory=dict)
    _started: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        with deaf_to_signals():
            self.stop()

    def start(self, name: str, *arguments: str) -> Child:
        """Start Python with these arguments, in a session of its own: Ctrl-C is ours to handle."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own arguments)
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name=name, log=log, process=process)
        self._started.append(child)
        return child

    def bury(self, prefix: str) -> list[Child]:
        """Forget the dead children of this name; return them."""
        dead = [child for child in self._started if child.name.startswith(prefix) and not child.is_alive]
        self._started = [child for child in self._started if child not in dead]
        return dead

    def find(self, *, pid: int) -> Child | None:
        """Return our child with this id."""
        return next((child for child in self._started if child.pid == pid), None)

    def check(self) -> None:
        """Fail if a child has ended by itself."""
        for child in self._started:
            if not child.is_alive:
                raise DemoFailed(
                    f"{child.name} ended by itself with status {child.process.returncode}. "
                    f"The end of {child.log}:\n{child.last_words()}"
                )

    def stop(self) -> None:
        """Ask every child to stop, and kill those that have not within the grace time."""
        for child in self._started:
            child.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in reversed(self._started):
            try:
                child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
        self._started.clear()


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Let a second Ctrl-C not interrupt the tidying up, which takes seconds at most."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {kind: signal.signal(kind, signal.SIG_IGN) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def free_port(preferred: int) -> int:
    """Return the preferred port, or any free one where that is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoFailed("There is no free port on 127.0.0.1.")
