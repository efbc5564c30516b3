"""The audit in the admin: a list with filters, a page for each event, the list as a file; its retention."""

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.admin.audit import admin as audit_admin
from durable_app.conf import options
from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, BulkOperation, Status
from durable_app.store import audit
from durable_app.store.audit import Deed
from durable_app.worker.maintenance import AuditRetention
from durable_app.worker.worker import Worker
from tests.test_admin.pages import inspected, made, queue
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db

URL = "/admin/durable_app/auditevent/"

EVIL = '"><script>alert(1)</script>'


def done(verb: str = "cancel", target: str = "run-a", minutes_ago: float = 0, **more: Any) -> AuditEvent:
    values: dict[str, Any] = {"outcome": "done", "actor_kind": "user", "actor_label": "ann", **more}
    audit.record(Deed(verb=verb, target_id=target, **values))
    event = AuditEvent.objects.latest("pk")
    event.at = clock.now() - timedelta(minutes=minutes_ago)
    event.save()
    return event


def shown(client: Client, query: str = "") -> list[int]:
    response: Any = client.get(f"{URL}{query}")
    assert response.status_code == 200, response.content.decode()[:500]
    return [one.pk for one in response.context_data["cl"].result_list]


EACH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "outcome=denied": ({"outcome": "denied"}, {}),
    "verb=retry": ({"verb": "retry"}, {}),
    "actor=ben": ({"actor_label": "ben"}, {}),
    "kind=queue": ({"target_kind": "queue"}, {}),
    "target=x%2Fy": ({"target": "x/y"}, {"target": "x/y/z"}),
    "bulk=12": ({"bulk_operation": "12"}, {"bulk_operation": "1"}),
    "request=r1": ({"request_id": "r1"}, {}),
    "window=1h": ({"minutes_ago": 59}, {"minutes_ago": 61}),
    "q=run-b": ({"target": "run-b"}, {"target": "run-bb"}),
    "q=verb:retry+actor:ben": ({"verb": "retry", "actor_label": "ben"}, {"verb": "retry"}),
    "q=actor:%22two+words%22": ({"actor_label": "two words"}, {"actor_label": "two"}),
    "q=outcome:failed": ({"outcome": "failed"}, {}),
    "q=%22sched:a%22": ({"target": "sched:a"}, {}),
}


@pytest.mark.parametrize(
    ("query", "right", "wrong"), [(q, *rows) for q, rows in EACH.items()], ids=list(EACH)
)
def test_each_filter_finds_what_it_names(
    boss: Client, query: str, right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """A9. By operation, outcome, actor, target and time, in a link or a search."""
    other = done(**{"minutes_ago": 90, **wrong})
    wanted = done(**right)
    assert shown(boss, f"?{query}") == [wanted.pk]
    assert set(shown(boss)) == {wanted.pk, other.pk}


WRONG = (
    "outcome=lost",
    "window=2h",
    "q=colour:red",
    'q="',
    "cursor=x",
    "o=1",
    "details__contains=x",
    "at__gte=2020",
)


@pytest.mark.parametrize("query", WRONG)
def test_what_nobody_can_mean_is_400(boss: Client, query: str) -> None:
    """Nothing is passed over, for the export neither."""
    done()
    assert boss.get(f"{URL}?{query}").status_code == 400
    if not query.startswith(("cursor", "o=", "details", "at_")):
        assert boss.get(f"{URL}export/?{query}").status_code == 400


def test_it_pages_by_key_with_few_queries_and_nothing_inline(staff: Any, settings: Any) -> None:
    """A9, A11.8. Newest first, without a COUNT; nobody adds, changes or deletes."""
    settings.DURABLE = {"ADMIN": {"PAGE_SIZE": 5}}
    client = staff("view_auditevent")
    events = [done(target=f"run-{number}") for number in range(8)]
    with CaptureQueriesContext(connection) as queries:
        response = client.get(URL)
    assert len(reads(queries)) <= 8, "\n".join(reads(queries))
    assert not [sql for sql in reads(queries) if "COUNT(" in sql]
    inspected(response)
    changelist = response.context_data["cl"]
    assert [one.pk for one in changelist.result_list] == [one.pk for one in reversed(events[3:])]
    assert shown(client, changelist.older_url) == [one.pk for one in reversed(events[:3])]
    assert client.get(f"{URL}add/").status_code == 403
    page = f"{URL}{events[0].pk}/"
    assert client.post(f"{page}change/", {"verb": "x"}).status_code == 405
    assert client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert client.post(URL, {"action": "delete_selected", "_selected_action": events[0].pk}).status_code < 404
    assert AuditEvent.objects.count() == 8


def test_who_may_not_see_it_is_told_nothing(staff: Any) -> None:
    """A9. Neither a list, nor an event, nor a file; the attempt at the file is recorded."""
    event = done()
    client = staff("view_workflow", "export_workflow")
    for url in (URL, f"{URL}{event.pk}/change/"):
        assert client.get(url).status_code == 403
    assert client.post(f"{URL}export/", {"format": "csv"}).status_code == 403
    denied = AuditEvent.objects.get(outcome="denied")
    assert (denied.verb, denied.target_kind, denied.actor_label) == ("export", "audit", "ann")


def test_an_event_has_a_page_with_all_of_it(boss: Client) -> None:
    """A9. Links to its run and its operation, details without secrets; odd numbers are 404."""
    run = made(Status.ERROR)
    number = bulk.begin(Operator(actor=Actor.at_terminal("me")), "retry", {"name": ["none"]})
    details = {"queue": "mail", "password": "hunter2"}
    event = done(
        "retry", run.workflow_id, reason="why not", ip="10.0.0.1", request_id="r-7", details=details,
        bulk_operation=str(number),
    )  # fmt: skip
    response = boss.get(f"{URL}{event.pk}/change/")
    found = inspected(response)
    links = [attrs.get("href", "") for tag, attrs in found.elements if tag == "a"]
    text = response.content.decode()
    for word in ("why not", "10.0.0.1", "r-7", "mail", "ann"):
        assert word in text
    assert "hunter2" not in text
    [to_run] = [link for link in links if "by-id" in link]
    assert boss.get(to_run).headers["Location"].endswith(f"/workflow/{run.pk}/change/")
    assert f"/admin/durable_app/bulkoperation/{number}/change/" in links
    for wrong in ("0", "x", "99999999999999999999999"):
        assert boss.get(f"{URL}{wrong}/change/").status_code == 404


def test_an_event_says_what_it_changed_in_words(boss: Client) -> None:
    """A10. Old and new limits, in the list, on its page and on the target's; no secret is."""
    Operator(actor=Actor.at_terminal("me")).deny("run_now", "run-a")
    details = {
        "before": {"concurrency": 5, "limiter": {"limit": 1, "period": 2.0}},
        "after": {"concurrency": 10},
        "password": "hunter2",
    }
    event = done("configure", "mail", target_kind="queue", details=details, reason="R" * 300)
    queue("mail")
    for url in (URL, f"{URL}{event.pk}/change/", "/admin/durable_app/queue/mail/change/"):
        text = boss.get(url).content.decode()
        assert "concurrency 5 → 10" in text, url
        assert "limiter 1 in 2.0 s → none" in text, url
        assert "Edit limits" in text, url
        assert "R" * 300 in text, url
        assert "hunter2" not in text, url
    text = boss.get(URL).content.decode()
    assert ">Run now</a>" in text  # a filter
    assert "run_now" not in re.sub(r'href="[^"]*"', "", text)


def test_a_page_of_an_event_costs_few_queries(staff: Any) -> None:
    """A11.8. At most fifteen."""
    event = done()
    client = staff("view_auditevent", "view_workflow", "view_bulkoperation")
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"{URL}{event.pk}/change/").status_code == 200
    assert len(reads(queries)) <= 15


def test_hostile_texts_do_nothing(boss: Client) -> None:
    """In every column."""
    event = done(
        EVIL, EVIL, reason=EVIL, ip=EVIL[:64], request_id=EVIL, details={EVIL: EVIL}, actor_label=EVIL,
        target_kind=EVIL, bulk_operation=EVIL,
    )  # fmt: skip
    inspected(boss.get(URL))
    inspected(boss.get(f"{URL}{event.pk}/change/"))
    inspected(boss.get(f"{URL}?actor=%3Cscript%3E&verb=%22%3E%3Cscript%3E"))


# As a file


def exported(client: Client, form: str, query: str = "") -> str:
    response: Any = client.post(f"{URL}export/{query}", {"format": form})
    assert response.status_code == 200
    assert response.streaming
    assert 'filename="audit-' in response.headers["Content-Disposition"]
    return b"".join(response.streaming_content).decode()


def test_the_events_that_match_as_a_file(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A9. Over several batches, newest first, each once; the export is audited, with its filter."""
    monkeypatch.setattr(audit_admin, "BATCH", 2)
    events = [done("retry", f"run-{number}", details={"n": number, "token": "t0p"}) for number in range(5)]
    done("cancel")
    assert boss.get(f"{URL}export/?verb=retry").status_code == 200
    assert not AuditEvent.objects.filter(verb="export").exists()
    found = list(csv.DictReader(io.StringIO(exported(boss, "csv", "?verb=retry&cursor=x"))))
    assert [int(row["id"]) for row in found] == [event.pk for event in reversed(events)]
    assert json.loads(found[0]["details"])["n"] == 4
    event = AuditEvent.objects.get(verb="export")
    assert event.details == {"filter": {"verb": "retry"}, "format": "csv"}
    assert event.target_kind == "audit"
    text = exported(boss, "ndjson", "?target=run-3")
    assert [json.loads(line)["target_id"] for line in text.splitlines()] == ["run-3"]
    assert "t0p" not in text
    assert json.loads(exported(boss, "json", "?target=nothing")) == []
    assert exported(boss, "csv", "?target=nothing").startswith("id,at,verb,")
    assert boss.post(f"{URL}export/", {"format": "xls"}).status_code == 200
    assert not AuditEvent.objects.filter(details__format="xls").exists()


def test_an_export_ends_at_its_limit(boss: Client, settings: Any) -> None:
    """A3. EXPORT_LIMIT."""
    settings.DURABLE = {"ADMIN": {"EXPORT_LIMIT": 2}}
    for _ in range(4):
        done()
    assert len(exported(boss, "ndjson").splitlines()) == 2


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(boss: Client, start: str) -> None:
    """A3. Whatever column it comes from."""
    done(start, start, reason=start, actor_label=start)
    [row] = [one for one in csv.DictReader(io.StringIO(exported(boss, "csv"))) if one["verb"] != "export"]
    for name in ("verb", "target_id", "reason", "actor_label"):
        assert row[name] == f"'{start}"


# How long it is kept


def test_old_events_go_batch_by_batch() -> None:
    """A9. Oldest first; bulk operations that ended go with them, but for those that left a file."""
    old = [done(minutes_ago=60) for _ in range(5)]
    new = done()
    ended = clock.now() - timedelta(hours=1)
    numbers = [bulk.begin(Operator(actor=Actor.at_terminal("me")), "cancel", {}) for _ in range(4)]
    BulkOperation.objects.filter(pk__in=numbers[:2]).update(finished_at=ended)
    BulkOperation.objects.filter(pk=numbers[1]).update(file="exports/1.csv")
    BulkOperation.objects.filter(pk=numbers[2]).update(finished_at=clock.now())
    service = AuditRetention(60.0, timedelta(minutes=30))
    service.batch = 2
    assert [service.tick() for _ in range(3)] == [service.pause, service.pause, None]
    assert not AuditEvent.objects.filter(pk__in=[event.pk for event in old]).exists()
    assert AuditEvent.objects.filter(pk=new.pk).exists()
    assert set(BulkOperation.objects.values_list("pk", flat=True)) == set(numbers[1:])


def test_it_is_kept_for_ever_unless_the_setting_says_otherwise(settings: Any) -> None:
    """A9. AUDIT_RETENTION; what is no span is an error."""
    assert options().AUDIT_RETENTION is None
    assert not any(isinstance(one, AuditRetention) for one in Worker(threads=1)._services)
    settings.DURABLE = {"AUDIT_RETENTION": timedelta(days=365)}
    assert any(isinstance(one, AuditRetention) for one in Worker(threads=1)._services)
    for wrong in (5, timedelta(days=-1)):
        settings.DURABLE = {"AUDIT_RETENTION": wrong}
        with pytest.raises(Exception, match="AUDIT_RETENTION"):
            options()
