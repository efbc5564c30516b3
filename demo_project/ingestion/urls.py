"""Addresses of the manuals."""

from django.urls import path

from demo_project.ingestion import views

app_name = "ingestion"

urlpatterns = [
    path("", views.library, name="library"),
    path("progress/", views.library_progress, name="progress"),
]
