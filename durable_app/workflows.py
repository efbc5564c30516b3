"""Workflows that the app itself brings: what operators ask for in bulk, alerts, former cron jobs."""

from datetime import datetime

from django.utils.module_loading import import_string

from durable_app import cronjobs
from durable_app.control import alerts, bulk
from durable_app.decorators import step, workflow

CRONJOB = "durable.cronjob"


@step(name="durable.callCronjob")
def call_cronjob(key: str) -> None:
    """Call the function that the settings list under a key; raises InvalidOptionError if they list none."""
    job = cronjobs.listed(key)
    import_string(job.path)(*job.args, **job.kwargs)


@workflow(name=CRONJOB)
def cronjob(scheduled_at: datetime, key: str) -> None:
    """Call a cron job's function as one step."""
    call_cronjob(key)


@step(name="durable.bulk_batch")
def bulk_batch(number: int) -> bool:
    """Do the next runs of a bulk operation; return whether there may be more."""
    return bulk.carry_out(number)


@workflow(name=bulk.WORKFLOW, max_recovery_attempts=None)
def bulk_operation(number: int) -> None:
    """Carry out a bulk operation, batch by batch."""
    while bulk_batch(number):
        pass


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
