"""Real processes of `manage.py` and of servers, for tests: started, watched, told to stop."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.helpers import wait_until

ROOT = Path(__file__).parent.parent


class Program:
    """A command of `manage.py`, or another program, in a process (and process group) of its own."""

    program: tuple[str, ...] = (str(ROOT / "manage.py"),)
    """What Python runs; the arguments follow."""

    def __init__(self, arguments: tuple[str, ...], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *arguments],
                cwd=ROOT,
                env={**env, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self.process.pid

    @property
    def output(self) -> str:
        """What the process and its children have printed so far."""
        return self.log.read_text()

    def wait_for(self, text: str, times: int = 1) -> "Program":
        """Wait until the output contains a text; fail with the output if the process ends before."""
        wait_until(lambda: self.output.count(text) >= times or self.process.poll() is not None)
        assert self.output.count(text) >= times, self.output
        return self

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process alone, as a process manager does."""
        self.process.send_signal(number)

    def ended(self, timeout: float = 60) -> int:
        """Wait for the end; return the exit status. What does not end says where its threads are."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"It did not end within {timeout} s.\n{self.output}") from None

    def kill(self) -> None:
        """End the process and all of its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(30)


def write_settings(folder: Path, *lines: str) -> None:
    """Write a project's settings: those of the tests, and these lines."""
    text = "\n".join(["from tests.settings import *", *lines, ""])
    (folder / "project_settings.py").write_text(text)


def project_env(folder: Path) -> dict[str, str]:
    """Return what a process needs to use the settings and modules in a folder."""
    return {"PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "project_settings"}


def touch_until(path: Path, condition: Callable[[], bool]) -> None:
    """Touch a file again and again until a condition holds.

    Once would not do: Django's autoreloader notices no change before its first look at the files.
    """

    def holds() -> bool:
        if condition():
            return True
        path.touch()
        return False

    wait_until(holds, what=f"the effect of a change of {path.name}")
