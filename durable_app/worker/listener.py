"""Turn PostgreSQL's notifications into wake-ups of this process."""

from durable_app.store import notify
from durable_app.worker.service import Service


class Listener(Service):
    """Holds one LISTEN connection for as long as the worker runs; a lost one is opened again."""

    name = "listener"

    def tick(self) -> float | None:
        """Listen until the service stops or the connection is lost."""
        notify.listen(self._stopping.is_set)
        return None
