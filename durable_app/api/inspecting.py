"""What endpoints declare, as drf-spectacular asks for it."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from durable_app.api.problems import CONTENT_TYPE, KINDS
from durable_app.api.schema import Document, ProblemSerializer

ALWAYS = ("validation-error", "not-authenticated", "permission-denied", "throttled")
"""The problems that every endpoint may answer with."""

OF_BODIES = ("malformed-body", "payload-too-large", "unsupported-media-type")
OF_KEYS = ("request-in-flight", "idempotency-key-reused")

KEY_HELP = "Makes the request repeatable for 24 hours: the same key and body get the first answer again."
MATCH_HELP = "The `ETag` of the state that is to be changed; 412 if it is another by now."


class DurableSchema(AutoSchema):
    """Reads from a view what it declares."""

    view: Any

    @property
    def _handler(self) -> Any:
        return getattr(self.view, self.method.lower())

    @property
    def _document(self) -> Document:
        found: Document = self._handler.document
        return found

    def get_operation_id(self) -> str:
        """Return the method's name."""
        return f"durable_{self._document.name}"

    def get_tags(self) -> list[str]:
        """Group by resource."""
        return [self._document.name.partition("_")[0].replace("-", " ")]

    def get_summary(self) -> str:
        """Return the first sentence of the method's docstring."""
        return (self._handler.__doc__ or "").strip().partition("\n")[0]

    def get_description(self) -> str:  # type: ignore[override]
        """Return what else the docstring says."""
        return " ".join((self._handler.__doc__ or "").strip().partition("\n")[2].split())

    def get_override_parameters(self) -> list[Any]:
        """Return the parameters of the query, and the headers that have a meaning."""
        found: list[Any] = []
        if self.method in self.view.queries:
            found.append(self.view.queries[self.method])
        if getattr(self._handler, "takes_key", False):
            found.append(_header("Idempotency-Key", KEY_HELP))
        if "precondition-failed" in self._document.problems:
            found.append(_header("If-Match", MATCH_HELP))
        return found

    def get_request_serializer(self) -> Any:
        """Return what the body is."""
        return self.view.bodies.get(self.method)

    def get_response_serializers(self) -> Any:
        """Return the answers, by status and media type."""
        return {
            (status, answer[0]) if isinstance(answer, tuple) else status: (
                answer[1] if isinstance(answer, tuple) else answer
            )
            for status, answer in self._document.answers.items()
        }

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        found = super()._get_response_bodies(direction)
        schema = self.resolve_serializer(ProblemSerializer, "response").ref
        for code in self._codes():
            answer = found.setdefault(str(KINDS[code].status), {"description": ""})
            answer.setdefault("content", {})[CONTENT_TYPE] = {"schema": schema}
            answer["description"] = ", ".join(filter(None, [answer["description"], f"`{code}`"]))
        return dict(sorted(found.items()))

    def _codes(self) -> list[str]:
        bodies = OF_BODIES if self.method in self.view.bodies else ()
        keys = OF_KEYS if getattr(self._handler, "takes_key", False) else ()
        return sorted({*ALWAYS, *bodies, *keys, *self._document.problems})


def _header(name: str, description: str) -> Any:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, required=False)
