"""Worker processes of a contestant: `python -m benchmarks.workers MODULE:FUNCTION [ARGUMENT]`.

The function gets everything ready, passes the gate, and works until the process is terminated. The gate
opens for all workers at once: how long each takes to start is no part of a measurement.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

PATIENCE = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


class WorkerError(Exception):
    """A worker process did not start."""


@contextmanager
def running(target: str, *arguments: str, url: str | None = None) -> Iterator[list[int]]:
    """Start a worker for each argument and open the gate; yield the pids.

    ``url`` is where the workers find the database, if it is not where this process does.
    """
    environment = os.environ | ({} if url is None else {"DATABASE_URL": url})
    with ExitStack() as stack:
        processes = []
        for argument in arguments:
            command = [sys.executable, "-m", "benchmarks.workers", target, argument]
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(_end, process)
            processes.append(process)
        for process in processes:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise WorkerError(f"{target} did not get ready")
        for process in processes:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        yield [process.pid for process in processes]


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill it: how a system stops is not measured, and the database is dropped anyway."""
    process.kill()
    process.wait(PATIENCE)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def gate() -> None:
    """Tell that this worker is ready, and wait until all are."""
    print("ready", flush=True)
    sys.stdin.readline()


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that processes have taken so far, all their threads included."""
    return sum(_cpu_seconds(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main(target: str, argument: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trial, which ends its workers
    module, function = target.split(":")
    getattr(import_module(module), function)(os.environ["DATABASE_URL"], argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
