"""Schedules to look at, and where their pages are."""

from datetime import datetime, timedelta
from typing import Any

from django.test import Client
from django.urls import reverse

from durable_app import clock, workflow
from durable_app.models import Schedule

LIST = "/admin/durable_app/schedule/"

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>/{{ 7|add:1 }}%2F"

EVERYTHING = (
    "view_schedule", "add_schedule", "change_schedule", "delete_schedule", "pause_schedule",
    "trigger_schedule", "backfill_schedule", "view_workflow", "view_payload",
)  # fmt: skip


@workflow
def chimed(scheduled_at: datetime, context: Any) -> None:
    pass


def scheduled_row(name: str = "nightly", **fields: Any) -> Schedule:
    """Write a schedule's row, an hour old, as the engine leaves it."""
    now = clock.now()
    values: dict[str, Any] = {
        "workflow_name": chimed.name,
        "cron": "0 3 * * *",
        "next_at": now + timedelta(hours=1) if fields.get("status", "ACTIVE") == "ACTIVE" else None,
        "created_at": now - timedelta(hours=1),
        "updated_at": now,
    }
    return Schedule.objects.create(name=name, **{**values, **fields})


def of(row: Schedule) -> str:
    return reverse("admin:durable_app_schedule_change", args=[row.pk])


def at(row: Schedule, place: str) -> str:
    return f"{LIST}{row.pk}/{place}/"


def verb(row: Schedule, name: str) -> str:
    return at(row, f"verb/{name}")


def listed(client: Client, **query: str) -> list[Any]:
    response: Any = client.get(LIST, query)
    return list(response.context_data["cl"].result_list)


FORM: dict[str, Any] = {
    "name": "hourly",
    "workflow": chimed.name,
    "cron": "0 * * * *",
    "timezone": "",
    "queue": "",
    "context": "",
    "catch_up": "none",
    "overlap": "allow",
    "is_enabled": "on",
}


def saved(client: Client, url: str = f"{LIST}add/", **changes: Any) -> Any:
    return client.post(url, {**FORM, "save": "yes", **changes})
