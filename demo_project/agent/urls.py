"""Addresses of the assistant."""

from django.urls import path

from demo_project.agent import views

app_name = "agent"

urlpatterns = [
    path("", views.assistant, name="assistant"),
    path("<slug:key>/", views.conversation_page, name="conversation"),
    path("<slug:key>/transcript/", views.conversation_transcript, name="transcript"),
]
