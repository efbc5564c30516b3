"""Addresses of the reports."""

from django.urls import path

from demo_project.reports import views

app_name = "reports"

urlpatterns = [
    path("", views.report_list, name="reports"),
    path("list/", views.report_rows, name="rows"),
]
