"""Which runs are wanted: the same names in a query, in a search and in a bulk operation, and no others."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import QueryDict
from rest_framework import serializers

from durable_app.api.bodies import Body, Flag, Known, Moment, PageQuery, Text, Values, Whole, names
from durable_app.api.pagination import MOST
from durable_app.api.problems import Problem
from durable_app.engine.launch import encoded_attributes
from durable_app.errors import SerializationError
from durable_app.filters import checked_filter
from durable_app.identifiers import is_storable
from durable_app.keyset import Order
from durable_app.models import Status
from durable_app.store import listing

ATTRIBUTE = "attr."

CONDITIONS: Mapping[str, str] = {
    "id": "workflow_ids",
    "id_prefix": "workflow_id_prefix",
    "status": "status",
    "workflow": "name",
    "queue": "queue_name",
    "schedule": "schedule_name",
    "version": "app_version",
    "user": "user",
    "worker": "worker",
    "parent": "parent_workflow_id",
    "has_parent": "has_parent",
    "forked_from": "forked_from",
    "is_fork": "is_fork",
    "was_forked_from": "was_forked_from",
    "waiting_for": "waiting_for",
    "created_after": "start_time",
    "created_before": "end_time",
    "completed_after": "completed_after",
    "completed_before": "completed_before",
    "dequeued_after": "dequeued_after",
    "dequeued_before": "dequeued_before",
    "attributes": "attributes",
}
"""The API's names of the filters that ``list_workflows`` has."""

ORDERS: Mapping[str, Order] = {
    "-created_at": Order(fields=("-pk",)),
    "created_at": Order(fields=("pk",)),
    "-finished_at": Order(fields=("-finished_at", "-pk"), within=listing.ENDED),
    "finished_at": Order(fields=("finished_at", "pk"), within=listing.ENDED),
}


def _statuses() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(choices=Status.choices), required=False, allow_empty=False
    )


def _kinds() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(listing.KINDS)),
        required=False,
        allow_empty=False,
        help_text="What a run waits for: `approval` is a person's answer, `result` that of another run, "
        "`code` code that fits its history, `queue` a worker that takes it, `delay` the time of its start.",
    )


class RunConditions(Known):
    """Conditions are combined with AND, the values of one with OR."""

    id = names(help_text="The whole id.")
    id_prefix = Text(required=False, help_text="How the id begins.")
    status = _statuses()
    workflow = names(help_text="The name of the workflow.")
    queue = names()
    schedule = names(help_text="The schedule that started it.")
    version = names(help_text="The version it is pinned to.")
    user = names()
    worker = names(help_text="The id of the worker that has, or had, it.")
    parent = names(help_text="The id of the run that started it.")  # type: ignore[assignment]
    has_parent = Flag(required=False)
    forked_from = names(help_text="The id of the run it is a fork of.")
    is_fork = Flag(required=False)
    was_forked_from = Flag(required=False)
    waiting_for = _kinds()
    created_after = Moment(required=False)
    created_before = Moment(required=False)
    completed_after = Moment(required=False)
    completed_before = Moment(required=False)
    dequeued_after = Moment(required=False)
    dequeued_before = Moment(required=False)


class _Listed(Known):
    ordering = serializers.ChoiceField(choices=list(ORDERS), required=False, default="-created_at")
    count = serializers.ChoiceField(
        choices=["capped"], required=False, help_text="Also how many match, but no more than 10,000."
    )


class RunQuery(RunConditions, _Listed, PageQuery):
    """The parameters of the list; ``attr.<name>`` looks for an attribute's value, JSON or a text."""

    def plain(self, given: QueryDict) -> Values:
        """Take the attributes out, whose names are the project's."""
        rest = given.copy()
        attributes: Values = {}
        for name in [one for one in given if one.startswith(ATTRIBUTE)]:
            values = rest.pop(name)
            if len(values) != 1 or name == ATTRIBUTE or not all(map(is_storable, (name, values[0]))):
                raise Problem(
                    "validation-error", errors=[{"parameter": name, "message": "This is no attribute."}]
                )
            attributes[name.removeprefix(ATTRIBUTE)] = _json_or_text(values[0])
        plain = super().plain(rest)
        self.attributes = attributes
        return plain

    def validate(self, attrs: Values) -> Values:
        """Put the attributes in."""
        return {**attrs, "attributes": self.attributes} if self.attributes else attrs


def _json_or_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_plain = value is None or isinstance(value, bool | int)
    is_number = isinstance(value, float) and math.isfinite(value)
    is_text = isinstance(value, str) and is_storable(value)
    return value if is_plain or is_number or is_text else text


class Attributes(serializers.DictField):
    """Attributes and their values, which are plain JSON."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the pairs; names and values must be storable."""
        found: Values = super().to_internal_value(data)
        try:
            encoded_attributes(found)
        except SerializationError as error:
            raise serializers.ValidationError(str(error)) from error
        return found


class ConditionsBody(RunConditions, Body):
    """Conditions in a body."""

    attributes = Attributes(required=False, allow_empty=False, help_text="Values of attributes.")


class SearchBody(ConditionsBody, _Listed):
    """What the list's query says, in a body."""

    cursor = Text(required=False, max_length=4000)
    page_size = Whole(required=False, min_value=1, max_value=MOST)


def conditions(values: Mapping[str, Any]) -> Values:
    """Return checked values by the names of ``list_workflows``: plain JSON, for a bulk operation to keep.

    Raises InvalidOptionError.
    """
    found = {CONDITIONS[name]: _plain(value) for name, value in values.items() if name in CONDITIONS}
    checked_filter(found)
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
