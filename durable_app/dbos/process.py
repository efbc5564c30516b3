"""What ``DBOS(config=...)`` and ``DBOS.launch()`` have made of this process."""

from dataclasses import dataclass, field

from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.error import DBOSException
from durable_app.worker.worker import Worker


@dataclass
class Process:
    """One a process, as the seed has it."""

    config: DBOSConfig | None = None
    worker: Worker | None = None
    """The embedded worker, between ``launch()`` and ``destroy()``."""
    listens_to: tuple[str, ...] = ()
    """The queues that the worker serves; none: all."""
    ends_with_interpreter: bool = False
    """Whether the worker will be stopped when the interpreter ends."""
    leases: set[str] = field(default_factory=set)
    """Ids under which this process has executed runs."""


process = Process()


def require_launched(what: str) -> None:
    """Raise DBOSException unless this process executes runs."""
    if process.config is None:
        raise DBOSException(f"{what} was invoked before DBOS initialized: call DBOS(config=...) first.")
    if process.worker is None:
        raise DBOSException(f"{what}: the system database was accessed before DBOS was launched.")
