"""Queues that a test declares are that test's alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable_app.registry import registry
from tests.processes import Program


@pytest.fixture(autouse=True)
def declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers in this process know no queue but those that the test declares."""
    monkeypatch.setattr(registry, "queues", {})


@pytest.fixture
def start_worker(worker_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Return a function that starts a worker process; none of them survives the test."""
    programs: list[Program] = []

    def start(*arguments: str) -> Program:
        log = tmp_path / f"worker-{len(programs)}.log"
        programs.append(Program(("durable_worker", *arguments), worker_env, log))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()
