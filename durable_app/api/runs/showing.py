"""How runs and what belongs to them look in JSON."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from django.contrib.admin.utils import quote as quoted_for_admin
from django.urls import NoReverseMatch, reverse
from rest_framework import serializers
from rest_framework.request import Request

from durable_app.api.bodies import Anything, Milliseconds, Moment
from durable_app.insight import payloads
from durable_app.models import Status

Shown = dict[str, Any]

NOT_IDS = frozenset({".", "..", "import", "search", "verbs"})
"""What is something else in a URL; the words are those of ``routes``."""


class LinksSerializer(serializers.Serializer[Any]):
    """Paths of other resources."""

    self = serializers.CharField(allow_null=True, help_text="None where the id has no URL of its own.")
    steps = serializers.CharField(allow_null=True)
    timeline = serializers.CharField(allow_null=True)
    admin = serializers.CharField(allow_null=True, help_text="The run's page, if the project has one.")


class PayloadSerializer(serializers.Serializer[Any]):
    """A value: plain JSON, without what is secret."""

    value = Anything(allow_null=True)
    size = serializers.IntegerField(help_text="Bytes as it is stored.")
    is_hidden = serializers.BooleanField(help_text="Whether it takes the permission `view_payload`.")


class FailureSerializer(serializers.Serializer[Any]):
    """An error; its message and traceback take the permission `view_payload`."""

    kind = serializers.CharField(allow_blank=True, help_text="The exception's class, with its module.")
    message = serializers.CharField(allow_blank=True)
    traceback = serializers.CharField(allow_blank=True)
    is_hidden = serializers.BooleanField()


class RunSerializer(serializers.Serializer[Any]):
    """A run, without its payloads."""

    id = serializers.CharField(source="workflow_id")
    workflow = serializers.CharField(source="name")
    class_name = serializers.CharField(allow_null=True)
    config_name = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=Status.choices)
    queue = serializers.CharField(source="queue_name", allow_null=True)
    priority = serializers.IntegerField()
    partition_key = serializers.CharField(allow_null=True)
    deduplication_id = serializers.CharField(allow_null=True)
    schedule = serializers.CharField(source="schedule_name", allow_null=True)
    version = serializers.CharField(source="app_version", allow_null=True)
    user = serializers.CharField(allow_null=True)
    worker = serializers.CharField(source="worker_id", allow_null=True)
    attempt = serializers.IntegerField()
    recovery_attempts = serializers.IntegerField()
    waiting_for = serializers.CharField(allow_blank=True)
    parent = serializers.CharField(source="parent_workflow_id", allow_null=True)  # type: ignore[assignment]
    forked_from = serializers.CharField(allow_null=True)
    was_forked_from = serializers.BooleanField()
    attributes = serializers.SerializerMethodField()
    timeout_ms = Milliseconds(source="timeout", allow_null=True)
    deadline_at = Moment(allow_null=True)
    run_after = Moment(allow_null=True)
    wake_at = Moment(allow_null=True)
    created_at = Moment()
    enqueued_at = Moment(allow_null=True)
    started_at = Moment(allow_null=True)
    finished_at = Moment(allow_null=True)
    updated_at = Moment()
    duration_ms = serializers.SerializerMethodField()

    def get_attributes(self, run: Any) -> dict[str, Any]:
        """Return the attributes without what is secret."""
        return payloads.attributes(run.attributes)

    def get_duration_ms(self, run: Any) -> int | None:
        """Return how long it took from its first start; None while it goes on."""
        if run.started_at is None or run.finished_at is None:
            return None
        took: timedelta = run.finished_at - run.started_at
        return max(0, round(took / timedelta(milliseconds=1)))


class LinkedRunSerializer(RunSerializer):
    """A run, and where more of it is to be found."""

    links = LinksSerializer(required=False)


def shower(request: Request) -> Callable[[Any], Shown]:
    """Return what shows a run; URLs are looked up once for a list."""
    base = path_under(request, "runs")
    try:
        admin = reverse("admin:durable_app_workflow_changelist")
    except NoReverseMatch:
        admin = None
    return partial(_shown, base=base, admin=admin)


def _shown(run: Any, *, base: str, admin: str | None) -> Shown:
    path = f"{base}/{quote(run.workflow_id, safe='')}" if has_path(run.workflow_id) else None
    links = {
        "self": path,
        "steps": path and f"{path}/steps",
        "timeline": path and f"{path}/timeline",
        "admin": admin and f"{admin}{quoted_for_admin(run.pk)}/change/",
    }
    return {**RunSerializer(run).data, "links": links}


def has_path(workflow_id: str) -> bool:
    """Return whether a run's id can stand in a URL, where a slash and our own words mean something else."""
    return "/" not in workflow_id and workflow_id not in NOT_IDS


def path_of(request: Request, workflow_id: str) -> str:
    """Return the path of a run, or of a list of one where its id has no path."""
    if not has_path(workflow_id):
        return f"{path_under(request, 'runs')}?id={quote(workflow_id, safe='')}"
    return path_under(request, "runs", workflow_id)


def path_under(request: Request, name: str, below: str = "") -> str:
    """Return the path of a route, wherever the project has put our URLs, and of what is below it."""
    base = reverse(f"{_namespace(request)}{name}")
    return f"{base}/{quote(below, safe='')}" if below else base


def _namespace(request: Request) -> str:
    match = request.resolver_match
    return f"{match.namespace}:" if match is not None and match.namespace else ""


def payload(text: str | None, format_name: str, *, may_see: bool, is_inputs: bool = False) -> Shown | None:
    """Return a stored value as it is shown; None where there is none."""
    found = payloads.payload(text, format_name, may_see=may_see, is_inputs=is_inputs)
    return None if found is None else dict(PayloadSerializer(found).data)


def failure(text: str | None, *, may_see: bool) -> Shown | None:
    """Return a stored error as it is shown; None where there is none."""
    found = payloads.failure(text, may_see=may_see)
    return None if found is None else dict(FailureSerializer(found).data)
