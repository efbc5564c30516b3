"""Runs: listed, found, looked into; and what of them nobody is shown."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.api.runs import routes
from durable_app.api.runs.showing import NOT_IDS
from durable_app.control.actors import Policy
from durable_app.models import Event, Message, Status, Worker, Workflow
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import Api, problem

pytestmark = pytest.mark.django_db


class TenantPolicy(Policy):
    """Each user sees the runs that bear its name."""

    def visible(self, actor: Any, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [one["id"] for one in response.json()["results"]]


def test_the_list_is_newest_first_and_pages_by_key(viewer: Api) -> None:
    """REST, pagination. Forwards and backwards the same rows, none twice; cursors are opaque and signed."""
    expected = [made().workflow_id for _ in range(7)][::-1]
    there: list[str] = []
    page = viewer.get("/workflows", page_size=3)
    assert page.json()["previous"] is None
    pages = [page.json()]
    while (cursor := pages[-1]["next"]) is not None:
        pages.append(viewer.get("/workflows", page_size=3, cursor=cursor).json())
    for one in pages:
        there += [run["id"] for run in one["results"]]
    assert there == expected
    back = viewer.get("/workflows", page_size=3, cursor=pages[-1]["previous"]).json()
    assert [run["id"] for run in back["results"]] == expected[3:6]
    assert back["next"] is not None
    assert f"cursor={pages[0]['next'].replace(':', '%3A')}" in page.headers["Link"]
    assert ids(viewer.get("/workflows", ordering="created_at")) == expected[::-1]
    with_count = viewer.get("/workflows", page_size=1, count="capped").json()
    assert (with_count["count"], with_count["is_capped"]) == (7, False)


def test_runs_by_the_time_of_their_end(viewer: Api) -> None:
    """REST, filtering. The orders that have an index; those that have not ended are not in this one."""
    made(Status.PENDING)
    now = clock.now()
    same = now - timedelta(minutes=5)
    runs = [made(finished_at=at) for at in (now, same, same, same - timedelta(seconds=1))]
    expected = [runs[0], *sorted(runs[1:3], key=lambda one: -one.pk), runs[3]]
    first = viewer.get("/workflows", ordering="-finished_at", page_size=2).json()
    second = viewer.get("/workflows", ordering="-finished_at", page_size=2, cursor=first["next"]).json()
    found = [one["id"] for one in first["results"] + second["results"]]
    assert found == [one.workflow_id for one in expected]
    assert second["next"] is None
    stray = viewer.get("/workflows", ordering="finished_at", cursor=first["next"])
    problem(stray, 400, "invalid-cursor")


def test_filters_find_what_they_name(viewer: Api) -> None:
    """REST, filtering: the same by the query and by a search's body."""
    now = clock.now()
    parent = made(user="anna", app_version="v2", attributes={"customer": "acme", "amount": 129})
    child = made(Status.ERROR, parent_workflow_id=parent.workflow_id, name="shop.refund", queue_name="mail")
    fork = made(forked_from=child.workflow_id, schedule_name="nightly", created_at=now - timedelta(days=3))
    Workflow.objects.filter(pk=child.pk).update(was_forked_from=True)
    wanted: list[tuple[dict[str, Any], list[Workflow]]] = [
        ({"id": [parent.workflow_id, fork.workflow_id]}, [fork, parent]),
        ({"id_prefix": parent.workflow_id}, [parent]),
        ({"status": ["ERROR", "CANCELLED"]}, [child]),
        ({"workflow": ["shop.refund"]}, [child]),
        ({"queue": ["mail"]}, [child]),
        ({"schedule": ["nightly"]}, [fork]),
        ({"version": ["v2"]}, [parent]),
        ({"user": ["anna", "otto"]}, [parent]),
        ({"parent": [parent.workflow_id]}, [child]),
        ({"forked_from": [child.workflow_id]}, [fork]),
        ({"worker": ["nobody"]}, []),
        ({"created_after": (now - timedelta(days=1)).isoformat()}, [child, parent]),
        ({"created_before": (now - timedelta(days=1)).isoformat()}, [fork]),
        ({"completed_after": now.isoformat()}, []),
        ({"status": ["SUCCESS"], "schedule": ["nightly"]}, [fork]),
    ]
    for conditions, runs in wanted:
        expected = [one.workflow_id for one in runs]
        assert ids(viewer.get("/workflows", **conditions)) == expected, conditions
        assert ids(viewer.post("/workflows/search", conditions)) == expected, conditions
    for name, runs in {"has_parent": [child], "is_fork": [fork], "was_forked_from": [child]}.items():
        assert ids(viewer.get("/workflows", **{name: "true"})) == [one.workflow_id for one in runs]
        assert ids(viewer.post("/workflows/search", {name: True})) == [one.workflow_id for one in runs]
    attributes = {"attr.customer": "acme", "attr.amount": "129"}
    assert ids(viewer.get("/workflows", **attributes)) == [parent.workflow_id]
    search = viewer.post("/workflows/search", {"attributes": {"amount": 129}})
    assert ids(search) == [parent.workflow_id]
    assert ids(viewer.get("/workflows", **{"attr.customer": "other"})) == []


WRONG: list[dict[str, Any]] = [
    {"colour": "red"},
    {"statuses": "ERROR"},
    {"status": "FINE"},
    {"has_parent": "perhaps"},
    {"created_after": "yesterday"},
    {"created_after": "2030-01-01T00:00:00"},
    {"created_after": "0001-01-01T00:00:00+23:59"},
    {"ordering": "name"},
    {"page_size": "0"},
    {"page_size": "501"},
    {"page_size": "²"},
    {"count": "exact"},
    {"user": "\0"},
    {"id_prefix": ["a", "b"]},
    {"attr.": "x"},
    {"attr.a": "\0"},
    {"id": "x" * 256},
]


def test_what_is_not_understood_is_400(viewer: Api) -> None:
    """Never 500, and never passed over: each names the parameter."""
    for parameters in WRONG:
        body = problem(viewer.get("/workflows", **parameters), 400, "validation-error")
        assert {one["parameter"] for one in body["errors"]} == set(parameters), parameters
    bodies: list[Any] = [
        {"colour": "red"},
        {"status": "ERROR"},
        {"has_parent": "true"},
        {"page_size": "5"},
        [],
    ]
    for wrong in bodies:
        body = problem(viewer.post("/workflows/search", wrong), 400, "validation-error")
        assert all(one["message"] for one in body["errors"])
    endless = viewer.post("/workflows/search", '{"attributes": {"a": 1e999}}')
    problem(endless, 400, "validation-error")
    run = made()
    for path in (f"/workflows/{run.workflow_id}/timeline", "/definitions", f"/workflows/{run.workflow_id}"):
        problem(viewer.get(path, colour="red"), 400, "validation-error")


def test_a_cursor_that_is_none_of_ours_is_400(viewer: Api) -> None:
    """Forged, cut, of another list."""
    run = with_steps(made(), "a", "b", "c")
    made()
    cursor = viewer.get("/workflows", page_size=1).json()["next"]
    steps = viewer.get(f"/workflows/{run.workflow_id}/steps", page_size=1).json()["next"]
    for wrong in ("x", "::", cursor[:-1], f"{cursor}x", steps, "WyJ4Il0:x", "\N{SNOWMAN}"):
        problem(viewer.get("/workflows", cursor=wrong), 400, "invalid-cursor")
        problem(viewer.post("/workflows/search", {"cursor": wrong}), 400, "invalid-cursor")
    problem(viewer.get(f"/workflows/{run.workflow_id}/steps", cursor=cursor), 400, "invalid-cursor")


def test_a_run_is_shown_with_its_links_and_times(viewer: Api) -> None:
    """REST, fields. RFC 3339 in UTC, spans in whole milliseconds."""
    began = clock.now().replace(microsecond=0)
    run = made(
        started_at=began,
        finished_at=began + timedelta(seconds=1.5),
        timeout=timedelta(minutes=1),
        attributes={"customer": "acme", "api_key": "k"},
    )
    shown = viewer.get(f"/workflows/{run.workflow_id}").json()
    assert shown["id"] == run.workflow_id
    assert shown["started_at"] == began.isoformat().replace("+00:00", "Z")
    assert (shown["duration_ms"], shown["timeout_ms"], shown["deadline_at"]) == (1500, 60_000, None)
    assert shown["attributes"] == {"customer": "acme", "api_key": "•••"}
    assert shown["links"]["self"] == f"/api/durable/v1/workflows/{run.workflow_id}"
    assert viewer.client.get(shown["links"]["steps"]).status_code == 200
    assert "input" not in shown


def test_payloads_take_asking_and_a_permission(viewer: Api, operator: Api) -> None:
    """A9. Hidden without it, redacted with it."""
    run = with_steps(
        made(Status.ERROR, inputs='{"args":[],"kwargs":{"password":"p","to":"x"}}'), "a", fails=True
    )
    path = f"/workflows/{run.workflow_id}"
    include = "input,output,error,steps,events"
    hidden = viewer.get(path, include=include).json()
    assert (hidden["input"]["is_hidden"], hidden["input"]["value"]) == (True, "•••")
    assert (hidden["error"]["is_hidden"], hidden["error"]["message"]) == (True, "")
    assert hidden["steps"][0]["error"]["message"] == ""
    seen = operator.get(path, include=include.split(",")).json()
    assert seen["input"]["value"] == {"args": [], "kwargs": {"password": "•••", "to": "x"}}
    assert seen["output"] is None
    assert seen["error"]["message"] == seen["steps"][0]["error"]["message"] == "no money"
    assert "output" not in seen["steps"][0]
    problem(operator.get(path, include="inputs"), 400, "validation-error")


def test_values_that_json_does_not_have_are_texts(operator: Api) -> None:
    """A run may return what it likes; looking at it is no error."""
    for stored, shown in (("NaN", "nan"), ("[Infinity]", ["inf"]), ('"\\ud800"', "\ud800")):
        run = made(output=stored)
        found = operator.get(f"/workflows/{run.workflow_id}", include="output")
        assert found.status_code == 200
        assert found.json()["output"]["value"] == shown


def test_what_belongs_to_a_run(viewer: Api, operator: Api) -> None:
    """REST, sub-lists: a page of each, values only if they are asked for."""
    run = with_steps(made(Status.PENDING), "reserve", "charge", "dispatch", fails=True)
    worker = Worker.objects.create(
        id="w", name="web", hostname="h", process_space="", pid=1, pid_started="",
        started_at=clock.now(), heartbeat_at=clock.now(), expires_at=clock.now(),
    )  # fmt: skip
    child = made(parent_workflow_id=run.workflow_id)
    Workflow.objects.filter(pk=run.pk).update(worker=worker)
    Event.objects.create(workflow_id=run.pk, key="state", value='{"token":"t"}', updated_at=clock.now())
    for value in ("1", "2"):
        Message.objects.create(destination_id=run.pk, topic="paid", value=value, sent_at=clock.now())
    path = f"/workflows/{run.workflow_id}"

    steps = viewer.get(f"{path}/steps", page_size=2).json()
    assert [one["name"] for one in steps["results"]] == ["reserve", "charge"]
    rest = operator.get(f"{path}/steps", page_size=2, cursor=steps["next"], include="output").json()
    assert [(one["id"], one["output"]) for one in rest["results"]] == [("3", None)]
    assert rest["results"][0]["error"]["kind"] == "shop.Declined"
    assert rest["results"][0]["duration_ms"] == 800

    assert viewer.get(f"{path}/events").json()["results"][0].keys() == {"key", "updated_at"}
    event = operator.get(f"{path}/events", include="value").json()["results"][0]
    assert event["value"]["value"] == {"token": "•••"}
    messages = operator.get(f"{path}/messages", include="value").json()["results"]
    assert [one["value"]["value"] for one in messages] == [1, 2]
    assert ids(viewer.get(f"{path}/children")) == [child.workflow_id]
    attempts = viewer.get(f"{path}/attempts").json()
    assert (attempts["attempt"], attempts["worker"]["name"]) == (1, "web")
    assert [(one["attempt"], one["steps"]) for one in attempts["results"]] == [(1, 3)]
    timeline = viewer.get(f"{path}/timeline").json()
    assert [row["label"] for row in timeline["rows"]] == [
        "shop.checkout",
        "reserve",
        "charge",
        "dispatch",
        "running",
    ]
    assert timeline["failures"] == 1
    assert all(0 <= one["start"] <= 1 for row in timeline["rows"] for one in row["segments"])


def test_what_a_policy_hides_is_not_there(operator: Api, settings: Any) -> None:
    """A9. Foreign ids are 404 like ids that never were, on every path."""
    settings.DURABLE = {"POLICY": f"{__name__}.{TenantPolicy.__name__}"}
    own, foreign = made(user="operator"), made(Status.ERROR, user="otto")
    made(parent_workflow_id=own.workflow_id, user="otto")
    assert ids(operator.get("/workflows")) == [own.workflow_id]
    assert ids(operator.get("/workflows", id=foreign.workflow_id)) == []
    assert ids(operator.get(f"/workflows/{own.workflow_id}/children")) == []
    assert operator.get("/workflows", count="capped").json()["count"] == 1
    for missing in (foreign.workflow_id, "never-was", "%00", "%0A", "\N{SNOWMAN}", "x" * 300, "' OR 1=1"):
        path = f"/workflows/{missing}"
        for part in ("", "/steps", "/events", "/messages", "/children", "/attempts", "/timeline", "/export"):
            problem(operator.get(f"{path}{part}"), 404, "run-not-found")
        problem(operator.post(f"{path}/cancel"), 404, "run-not-found")
        problem(operator.post(f"{path}/fork", {"from_step": 1}), 404, "run-not-found")
        problem(operator.patch(path, {"priority": 1}), 404, "run-not-found")
        problem(operator.delete(path), 404, "run-not-found")
    assert Workflow.objects.count() == 3


@pytest.mark.parametrize(
    "odd",
    ["a b", "<script>", "a%2Fb", "ü/ß", ".", "..", "search", "verbs", "import", "a?b#c", "'\"\\", "x" * 255],
)
def test_ids_with_odd_characters_can_be_found(viewer: Api, odd: str) -> None:
    """Links lead there; where no path can, the list finds it."""
    run = made(workflow_id=odd)
    [shown] = viewer.get("/workflows", id=odd).json()["results"]
    assert shown["id"] == odd
    link = shown["links"]["self"]
    assert (link is None) is (odd in ("ü/ß", ".", "..", "search", "verbs", "import"))
    assert (shown["links"]["steps"] is None) is (link is None)
    if link is not None:
        assert viewer.client.get(link).json()["id"] == run.workflow_id


def test_words_that_are_no_ids_in_urls_are_those_of_the_routes() -> None:
    """28. A route that is added must not make a run's URL false."""
    fixed = {str(one.pattern).partition("/")[2] for one in routes.urlpatterns}
    assert {one for one in fixed if one and "/" not in one and "<" not in one} == NOT_IDS - {".", ".."}


def own(queries: CaptureQueriesContext) -> list[str]:
    """Return the statements but for those that PostgreSQL's limit of time takes, which touch no table."""
    return [one["sql"] for one in queries if "FROM" in one["sql"]]


def test_pages_take_few_queries(operator: Api) -> None:
    """A11. At most 8 for a list, however long it is; 15 for a run with all that it has."""
    runs = [with_steps(made(), "a", "b") for _ in range(30)]
    with CaptureQueriesContext(connection) as few:
        operator.get("/workflows", page_size=30, count="capped")
    assert len(own(few)) <= 8, own(few)
    path = f"/workflows/{runs[0].workflow_id}"
    for part in ("?include=input,output,error,steps,events", "/steps", "/timeline", "/attempts", "/children"):
        with CaptureQueriesContext(connection) as some:
            assert operator.get(f"{path}{part}").status_code == 200
        assert len(own(some)) <= 15, own(some)
