"""`durable prune`, `roles`, `seed`, `run export` and `import`."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from durable_app import clock, set_event, step, workflow
from durable_app.models import AuditEvent, Event, Status, Step, Workflow
from tests.test_admin.pages import made
from tests.test_commands.keyboard import durable

pytestmark = pytest.mark.django_db


@step
def moved_step() -> int:
    return 1


@workflow
def moved_workflow() -> int:
    set_event("half", True)
    return moved_step()


def ended(days: int, status: str = Status.SUCCESS) -> Workflow:
    return made(status, finished_at=clock.now() - timedelta(days=days))


def left() -> set[int]:
    return set(Workflow.objects.values_list("pk", flat=True))


def test_pruning_says_first_what_it_would_delete_and_keeps_what_it_is_told_to():
    """Retention. By age, failed ones longer; active runs and their kin stay; the audit has the figures."""
    old, failed, ancient, new = ended(40), ended(40, Status.ERROR), ended(100, Status.ERROR), ended(1)
    active = made(Status.WAITING)
    kin = made(parent_workflow_id=active.workflow_id, finished_at=clock.now() - timedelta(days=40))
    wanted = ("--older-than", "30d", "--keep-failed", "90d", "--batch", "1")
    dry = durable("prune", *wanted, "--dry-run", "-o", "json")
    assert dry.json == {"would_delete": 2}
    assert not AuditEvent.objects.exists()
    said = durable("prune", *wanted, "--reason", "nightly", "-o", "json")
    assert said.json == {"deleted": 2, "files": 0, "is_finished": True}
    assert left() == {failed.pk, new.pk, active.pk, kin.pk}
    assert ancient.pk not in left()
    assert old.pk not in left()
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason, event.details["deleted"]) == ("prune", "nightly", 2)
    assert durable("prune", *wanted, "-o", "json").json["deleted"] == 0


def test_pruning_by_number_keeps_the_newest():
    """Retention. --keep-rows, in thousands or millions if one likes."""
    runs = [ended(1) for _ in range(5)]
    assert durable("prune", "--keep-rows", "2", "--dry-run", "-o", "json").json == {"would_delete": 3}
    assert durable("prune", "--keep-rows", "1k", "-o", "json").json["deleted"] == 0
    assert durable("prune", "--keep-rows", "2", "-o", "json").json["deleted"] == 3
    assert left() == {run.pk for run in runs[3:]}


def test_pruning_ends_when_its_time_is_over(monkeypatch):
    """Retention. --max-seconds: after the batch in which it passes; the next call goes on."""
    for _ in range(3):
        ended(40)
    clocks = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clocks))
    wanted = ("prune", "--older-than", "30d", "--batch", "1", "-o", "json")
    assert durable(*wanted, "--max-seconds", "5").json == {"deleted": 1, "files": 0, "is_finished": False}
    monkeypatch.undo()
    assert durable(*wanted).json == {"deleted": 2, "files": 0, "is_finished": True}


def test_pruning_without_a_word_of_what_is_a_wrong_command_line():
    """No default that surprises: exit 2, and nothing deleted."""
    run = ended(4000)
    said = durable("prune")
    assert (said.code, said.err) == (2, "Which runs? Give --older-than, --keep-rows, or both.")
    assert left() == {run.pk}


def test_roles_are_three_groups_and_may_be_made_again():
    """A9. Viewers look, operators act, admins do all; what a project has added to a group stays."""
    said = durable("roles", "-o", "json")
    assert [(one["group"], one["is_new"]) for one in said.json] == [
        ("Durable viewers", True),
        ("Durable operators", True),
        ("Durable admins", True),
    ]
    assert [one["is_new"] for one in durable("roles", "-o", "json").json] == [False] * 3
    people = {}
    for group in Group.objects.all():
        people[group.name] = User.objects.create_user(group.name)
        people[group.name].groups.add(group)
    viewer, operator, admin = (people[f"Durable {name}"] for name in ("viewers", "operators", "admins"))

    def may(user: Any, codename: str) -> bool:
        return bool(user.has_perm(f"durable_app.{codename}"))

    assert may(viewer, "view_workflow")
    assert not may(viewer, "cancel_workflow")
    assert not may(viewer, "view_payload")
    assert may(operator, "cancel_workflow")
    assert not may(operator, "delete_workflow")
    assert not may(operator, "control_worker")
    assert may(admin, "delete_workflow")
    assert may(admin, "export_workflow")
    assert set(AuditEvent.objects.values_list("verb", "target_kind")) == {("roles", "group")}


def test_a_run_moves_by_a_file(tmp_path):
    """D 6. Exported with its children, deleted, imported: every row as it was; twice it is refused."""
    moved_workflow()
    run = Workflow.objects.get()
    made(parent_workflow_id=run.workflow_id, workflow_id="child")
    before = rows(Workflow.objects.all())
    exported = durable("run", "export", run.workflow_id, "child", "--children", "--reason", "audit")
    assert (exported.code, exported.err) == (0, "")
    assert len(exported.json["runs"]) == 2
    assert durable("run", "delete", run.workflow_id, "child").code == 0
    assert (Step.objects.count(), Event.objects.count()) == (0, 0)
    file = tmp_path / "runs.json"
    file.write_text(exported.out)
    dry = durable("run", "import", str(file), "--dry-run", "-o", "ids")
    assert dry.lines == [run.workflow_id, "child"]
    assert not Workflow.objects.exists()
    said = durable("run", "import", "-o", "ids", stdin=exported.out)
    assert (said.code, said.lines) == (0, dry.lines)
    assert rows(Workflow.objects.all()) == before
    assert (Step.objects.count(), Event.objects.count()) == (2, 1)
    again = durable("run", "import", str(file))
    assert (again.code, again.out) == (1, "")
    assert "exists" in again.err or "in use" in again.err
    assert list(AuditEvent.objects.order_by("pk").values_list("verb", "outcome")) == [
        ("export", "done"),
        ("export", "done"),
        ("delete", "done"),
        ("delete", "done"),
        ("import", "done"),
        ("import", "failed"),
    ]


def rows(found: "QuerySet[Workflow]") -> list[dict[str, Any]]:
    return [{**row, "id": 0} for row in found.order_by("workflow_id").values()]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "This is no JSON"),
        ("[" * 100_000, "This is no JSON"),
        ("[]", "This is no export"),
        ('{"runs": [{"workflow": 5}]}', "This is no export"),
        ('{"runs": []}', "an export is an object whose format is"),
        ('{"format": "durable_app/1", "runs": [{"workflow": {"workflow_id": "x"}}]}', "an exported run is"),
    ],
    ids=["empty", "deep", "list", "number", "formatless", "partless"],
)
def test_what_is_no_export_changes_nothing(text, sentence):
    """Exit 1, a sentence, no row."""
    said = durable("run", "import", stdin=text)
    assert (said.code, said.out) == (1, "")
    assert sentence in said.err
    assert not Workflow.objects.exists()


def test_a_file_that_is_not_there_and_a_run_that_is_not():
    """Exit 2 and 4."""
    assert durable("run", "import", "/no/such/file").code == 2
    assert durable("run", "export", "nobody").code == 4


def test_seeding_counts_its_batches():
    """Demo data: in every state, at once."""
    said = durable("seed", "--runs", "60", "--steps", "2", watched=True)
    assert (said.code, said.out) == (0, "")
    assert "batch [" in said.err
    assert "60 runs were made up" in said.err
    assert Workflow.objects.count() == 60
    assert json.loads(durable("run", "list", "--limit", "1", "-o", "json").out)
