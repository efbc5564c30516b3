"""A request with a key is answered once, and its deed and its answer are one transaction."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from durable_app import clock, workflow
from durable_app.api.runs import lists
from durable_app.models import AuditEvent, IdempotencyKey, Message, Status, Workflow
from durable_app.store import idempotency
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import Api, problem

pytestmark = pytest.mark.django_db


@workflow
def started_once(number: int = 0) -> int:
    return number


BODY = {"workflow": started_once.name, "args": [1]}


@pytest.fixture(autouse=True)
def exposed(settings: Any) -> None:
    settings.DURABLE = {"API": {"STARTABLE": [started_once.name]}}


def test_the_same_request_again_gets_the_same_answer(operator: Api) -> None:
    """REST, idempotency. One run, one audit row; the answer says that it is an old one."""
    first = operator.post("/workflows", BODY, Idempotency_Key="k")
    Workflow.objects.update(status=Status.SUCCESS)
    again = operator.post("/workflows", dict(reversed(BODY.items())), Idempotency_Key='"k"')
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert Workflow.objects.count() == AuditEvent.objects.count() == 1


def test_a_key_is_good_for_one_request_of_one_actor(operator: Api, holder: Any) -> None:
    """REST, idempotency. Another body or target is 422; another actor or route has keys of its own."""
    operator.post("/workflows", BODY, Idempotency_Key="k")
    problem(
        operator.post("/workflows", {**BODY, "args": [2]}, Idempotency_Key="k"), 422, "idempotency-key-reused"
    )
    runs = [with_steps(made(Status.ERROR), "a", fails=True) for _ in range(2)]
    for path in [f"/workflows/{one.workflow_id}/retry" for one in runs][:1]:
        assert operator.post(path, Idempotency_Key="k").status_code == 201
    other_target = operator.post(f"/workflows/{runs[1].workflow_id}/retry", Idempotency_Key="k")
    problem(other_target, 422, "idempotency-key-reused")
    other = holder("start_workflow")
    assert other.post("/workflows", BODY, Idempotency_Key="k").status_code == 202
    assert Workflow.objects.filter(name=started_once.name).count() == 2


def test_what_was_refused_is_tried_again(operator: Api) -> None:
    """REST, idempotency. A problem is no answer to keep; that it was refused is recorded all the same."""
    run = made()
    path = f"/workflows/{run.workflow_id}/messages"
    problem(operator.post(path, {"message": 1}, Idempotency_Key="k"), 409, "invalid-transition")
    problem(operator.post(path, {}, Idempotency_Key="k"), 400, "validation-error")
    assert AuditEvent.objects.get().outcome == "refused"
    assert not IdempotencyKey.objects.exists()
    Workflow.objects.update(status=Status.WAITING)
    for _ in range(2):
        assert operator.post(path, {"message": 1}, Idempotency_Key="k").status_code == 202
    assert Message.objects.count() == 1


def test_deed_and_answer_are_one_transaction(operator: Api, monkeypatch: Any) -> None:
    """REST, idempotency. An error after the deed undoes it: neither is there without the other."""

    class Broken(RuntimeError):
        pass

    def broken(*args: Any) -> Any:
        assert Workflow.objects.count() == 1
        raise Broken

    monkeypatch.setattr(lists, "path_of", broken)
    with pytest.raises(Broken):
        operator.post("/workflows", BODY, Idempotency_Key="k")
    assert not Workflow.objects.exists()
    assert not AuditEvent.objects.exists()
    assert not IdempotencyKey.objects.exists()
    monkeypatch.undo()
    assert operator.post("/workflows", BODY, Idempotency_Key="k").status_code == 202


def test_keys_end_after_a_day(operator: Api) -> None:
    """REST, idempotency. An old key is as if it had never been; what is old is deleted."""
    operator.post("/workflows", BODY, Idempotency_Key="k")
    operator.post("/workflows", BODY, Idempotency_Key="young")
    past = clock.now() - idempotency.KEPT - timedelta(seconds=1)
    IdempotencyKey.objects.filter(key="k").update(created_at=past)
    assert operator.post("/workflows", {**BODY, "args": [2]}, Idempotency_Key="k").status_code == 202
    assert Workflow.objects.count() == 3
    IdempotencyKey.objects.filter(key="k").update(created_at=past)
    assert idempotency.forget_old() == 1
    assert IdempotencyKey.objects.get().key == "young"


@pytest.mark.parametrize("key", ['""', "x" * 256, "ü", "tab\there"])
def test_a_key_that_is_none_is_400(operator: Api, key: str) -> None:
    """Whatever is wrong with it."""
    body = problem(operator.post("/workflows", BODY, Idempotency_Key=key), 400, "validation-error")
    assert body["errors"][0]["parameter"] == "Idempotency-Key"
    assert not Workflow.objects.exists()


@pytest.mark.postgres(reason="SQLite's writers wait for one another: the second finds the answer")
@pytest.mark.django_db(transaction=True)
def test_while_the_first_is_being_answered_the_second_is_told_so() -> None:
    """REST, idempotency. 409 and when to come again; nothing is done twice."""
    asked = idempotency.Asked(actor="user:1", route="POST x", key="k", fingerprint="f")
    began, may_end = threading.Event(), threading.Event()

    def slow() -> idempotency.Answer:
        began.set()
        assert may_end.wait(30)
        return idempotency.Answer(status_code=202, body="{}", headers={})

    def first() -> None:
        try:
            idempotency.once(asked, slow)
        finally:
            connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(30)
    with pytest.raises(idempotency.InFlight):
        idempotency.once(asked, pytest.fail)
    may_end.set()
    thread.join(30)
    assert idempotency.once(asked, pytest.fail) is not None
