"""Workflows that two processes call under one id."""

import time
from pathlib import Path

from durable_app import step, workflow


@step
def note_in(folder: str, line: str) -> None:
    with Path(folder, "effects").open("a") as effects:
        effects.write(f"{line}\n")


@workflow
def behind_a_gate(folder: str, answer: str) -> str:
    """Run until the file ``open`` is there; note every execution in the file ``effects``."""
    note_in(folder, "began")
    while not Path(folder, "open").exists():
        time.sleep(0.01)
    note_in(folder, "ended")
    return answer
