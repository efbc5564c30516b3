"""Turn PostgreSQL's notifications into wake-ups of this process."""

import socket

from durable_app.store import notify
from durable_app.worker.service import Service


class Listener(Service):
    """Holds one LISTEN connection for as long as the worker runs; a lost one is opened again."""

    name = "listener"

    def __init__(self, interval: float) -> None:
        super().__init__(interval)
        self._rope, self._bell = socket.socketpair()

    def tick(self) -> float | None:
        """Listen until the service stops or the connection is lost."""
        notify.listen(self._stopping.is_set, self._bell)
        return None

    def stop(self) -> None:
        """End the listening at once."""
        super().stop()
        self._rope.close()

    def _run(self) -> None:
        with self._bell:
            super()._run()
