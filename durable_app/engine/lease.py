"""A process's right to execute runs, as the process itself can know it."""

import uuid
from typing import TYPE_CHECKING

from durable_app import clock

if TYPE_CHECKING:
    from durable_app.engine.context import Execution

MARGIN = 0.1
"""Share of the lease before whose end no step is started any more."""


class Lease:
    """An incarnation's lease: who holds runs, and until when by the clock that cannot be set.

    ``span`` is in seconds; None is a lease nobody can contest (inside a test's transaction).
    """

    def __init__(self, span: float | None) -> None:
        self.id = str(uuid.uuid4())
        self.span = span
        self.running: dict[int, Execution] = {}
        """By row: what this process executes; any other run of ours in the database is astray."""
        self.began_at = clock.boot_seconds()
        self.lost = False
        self.draining = False
        """Whether the process is about to stop: waiting runs park at once."""
        self._safe_until = self.began_at

    def renewed(self, sent_at: float) -> None:
        """Take note that the database has prolonged the lease, asked at a boot-clock time."""
        if self.span is not None:
            self._safe_until = sent_at + self.span * (1 - MARGIN)

    @property
    def allows_start(self) -> bool:
        """Whether a step may begin: the lease is ours, and will be for a while."""
        if self.span is None:
            return True
        return not self.lost and clock.boot_seconds() < self._safe_until

    @property
    def is_seasoned(self) -> bool:
        """Whether the lease has been valid for a full span: only then may it judge others."""
        return self.span is None or clock.boot_seconds() - self.began_at > self.span

    def holds(self, execution: "Execution") -> None:
        """Note that an execution begins."""
        self.running[execution.run] = execution

    def lets_go(self, execution: "Execution") -> None:
        """Note that an execution has ended; a later one of the same run stays noted."""
        if self.running.get(execution.run) is execution:
            del self.running[execution.run]

    def lose(self) -> None:
        """Give the lease up: no execution under it may write anything more."""
        self.lost = True
        for execution in list(self.running.values()):
            execution.lose()
