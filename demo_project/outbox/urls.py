"""Addresses of the webhooks."""

from django.urls import path

from demo_project.outbox import views

app_name = "outbox"

urlpatterns = [
    path("", views.event_list, name="events"),
    path("list/", views.event_rows, name="rows"),
]
