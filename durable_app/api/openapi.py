"""The OpenAPI document of the API, by drf-spectacular: what is checked into ``docs/openapi.yaml``."""

from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.settings import patched_settings
from drf_spectacular.validation import validate_schema

from durable_app.api.problems import KINDS
from durable_app.models import Status

_SETTINGS: dict[str, Any] = {
    "TITLE": "durable_app",
    "DESCRIPTION": "Durable workflows of a Django project: look at them, start them, steer them.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "ENUM_NAME_OVERRIDES": {
        "RunStatus": Status.choices,
        "ProblemCode": [(code, code) for code in sorted(KINDS)],
        "Outcome": [(one, one) for one in ("done", "denied", "refused", "failed")],
    },
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "COMPONENT_SPLIT_PATCH": False,
}


def document(urlconf: str | None = None) -> dict[str, Any]:
    """Return the document of the API where a URLconf, by default the project's, has it."""
    generator: Any = _Generator
    with patched_settings(_SETTINGS):
        found: dict[str, Any] = generator(urlconf=urlconf).get_schema(public=True)
    validate_schema(found)  # type: ignore[no-untyped-call]
    return found


def as_yaml(found: dict[str, Any]) -> str:
    """Return a document as it is checked in."""
    renderer: Any = OpenApiYamlRenderer()
    text: bytes = renderer.render(found, renderer_context={})
    return text.decode()


class _Generator(SchemaGenerator):
    """Leaves the project's other endpoints out."""

    def _get_paths_and_endpoints(self) -> Any:
        from_here = "durable_app."
        found = super()._get_paths_and_endpoints()  # type: ignore[no-untyped-call]
        return [one for one in found if type(one[3]).__module__.startswith(from_here)]
