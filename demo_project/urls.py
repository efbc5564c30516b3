"""The shop at the root, Django's admin beside it."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/durable/", include("durable_app.api.urls")),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}orders/icon.svg")),
    path("manuals/", include("demo_project.ingestion.urls")),
    path("reports/", include("demo_project.reports.urls")),
    path("assistant/", include("demo_project.agent.urls")),
    path("webhooks/", include("demo_project.outbox.urls")),
    path("", include("demo_project.orders.urls")),
]
