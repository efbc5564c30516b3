"""The shop at the root, Django's admin beside it."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}orders/icon.svg")),
    path("", include("demo_project.orders.urls")),
]
