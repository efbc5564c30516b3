"""The pages that tests visit."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/durable/", include("durable_app.api.urls")),
    path("ops/", include("durable_app.ops_urls")),
]
