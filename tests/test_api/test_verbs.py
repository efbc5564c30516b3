"""The verbs on runs: what each does, when it is refused, and what is said then."""

import json
from datetime import timedelta
from typing import Any

import pytest

from durable_app import clock, register_queue, workflow
from durable_app.api.runs.verbs import DEEDS
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, Message, Status, Workflow
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import Api, problem

pytestmark = pytest.mark.django_db

BODIES: dict[str, dict[str, Any]] = {
    "cancel": {},
    "resume": {},
    "run_now": {},
    "retry": {},
    "fork": {"from_step": 1},
    "rewind": {"from_step": 1},
    "send": {"message": {"ok": True}, "topic": "t"},
    "delete": {},
}
CREATED = {"retry": 201, "fork": 201, "send": 202, "delete": 204}


def done(api: Api, verb: str, workflow_id: str, **more: Any) -> Any:
    """Use a verb by the run's own URL."""
    path = f"/workflows/{workflow_id}"
    body = {**BODIES[verb], **more}
    if verb == "delete":
        return api.delete(path, **body)
    part = {"send": "messages", "run_now": "run-now"}.get(verb, verb)
    return api.post(f"{path}/{part}", body)


def test_every_verb_has_an_endpoint() -> None:
    """REST, resources. The table of verbs; "start like" is the admin's form, a priority a change's."""
    assert DEEDS.keys() == VERBS.keys() - {"start_like"} == BODIES.keys() | {"set_priority"}


@pytest.mark.parametrize("verb", BODIES)
def test_each_verb_follows_the_matrix(operator: Api, verb: str) -> None:
    """A4. Done and audited, or 409 with the state and what it allows."""
    for status in Status:
        run = with_steps(made(status), "a", "b", fails=status == Status.ERROR)
        response = done(operator, verb, run.workflow_id, reason="for a test")
        event = AuditEvent.objects.get(target_id=run.workflow_id)
        if status in VERBS[verb].possible_in:
            assert response.status_code == CREATED.get(verb, 200), response.content
            assert (event.outcome, event.actor_kind, event.actor_label) == ("done", "user", "operator")
            assert event.reason == "for a test"
        else:
            body = problem(response, 409, "invalid-transition")
            assert event.outcome == "refused"
            assert body["run_status"] == status
            assert verb not in body["allowed"]
            assert set(body["allowed"]) == {one for one in VERBS if status in VERBS[one].possible_in}


def test_a_fork_has_a_place_of_its_own(operator: Api) -> None:
    """REST, resources. 201 and where it is; the id can be chosen, and is taken then."""
    register_queue("mail")
    run = with_steps(made(Status.ERROR), "a", "b", fails=True)
    path = f"/workflows/{run.workflow_id}/fork"
    response = operator.post(
        path, {"from_step": 2, "id": "a fork", "version": "v2", "queue": "mail", "timeout_ms": 1500}
    )
    assert response.status_code == 201
    assert response.headers["Location"] == "/api/durable/v1/workflows/a%20fork"
    fork = Workflow.objects.get(workflow_id="a fork")
    assert (fork.forked_from, fork.app_version, fork.queue_name) == (run.workflow_id, "v2", "mail")
    assert fork.timeout == timedelta(seconds=1.5)
    assert fork.steps.count() == 1
    other = made(Status.ERROR)
    problem(
        operator.post(f"/workflows/{other.workflow_id}/fork", {"from_step": 1, "id": "a fork"}),
        409,
        "conflict-id",
    )
    retried = operator.post(f"/workflows/{run.workflow_id}/retry").json()["made"]
    assert Workflow.objects.get(workflow_id=retried).forked_from == run.workflow_id


WRONG_BODIES: list[tuple[str, Any, str]] = [
    ("fork", {}, "/from_step"),
    ("fork", {"from_step": 0}, "/from_step"),
    ("fork", {"from_step": "1"}, "/from_step"),
    ("fork", {"from_step": True}, "/from_step"),
    ("fork", {"from_step": 10**30}, "/from_step"),
    ("fork", {"from_step": 1, "id": "\0"}, "/id"),
    ("fork", {"from_step": 1, "id": "\ud800"}, "/id"),
    ("fork", {"from_step": 1, "timeout_ms": 0}, "/timeout_ms"),
    ("fork", {"from_step": 1, "timeout_ms": 1e3}, "/timeout_ms"),
    ("cancel", {"include_children": 1}, "/include_children"),
    ("cancel", {"children": True}, "/children"),
    ("cancel", {"a/b~": True}, "/a~1b~0"),
    ("cancel", {"reason": "x" * 2001}, "/reason"),
    ("cancel", {"reason": None}, "/reason"),
    ("cancel", [], ""),
    ("messages", {}, "/message"),
    ("messages", {"message": 1, "topic": 5}, "/topic"),
]


def test_a_wrong_body_is_400_and_says_where(operator: Api) -> None:
    """A JSON pointer each; nothing is done."""
    run = made(Status.WAITING)
    for part, body, pointer in WRONG_BODIES:
        found = problem(operator.post(f"/workflows/{run.workflow_id}/{part}", body), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [pointer], (part, body)
    for broken in ("{", "", "[" * 100_000, "[" * 200 + "]" * 200, '{"reason": NaN}', b"\xff", "nul"):
        response = operator.post(f"/workflows/{run.workflow_id}/rewind", broken)
        assert response.status_code == 400, broken
    form = operator.client.post(f"/api/durable/v1/workflows/{run.workflow_id}/cancel", {"reason": "x"})
    problem(form, 415, "unsupported-media-type")
    assert not AuditEvent.objects.exists()


def test_what_the_engine_does_not_take_is_pointed_at(operator: Api) -> None:
    """25. Mistakes in the request are 400 with their place; the engine's own runs are a state: 409."""
    run = made(Status.CANCELLED)
    for path, body, wrong in (
        ("resume", {"queue": "nowhere"}, "/queue"),
        ("fork", {"from_step": 99}, "/from_step"),
        ("rewind", {"from_step": 99}, "/from_step"),
    ):
        found = problem(operator.post(f"/workflows/{run.workflow_id}/{path}", body), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [wrong]
    waiting = made(Status.WAITING)
    sent = {"message": 1, "topic": "durable.approval.1"}
    found = problem(
        operator.post(f"/workflows/{waiting.workflow_id}/messages", sent), 400, "validation-error"
    )
    assert [one["pointer"] for one in found["errors"]] == ["/topic"]
    own = made(Status.SUCCESS, name="durable.bulk_operation")
    for verb in ("fork", "rewind"):
        answer = operator.post(f"/workflows/{own.workflow_id}/{verb}", {"from_step": 1})
        problem(answer, 409, "invalid-transition")


def test_a_body_that_is_too_large_is_413(operator: Api, settings: Any) -> None:
    """The body, and a value in it that may not be stored."""
    run = made(Status.WAITING)
    path = f"/workflows/{run.workflow_id}/messages"
    settings.DURABLE = {"API": {"MAX_BODY": 200}}
    problem(operator.post(path, {"message": "x" * 200}), 413, "payload-too-large")
    settings.DURABLE = {"MAX_PAYLOAD": 100}
    problem(operator.post(path, {"message": "x" * 200}), 413, "payload-too-large")
    assert not Message.objects.exists()


def test_a_message_is_sent_once_for_a_key(operator: Api) -> None:
    """139. The same idempotency key in the body twice."""
    run = made(Status.WAITING)
    for _ in range(2):
        body = {"message": None, "topic": "t", "idempotency_key": "k"}
        assert operator.post(f"/workflows/{run.workflow_id}/messages", body).status_code == 202
    assert json.loads(Message.objects.get().value) is None


def test_what_can_be_changed_of_a_run(operator: Api) -> None:
    """REST, resources. Attributes are merged, priority and delay only of what waits; all or nothing."""
    run = made(Status.DELAYED, attributes={"a": 1, "b": 2})
    path = f"/workflows/{run.workflow_id}"
    body = {"attributes": {"b": 3}, "priority": 7, "delay_ms": 60_000, "reason": "r"}
    changed = operator.patch(path, body).json()
    assert (changed["attributes"], changed["priority"]) == ({"a": 1, "b": 3}, 7)
    run.refresh_from_db()
    assert run.run_after is not None
    assert timedelta(seconds=50) < run.run_after - clock.now() <= timedelta(minutes=1)
    assert AuditEvent.objects.get().details == {"attributes": ["b"], "priority": 7, "delay": 60.0}

    finished = made(attributes={"a": 1})
    path = f"/workflows/{finished.workflow_id}"
    assert operator.patch(path, {"attributes": {"a": 2}}).json()["attributes"] == {"a": 2}
    for wrong in ({"attributes": {"a": 3}, "priority": 1}, {"attributes": {"a": 3}, "delay_ms": 0}):
        problem(operator.patch(path, wrong), 409, "invalid-transition")
    problem(operator.patch(path, {}), 400, "validation-error")
    problem(operator.patch(path, {"status": "SUCCESS"}), 400, "validation-error")
    problem(operator.patch(path, {"attributes": {"a": "\0"}}), 400, "validation-error")
    problem(operator.patch(path, {"attributes": [1]}), 400, "validation-error")
    finished.refresh_from_db()
    assert finished.attributes == {"a": 2}


def test_children_are_meant_if_they_are_named(operator: Api) -> None:
    """A4. Cancelled and deleted with their parent."""
    run, alone = made(Status.ENQUEUED), made(Status.ENQUEUED)
    children = [made(Status.ENQUEUED, parent_workflow_id=one.workflow_id) for one in (run, alone)]
    done(operator, "cancel", run.workflow_id, include_children=True)
    done(operator, "cancel", alone.workflow_id)
    assert [Workflow.objects.get(pk=one.pk).status for one in children] == ["CANCELLED", "ENQUEUED"]
    done(operator, "delete", run.workflow_id, include_children="true")
    done(operator, "delete", alone.workflow_id)
    assert [Workflow.objects.filter(pk=one.pk).exists() for one in children] == [False, True]


def test_verbs_on_ids_in_the_body(operator: Api, viewer: Api) -> None:
    """REST, ids in paths. What has a slash is reached; one that fails does not stop the others."""
    runs = [made(Status.ENQUEUED, workflow_id=one) for one in ("tenant/1", "plain")]
    over = made()
    ids = [*(one.workflow_id for one in runs), over.workflow_id, "never-was", "plain"]
    body = {"verb": "cancel", "ids": ids, "reason": "r", "options": {"include_children": True}}
    problem(viewer.post("/workflows/verbs", body), 403, "permission-denied")
    assert AuditEvent.objects.filter(outcome="denied").count() == 4
    results = operator.post("/workflows/verbs", body).json()["results"]
    assert [one["outcome"] for one in results] == ["done", "done", "refused", "failed"]
    assert results[3]["detail"] == "There is no such run."
    forked = {"verb": "fork", "ids": ["tenant/1"], "options": {"from_step": 1, "id": "new/1"}}
    assert operator.post("/workflows/verbs", forked).json()["results"][0]["made"] == "new/1"
    urgent = {"verb": "set_priority", "ids": ["new/1"], "options": {"priority": 3}}
    assert operator.post("/workflows/verbs", urgent).json()["results"][0]["outcome"] == "done"
    assert Workflow.objects.get(workflow_id="new/1").priority == 3
    for wrong, pointer in (
        ({"verb": "explode", "ids": ["a"]}, "/verb"),
        ({"verb": "start_like", "ids": ["a"]}, "/verb"),
        ({"verb": "cancel", "ids": []}, "/ids"),
        ({"verb": "cancel", "ids": ["x"] * 201}, "/ids"),
        ({"verb": "fork", "ids": ["a", "b"], "options": {"from_step": 1}}, "/ids"),
        ({"verb": "fork", "ids": ["a"]}, "/options/from_step"),
        ({"verb": "cancel", "ids": ["a"], "options": {"from_step": 1}}, "/options/from_step"),
    ):
        found = problem(operator.post("/workflows/verbs", wrong), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [pointer], wrong


@workflow
def forked_over_rest(number: int, *, note: str = "") -> int:
    return number


def test_a_fork_can_have_other_arguments(operator: Api, holder: Any, settings: Any) -> None:
    """REST, fork {inputs}. Of a workflow that is open to the API, for those who may start it."""
    run = with_steps(made(name=forked_over_rest.name), "a", "b")
    path = f"/workflows/{run.workflow_id}/fork"
    body = {"from_step": 2, "inputs": {"args": [7], "kwargs": {"note": "n"}}}
    problem(operator.post(path, body), 403, "not-exposed")
    settings.DURABLE = {"API": {"STARTABLE": [forked_over_rest.name]}}
    forker = holder("view_workflow", "fork_workflow", name="forker")
    problem(forker.post(path, body), 403, "permission-denied")
    assert {event.outcome for event in AuditEvent.objects.all()} == {"denied"}
    for wrong in ({}, {"args": [1, 2]}, {"kwargs": {"number": 1, "x": 1}}):
        problem(operator.post(path, {**body, "inputs": wrong}), 400, "validation-error")
    for place, wrong_type in (
        {"/inputs/args": {"args": 5}, "/inputs": [], "/inputs/arg": {"arg": []}}
    ).items():
        found = problem(operator.post(path, {**body, "inputs": wrong_type}), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [place]
    response = operator.post(path, {**body, "id": "other arguments"})
    assert response.status_code == 201
    fork = Workflow.objects.get(workflow_id="other arguments")
    assert json.loads(fork.inputs) == {"args": [7], "kwargs": {"note": "n"}}
    assert fork.steps.count() == 1
    by_body = {"verb": "fork", "ids": [run.workflow_id], "options": body}
    [result] = operator.post("/workflows/verbs", by_body).json()["results"]
    assert json.loads(Workflow.objects.get(workflow_id=result["made"]).inputs)["args"] == [7]
