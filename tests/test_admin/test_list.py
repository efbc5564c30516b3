"""The list of runs: filters, the words of a search, what it costs, and what refreshes it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.admin.keyset import WrongLink
from durable_app.admin.runs.conditions import conditions_of, searched
from durable_app.control.actors import Actor, Policy
from durable_app.errors import InvalidOptionError, QueryTimeoutError
from durable_app.models import Status, Step
from tests.test_admin.pages import LIST, inspected, made, with_steps

pytestmark = pytest.mark.django_db

BUDGET = 8

TRANSACTIONS = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


def reads(queries: CaptureQueriesContext) -> list[str]:
    """Return the statements that read tables: opening transactions and time limits is not looking."""
    found = [query["sql"] for query in queries.captured_queries]
    return [sql for sql in found if not sql.startswith(TRANSACTIONS) and "set_config" not in sql]


def ids(response: Any) -> set[str]:
    assert response.status_code == 200
    return {run.workflow_id for run in response.context_data["cl"].result_list}


def test_a_list_costs_few_queries_however_long_it_is(staff: Any) -> None:
    """A11.8. At most eight, with all filters and for a user whose permissions are asked for."""
    client = staff("view_workflow", "cancel_workflow", "fork_workflow")
    for status in Status:
        for _ in range(4):
            with_steps(made(status), "a", "b")
    for url in (LIST, f"{LIST}?status=active&window=1h&q=name:shop.checkout"):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        assert len(reads(queries)) <= BUDGET, "\n".join(reads(queries))


def test_no_statement_of_the_list_counts_or_reads_payloads(boss: Client) -> None:
    """A11. Neither COUNT nor the large columns."""
    made()
    with CaptureQueriesContext(connection) as queries:
        boss.get(LIST)
    runs = [sql for sql in reads(queries) if "durable_app_workflow" in sql]
    assert runs
    for sql in runs:
        assert "COUNT(" not in sql
        assert '"inputs"' not in sql
        assert '"output"' not in sql


def test_a_page_of_the_list_is_small_and_holds_nothing_inline(boss: Client) -> None:
    """A0, A11.8. 150 KiB for a full page."""
    for _ in range(60):
        made(Status.ERROR, attributes={"customer": "acme"})
    response = boss.get(f"{LIST}?cols=attributes,worker,version,parent")
    inspected(response)
    assert len(response.content) < 150 * 1024


EACH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "status=ERROR": ({"status": "ERROR"}, {}),
    "status=failed": ({"status": "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}, {"status": "CANCELLED"}),
    "status=active": ({"status": "WAITING"}, {}),
    "workflow=mail.send": ({"name": "mail.send"}, {}),
    "queue=mail": ({"queue_name": "mail"}, {}),
    "schedule=nightly": ({"schedule_name": "nightly"}, {}),
    "version=1.4": ({"app_version": "1.4"}, {}),
    "family=top": ({}, {"parent_workflow_id": "p"}),
    "family=children": ({"parent_workflow_id": "p"}, {}),
    "family=forks": ({"forked_from": "p"}, {}),
    "window=1h": ({}, {"created_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")}),
    "ended=24h": (
        {"status": "ERROR"},
        {"finished_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")},
    ),
    "q=error:shop.Declined": (
        {"status": "ERROR"},
        {"status": "ERROR", "error": '{"type":"shop.DeclinedTwice","message":"shop.Declined"}'},
    ),
    'q=error:"Remote \\"one\\""': (
        {"status": "ERROR", "error": '{"name":"Remote \\"one\\"","message":""}'},
        {"status": "ERROR", "error": '{"name":"remote \\"one\\"","message":""}'},
    ),
    "q=name:mail.send": ({"name": "mail.send"}, {}),
    "q=queue:mail status:error": ({"queue_name": "mail", "status": "ERROR"}, {"queue_name": "mail"}),
    'q=user:"anna b"': ({"user": "anna b"}, {"user": "anna"}),
    "q=worker:w1": ({"worker_id": "w1"}, {}),
    "q=parent:p": ({"parent_workflow_id": "p"}, {}),
    "q=fork:p": ({"forked_from": "p"}, {}),
    "q=version:1.4": ({"app_version": "1.4"}, {}),
    "q=attr.customer:acme": ({"attributes": {"customer": "acme"}}, {"attributes": {"customer": "a"}}),
    "q=attr.amount:129": ({"attributes": {"amount": 129}}, {"attributes": {"amount": "129"}}),
    'q=attr.a:"1" attr.b:true': ({"attributes": {"a": "1", "b": True}}, {"attributes": {"a": "1"}}),
    "q=order-88": ({"workflow_id": "order-88"}, {"workflow_id": "order-881"}),
    "q=order-9": ({"workflow_id": "order-912"}, {"workflow_id": "my-order-9"}),
    "q=id:order-7": ({"workflow_id": "order-7"}, {"workflow_id": "order-71"}),
}


@pytest.mark.parametrize("query", EACH)
def test_each_filter_and_each_word_finds_its_runs_and_no_others(boss: Client, query: str) -> None:
    """A3. The same conditions as ``list_workflows`` has."""
    wanted, other = EACH[query]
    found, left_out = made(**wanted), made(**other)
    shown = ids(boss.get(f"{LIST}?{query}"))
    assert found.workflow_id in shown
    if query.startswith("window"):
        assert left_out.workflow_id not in shown
    else:
        assert shown == {found.workflow_id}


@pytest.mark.parametrize(
    "query", ["foo=1", "status=odd", "window=1y", "ended=1y", "family=x", "q=status:odd",
              "inputs__contains=secret", "q=a%00b", "queue=%00", "q=" + "x" * 1001, "status__exact=ERROR",
              "q=attr.a:1+attr.a:2"],
)  # fmt: skip
def test_a_wrong_filter_is_400_and_never_500(boss: Client, query: str) -> None:
    """Payloads cannot be asked for, either."""
    made()
    for url in (LIST, f"{LIST}count/", f"{LIST}export/", f"{LIST}bulk/cancel/"):
        if url != LIST and "__" in query or query == "foo=1" and url != LIST:
            continue
        assert boss.get(f"{url}?{query}").status_code == 400, url


@pytest.mark.parametrize(
    "text", ['"', "a:b", ":", "attr.:x", "%", "'; DROP", "\\", "~", "name:", "attr.x:{", "1e999"]
)
def test_odd_words_find_nothing_and_break_nothing(boss: Client, text: str) -> None:
    """Whatever is wrong with it."""
    made(workflow_id="plain")
    response = boss.get(LIST, {"q": text})
    assert response.status_code == 400 or "plain" not in ids(response)


def all_of(runs: Any) -> Any:
    return runs


def test_conditions_that_contradict_each_other() -> None:
    """A3. Combined with AND."""
    assert searched("name:a name:b", all_of) == {"name": []}
    assert searched("status:error status:active", all_of) == {"status": []}
    with pytest.raises(WrongLink):
        searched("attr.a:1 attr.a:2", all_of)
    with pytest.raises((WrongLink, InvalidOptionError)):
        conditions_of({"q": "attr.a:\ud800"}, all_of)


def test_a_window_counts_from_now() -> None:
    """A3. As a time, so that a bulk operation can keep it."""
    since = datetime.fromisoformat(conditions_of({"window": "24h"}, all_of)["start_time"])
    assert abs(clock.now() - since - timedelta(days=1)) < timedelta(minutes=1)


def test_how_many_match_is_counted_apart_and_up_to_a_limit(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A11.7. Asked for by the page, after it is there."""
    for _ in range(4):
        made(Status.ERROR)
    made()
    assert boss.get(f"{LIST}count/?status=ERROR").json() == {"count": 4, "is_capped": False}
    monkeypatch.setattr("durable_app.admin.runs.lists.COUNTED", 3)
    assert boss.get(f"{LIST}count/").json() == {"count": 3, "is_capped": True}


def test_the_rows_alone_are_sent_again_only_if_they_changed(boss: Client) -> None:
    """A3, live. The same URL with a header; 304 by ETag."""
    run = made(Status.PENDING)
    header = {"X-Durable-Fragment": "rows"}
    first = boss.get(LIST, headers=header)
    assert b"<html" not in first.content
    assert run.workflow_id.encode() in first.content
    again = boss.get(LIST, headers={**header, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    with_steps(run, "charge")
    changed = boss.get(LIST, headers={**header, "If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert b"after" in changed.content
    assert b"1 charge" in changed.content


def test_what_an_active_run_does_now(boss: Client) -> None:
    """A3, columns. The last step at the highest position, not a back-off's row."""
    with_steps(made(Status.PENDING), "reserve", "charge")
    Step.objects.update(branch="0", name="durable.retry")
    with_steps(made(Status.PENDING), "reserve", "charge")
    made(Status.WAITING)
    made(Status.DELAYED)
    text = boss.get(LIST).content.decode()
    assert "2 charge" in text
    assert "durable.retry" not in text
    assert "at its beginning" in text
    assert "message “paid”" in text
    assert "in 59 m" in text


def test_a_search_that_takes_too_long_is_a_page(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11.5. It says what to do, and is no 500."""

    def slow(*args: Any) -> None:
        raise QueryTimeoutError(30)

    monkeypatch.setattr("durable_app.admin.runs.lists.RunChangeList.get_results", slow)
    response = boss.get(LIST)
    assert response.status_code == 503
    assert b"narrow" in response.content


class Tenants(Policy):
    """People see the runs that bear their name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def test_people_see_the_runs_that_the_policy_shows_them(settings: Any, viewer: Client) -> None:
    """A9. In the list, in what can be chosen, in the count, and by id."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    own = made(user="ann", queue_name="hers")
    foreign = made(user="bob", queue_name="his")
    response = viewer.get(LIST)
    assert ids(response) == {own.workflow_id}
    assert b">his<" not in response.content
    assert viewer.get(f"{LIST}count/").json()["count"] == 1
    assert viewer.get(f"{LIST}by-id/", {"id": own.workflow_id}).status_code == 302
    assert viewer.get(f"{LIST}by-id/", {"id": foreign.workflow_id}).status_code == 404
    assert viewer.get(f"{LIST}{foreign.pk}/change/").status_code == 404
    assert viewer.get(f"{LIST}{foreign.pk}/history/").status_code == 404


def test_without_the_permission_there_is_no_list(staff: Any) -> None:
    """A9. Nor any of its helpers."""
    client = staff("cancel_workflow")
    for url in (LIST, f"{LIST}count/", f"{LIST}by-id/?id=x", f"{LIST}export/", f"{LIST}bulk/cancel/"):
        assert client.get(url).status_code == 403, url
