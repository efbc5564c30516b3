"""The routes of the API. Each resource's module has its own; here they are put together."""

from django.urls import include, path, re_path

from durable_app.api import (
    approvals,
    audit,
    bulk,
    definitions,
    progress,
    queues,
    results,
    schedules,
    stats,
    streams,
    versions,
    workers,
)
from durable_app.api.nowhere import Nowhere
from durable_app.api.runs import routes as runs

app_name = "durable_api"

ROUTES = [
    *definitions.urlpatterns,
    *runs.urlpatterns,
    *bulk.urlpatterns,
    *results.urlpatterns,
    *streams.urlpatterns,
    *progress.urlpatterns,
    *schedules.urlpatterns,
    *queues.urlpatterns,
    *workers.urlpatterns,
    *approvals.urlpatterns,
    *stats.urlpatterns,
    *audit.urlpatterns,
    *versions.urlpatterns,
]

urlpatterns = [path("v1/", include([*ROUTES, re_path("", Nowhere.as_view(), name="nowhere")]))]
