"""Who may look at which page of the admin. A page without a row fails."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.test_matrix.people import ROLES, TENANTS, People, browser, looked
from tests.test_matrix.scene import Scene, scene
from tests.test_matrix.tables import table

pytestmark = pytest.mark.django_db

ADMIN = table("""
page                         anonymous  nobody   viewer    operator  admin     own       foreign

overview_changelist          denied     denied   answered  answered  answered  answered  -
overview_durations           denied     denied   answered  answered  answered  answered  -

workflow_changelist          denied     denied   answered  answered  answered  answered  -
workflow_count               denied     denied   answered  answered  answered  answered  -
workflow_by_id               denied     denied   answered  answered  answered  answered  missing
workflow_change              denied     denied   answered  answered  answered  answered  missing
workflow_change?tab=values   denied     denied   answered  answered  answered  answered  missing
workflow_change?tab=history  denied     denied   answered  answered  answered  answered  missing
workflow_history             denied     denied   answered  answered  answered  answered  missing
workflow_verb                denied     denied   denied    answered  answered  answered  missing
workflow_bulk                denied     denied   denied    answered  answered  answered  -
workflow_export_list         denied     denied   denied    denied    answered  answered  -
workflow_export              denied     denied   denied    denied    answered  answered  missing
workflow_exported            denied     missing  missing   missing   missing   answered  missing
workflow_views               denied     denied   answered  answered  answered  answered  -
workflow_forget_view         denied     denied   answered  answered  answered  answered  -
workflow_delete              denied     denied   answered  answered  answered  answered  missing
workflow_add                 denied     denied   denied    denied    denied    denied    -

approval_changelist          denied     denied   answered  answered  answered  answered  -
approval_change              denied     denied   answered  answered  answered  answered  missing
approval_history             denied     denied   answered  answered  answered  answered  missing
approval_delete              denied     denied   denied    denied    denied    denied    denied
approval_add                 denied     denied   denied    denied    denied    denied    -

schedule_changelist          denied     denied   answered  answered  answered  -         -
schedule_change              denied     denied   answered  answered  answered  -         -
schedule_history             denied     denied   answered  answered  answered  -         -
schedule_preview             denied     denied   answered  answered  answered  -         -
schedule_verb                denied     denied   denied    answered  answered  -         -
schedule_backfill            denied     denied   denied    answered  answered  -         -
schedule_edit                denied     denied   denied    denied    answered  -         -
schedule_delete              denied     denied   answered  answered  answered  -         -
schedule_add                 denied     denied   denied    denied    answered  -         -

queue_changelist             denied     denied   answered  answered  answered  -         -
queue_change                 denied     denied   answered  answered  answered  -         -
queue_history                denied     denied   answered  answered  answered  -         -
queue_verb                   denied     denied   denied    answered  answered  -         -
queue_delete                 denied     denied   denied    denied    denied    -         -
queue_add                    denied     denied   denied    denied    denied    -         -

worker_changelist            denied     denied   answered  answered  answered  -         -
worker_versions              denied     denied   answered  answered  answered  -         -
worker_change                denied     denied   answered  answered  answered  -         -
worker_history               denied     denied   answered  answered  answered  -         -
worker_verb                  denied     denied   denied    denied    answered  -         -
worker_delete                denied     denied   denied    denied    denied    -         -
worker_add                   denied     denied   denied    denied    denied    -         -

bulkoperation_changelist     denied     denied   answered  answered  answered  answered  -
bulkoperation_change         denied     denied   answered  answered  answered  answered  missing
bulkoperation_history        denied     denied   answered  answered  answered  answered  missing
bulkoperation_cancel         denied     denied   denied    answered  answered  answered  missing
bulkoperation_delete         denied     denied   denied    denied    denied    denied    denied
bulkoperation_add            denied     denied   denied    denied    denied    denied    -

auditevent_changelist        denied     denied   answered  answered  answered  answered  -
auditevent_change            denied     denied   answered  answered  answered  answered  missing
auditevent_history           denied     denied   answered  answered  answered  answered  missing
auditevent_export            denied     denied   answered  answered  answered  answered  -
auditevent_delete            denied     denied   denied    denied    denied    denied    denied
auditevent_add               denied     denied   denied    denied    denied    denied    -
""")
"""``own`` and ``foreign`` are an administrator's of a tenant, at something of the tenant or of somebody else.

A file is for who began its export; ``workflow_delete`` and ``schedule_delete`` lead on to the
verb's page. A view is the user's own: whoever may see the list may save and delete theirs.
"""

PATHS: dict[str, Callable[[Scene], str]] = {
    "overview_durations": lambda it: "durations/",
    "workflow_count": lambda it: "count/",
    "workflow_by_id": lambda it: f"by-id/?id={it.run.workflow_id}",
    "workflow_verb": lambda it: f"{it.run.pk}/verb/fork/",
    "workflow_views": lambda it: "views/",
    "workflow_forget_view": lambda it: "views/1/delete/",
    "workflow_bulk": lambda it: "bulk/cancel/",
    "workflow_export_list": lambda it: "export/",
    "workflow_export": lambda it: f"{it.run.pk}/export/",
    "workflow_exported": lambda it: f"exported/{it.export.pk}/",
    "schedule_preview": lambda it: "preview/?cron=0+3+*+*+*",
    "schedule_verb": lambda it: f"{it.schedule.pk}/verb/trigger/",
    "schedule_backfill": lambda it: f"{it.schedule.pk}/backfill/",
    "schedule_edit": lambda it: f"{it.schedule.pk}/edit/",
    "queue_verb": lambda it: f"{it.queue}/verb/pause/",
    "worker_versions": lambda it: "versions/",
    "worker_verb": lambda it: f"{it.worker.pk}/verb/quiet/",
    "bulkoperation_cancel": lambda it: f"{it.operation.pk}/cancel/",
    "auditevent_export": lambda it: "export/",
}
"""Where pages are that Django does not know of."""

OBJECTS: dict[str, Callable[[Scene], Any]] = {
    "workflow": lambda it: it.run.pk,
    "approval": lambda it: it.question.pk,
    "schedule": lambda it: it.schedule.pk,
    "queue": lambda it: it.queue,
    "worker": lambda it: it.worker.pk,
    "bulkoperation": lambda it: it.operation.pk,
    "auditevent": lambda it: it.event.pk,
}


def url_of(row: str, it: Scene) -> str:
    """Return the URL of a page, which is named like Django's own names of them."""
    page, mark, query = row.partition("?")
    entry, _line, view = page.partition("_")
    if page in PATHS:
        path = PATHS[page](it)
    elif view in ("change", "history", "delete"):
        path = f"{OBJECTS[entry](it)}/{view}/"
    else:
        path = {"changelist": "", "add": "add/"}[view]
    return f"/admin/durable_app/{entry}/{path}{mark}{query}"


def scenes(people: People) -> dict[str, Scene]:
    """Return what each role looks at."""
    own, foreign = scene(people["tenant"]), scene(people["tenant"], "somebody")
    return {role: foreign if role == "foreign" else own for role in (*ROLES, *TENANTS)}


@pytest.mark.parametrize("entry", ["overview", *OBJECTS])
def test_every_role_sees_the_pages_that_the_table_says(people: People, entry: str) -> None:
    """A page is shown, refused, or not there; to look changes nothing."""
    at = scenes(people)
    rows = {row: columns for row, columns in ADMIN.items() if row.startswith(f"{entry}_")}
    assert rows
    for row, columns in rows.items():
        expected = {role: what for role, what in columns.items() if what != "-"}
        found = {
            role: looked(lambda: browser(people[role]).get(url_of(row, at[role])))  # noqa: B023
            for role in expected
        }
        assert found == expected, row


def test_nothing_is_done_behind_a_page_that_shows(people: People) -> None:
    """What is posted to a list, an object's page or its history is refused, or passed over."""
    it, admin = scene(people["tenant"]), browser(people["admin"])
    for row in ADMIN:
        if row.endswith(("_changelist", "_change", "_history", "_versions", "_count", "_by_id")):
            posted = {"action": "unknown", "_selected_action": "1", "_save": "yes"}
            looked(lambda: admin.post(url_of(row, it), posted))  # noqa: B023


def test_nobody_sees_an_entry_of_the_index(people: People) -> None:
    """Whoever may look at nothing has no link to it."""
    assert b"/admin/durable_app/queue/" in browser(people["viewer"]).get("/admin/").content
    assert b"/admin/durable_app/" not in browser(people["nobody"]).get("/admin/").content
