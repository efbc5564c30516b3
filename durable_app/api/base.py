"""What all endpoints share: who acts, what it needs, how errors look."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from durable_app.api import problems
from durable_app.api.bodies import Body, Query, Values
from durable_app.api.parsing import BoundedJSON, JSONAlone, PlainJSON
from durable_app.api.permissions import DurablePermission, Need, actor_of
from durable_app.api.problems import Problem
from durable_app.api.schema import auto_schema
from durable_app.api.throttling import DurableThrottle
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.identifiers import is_storable
from durable_app.insight.relatives import conceal
from durable_app.store import runs


class DurableView(APIView):
    """An endpoint. Authentication is the project's; all else that it has by default is ours."""

    needs: ClassVar[Mapping[str, Need]] = {}
    """What each method needs; a method that is not named is for nobody."""
    queries: ClassVar[Mapping[str, type[Query]]] = {}
    """The parameters of each method; one that is not named has none."""
    bodies: ClassVar[Mapping[str, type[Body]]] = {}
    """The body of each method."""
    throttled_as: ClassVar[Mapping[str, str]] = {}
    """The scopes of methods whose scope is not reading or writing."""
    body_factor: ClassVar[int] = 1
    """How many times ``DURABLE["API"]["MAX_BODY"]`` a body may have."""

    query: Values
    """The checked parameters."""

    http_method_names = ["get", "post", "patch", "delete", "head"]
    permission_classes = (DurablePermission,)
    parser_classes = (BoundedJSON,)
    renderer_classes = (PlainJSON,)
    content_negotiation_class = JSONAlone
    versioning_class = None
    metadata_class = None
    schema = auto_schema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who sends it, then the parameters: a misspelt one is never passed over."""
        super().initial(request, *args, **kwargs)
        self.query = self.queries.get(self.verb, Query).read(request)

    @cached_property
    def body(self) -> Values:
        """The checked body; raises ValidationError, ParseError, Problem."""
        return self.bodies[self.verb].read(self.request)

    @property
    def verb(self) -> str:
        """The request's method; HEAD is a GET whose answer nobody reads."""
        method = str(self.request.method)
        return "GET" if method == "HEAD" else method

    @property
    def implemented(self) -> frozenset[str]:
        """The methods that the endpoint has."""
        return frozenset(name for name in ("GET", "POST", "PATCH", "DELETE") if hasattr(self, name.lower()))

    def get_exception_handler(self) -> Any:
        """Return our handler: the project's is for the project's views."""
        return problems.handle

    def get_throttles(self) -> list[BaseThrottle]:
        """Return the project's throttles and ours."""
        return [*super().get_throttles(), DurableThrottle()]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Keep answers, which are meant for one actor, out of caches."""
        found = super().finalize_response(request, response, *args, **kwargs)
        found.headers.setdefault("Cache-Control", "no-store")
        return found

    def target(self) -> str:
        """Return what the URL names, for the audit; empty for a list, and for what no database stores."""
        named = next((str(value) for value in self.kwargs.values()), "")
        return named if is_storable(named) else ""

    @cached_property
    def actor(self) -> Actor:
        """Who sent the request."""
        return actor_of(self.request)

    def operator(self, reason: str = "") -> Operator:
        """Return who sent the request as an operator, whose verbs are audited."""
        return Operator(actor=self.actor, reason=reason)


class RunView(DurableView):
    """An endpoint below one run; ``workflow_id`` is in the URL."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise Problem for an id that no run can have."""
        super().initial(request, *args, **kwargs)
        if not is_storable(self.kwargs["workflow_id"]):
            raise Problem("run-not-found")

    def run(self) -> Any:
        """Return the run that the URL names, without its payloads.

        Raises Problem for one that does not exist, and for one that the actor may not know of.
        """
        return found_run(self.actor, self.kwargs["workflow_id"])


def found_run(actor: Actor, workflow_id: str) -> Any:
    """Return a run by its id, without its payloads; raises Problem."""
    run = runs.find(workflow_id, actor.sees)
    if run is None or not actor.may("view_workflow", run):
        raise Problem("run-not-found", f"There is no run {workflow_id!r}.")
    conceal([run], actor.sees)
    return run
