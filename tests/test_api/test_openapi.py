"""The OpenAPI document: checked in as it is generated, complete, and true of whatever is sent."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from durable_app.api.openapi import as_yaml, document
from durable_app.models import Status
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import Api
from tests.test_api.test_permissions import endpoints
from tests.test_api.test_starting import OPEN
from tools.openapi import FILE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

EXAMPLES = 2
"""Requests to each operation, as good and as bad, each by three."""

LIFE: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Let the application use the test's connection, whose transaction the test will roll back."""
    edges = (request_started, request_finished)
    for signal in edges:
        signal.disconnect(close_old_connections)
    yield
    for signal in edges:
        signal.connect(close_old_connections)


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    return document("tests.urls")


def test_the_document_is_checked_in(generated: Any) -> None:
    """REST, OpenAPI. `make openapi` writes it; it is valid, and names all that there is."""
    assert FILE.read_text() == as_yaml(generated), "Run `make openapi`."
    operations = [one for path in generated["paths"].values() for one in path.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids))
    assert all(one.startswith("durable_") for one in ids)
    implemented = sum(len(view.needs) for _, view in endpoints() if view.schema is not None)
    assert len(ids) == implemented
    for one in operations:
        assert one["summary"].endswith((".", ":")), one["operationId"]
        assert {"401", "403", "429"} <= one["responses"].keys()
    unnamed = [
        name for name in generated["components"]["schemas"] if name[-5:] == "Enum" and name[-6].isdigit()
    ]
    assert not unnamed


@pytest.mark.django_db
@pytest.mark.usefixtures("one_connection")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_are_as_described(
    generated: Any, viewer: Api, operator: Api, settings: Any, mode: GenerationMode
) -> None:
    """REST, OpenAPI. Whatever is sent, by whom ever: no 5xx, and every answer as the document says."""
    settings.DURABLE = {"API": {"STARTABLE": [OPEN], "IMPORT": True}}
    with_steps(made(Status.ERROR, workflow_id="known"), "a", "b", fails=True)
    senders = [{}, *({"Authorization": credentials(one)} for one in (viewer, operator))]
    schema: Any = schemathesis.openapi.from_dict(generated)
    schema.app = get_wsgi_application()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/sse"):  # an answer without an end is not to be described
            continue
        send_some(operation.as_strategy(generation_mode=mode), senders)


def credentials(api: Api) -> str:
    """Give a program's user a password; return what a header says then."""
    assert api.user is not None
    api.user.set_password("p")
    api.user.save()
    return f"Basic {b64encode(f'{api.user.username}:p'.encode()).decode()}"


def send_some(cases: Any, senders: list[dict[str, str]]) -> None:
    """Send some cases, two of three about the run that exists; what they do is undone."""
    count = 0

    @given(case=cases)
    @hypothesis_settings(max_examples=EXAMPLES, **LIFE)
    def send(case: Any) -> None:
        nonlocal count
        count += 1
        if count % 3 and "workflow_id" in (case.path_parameters or {}):
            case.path_parameters["workflow_id"] = "known"
        if "wait" in (case.query or {}):
            case.query["wait"] = 0
        for headers in senders:
            with transaction.atomic():
                case.call_and_validate(headers=headers, checks=CHECKS)
                transaction.set_rollback(True)

    send()
