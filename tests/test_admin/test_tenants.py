"""What a policy hides is nowhere: no page, list, count, link, search or file tells of it."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from durable_app.admin.runs.conditions import conditions_of
from durable_app.control.actors import Actor, Policy
from durable_app.control.answering import Reply, answer
from durable_app.control.operator import Operator, Refused
from durable_app.control.starting import order_like
from durable_app.errors import NonExistentApprovalError
from durable_app.models import Approval, BulkOperation, Message, Status, Step, Workflow
from tests.test_admin.pages import LIST, made, page_of, with_steps

pytestmark = pytest.mark.django_db

TABS = ("steps", "values", "messages", "streams", "family", "history", "raw")

EVERYTHING = (
    "view_workflow", "view_payload", "view_auditevent", "cancel_workflow", "resume_workflow", "fork_workflow",
    "send_message", "start_workflow", "delete_workflow", "export_workflow", "answer_approval",
)  # fmt: skip


class Tenants(Policy):
    """People see the runs that bear their name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user=actor.label)


@pytest.fixture
def tenant(staff: Any, settings: Any) -> Client:
    """Return the browser of somebody who may do everything to the own runs, and knows of no others."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    client: Client = staff(*EVERYTHING)
    return client


def kin() -> tuple[Workflow, list[Workflow]]:
    """Write a run of ann's amid a family of bob's: its parent, origin, child, fork and neighbour."""
    theirs: dict[str, Any] = {"user": "bob", "name": "bobs.secret", "queue_name": "bobs-queue"}
    parent = made(Status.ENQUEUED, workflow_id="bobs-parent", **theirs)
    origin = made(Status.ERROR, workflow_id="bobs-origin", **theirs)
    own = made(
        Status.WAITING,
        workflow_id="anns-run",
        user="ann",
        parent_workflow_id=parent.workflow_id,
        forked_from=origin.workflow_id,
        was_forked_from=True,
    )
    with_steps(own, "reserve", "start_child")
    Step.objects.filter(workflow_id=own.pk, position=2).update(
        child_workflow_id="bobs-child", output='"a child"'
    )
    child = made(Status.PENDING, workflow_id="bobs-child", parent_workflow_id=own.workflow_id, **theirs)
    fork = made(workflow_id="bobs-fork", forked_from=own.workflow_id, **theirs)
    return own, [parent, origin, child, fork]


def test_no_tab_of_a_run_tells_of_its_foreign_family(tenant: Client) -> None:
    """A9. Neither ids nor names; the boss sees them."""
    own, _foreign = kin()
    for tab in TABS:
        text = tenant.get(f"{page_of(own)}?tab={tab}").content.decode()
        assert "anns-run" in text
        assert "bobs" not in text, tab


def test_the_boss_of_all_sees_them(boss: Client) -> None:
    """A9. The same pages, without a policy."""
    own, _foreign = kin()
    text = "".join(boss.get(f"{page_of(own)}?tab={tab}").content.decode() for tab in TABS)
    for name in ("bobs-parent", "bobs-origin", "bobs-child", "bobs-fork"):
        assert name in text


def test_lists_counts_choices_and_files_tell_of_nobody_else(tenant: Client) -> None:
    """A9. With every column; the choices of the filters too."""
    own, _foreign = kin()
    page = tenant.get(f"{LIST}?cols=parent,attributes,user").content.decode()
    assert "anns-run" in page
    assert "bobs" not in page
    assert tenant.get(f"{LIST}count/").json() == {"count": 1, "is_capped": False}
    assert "1 runs are meant" in tenant.get(f"{LIST}bulk/cancel/").content.decode()
    response: Any = tenant.post(f"{LIST}export/", {"format": "json", "payloads": "on"})
    text = b"".join(response.streaming_content).decode()
    assert "anns-run" in text
    assert "bobs-child" not in text


def test_a_search_does_not_tell_whether_an_id_exists(tenant: Client) -> None:
    """A9. A whole id would be looked up exactly, and hide what begins with it."""
    made(workflow_id="bobs", user="bob")
    made(workflow_id="bobs-like-but-anns", user="ann")
    assert "bobs-like-but-anns" in tenant.get(LIST, {"q": "bobs"}).content.decode()
    actor = Actor(kind="user", label="ann")
    assert conditions_of({"q": "bobs"}, actor.sees) == conditions_of({"q": "never"}, actor.sees) | {
        "workflow_id_prefix": "bobs"
    }


def test_every_page_of_a_foreign_run_is_404(tenant: Client) -> None:
    """A9. As one that does not exist."""
    _own, foreign = kin()
    verbs = (
        "cancel",
        "resume",
        "run_now",
        "set_priority",
        "retry",
        "fork",
        "rewind",
        "send",
        "start_like",
        "delete",
    )
    for run in foreign[:2]:
        urls = [page_of(run), f"{LIST}{run.pk}/history/", f"{LIST}{run.pk}/export/"]
        for url in [*urls, *(f"{LIST}{run.pk}/verb/{verb}/" for verb in verbs)]:
            assert tenant.get(url).status_code == 404, url
            assert tenant.post(url, {}).status_code in (404, 405), url
        assert tenant.get(f"{LIST}by-id/", {"id": run.workflow_id}).status_code == 404
    assert {run.status for run in Workflow.objects.filter(user="bob")} == {run.status for run in foreign}
    assert not Message.objects.exists()


def test_nobody_answers_or_copies_what_they_may_not_know_of(settings: Any, tenant: Client) -> None:
    """A5, A9. By a number or an id that was guessed: as if there were none."""
    _own, foreign = kin()
    run = made(Status.WAITING, user="bob")
    question = Approval.objects.create(
        workflow_id=run.pk, position=1, title="Pay bob?", created_at=run.created_at
    )
    ann = Operator(actor=Actor(kind="cli", label="ann"))
    with pytest.raises(NonExistentApprovalError):
        answer(ann, question.pk, Reply(approved=True))
    with pytest.raises(Refused, match="no such run"):
        order_like(foreign[0].workflow_id, ann.actor.sees)
    assert order_like(foreign[0].workflow_id).workflow == "bobs.secret"
    cache.clear()


def test_the_audit_and_the_operations_are_ones_own(settings: Any, staff: Any, boss: Client) -> None:
    """A9. What was done to own runs, and own deeds; operations of others tell of runs of others."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    seeing = ("view_auditevent", "view_bulkoperation", "cancel_workflow", "view_workflow")
    ann, bob = staff(*seeing), staff(*seeing, name="bob")
    own, _foreign = kin()
    theirs = made(Status.ENQUEUED, workflow_id="bobs-other", user="bob")
    ann.post(f"{LIST}{own.pk}/verb/cancel/", {"reason": "anns reason"})
    bob.post(f"{LIST}{theirs.pk}/verb/cancel/", {"reason": "bobs reason"})
    bob.post(f"{LIST}bulk/cancel/?queue=bobs-queue", {})
    ann.post(f"{LIST}bulk/cancel/?queue=anns-queue", {})
    numbers = {one.filter["queue_name"][0]: one.pk for one in BulkOperation.objects.all()}
    base = "/admin/durable_app"
    for page in (f"{base}/auditevent/", f"{base}/bulkoperation/"):
        text = ann.get(page).content.decode()
        assert "anns-" in text, page
        assert "bobs" not in text, page
    foreign = numbers["bobs-queue"]
    assert ann.get(f"{base}/bulkoperation/{foreign}/change/").status_code == 404
    assert ann.post(f"{base}/bulkoperation/{foreign}/cancel/", {}).status_code == 404
    assert bob.get(f"{base}/bulkoperation/{foreign}/change/").status_code == 200
    api = "/api/durable/v1"
    for path in ("/audit", "/bulk-operations"):
        text = ann.get(f"{api}{path}").content.decode()
        assert "anns-" in text, path
        assert "bobs" not in text, path
    assert ann.get(f"{api}/bulk-operations/{foreign}").status_code == 404
    assert "bobs" not in ann.get(f"{api}/workflows/{own.workflow_id}").content.decode()
    assert "bobs" not in ann.get(f"{api}/workflows").content.decode()
    settings.DURABLE = {}
    assert "bobs-queue" in boss.get(f"{base}/bulkoperation/").content.decode()
    assert "bobs-other" in boss.get(f"{base}/auditevent/").content.decode()
