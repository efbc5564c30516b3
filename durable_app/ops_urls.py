"""The addresses that a monitoring system asks: ``path("ops/", include("durable_app.ops_urls"))``."""

from django.urls import path

from durable_app.ops import health, metrics

app_name = "durable_ops"

urlpatterns = [
    path("metrics", metrics.show, name="metrics"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
