"""Versions of the project's code: which is the latest, who has each."""

from collections import Counter
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Moment, PageQuery
from durable_app.api.pagination import Paging
from durable_app.api.permissions import VIEW
from durable_app.api.schema import documented, paged
from durable_app.keyset import Order
from durable_app.models import AppVersion
from durable_app.store import activity, database, versions

LATEST_FIRST = Order(fields=("-latest_at", "name"))


class VersionSerializer(serializers.Serializer[Any]):
    """A version that a worker has registered."""

    name = serializers.CharField()
    is_latest = serializers.BooleanField(help_text="Whether it takes the runs that name none.")
    workers = serializers.IntegerField(help_text="Live ones that have it.")
    latest_at = Moment(help_text="When it became the latest.")
    created_at = Moment()


class Versions(DurableView):
    """All versions."""

    needs = {"GET": VIEW}
    queries = {"GET": PageQuery}

    @documented("versions_list", answers={200: paged(VersionSerializer)}, problems=["invalid-cursor"])
    def get(self, request: Request) -> Response:
        """List the versions, the latest first."""
        having = Counter(one.app_version for one in activity.workers() if one.is_live)
        latest = versions.latest()

        def show(row: AppVersion) -> Any:
            row.is_latest = latest is not None and row.name == latest.version_name  # type: ignore[attr-defined]
            row.workers = having[row.name]  # type: ignore[attr-defined]
            return VersionSerializer(row).data

        rows = AppVersion.objects.using(database.alias())
        return Paging.asked("versions", self.query, LATEST_FIRST).page(rows).response(request, show)


urlpatterns = [path("versions", Versions.as_view(), name="versions")]
