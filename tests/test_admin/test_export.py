"""Runs as a file: three formats, in batches, and nothing in it that a spreadsheet would execute."""

import csv
import io
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from durable_app.insight import tables
from durable_app.models import AuditEvent, BulkOperation, Status
from tests.test_admin.pages import LIST, made

pytestmark = pytest.mark.django_db

URL = f"{LIST}export/"


def exported(client: Client, form: str = "csv", query: str = "", **more: Any) -> str:
    response: Any = client.post(f"{URL}{query}", {"format": form, **more})
    assert response.status_code == 200
    assert response.streaming
    assert f'.{form}"' in response.headers["Content-Disposition"]
    return b"".join(response.streaming_content).decode()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_runs_that_match_newest_first(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A3. Over several batches, each run once."""
    monkeypatch.setattr(tables, "BATCH", 3)
    runs = [made(Status.ERROR) for _ in range(7)]
    made()
    found = rows(exported(boss, query="?status=ERROR"))
    assert [row["workflow_id"] for row in found] == [run.workflow_id for run in reversed(runs)]
    event = AuditEvent.objects.get()
    assert (event.verb, event.details["filter"]) == ("export", {"status": ["ERROR"]})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_format_is_whole(boss: Client, count: int) -> None:
    """A3. Also of nothing."""
    for number in range(count):
        made(attributes={"n": number})
    assert len(json.loads(exported(boss, "json"))) == count
    lines = exported(boss, "ndjson").splitlines()
    assert [json.loads(line)["attributes"] for line in lines] == [{"n": n} for n in reversed(range(count))]
    assert len(rows(exported(boss, "csv"))) == count


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_is_a_formula(boss: Client, formula: str) -> None:
    """A3. Whatever column it comes from; JSON keeps it as it is."""
    made(name=formula, user=formula, workflow_id=formula, output=json.dumps(formula))
    [row] = rows(exported(boss, payloads="on"))
    for name in ("name", "user", "workflow_id", "output"):
        assert row[name] == f"'{formula}"
    assert not any(value.startswith(tuple("=+-@\t\r")) for value in row.values())
    assert json.loads(exported(boss, "json"))[0]["name"] == formula


def test_up_to_the_limit_it_is_sent_at_once(boss: Client, settings: Any) -> None:
    """A3. Above it an operation is begun: tests/test_control/test_long_exports.py."""
    settings.DURABLE = {"ADMIN": {"EXPORT_LIMIT": 2}}
    runs = [made() for _ in range(2)]
    found = rows(exported(boss))
    assert [row["workflow_id"] for row in found] == [run.workflow_id for run in reversed(runs)]
    made()
    assert boss.post(URL, {"format": "csv"}).status_code == 302
    assert BulkOperation.objects.get().matched == 3


def test_payloads_need_their_permission_and_are_redacted(staff: Any) -> None:
    """A9. Asking for them in the form does not help."""
    made(inputs='{"args":["visible"],"kwargs":{"password":"hunter2"}}', attributes={"token": "hunter3"})
    without = staff("view_workflow", "export_workflow")
    assert "visible" not in exported(without, "json", payloads="on")
    seeing = staff("view_workflow", "export_workflow", "view_payload", name="bob")
    text = exported(seeing, "json", payloads="on")
    assert "visible" in text
    assert "hunter" not in text
    assert "visible" not in exported(seeing, "json")


def test_exporting_needs_its_permission(viewer: Client) -> None:
    """A9. 403, audited."""
    assert viewer.get(URL).status_code == 403
    assert viewer.post(URL, {"format": "csv"}).status_code == 403
    assert set(AuditEvent.objects.values_list("verb", "outcome")) == {("export", "denied")}


def test_an_unknown_format_is_said_on_the_page(boss: Client) -> None:
    """Whatever is wrong with it."""
    response = boss.post(URL, {"format": "xml"})
    assert response.status_code == 200
    assert not response.streaming


@pytest.mark.django_db(transaction=True)
def test_under_asgi_it_streams_too(boss: Client) -> None:
    """A3. Django would read a plain iterator to its end first, and warn."""
    made(workflow_id="one")
    client = AsyncClient()
    client.cookies = boss.cookies

    async def read() -> bytes:
        response: Any = await client.post(URL, {"format": "ndjson"})
        return b"".join([part async for part in response.streaming_content])

    assert json.loads(async_to_sync(read)())["workflow_id"] == "one"
