"""Real processes, and the ledgers that tell what they did."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.crash import ledger as checker
from tests.crash.ledger import Ledger
from tests.helpers import wait_until

ROOT = Path(__file__).parent.parent.parent

PATIENCE = 90


class Victim(subprocess.Popen[bytes]):
    """A started process, and the file that it writes to."""

    log: Path

    def dies(self) -> None:
        """Wait for the process's death; fail unless it died at its point."""
        try:
            status: int | str = self.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            status = "nothing at all"
        assert status == -signal.SIGKILL, f"ended with {status} instead:\n{self.log.read_text()}"

    def prints(self, text: str) -> None:
        """Wait until the process has written a text."""
        wait_until(lambda: text in self.log.read_text() or self.poll() is not None, what=text)
        assert text in self.log.read_text(), f"ended with {self.poll()}:\n{self.log.read_text()}"


@pytest.fixture
def ledger(transactional_db: None, tmp_path: Path) -> Iterator[Ledger]:
    """Return a fresh ledger; the database keeps the history of every run meanwhile."""
    checker.install_audit()
    yield Ledger(tmp_path / "ledger")
    checker.remove_audit()


@pytest.fixture
def start(worker_env: dict[str, str], ledger: Ledger, tmp_path: Path) -> Iterator[Callable[..., Victim]]:
    """Return a function that starts a victim, or a worker like any other; the test's end kills it.

    ``lease`` is in seconds. It asks for the ledger so that processes end before the audit does.
    """
    with ExitStack() as processes:

        def start(*arguments: object, lease: float = 30, env: dict[str, str] | None = None) -> Victim:
            log = tmp_path / f"{len(list(tmp_path.iterdir()))}.log"
            victim = Victim(
                [sys.executable, "-m", "tests.crash.victim", *map(str, arguments)],
                cwd=ROOT,
                env={**worker_env, "CRASH_LEASE": str(lease), **(env or {})},
                stdout=processes.enter_context(log.open("wb")),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            victim.log = log
            processes.callback(_end, victim)
            return victim

        yield start


def _end(victim: Victim) -> None:
    """Kill the process, stopped or not, and those that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
