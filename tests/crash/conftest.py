"""Real processes, and the ledgers that tell what they did."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash import ledger as checker
from tests.crash.ledger import Ledger

ROOT = Path(__file__).parent.parent.parent

Victim = subprocess.Popen[bytes]


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
            log = processes.enter_context(open(tmp_path / f"{len(list(tmp_path.iterdir()))}.log", "wb"))
            victim = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.victim", *map(str, arguments)],
                cwd=ROOT,
                env={**worker_env, "CRASH_LEASE": str(lease), **(env or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            processes.callback(_end, victim)
            return victim

        yield start


def _end(victim: Victim) -> None:
    if victim.poll() is None:
        victim.send_signal(signal.SIGKILL)  # kills a stopped process, too
    victim.wait()
