"""Streams of runs: a page of entries, or each entry as it is written."""

import re
from collections.abc import Iterator
from typing import Any

from django.http.response import HttpResponseBase
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api import sse
from durable_app.api.base import RunView
from durable_app.api.bodies import Moment, PageQuery, Query, Whole
from durable_app.api.live import LiveView
from durable_app.api.pagination import Paging
from durable_app.api.permissions import VIEW, Need
from durable_app.api.problems import Problem
from durable_app.api.schema import documented, paged
from durable_app.api.sse import ServerEvent
from durable_app.identifiers import ID_LENGTH, is_storable
from durable_app.insight import payloads
from durable_app.keyset import Order
from durable_app.store import streams
from durable_app.store.records import Payload
from durable_app.store.waits import News

SEE_PAYLOAD = Need(permission="view_payload")

BY_KEY = Order(fields=("key",))

MOST = 500
"""Entries of one page."""

AHEAD = 100
"""Entries that one look brings."""

HIGHEST = 2**31 - 1


class StreamQuery(Query):
    """Where in a stream to begin."""

    offset = Whole(required=False, default=0, min_value=0, max_value=HIGHEST, help_text="The first offset.")


class StreamPageQuery(StreamQuery):
    """Which entries of a stream."""

    limit = Whole(required=False, default=100, min_value=1, max_value=MOST, help_text="How many entries.")


class EntrySerializer(serializers.Serializer[Any]):
    """A value of a stream."""

    offset = serializers.IntegerField()
    value = serializers.JSONField()
    size = serializers.IntegerField(help_text="Bytes, as stored.")


class StreamSerializer(serializers.Serializer[Any]):
    """Some entries of a stream."""

    entries = EntrySerializer(many=True)
    next_offset = serializers.IntegerField(help_text="Goes into `offset` for what follows.")
    is_ended = serializers.BooleanField(help_text="Whether nothing will follow.")


class StreamKeySerializer(serializers.Serializer[Any]):
    """One of a run's streams."""

    key = serializers.CharField(allow_blank=True)
    entries = serializers.IntegerField(help_text="How many values it has.")
    is_closed = serializers.BooleanField(help_text="Whether the run has closed it; else its end closes it.")
    last_at = Moment(help_text="When something was last written to it.")


class Streams(RunView):
    """The streams of a run."""

    needs = {"GET": VIEW}
    queries = {"GET": PageQuery}

    @documented(
        "workflows_streams",
        answers={200: paged(StreamKeySerializer)},
        problems=["run-not-found", "invalid-cursor"],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """List the streams that a run has written to, by key."""
        page = Paging.asked("streams", self.query, BY_KEY).page(streams.of_run(self.run().pk))
        return page.response(request, _stream)


class StreamPage(RunView):
    """The entries of a stream, from an offset on."""

    needs = {"GET": SEE_PAYLOAD}
    queries = {"GET": StreamPageQuery}

    @documented("workflows_stream", answers={200: StreamSerializer}, problems=["run-not-found"])
    def get(self, request: Request, workflow_id: str, key: str) -> Response:
        """Return entries that are there; a stream that nobody has written to is empty."""
        run = self.run()
        if not self.actor.may(SEE_PAYLOAD.permission, run):
            raise Problem("permission-denied")
        offset = self.query["offset"]
        found = streams.read(run.workflow_id, checked_key(key), offset, self.query["limit"]) or []
        entries = [one for one in found if one.text is not None]
        return Response(
            {
                "entries": [_entry(offset + at, one) for at, one in enumerate(entries)],
                "next_offset": offset + len(entries),
                "is_ended": len(entries) < len(found),
            }
        )


class StreamEvents(LiveView):
    """The entries of a stream as server-sent events."""

    needs = {"GET": SEE_PAYLOAD}
    queries = {"GET": StreamQuery}

    @documented("workflows_stream_events", answers=sse.ANSWERS, problems=["run-not-found"])
    async def get(self, request: Request, workflow_id: str, key: str) -> HttpResponseBase:
        """Tell each entry from an offset, or from behind ``Last-Event-ID``, on; its id is its offset."""
        offset = self.query["offset"]
        last = request.headers.get("Last-Event-ID", "")
        if re.fullmatch(r"[0-9]{1,9}", last):
            offset = int(last) + 1
        run = await self.seen()
        return await sse.response(request, StreamFeed(run.workflow_id, checked_key(key), offset))


class StreamFeed:
    """A stream, told entry by entry."""

    def __init__(self, workflow_id: str, key: str, offset: int) -> None:
        self._workflow_id, self._key, self._offset = workflow_id, key, offset
        self.is_over = False

    @property
    def news(self) -> tuple[News, ...]:
        return (News("stream", self._workflow_id, self._key), News("result", self._workflow_id))

    def look(self) -> list[Payload] | None:
        """Return the next entries, None if there is none yet; raises NonExistentWorkflowError."""
        return streams.read(self._workflow_id, self._key, self._offset, AHEAD)

    def told(self, found: list[Payload]) -> Iterator[ServerEvent]:
        """Yield entries, and the end if it is among them."""
        for one in found:
            if one.text is None:
                self.is_over = True
                yield sse.end("closed")
                return
            yield ServerEvent(data=_value(one), id=str(self._offset))
            self._offset += 1


def checked_key(key: str) -> str:
    """Return a stream's key; raises Problem for what can be none."""
    if len(key) > ID_LENGTH or not is_storable(key):
        raise Problem("not-found", "No stream has such a key.")
    return key


def _entry(offset: int, found: Payload) -> dict[str, Any]:
    return {"offset": offset, "value": _value(found), "size": len((found.text or "").encode())}


def _stream(row: Any) -> dict[str, Any]:
    values = {"key": row.key, "entries": row.entries, "is_closed": row.ends > 0, "last_at": row.last_at}
    return dict(StreamKeySerializer(values).data)


def _value(found: Payload) -> Any:
    shown = payloads.payload(found.text, found.serialization, may_see=True)
    return None if shown is None else shown.value


urlpatterns = [
    path("workflows/<str:workflow_id>/streams", Streams.as_view(), name="streams"),
    path("workflows/<str:workflow_id>/streams/<str:key>", StreamPage.as_view(), name="stream"),
    path("workflows/<str:workflow_id>/streams/<str:key>/sse", StreamEvents.as_view(), name="stream-events"),
]
