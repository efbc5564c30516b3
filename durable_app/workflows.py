"""The workflow that the app itself brings: it calls what used to be a cron job."""

from datetime import datetime

from django.utils.module_loading import import_string

from durable_app import cronjobs
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
