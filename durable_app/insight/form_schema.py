"""A Django form as JSON schema (https://json-schema.org/draft/2020-12): what programs need to fill it in.

It is a description: what an answer must be is decided by the form itself.
"""

from typing import Any

from django import forms
from django.utils.encoding import force_str

Schema = dict[str, Any]

_TYPES: tuple[tuple[type[forms.Field], Schema], ...] = (  # the first that fits: subclasses come before
    (forms.BooleanField, {"type": "boolean"}),
    (forms.NullBooleanField, {"type": ["boolean", "null"]}),
    (forms.FloatField, {"type": "number"}),
    (forms.DecimalField, {"type": "number"}),
    (forms.IntegerField, {"type": "integer"}),
    (forms.DateTimeField, {"type": "string", "format": "date-time"}),
    (forms.DateField, {"type": "string", "format": "date"}),
    (forms.TimeField, {"type": "string", "format": "time"}),
    (forms.DurationField, {"type": "string", "format": "duration"}),
    (forms.EmailField, {"type": "string", "format": "email"}),
    (forms.URLField, {"type": "string", "format": "uri"}),
    (forms.UUIDField, {"type": "string", "format": "uuid"}),
    (forms.JSONField, {}),
)

_BOUNDS = {
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_value": "minimum",
    "max_value": "maximum",
}


def schema_of(form: forms.BaseForm) -> Schema:
    """Return the schema of the object that a form takes."""
    fields = {name: field for name, field in form.fields.items() if not field.disabled}
    return {
        "type": "object",
        "properties": {name: _property(form, name, field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
    }


def _property(form: forms.BaseForm, name: str, field: forms.Field) -> Schema:
    found = {"title": force_str(field.label or form[name].label), **_kind(field)}
    if field.help_text:
        found["description"] = force_str(field.help_text)
    for attribute, keyword in _BOUNDS.items():
        bound = getattr(field, attribute, None)
        if bound is not None:
            found[keyword] = bound() if callable(bound) else bound
    initial = form.get_initial_for_field(field, name)
    if isinstance(initial, str | int | float | bool):
        found["default"] = initial
    return found


def _kind(field: forms.Field) -> Schema:
    if isinstance(field, forms.MultipleChoiceField | forms.ModelMultipleChoiceField):
        return {"type": "array", "items": _choice(field)}
    if isinstance(field, forms.ChoiceField | forms.ModelChoiceField):
        return _choice(field)
    return next((dict(schema) for kind, schema in _TYPES if isinstance(field, kind)), {"type": "string"})


def _choice(field: Any) -> Schema:
    """Return the values to choose from; those of rows are not listed: there may be millions."""
    if isinstance(field, forms.ModelChoiceField):
        return {"type": ["string", "integer"]}
    return {"enum": list(_values(field.choices))}


def _values(choices: Any) -> Any:
    for value, label in choices:
        if isinstance(label, list | tuple):  # a group
            yield from _values(label)
        else:
            yield value
