"""Who executes: the seed names a process by its executor id, we by the id of each incarnation."""

from collections.abc import Iterable

from durable_app.dbos import config
from durable_app.dbos.process import process
from durable_app.incarnation import known_lease


def executor_id() -> str:
    """Return the name of this process."""
    return config.executor_id(process.config)


def application_name() -> str | None:
    """Return the configured name of the application."""
    return None if process.config is None else process.config.get("name")


def own_leases() -> set[str]:
    """Return the ids under which this process has executed runs, as far as it remembers."""
    lease = known_lease()
    if lease is not None:
        process.leases.add(lease.id)
    if process.worker is not None:
        process.leases.add(process.worker.incarnation.lease.id)
    return process.leases


def shown(worker: str | None) -> str | None:
    """Return who executes a run: this process by its executor id, another by its worker's id."""
    return executor_id() if worker in own_leases() else worker


def workers(executor_ids: str | Iterable[str]) -> list[str]:
    """Return the ids of the workers that executor ids stand for."""
    names = [executor_ids] if isinstance(executor_ids, str) else list(executor_ids)
    own = own_leases() if executor_id() in names else set()
    return [*own, *names]
