"""Figures: the overview that the admin begins with, and how many runs ended over time."""

from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.bodies import Milliseconds, Moment, Query
from durable_app.api.permissions import VIEW
from durable_app.api.schema import documented
from durable_app.insight.overview import LONGEST_WINDOW, overview, throughput

DAY = timedelta(days=1)

MILLISECOND = timedelta(milliseconds=1)


class WindowQuery(Query):
    """How far to look back."""

    window_ms = Milliseconds(
        required=False,
        default=DAY,
        min_value=1,
        max_value=LONGEST_WINDOW // MILLISECOND,
        help_text="Default: a day.",
    )


class BannerSerializer(serializers.Serializer[Any]):
    """Something that does not go on by itself."""

    code = serializers.CharField()
    is_error = serializers.BooleanField()
    sentence = serializers.CharField()
    subjects = serializers.ListField(child=serializers.CharField())


class BinSerializer(serializers.Serializer[Any]):
    """How many runs ended within a span of time."""

    since = Moment()
    succeeded = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()


class OverviewSerializer(serializers.Serializer[Any]):
    """All that there is to see at a glance; its parts are those of the admin's overview."""

    at = Moment()
    window_ms = serializers.IntegerField()
    bin_ms = serializers.IntegerField()
    banners = BannerSerializer(many=True)
    counts = serializers.JSONField()
    throughput = BinSerializer(many=True)
    queues = serializers.JSONField()
    failures = serializers.JSONField()
    is_sampled = serializers.BooleanField()
    schedules = serializers.JSONField()
    workers = serializers.JSONField()


class TimeseriesSerializer(serializers.Serializer[Any]):
    """Runs that ended, over time."""

    window_ms = serializers.IntegerField()
    bin_ms = serializers.IntegerField()
    bins = BinSerializer(many=True, help_text="The oldest first; it and the last one are not whole.")


class Overview(DurableView):
    """All at a glance."""

    needs = {"GET": VIEW}
    queries = {"GET": WindowQuery}

    @documented("stats_overview", answers={200: OverviewSerializer}, problems=["query-timeout"])
    def get(self, request: Request) -> Response:
        """Return what runs, what waits, what failed lately, who works, and what is not well."""
        return Response(shown(overview(self.query["window_ms"], self.actor)))


class Timeseries(DurableView):
    """Figures over time."""

    needs = {"GET": VIEW}
    queries = {"GET": WindowQuery}

    @documented("stats_timeseries", answers={200: TimeseriesSerializer}, problems=["query-timeout"])
    def get(self, request: Request) -> Response:
        """Return how many runs ended, and how, in each span of the window; of spans there are 61 at most."""
        window = self.query["window_ms"]
        width, bins = throughput(window, self.actor)
        body = {"window_ms": _milliseconds(window), "bin_ms": _milliseconds(width), "bins": shown(bins)}
        return Response(body)


def shown(value: Any) -> Any:
    """Return a value of ``insight`` as JSON: spans in milliseconds under names that say so."""
    match value:
        case _ if is_dataclass(value):
            pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
            return {f"{name}_ms" if isinstance(one, timedelta) else name: shown(one) for name, one in pairs}
        case timedelta():
            return _milliseconds(value)
        case datetime():
            return Moment().to_representation(value)
        case tuple() | list():
            return [shown(one) for one in value]
        case _:
            return value


def _milliseconds(span: timedelta) -> int:
    return span // MILLISECOND


urlpatterns = [
    path("stats/overview", Overview.as_view(), name="stats-overview"),
    path("stats/timeseries", Timeseries.as_view(), name="stats-timeseries"),
]
