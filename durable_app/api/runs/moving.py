"""Whole runs out of the database, and into another one."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from durable_app import transfer
from durable_app.api.base import DurableView, RunView
from durable_app.api.bodies import Anything, Body, Flag, Query
from durable_app.api.options import is_startable, options
from durable_app.api.permissions import Need
from durable_app.api.problems import Problem, settled
from durable_app.api.schema import documented
from durable_app.control.inputs import PERMISSION
from durable_app.store import runs


class ExportSerializer(serializers.Serializer[Any]):
    """A run with all that is stored of it, as an import takes it."""

    format = serializers.CharField(help_text="Says the version of the form.")
    exported_at = serializers.CharField()
    runs = serializers.ListField(child=serializers.DictField())


class ExportQuery(Query):
    """How much is exported."""

    include_children = Flag(required=False, default=False)


class Export(RunView):
    """All that is stored of a run."""

    needs = {"GET": Need(permission="export_workflow", verb="export")}
    queries = {"GET": ExportQuery}

    @documented("workflows_export", answers={200: ExportSerializer}, problems=["run-not-found"])
    def get(self, request: Request, workflow_id: str) -> Response:
        """Export a run. Nothing is redacted: it also takes the permission `view_payload`."""
        run, operator = self.run(), self.operator()
        if not all(self.actor.may(one, run) for one in ("export_workflow", "view_payload")):
            operator.deny("export", workflow_id)
            raise Problem("permission-denied")
        exported = transfer.export_workflow(workflow_id, export_children=self.query["include_children"])
        ids = [one["workflow"]["workflow_id"] for one in exported["runs"]]
        seen = runs.among(ids, self.actor.sees)
        if len(seen) != len(ids) or not all(self.actor.may("view_payload", one) for one in seen):
            operator.deny("export", workflow_id)
            raise Problem("permission-denied", "Some of the descendants are not yours to export.")
        settled(operator.perform("export", workflow_id, lambda: "", {"runs": len(ids)}))
        return Response(exported)


class ImportBody(Body):
    """What an export has answered."""

    format = serializers.CharField()
    exported_at = serializers.CharField(required=False)
    runs = serializers.ListField(child=Anything(), min_length=1, max_length=1000)


class ImportedSerializer(serializers.Serializer[Any]):
    """The ids of the runs that were imported."""

    ids = serializers.ListField(child=serializers.CharField())


class Import(DurableView):
    """Runs of another database."""

    needs = {"POST": Need(permission=PERMISSION, verb="import")}
    bodies = {"POST": ImportBody}
    throttled_as = {"POST": "durable-start"}
    body_factor = 10

    @documented(
        "workflows_import",
        answers={201: ImportedSerializer},
        problems=["not-exposed", "conflict-id", "dedup-conflict"],
    )
    def post(self, request: Request) -> Response:
        """Import what an export has answered: all of it, or nothing. Active runs go on here.

        Off unless `DURABLE["API"]["IMPORT"]` is set; each workflow must be open to the API.
        """
        operator = self.operator()
        if not options().IMPORT:
            operator.deny("import", "")
            raise Problem("not-exposed", "Runs cannot be imported here.")
        body = self.body
        names = {_name(one) for one in body["runs"]}
        closed = sorted(name for name in names if not is_startable(name))
        if closed:
            operator.deny("import", "")
            raise Problem("not-exposed", f"{closed[0]!r} cannot be started here.")
        ids: list[str] = []

        def act() -> str:
            ids.extend(transfer.import_workflow(body))
            return ""

        settled(operator.perform("import", "", act, {"runs": len(body["runs"])}))
        return Response({"ids": ids}, 201)


def _name(exported: Any) -> str:
    row = exported.get("workflow") if isinstance(exported, dict) else None
    return str(row.get("name", "")) if isinstance(row, dict) else ""
