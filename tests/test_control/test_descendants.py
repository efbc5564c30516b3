"""Verbs that reach descendants touch those that the actor may know of and act on, in a fitting state."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from durable_app.control.actors import Actor, Policy
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, Status, Workflow
from durable_app.registry import UNDO
from tests.test_admin.pages import made

pytestmark = pytest.mark.django_db

ME = Operator(actor=Actor.at_terminal("me"), reason="flood")


class Tenants(Policy):
    """People see the runs that bear their name, and act on those that are not locked."""

    def may(self, actor: Actor, permission: str, target: Any = None) -> bool:
        is_free = target is None or (target.attributes or {}).get("locked") is None
        return super().may(actor, permission, target) and is_free

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def ann(*codenames: str) -> Operator:
    user = User.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return Operator(actor=Actor(kind="user", id=str(user.pk), label="ann", user=user))


def family(status: str, *children: dict[str, Any]) -> tuple[Workflow, list[Workflow]]:
    """Write a run with children, each the parent of a grandchild like it."""
    top = made(status, user="ann")
    found = []
    for fields in children:
        child = made(parent_workflow_id=top.workflow_id, **{"status": status, "user": "ann", **fields})
        grandchild = made(parent_workflow_id=child.workflow_id, **{"status": status, "user": "ann", **fields})
        found += [child, grandchild]
    return top, found


def statuses(runs: list[Workflow]) -> list[str]:
    return [Workflow.objects.get(pk=run.pk).status for run in runs]


KIN: list[dict[str, Any]] = [
    {},
    {"user": "bob"},
    {"attributes": {"locked": True}},
    {"status": Status.SUCCESS},
]


def test_cancelling_passes_over_what_is_not_the_actors(settings: Any) -> None:
    """A9. Another tenant's child, one the policy protects, one that has ended: as they were."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    top, below = family(Status.ENQUEUED, *KIN)
    [result] = ann("cancel_workflow").cancel([top.workflow_id], cancel_children=True)
    assert result.is_done
    assert statuses(below) == ["CANCELLED"] * 2 + ["ENQUEUED"] * 4 + ["SUCCESS"] * 2
    events = AuditEvent.objects.filter(outcome="done").exclude(target_id=top.workflow_id)
    assert {event.target_id for event in events} == {run.workflow_id for run in below[:2]}
    assert {event.details["with"] for event in events} == {top.workflow_id}
    assert {event.actor_label for event in events} == {"ann"}


def test_deleting_passes_over_them_too_and_over_what_goes_on(settings: Any) -> None:
    """A4, A9. A child that executes is not deleted with its parent."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    kin = [*KIN[:3], {"status": Status.PENDING}]
    top, below = family(Status.ERROR, *kin)
    [result] = ann("delete_workflow").delete([top.workflow_id], delete_children=True)
    assert result.is_done
    assert set(Workflow.objects.values_list("pk", flat=True)) == {run.pk for run in below[2:]}
    assert AuditEvent.objects.filter(verb="delete", outcome="done").count() == 3
    assert AuditEvent.objects.get(target_id=top.workflow_id).details == {"delete_children": True}


def test_a_run_that_went_on_meanwhile_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A4. Between the look and the deed somebody has resumed it."""
    run = made(Status.CANCELLED)
    look = Actor.sees

    def resumed(actor: Actor, rows: Any) -> Any:
        found = list(look(actor, rows))
        Workflow.objects.update(status="ENQUEUED")
        return type("Found", (), {"first": lambda self: found[0]})()

    monkeypatch.setattr(Actor, "sees", resumed)
    [result] = ME.delete([run.workflow_id])
    assert (result.outcome, result.detail) == ("refused", "The run goes on meanwhile.")
    assert statuses([run]) == ["ENQUEUED"]


def test_what_undoes_a_run_is_not_cancelled_with_it() -> None:
    """A saga's companion is a child, too."""
    top, _ = family(Status.ENQUEUED)
    undoing = made(Status.ENQUEUED, parent_workflow_id=top.workflow_id, name=f"{UNDO}shop.checkout")
    ME.cancel([top.workflow_id], cancel_children=True)
    assert statuses([top, undoing]) == ["CANCELLED", "ENQUEUED"]


def test_a_family_of_thousands_is_done_in_a_few_statements(django_assert_max_num_queries: Any) -> None:
    """A3. The statements do not grow with the children."""
    top = made(Status.ENQUEUED)
    now = top.created_at
    Workflow.objects.bulk_create(
        Workflow(
            workflow_id=f"child-{number}", name="n", status="ENQUEUED", queue_name="default", inputs="{}",
            parent_workflow_id=top.workflow_id, created_at=now, updated_at=now,
        )
        for number in range(900)
    )  # fmt: skip
    with django_assert_max_num_queries(60):
        ME.cancel([top.workflow_id], cancel_children=True)
    assert set(Workflow.objects.values_list("status", flat=True)) == {"CANCELLED"}
    assert AuditEvent.objects.count() == 901
