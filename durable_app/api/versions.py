"""Versions of the project's code: which is the latest, who has each."""

from collections import Counter
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Moment
from durable_app.api.permissions import VIEW
from durable_app.api.schema import documented
from durable_app.store import activity, versions


class VersionSerializer(serializers.Serializer[Any]):
    """A version that a worker has registered."""

    name = serializers.CharField(source="version_name")
    is_latest = serializers.BooleanField(help_text="Whether it takes the runs that name none.")
    workers = serializers.IntegerField(help_text="Live ones that have it.")
    latest_at = Moment(help_text="When it became the latest.")
    created_at = Moment()


class VersionListSerializer(serializers.Serializer[Any]):
    """All versions, the latest first."""

    results = VersionSerializer(many=True)


class Versions(DurableView):
    """All versions."""

    needs = {"GET": VIEW}

    @documented("versions_list", answers={200: VersionListSerializer})
    def get(self, request: Request) -> Response:
        """List the versions, the latest first."""
        having = Counter(one.app_version for one in activity.workers() if one.is_live)
        rows = [
            {
                "version_name": one.version_name,
                "is_latest": number == 0,
                "workers": having[one.version_name],
                "latest_at": one.latest_at,
                "created_at": one.created_at,
            }
            for number, one in enumerate(versions.all_versions())
        ]
        return Response({"results": VersionSerializer(rows, many=True).data})


urlpatterns = [path("versions", Versions.as_view(), name="versions")]
