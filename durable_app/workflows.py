"""Workflows that the app itself brings: what operators ask for in bulk, alerts, former cron jobs."""

from datetime import datetime

from django.utils.module_loading import import_string

from durable_app import cronjobs, exporting
from durable_app.authoring import compensate
from durable_app.control import alerts, bulk
from durable_app.decorators import step, workflow
from durable_app.errors import PermissionDeniedError

CRONJOB = "durable.cronjob"
BENCH = "durable.bench"


@step(name="durable.callCronjob")
def call_cronjob(key: str) -> None:
    """Call the function that the settings list under a key; raises InvalidOptionError if they list none."""
    job = cronjobs.listed(key)
    import_string(job.path)(*job.args, **job.kwargs)


@workflow(name=CRONJOB)
def cronjob(scheduled_at: datetime, key: str) -> None:
    """Call a cron job's function as one step."""
    call_cronjob(key)


def is_not_denied(error: BaseException) -> bool:
    """Return whether another try may help."""
    return not isinstance(error, PermissionDeniedError)


@step(name="durable.bulk_batch")
def bulk_batch(number: int) -> bool:
    """Do the next runs of a bulk operation; return whether there may be more."""
    return bulk.carry_out(number, seconds=bulk.SECONDS)


@workflow(name=bulk.WORKFLOW, max_recovery_attempts=None)
def bulk_operation(number: int) -> None:
    """Carry out a bulk operation, batch by batch."""
    while bulk_batch(number):
        pass


@step(name="durable.discard_export", retries_allowed=True)
def discard_export(number: int) -> None:
    """Delete what an export has written that does not reach its end."""
    exporting.discard(number)


@step(name="durable.export_part", retries_allowed=True, should_retry=is_not_denied)
def export_part(number: int, part: int, below: int | None) -> tuple[str, int | None]:
    """Write the next runs of an export; return the part's name, and where the next one begins."""
    return exporting.write_part(number, part, below)


@step(name="durable.export_file", retries_allowed=True)
def export_file(number: int, parts: list[str]) -> None:
    """Make one file of an export's parts."""
    exporting.put_together(number, parts)


@workflow(name=exporting.WORKFLOW, max_recovery_attempts=None)
def export(number: int) -> None:
    """Write an export part by part; nothing of it stays unless it reaches its end."""
    compensate(discard_export, number)
    name, below = export_part(number, 0, None)
    parts = [name]
    while below is not None:
        name, below = export_part(number, len(parts), below)
        parts.append(name)
    export_file(number, parts)


@step(name="durable.alert_handler", retries_allowed=True, max_attempts=5, interval_seconds=10)
def call_alert_handler(path: str, alert: alerts.Alert) -> None:
    """Tell one of the settings' handlers of an alert; raises InvalidOptionError for one not named there."""
    alerts.handler(path)(alert.name, alert.message, alert.metadata)


@workflow(name=alerts.WORKFLOW)
def send_alert(alert: alerts.Alert) -> None:
    """Tell every handler of an alert; one that fails for good does not keep it from the others."""
    failed: list[Exception] = []
    for path in alerts.rules().handlers:
        try:
            call_alert_handler(path, alert)
        except Exception as error:  # noqa: BLE001  (raised again below)
            failed.append(error)
    if failed:
        raise failed[0]


@step(name="durable.bench_step")
def bench_step() -> int:
    """Do nothing."""
    return 1


@workflow(name=BENCH)
def bench() -> int:
    """Do nothing in one step: what is left is the cost of the engine."""
    return bench_step()
