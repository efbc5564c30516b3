"""What is told of runs, queues, workers and questions is true, and the same on every surface."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings

from durable_app import approval_form, clock, start_workflow, wait_for_approval, workflow
from durable_app.insight.health import health
from durable_app.insight.reasons import why
from durable_app.models import Approval, Status, Workflow
from durable_app.ops import metrics
from durable_app.store import approvals, gauges
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.test_admin.pages import LIST, made, page_of, queue, with_steps, worker
from tests.test_admin.test_approval_pages import InboxForm
from tests.test_admin.test_approval_pages import asked as question
from tests.test_api.conftest import Api
from tests.test_commands.keyboard import durable, typed

NOW = {"OPS": {"PUBLIC": ["metrics", "readyz"], "CACHE": timedelta(0)}}

WORKERS = "/admin/durable_app/worker/"
OVERVIEW = "/admin/durable_app/overview/"


@pytest.fixture
def boss(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def rest(db: None) -> Callable[..., Any]:
    """Return what asks REST with permissions of one's own."""

    def ask(*codenames: str) -> Callable[..., Any]:
        user = User.objects.create_user("-".join(codenames) or "nobody")
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return Api(user).get

    return ask


def metric(name: str) -> dict[str, str]:
    """Return the samples of a metric, by their labels."""
    lines = [line for line in metrics.document().splitlines() if line.startswith(f"durable_{name}")]
    pairs = [line.removeprefix(f"durable_{name}").rpartition(" ") for line in lines]
    return {labels: value for labels, _space, value in pairs}


def diagnosed(run: Workflow) -> list[str]:
    return list(durable("doctor", run.workflow_id).lines[1:])


# the inbox


@pytest.mark.django_db
@override_settings(DURABLE=NOW)
def test_the_metric_of_questions_is_the_inbox(boss: Client, rest: Any) -> None:
    """A question whose run has ended cannot be answered: nobody counts it, nor calls it open."""
    open_one, left = question("Open"), question("Left", run=made(Status.CANCELLED))
    assert metric("approval_open_count") == {"": "1"}
    assert [row.pk for row in approvals.waiting()] == [open_one.pk]
    ask = rest("view_approval")
    assert [one["id"] for one in ask("/approvals").json()["results"]] == [open_one.pk]
    assert ask(f"/approvals/{left.pk}").json()["is_open"] is False
    assert durable("approval", "get", str(left.pk), "-o", "json").json["is_open"] is False


@pytest.mark.django_db
def test_who_may_answer_sees_the_inbox_by_rest_as_in_the_admin(rest: Any) -> None:
    """One rule; and the questions of one run are to be had by its id."""
    first, second = question("First"), question("Second")
    assert rest()("/approvals").status_code == 403
    for permission in ("answer_approval", "view_approval"):
        ask = rest(permission)
        assert [one["id"] for one in ask("/approvals").json()["results"]] == [first.pk, second.pk]
        found = ask("/approvals", workflow_id=second.workflow.workflow_id).json()["results"]
        assert [one["id"] for one in found] == [second.pk]
        assert ask("/approvals", workflow_id="nobody").json()["results"] == []


@pytest.mark.django_db
def test_a_question_is_read_at_a_terminal_before_it_is_answered() -> None:
    """Its words, who may answer until when, and what its form asks for."""
    approval_form(InboxForm)
    asked = question(
        "Refund order 1",
        form=f"{InboxForm.__module__}.{InboxForm.__qualname__}",
        description="The *customer* asks.",
        context={"token": "abc", "order": 1},
        group="finance",
        deadline_at=clock.now() + timedelta(days=1),
    )
    shown = durable("approval", "get", str(asked.pk))
    for words in ("Refund order 1", "The *customer* asks.", "finance", "answer_approval", "deadline_at"):
        assert words in shown.out
    assert "abc" not in shown.out
    rows = [line.split()[:2] for line in shown.lines if line.startswith(("answer ", "comment "))]
    assert rows == [["answer", "number"], ["comment", "string"]]
    fields = durable("approval", "get", str(asked.pk), "-o", "json").json["fields"]
    assert [(one["field"], one["is_required"]) for one in fields] == [("answer", True), ("comment", True)]
    assert durable("approval", "get", "4711").code == 4


@workflow(name="told.refund")
def refund() -> str:
    given = wait_for_approval("Refund order 1, message to follow", timeout=3600)
    return "nobody" if given is None else given.answered_by


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_an_answer_says_so_everywhere(worker: Worker) -> None:
    """In lists, REST, doctor and timeline; linked where links are; found by its own filter, and no other."""
    run_id = start_workflow(refund).workflow_id
    parked: Any = wait_until(Workflow.objects.filter(workflow_id=run_id, status=Status.WAITING).first)
    number = Approval.objects.get().pk
    words = f"approval {number}: Refund order 1, message to follow"
    assert parked.waiting_for == words
    assert durable("run", "get", run_id, "-o", "json").json["waiting_for"] == words
    assert f"It waits for {words}." in diagnosed(parked)
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    shown = client.get(LIST, {"waiting": "approval"}).content.decode()
    assert f'<a href="/admin/durable_app/approval/{number}/change/"' in shown
    assert run_id not in client.get(LIST, {"waiting": "message"}).content.decode()
    page: Any = client.get(page_of(parked))
    lines = [line.row for line in page.context_data["steps"].drawing.lines]
    assert [(row.label, row.state) for row in lines[1:]] == [
        ("durable.askForApproval", "done"),
        (words, "waiting"),
    ]
    assert lines[2].started_at >= lines[1].finished_at


# queues


@pytest.mark.django_db
@override_settings(DURABLE=NOW)
def test_runs_in_a_queue_that_does_not_exist_are_counted_and_told_of(boss: Client) -> None:
    """An alert on waiting runs fires for them, too; and a probe that asks for workers fails."""
    worker("all")
    run = made(Status.ENQUEUED, queue_name="nope")
    labels = '{queue_name="nope",workflow_name="shop.checkout"}'
    assert {"".join(sorted(one)) for one in metric("workflow_enqueued_count")} == {"".join(sorted(labels))}
    assert len(metric("workflow_oldest_enqueued_timestamp_seconds")) == 1
    ready = boss.get("/ops/readyz?require=workers")
    told = "runs wait in queues that do not exist: nope"
    assert (ready.status_code, ready.json()["workers"]) == (503, told)
    assert diagnosed(run) == ["There is no queue 'nope'."]
    shown = boss.get(OVERVIEW).content.decode()
    assert "Runs wait in queues that do not exist: nope (1)." in shown
    assert 'queue=nope&amp;status=ENQUEUED">nope</a>' in shown


@pytest.mark.django_db
def test_runs_without_a_key_in_a_partitioned_queue_are_told_of(boss: Client) -> None:
    """Nobody will ever take them: no place in a line, and a thing that is not well."""
    worker("all")
    queue("tenants", partition_queue=True)
    run = made(Status.ENQUEUED, queue_name="tenants")
    made(Status.ENQUEUED, queue_name="tenants", partition_key="a")
    assert diagnosed(run) == ["The queue 'tenants' is partitioned, and the run has no partition key."]
    assert why(run).is_problem
    [banner] = health()
    assert (banner.code, banner.is_error, banner.subjects) == ("no_key", True, ("tenants",))
    assert "tenants (1)" in banner.sentence
    assert 'queue=tenants&amp;status=ENQUEUED">tenants</a>' in boss.get(OVERVIEW).content.decode()
    said = typed("durable_status")
    assert (said.code, f"!! {banner.sentence}" in said.out) == (1, True)


@pytest.mark.django_db
def test_names_of_queues_are_looked_up_one_by_one(django_assert_num_queries: Any) -> None:
    """A look for each queue, however many runs it has."""
    for name in ("b", "a", "b", "c"):
        made(Status.ENQUEUED, queue_name=name)
    with django_assert_num_queries(6):  # the queues, the workers, three names and the end
        found = gauges.unserved_queues()
    assert (found.missing, found.idle) == (["a", "b", "c"], [])


@pytest.mark.django_db
def test_only_what_can_be_taken_has_a_place_in_the_line() -> None:
    """Behind a limit or a pause it has one; where nobody serves the queue it has none."""
    queue("mail")
    first, second = (made(Status.ENQUEUED, queue_name="mail") for _ in range(2))
    assert diagnosed(first) == ["No worker is running."]
    other = worker("other", queues=["video"])
    assert diagnosed(first)[0].startswith("No workflow named")
    Workflow.objects.update(name="told.refund")
    first.refresh_from_db()
    assert diagnosed(first) == ["No live worker serves the queue 'mail'."]
    other.queues, other.excluded = [], ["mail"]
    other.save()
    assert diagnosed(first) == ["No live worker serves the queue 'mail'."]
    other.excluded = []
    other.save()
    assert diagnosed(first) == ["It waits for a worker with room.", "- It is the next one."]
    assert diagnosed(second)[1:] == ["- 1 run comes before it."]


# failures


@pytest.mark.django_db
def test_why_a_run_failed_is_said_with_class_message_and_step(boss: Client, rest: Any) -> None:
    """At a terminal as in the admin; the message to those alone who may see payloads."""
    run = with_steps(made(Status.ERROR), "reserve", "charge", fails=True)
    told = ["Its function raised shop.Declined: no money", "- The last step that failed is 2, charge."]
    assert diagnosed(run) == told
    text = boss.get(page_of(run)).content.decode()
    assert told[0] in text
    assert text.count("The last step that failed is 2, charge.") == 1
    assert why(run, may_see=False).headline == "Its function raised shop.Declined."
    for permissions, headline in (
        (["view_workflow"], "Its function raised shop.Declined."),
        (["view_workflow", "view_payload"], told[0]),
    ):
        found = rest(*permissions)(f"/workflows/{run.workflow_id}", include="reason").json()["reason"]
        assert found == {"headline": headline, "facts": [told[1][2:]], "is_problem": True}
    assert why(made(Status.ERROR, error=None)).headline == "Its function raised an error."
    error = json.dumps({"type": "builtins.E", "message": "x" * 9_000})
    assert why(made(Status.ERROR, error=error)).headline == f"Its function raised E: {'x' * 500}…"


# workers


@pytest.mark.django_db
def test_a_silent_worker_has_one_name_and_is_found(boss: Client, rest: Any) -> None:
    """The overview's figure leads to its row; REST, commands and lists use the same word."""
    past = clock.now() - timedelta(seconds=1)
    worker("mute", expires_at=past)
    worker("well")
    worker("over", stopped_at=past)
    assert f'href="{WORKERS}?state=silent">1</a>' in boss.get(OVERVIEW).content.decode()
    ask, states = rest("view_worker"), {"mute": "silent", "well": "live", "over": "ended"}

    def listed(**query: str) -> set[str]:
        page: Any = boss.get(WORKERS, query)
        return {row.name for row in page.context_data["cl"].result_list}

    assert listed() == {"mute", "well"}
    for name, state in states.items():
        assert listed(state=state) == {name}
        [found] = ask("/workers", state=state).json()["results"]
        assert (found["id"], found["state"]) == (name, state)
    assert ask("/workers", state="dead").status_code == 400
    assert {one["id"]: one["state"] for one in durable("worker", "list", "-o", "json").json} == states
    assert "1 silent" in typed("durable_status").out


@pytest.mark.django_db
def test_a_worker_of_all_queues_says_all(boss: Client, rest: Any) -> None:
    """With what it excludes."""
    worker("all")
    worker("but", excluded=["video"])
    worker("some", queues=["mail"])
    told = {line.split()[0]: line for line in durable("worker", "list").lines}
    assert " all " in told["all"]
    assert " all but video " in told["but"]
    assert " mail " in told["some"]
    assert "all but video" in boss.get(WORKERS).content.decode()
    ask = rest("view_worker")
    found = {one["id"]: (one["queues"], one["excluded"]) for one in ask("/workers").json()["results"]}
    assert found == {"all": (None, []), "but": (None, ["video"]), "some": (["mail"], [])}
