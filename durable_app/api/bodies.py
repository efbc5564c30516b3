"""What requests carry: bodies and query parameters with known names only, and the fields both are made of."""

import re
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from durable_app.api.pagination import MOST
from durable_app.api.problems import Problem
from durable_app.identifiers import ID_LENGTH, is_storable

LONGEST = timedelta(days=36_500)

_DIGITS = re.compile(r"-?[0-9]{1,18}")

Values = dict[str, Any]


class Text(serializers.CharField):
    """A text that databases store, as it is: nothing is stripped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": ID_LENGTH, "trim_whitespace": False, **options})

    def to_internal_value(self, data: Any) -> str:
        """Return the text; numbers are none."""
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.strip() and not self.allow_blank:
            self.fail("blank")
        if not is_storable(data):
            raise serializers.ValidationError("Databases do not store this text.")
        return str(super().to_internal_value(data))


class Moment(serializers.DateTimeField):
    """An aware time in RFC 3339; shown in UTC."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"default_timezone": UTC, "format": "iso-8601", **options})

    def to_internal_value(self, value: Any) -> Any:
        """Return the time; one without an offset could mean anything."""
        try:
            found = parse_datetime(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise serializers.ValidationError(
                "A time is RFC 3339 with an offset, such as 2030-01-31T10:00:00Z."
            )
        try:
            return found.astimezone(UTC)
        except OverflowError as error:
            raise serializers.ValidationError("This time is out of range.") from error


class Whole(serializers.IntegerField):
    """A whole number; in a query it is written in decimal digits."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the number; in a body a text is none."""
        is_number = isinstance(data, int) and not isinstance(data, bool)
        is_digits = isinstance(self.root, Query) and isinstance(data, str) and _DIGITS.fullmatch(data)
        if not is_number and not is_digits:
            self.fail("invalid")
        return int(data)


class Milliseconds(Whole):
    """A span, in whole milliseconds."""

    def __init__(self, **options: Any) -> None:
        most = int(LONGEST / timedelta(milliseconds=1))
        super().__init__(**{"min_value": 0, "max_value": most, **options})

    def to_internal_value(self, data: Any) -> Any:
        """Return the span."""
        number = super().to_internal_value(data)
        self.run_validators(number)
        return timedelta(milliseconds=number)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Validate the number, not the span."""
        is_absent, data = self.validate_empty_values(data)
        return data if is_absent else self.to_internal_value(data)

    def to_representation(self, value: Any) -> int:
        """Return the number."""
        return int(round(value / timedelta(milliseconds=1)))


class Anything(serializers.JSONField):
    """Any JSON value."""


class Flag(serializers.BooleanField):
    """True or false; in a query the words."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the flag; 1 and 0 are numbers."""
        if isinstance(data, bool):
            return data
        if isinstance(self.root, Query) and data in ("true", "false"):
            return bool(data == "true")
        raise serializers.ValidationError("This is true or false.")


class Known(serializers.Serializer[Any]):
    """An object all whose names are known: a misspelt filter must never be passed over."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the values, or raise ValidationError with a place each."""
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                raise serializers.ValidationError({name: ["This is not known here."] for name in unknown})
        return super().to_internal_value(data)


class Body(Known):
    """The JSON object in a request's body."""

    @classmethod
    def read(cls, request: Any) -> Values:
        """Return the checked values, without those not given; raises ValidationError, ParseError."""
        found = cls(data=request.data)
        found.is_valid(raise_exception=True)
        values: Values = found.validated_data
        return values


class ReasonBody(Body):
    """Why somebody does something; it is written into the audit."""

    reason = Text(required=False, default="", allow_blank=True, max_length=2000)


class Query(Known):
    """The parameters of a query; those with several values are lists."""

    @classmethod
    def read(cls, request: Any) -> Values:
        """Return the checked values, without those not given; raises Problem."""
        found = cls()
        found.initial_data = found.plain(request.query_params)
        if not found.is_valid():
            wrong = found.errors.items()
            raise Problem(
                "validation-error",
                errors=[
                    {"parameter": name, "message": message}
                    for name, messages in wrong
                    for message in _sentences(messages)
                ],
            )
        values: Values = found.validated_data
        return values

    def plain(self, given: QueryDict) -> Values:
        """Return what the query says, a value or a list for each name; raises Problem."""
        plain: Values = {}
        for name in given:
            values = given.getlist(name)
            if isinstance(self.fields.get(name), serializers.ListField):
                plain[name] = values
            elif len(values) == 1:
                plain[name] = values[0]
            else:
                raise Problem(
                    "validation-error",
                    errors=[{"parameter": name, "message": "This is given more than once."}],
                )
        return plain


def _sentences(found: Any) -> list[str]:
    match found:
        case dict():
            return [sentence for one in found.values() for sentence in _sentences(one)]
        case list():
            return [sentence for one in found for sentence in _sentences(one)]
        case _:
            return [str(found)]


class PageQuery(Query):
    """Where a page begins, and how many rows it has."""

    cursor = Text(required=False, max_length=4000, help_text="From `next` or `previous` of another page.")
    page_size = Whole(required=False, min_value=1, max_value=MOST)


def arguments() -> serializers.ListField:
    """Return a field of arguments by place."""
    return serializers.ListField(child=Anything(allow_null=True), required=False, max_length=1000)


def named_arguments() -> serializers.DictField:
    """Return a field of arguments by name."""
    return serializers.DictField(child=Anything(allow_null=True), required=False)


def names(**options: Any) -> serializers.ListField:
    """Return a field of texts, any of which is wanted."""
    return serializers.ListField(child=Text(), required=False, allow_empty=False, max_length=500, **options)
