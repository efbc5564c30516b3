"""What is registered in this process: workflows, their parameters, and which of them can be started."""

import inspect
from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.base import DurableView
from durable_app.api.options import OWN, is_startable
from durable_app.api.permissions import VIEW
from durable_app.api.schema import documented
from durable_app.insight import parameters
from durable_app.registry import Definition, registry


class ParameterSerializer(serializers.Serializer[Any]):
    """A parameter of a workflow's function."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["positional", "keyword", "any", "args", "kwargs"])
    annotation = serializers.CharField(help_text="As it is written; empty if there is none.")
    is_required = serializers.BooleanField()
    schema = serializers.DictField(
        help_text="JSON schema of an argument, by the type hint; empty if nothing is known of the type."
    )


class DefinitionSerializer(serializers.Serializer[Any]):
    """A registered workflow."""

    name = serializers.CharField()
    doc = serializers.CharField(help_text="The first line of its docstring.")
    is_async = serializers.BooleanField()
    is_startable = serializers.BooleanField(help_text='Whether `DURABLE["API"]["STARTABLE"]` names it.')
    max_recovery_attempts = serializers.IntegerField(allow_null=True)
    parameters = ParameterSerializer(many=True)
    schema = serializers.DictField(help_text="JSON schema of all arguments by name: an object.")


class DefinitionListSerializer(serializers.Serializer[Any]):
    """All registered workflows."""

    results = DefinitionSerializer(many=True)


_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "any",
    inspect.Parameter.VAR_POSITIONAL: "args",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "kwargs",
}


class Definitions(DurableView):
    """The workflows of this process, by name."""

    needs = {"GET": VIEW}

    @documented("definitions_list", answers={200: DefinitionListSerializer})
    def get(self, request: Request) -> Response:
        """List the registered workflows."""
        found = [one for name, one in sorted(registry.workflows.items()) if not name.startswith(OWN)]
        return Response({"results": [DefinitionSerializer(_shown(one)).data for one in found]})


def _shown(definition: Definition) -> dict[str, Any]:
    doc = inspect.getdoc(definition.func) or ""
    return {
        "name": definition.name,
        "doc": doc.partition("\n")[0],
        "is_async": definition.is_async,
        "is_startable": is_startable(definition.name),
        "max_recovery_attempts": definition.max_recovery_attempts,
        "parameters": _parameters(definition),
        "schema": parameters.schema(definition),
    }


def _parameters(definition: Definition) -> list[dict[str, Any]]:
    schemas = parameters.schemas(definition)
    return [{**_parameter(one), "schema": schemas[one.name]} for one in parameters.parameters(definition)]


def _parameter(one: inspect.Parameter) -> dict[str, Any]:
    annotation = one.annotation
    if annotation is inspect.Parameter.empty:
        text = ""
    else:
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return {
        "name": one.name,
        "kind": _KINDS[one.kind],
        "annotation": text,
        "is_required": parameters.is_required(one),
    }


urlpatterns = [path("definitions", Definitions.as_view(), name="definitions")]
