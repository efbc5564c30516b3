"""Telling the database of the queues that the code declares."""

from durable_app.registry import DeclaredQueue, registry
from durable_app.store import queues
from durable_app.worker.versions import CodeVersion


class Declarations:
    """Remembers what it has told: a queue that is declared, or declared anew, later is told then."""

    def __init__(self, version: CodeVersion) -> None:
        self._version = version
        self._told: dict[str, DeclaredQueue] = {}

    def tell(self) -> None:
        """Write what is new; a worker whose version is not the latest creates queues, but changes none."""
        for name, declared in list(registry.queues.items()):
            if self._told.get(name) is not declared:
                queues.declare(name, declared, update=self._version.takes_unversioned)
                self._told[name] = declared
