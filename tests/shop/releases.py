"""Workflows that say which version of the code executes them."""

import time
from pathlib import Path

from durable_app import application_version, step, workflow


@step(name="releases.stamp")
def stamp() -> str:
    return application_version()


@workflow(name="releases.stamped")
def stamped() -> list[str]:
    """Return the versions that executed the two steps."""
    return [stamp(), stamp()]


@workflow(name="releases.gated")
def gated(folder: str) -> list[str]:
    """Return the versions that executed the steps before and after a file ``open`` is there."""
    before = stamp()
    Path(folder, "began").touch()
    while not Path(folder, "open").exists():
        time.sleep(0.01)
    return [before, stamp()]
