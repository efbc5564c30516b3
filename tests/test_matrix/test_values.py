"""What a page or an answer shows to some and not to others: payloads, and the audit."""

from typing import Any

import pytest

from tests.test_matrix import test_looks_admin, test_looks_rest
from tests.test_matrix.people import People, browser
from tests.test_matrix.scene import HELD, REASON, SECRET, Scene, scene
from tests.test_matrix.tables import table

pytestmark = pytest.mark.django_db

PAYLOADS = table("""
place                             viewer  operator  admin

workflow_change?tab=steps&step=1  hidden  shown     shown
workflow_change?tab=values        hidden  shown     shown
workflow_change?tab=messages      hidden  shown     shown
workflow_change?tab=streams       hidden  shown     shown
workflow_change?tab=raw           hidden  hidden    hidden
workflow_changelist               hidden  hidden    hidden
workflow_export                   hidden  hidden    shown
approval_change                   hidden  shown     shown
schedule_change                   hidden  shown     shown
schedule_edit                     hidden  hidden    shown
bulkoperation_change              hidden  shown     shown

GET run                           hidden  hidden    hidden
GET run?include=input             hidden  shown     shown
GET run?include=output            hidden  shown     shown
GET runs                          hidden  hidden    hidden
GET run-steps?include=output      hidden  shown     shown
GET run-events?include=value      hidden  shown     shown
GET run-messages?include=value    hidden  shown     shown
GET result                        hidden  shown     shown
GET stream                        hidden  shown     shown
GET stream-events                 hidden  shown     shown
GET run-export                    hidden  hidden    shown
GET schedule                      hidden  shown     shown
GET schedules                     hidden  shown     shown
GET approval                      hidden  hidden    hidden
GET bulk-operation                hidden  hidden    hidden
""")
"""Who has ``view_payload`` sees values; an export is a copy, and needs ``export_workflow``, too."""

AUDIT = table("""
place                        watcher  viewer  tenant

workflow_change?tab=history  hidden   shown   shown
workflow_history             hidden   shown   shown
approval_history             hidden   shown   hidden
schedule_history             hidden   shown   hidden
queue_change                 hidden   shown   hidden
queue_history                hidden   shown   hidden
worker_change                hidden   shown   hidden
worker_history               hidden   shown   hidden
bulkoperation_change         hidden   shown   hidden
bulkoperation_history        hidden   shown   hidden
auditevent_changelist        hidden   shown   shown
auditevent_change            hidden   shown   shown
GET audit                    hidden   shown   shown
""")
"""A watcher sees everything but the audit; a tenant of it what was done to its runs, and its own deeds."""

RUNS = table("""
place                keeper  viewer
worker_changelist    hidden  shown
worker_change        hidden  shown
schedule_change      hidden  shown
queue_change         hidden  hidden
""")
"""A keeper may look at everything but runs."""


def shown(user: Any, place: str, it: Scene, word: str) -> str:
    """Return whether a user is shown a word in a place."""
    if place.startswith("GET "):
        route, mark, query = place.removeprefix("GET ").partition("?")
        url = f"{test_looks_rest.url_of(route, it)}{mark}{query}"
    else:
        url = test_looks_admin.url_of(place, it)
    response: Any = browser(user).get(url)
    return "shown" if word in response.content.decode() else "hidden"


def test_values_are_for_those_with_the_permission(people: People) -> None:
    """A8. Nowhere else, whatever else they may see."""
    it = scene(people["tenant"])
    for place, expected in PAYLOADS.items():
        assert {role: shown(people[role], place, it, SECRET) for role in expected} == expected, place


def test_the_audit_is_for_those_with_the_permission(people: People) -> None:
    """A9. Wherever it is shown beside a row; to see the row is not enough."""
    it = scene(people["tenant"])
    for place, expected in AUDIT.items():
        assert {role: shown(people[role], place, it, REASON) for role in expected} == expected, place


def test_runs_are_for_those_with_the_permission(people: People) -> None:
    """A9. Beside the worker that executes them, and the schedule that has started them, too."""
    it = scene(people["tenant"])
    for place, expected in RUNS.items():
        assert {role: shown(people[role], place, it, f"{HELD}-") for role in expected} == expected, place
