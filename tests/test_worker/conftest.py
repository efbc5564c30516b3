"""Worker processes for the tests of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import Program

Manage = Callable[..., Program]


@pytest.fixture
def manage(worker_env: dict[str, str], tmp_path: Path) -> Iterator[Manage]:
    """Return a function that starts commands of `manage.py`; none of them survives the test."""
    programs: list[Program] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Program:
        log = tmp_path / f"output-{len(programs)}"
        programs.append(Program(arguments, {**worker_env, **(env or {})}, log))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()
