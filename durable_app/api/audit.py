"""The audit: who did what, and who was not allowed to."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Moment, PageQuery, Text
from durable_app.api.pagination import Paging
from durable_app.api.permissions import Need
from durable_app.api.schema import documented, paged
from durable_app.insight import payloads
from durable_app.models import AuditEvent
from durable_app.models.audit import AuditOutcome
from durable_app.store import database


class AuditEventSerializer(serializers.Serializer[Any]):
    """Somebody's attempt at a verb."""

    id = serializers.IntegerField()
    at = Moment()
    verb = serializers.CharField()
    outcome = serializers.ChoiceField(choices=AuditOutcome.values)
    actor_kind = serializers.CharField(help_text='"user", "token", "cli" or "system".')
    actor_id = serializers.CharField()
    actor_label = serializers.CharField()
    target_kind = serializers.CharField()
    target_id = serializers.CharField()
    reason = serializers.CharField()
    details = serializers.SerializerMethodField()
    ip = serializers.CharField()
    request_id = serializers.CharField()
    bulk_operation = serializers.CharField()

    def get_details(self, row: AuditEvent) -> dict[str, Any]:
        """Return what else was noted, without secrets."""
        return payloads.attributes(row.details)


class AuditQuery(PageQuery):
    """Which attempts."""

    verb = Text(required=False, max_length=64)
    outcome = serializers.ChoiceField(required=False, choices=AuditOutcome.values)
    target_kind = Text(required=False, max_length=32)
    target_id = Text(required=False)
    actor = Text(required=False, help_text="The name that the audit shows.")
    since = Moment(required=False)
    until = Moment(required=False, help_text="Exclusive.")


_CONDITIONS = {
    "verb": "verb",
    "outcome": "outcome",
    "target_kind": "target_kind",
    "target_id": "target_id",
    "actor": "actor_label",
    "since": "at__gte",
    "until": "at__lt",
}


class Audit(DurableView):
    """The audit."""

    needs = {"GET": Need(permission="view_auditevent")}
    queries = {"GET": AuditQuery}

    @documented("audit_list", answers={200: paged(AuditEventSerializer)})
    def get(self, request: Request) -> Response:
        """List what operators did and tried, the newest first."""
        wanted = {column: self.query[name] for name, column in _CONDITIONS.items() if name in self.query}
        rows = self.actor.sees_events(AuditEvent.objects.using(database.alias())).filter(**wanted)
        return Paging.asked("audit", self.query).page(rows).response(request, _shown)


def _shown(row: AuditEvent) -> dict[str, Any]:
    found: dict[str, Any] = AuditEventSerializer(row).data
    return found


urlpatterns = [path("audit", Audit.as_view(), name="audit")]
