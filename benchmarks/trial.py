"""One trial in a process of its own: `python -m benchmarks.trial WORKLOAD SYSTEM SECONDS`.

It runs on the empty database that DATABASE_URL names and prints the sample as its last line.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict

from benchmarks import workloads
from benchmarks.contestants import launch
from benchmarks.samples import Sample
from benchmarks.workload import Workload


class TrialError(Exception):
    """A system could not run a workload; the message is its last word."""


def start(workload: Workload, system: str, seconds: float, url: str) -> Sample:
    """Run a trial in a fresh process and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.trial", workload.name, system, str(seconds)]
    environment = os.environ | {"DATABASE_URL": url}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120 + 10 * seconds
        )
    except subprocess.TimeoutExpired as expired:
        raise TrialError(f"still running after {expired.timeout:.0f} s") from expired
    if done.returncode:
        raise TrialError(_last_line(done.stderr))
    return Sample(**json.loads(_last_line(done.stdout)))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1]


def main(workload_name: str, system: str, seconds: str) -> None:
    workload = workloads.named(workload_name)
    with launch(system, os.environ["DATABASE_URL"]) as contestant:
        sample = workload.drive(contestant, float(seconds))
    print(json.dumps(asdict(sample)))


if __name__ == "__main__":
    main(*sys.argv[1:])
