"""The page of a run: every state on every tab, what it costs, what it hides and what it never executes."""

import json
from datetime import timedelta
from typing import Any

import django
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_app import clock, register_queue
from durable_app.control.verbs import VERBS
from durable_app.models import (
    Approval,
    AuditEvent,
    Event,
    EventHistory,
    Message,
    Status,
    Step,
    StreamEntry,
    Wait,
    Worker,
    Workflow,
)
from tests.test_admin.pages import ERROR, LIST, inspected, made, page_of, verb_page, with_steps
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db

TABS = ("steps", "values", "messages", "streams", "family", "history", "raw")

BUDGET = 15


@pytest.mark.parametrize("status", list(Status))
def test_every_state_has_every_tab(boss: Client, status: str) -> None:
    """A4. With the reason why it is here on the first one."""
    run = with_steps(made(status), "reserve", "charge", fails=status == Status.ERROR)
    for tab in TABS:
        response = boss.get(page_of(run), {"tab": tab})
        assert response.status_code == 200, tab
        inspected(response)
    text = boss.get(page_of(run)).content.decode()
    assert "Why is it here?" in text
    assert run.workflow_id in text
    assert "reserve" in text


REASONS: dict[str, str] = {
    Status.ENQUEUED: "No worker is running.",
    Status.DELAYED: "It is delayed until",
    Status.PENDING: "The worker that took it is gone",
    Status.WAITING: "It waits for message “paid”.",
    Status.SUCCESS: "Its function returned.",
    Status.ERROR: "Its function raised shop.Declined: no money",
    Status.CANCELLED: "It was cancelled by code",
    Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED: "Its workers died 101 times",
}


@pytest.mark.parametrize("status", REASONS)
def test_why_is_it_here(boss: Client, status: str) -> None:
    """A4. A sentence for each state."""
    assert REASONS[status] in boss.get(page_of(made(status))).content.decode()


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("tab", TABS)
def test_a_page_costs_few_queries(staff: Any, status: str, tab: str) -> None:
    """A11.8. At most fifteen, with steps and children, in a queue with limits, for an ordinary user."""
    register_queue("narrow", concurrency=1, limiter={"limit": 1, "period": 60})
    run = with_steps(made(status, queue_name="narrow", parent_workflow_id="p"), *"abcdefgh")
    for number in range(5):
        child = made(parent_workflow_id=run.workflow_id)
        made(parent_workflow_id=child.workflow_id)
        Step.objects.filter(workflow_id=run.pk, position=number + 1).update(
            child_workflow_id=child.workflow_id
        )
    client = staff("view_workflow", "view_payload", "view_auditevent")
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page_of(run), {"tab": tab}).status_code == 200
    assert len(reads(queries)) <= BUDGET, "\n".join(reads(queries))


@pytest.mark.parametrize("status", list(Status))
def test_the_buttons_are_the_matrix_and_say_why_they_are_not_possible(boss: Client, status: str) -> None:
    """A4. Disabled with the reason as title, not hidden."""
    text = boss.get(page_of(made(status))).content.decode()
    elements = inspected(boss.get(page_of(made(status)))).elements
    links = [found for tag, found in elements if tag == "a" and "durable-button" in found.get("class", "")]
    dead = [found for found in links if found.get("aria-disabled") == "true"]
    live = {
        found["href"].split("/verb/")[1].strip("/") for found in links if "/verb/" in found.get("href", "")
    }
    possible = {verb.name for verb in VERBS.values() if status in verb.possible_in} - {"start_like"}
    assert live == possible  # no workflow of this name is registered
    assert len(dead) == len(VERBS) - len(live)
    assert all(found["title"] and "href" not in found for found in dead)
    assert "No workflow of this name is registered" in text


def test_without_permissions_all_verbs_say_which_one_is_missing(viewer: Client) -> None:
    """A9. The state does not matter then."""
    text = viewer.get(page_of(made(Status.ERROR))).content.decode()
    assert "/verb/" not in text
    for verb in VERBS.values():
        assert f"You need the permission “{verb.permission}”." in text


SECRET = "the secret of the house"


def told(**fields: Any) -> Workflow:
    """Return a run that has something to hide in every payload."""
    text = json.dumps({"note": SECRET})
    error = json.dumps({"type": "shop.Declined", "message": SECRET, "traceback": SECRET})
    run = made(
        Status.ERROR,
        inputs=json.dumps({"args": [SECRET], "kwargs": {}}),
        output=text,
        error=error,
        **fields,
    )
    now = clock.now()
    step: dict[str, Any] = {"workflow_id": run.pk, "started_at": now, "finished_at": now, "attempt": 1}
    Step.objects.create(position=1, name="a", output=text, **step)
    Step.objects.create(position=2, name="b", error=error, **step)
    Message.objects.create(destination_id=run.pk, topic="t", value=text, sent_at=now)
    Event.objects.create(workflow_id=run.pk, key="k", value=text, updated_at=now)
    EventHistory.objects.create(workflow_id=run.pk, key="k", position=1, value=text, set_at=now)
    StreamEntry.objects.create(workflow_id=run.pk, key="s", offset=0, position=1, value=text, written_at=now)
    return run


PLACES = (*TABS, "steps&step=1", "steps&step=2", "streams&stream=s")


def test_payloads_are_hidden_from_those_who_may_not_see_them(viewer: Client, boss: Client) -> None:
    """A9. On every tab, and their size is not."""
    run = told()
    for place in PLACES:
        assert SECRET not in viewer.get(f"{page_of(run)}?tab={place}").content.decode(), place
    shown = [place for place in PLACES if SECRET in boss.get(f"{page_of(run)}?tab={place}").content.decode()]
    assert set(shown) == {
        "steps", "values", "messages", "streams", "steps&step=1", "steps&step=2", "streams&stream=s"
    }  # fmt: skip
    assert (
        "you need the permission “view_payload”" in viewer.get(f"{page_of(run)}?tab=values").content.decode()
    )


def test_what_stands_under_a_secret_key_is_shown_to_nobody(boss: Client) -> None:
    """A4, REDACT. On every display path, attributes too."""
    run = made(
        inputs='{"args":[],"kwargs":{"card_number":"4242-1","deep":[{"api_key":"4242-2"}]}}',
        output='{"password":"4242-3"}',
        attributes={"token": "4242-4"},
    )
    for place in PLACES[:7]:
        assert "4242-" not in boss.get(f"{page_of(run)}?tab={place}").content.decode(), place
    assert "4242-" not in boss.get(f"{LIST}?cols=attributes").content.decode()


def test_a_pickle_is_not_opened(boss: Client, settings: Any) -> None:
    """A4. The web process shows its text."""
    settings.DURABLE = {"SERIALIZER": "pickle"}
    run = made(output="gASVIgAAAAAAAACMBXBvc2l4", serialization="pickle")
    assert "gASVIgAAAAAAAACMBXBvc2l4" in boss.get(f"{page_of(run)}?tab=values").content.decode()


HOSTILE = "</title></script><script>alert(1)</script>'\"><img src=x onerror=alert(2)>{{ 7|add:7 }}&lt;%s"


def hostile() -> Workflow:
    """Return a run that is hostile in every field, with hostile rows of every kind."""
    text, now = json.dumps({HOSTILE: HOSTILE}), clock.now()
    error = json.dumps({"type": HOSTILE, "message": HOSTILE, "traceback": f'  File "{HOSTILE}", line 1\n'})
    names = (
        "workflow_id", "name", "class_name", "config_name", "parent_workflow_id", "forked_from",
        "schedule_name", "app_version", "user", "assumed_role", "queue_name", "partition_key",
        "deduplication_id", "waiting_for",
    )  # fmt: skip
    worker = Worker.objects.create(
        id="w", name=HOSTILE, hostname=HOSTILE, process_space="s", pid=1, pid_started="1",
        app_version=HOSTILE, started_at=now, heartbeat_at=now, expires_at=now + timedelta(minutes=1),
    )  # fmt: skip
    run = made(
        Status.PENDING,
        **dict.fromkeys(names, HOSTILE),
        attributes={HOSTILE: HOSTILE},
        roles=[HOSTILE],
        inputs=json.dumps({"args": [HOSTILE], "kwargs": {HOSTILE: HOSTILE}}),
        output=text,
        error=error,
        was_forked_from=True,
        worker=worker,
    )
    step: dict[str, Any] = {"workflow_id": run.pk, "started_at": now, "finished_at": now, "attempt": 1}
    child = made(workflow_id=HOSTILE + "c", name=HOSTILE, parent_workflow_id=HOSTILE, forked_from=HOSTILE)
    Step.objects.create(position=1, name=HOSTILE, output=text, child_workflow_id=child.workflow_id, **step)
    Step.objects.create(position=2, name=HOSTILE, error=error, **step)
    Message.objects.create(destination_id=run.pk, topic=HOSTILE, value=text, sent_at=now)
    Event.objects.create(workflow_id=run.pk, key=HOSTILE, value=text, updated_at=now)
    EventHistory.objects.create(workflow_id=run.pk, key=HOSTILE, position=1, value=text, set_at=now)
    StreamEntry.objects.create(
        workflow_id=run.pk, key=HOSTILE, offset=0, position=1, value=text, written_at=now
    )
    Wait.objects.create(workflow_id=run.pk, key=HOSTILE)
    Approval.objects.create(
        workflow_id=run.pk, position=1, title=HOSTILE, description=HOSTILE, created_at=now
    )
    AuditEvent.objects.create(
        at=now, verb=HOSTILE[:60], outcome="done", actor_kind="cli", actor_label=HOSTILE,
        target_kind="workflow", target_id=HOSTILE, reason=HOSTILE,
    )  # fmt: skip
    return run


def test_hostile_strings_never_execute(boss: Client) -> None:
    """In every field, on every page: no element, handler or style of theirs."""
    run = hostile()
    pages = [LIST, f"{LIST}?cols=attributes,worker,version,attempts,parent,user,priority,dedup,schedule"]
    pages += [f"{page_of(run)}?tab={place}" for place in PLACES[:9]]
    pages += [f"{LIST}{run.pk}/history/"]
    pages += [f"{LIST}{run.pk}/verb/{verb}/" for verb in VERBS]
    for url in pages:
        response = boss.get(url)
        assert response.status_code == 200, url
        images = [found.get("src") for tag, found in inspected(response).elements if tag == "img"]
        assert "x" not in images, url
        assert b"<script>alert" not in response.content, url
        assert b"alert" in response.content, url
        assert b"14" not in response.content or b"{{ 7|add:7 }}" in response.content
    response = boss.get(LIST, {"q": HOSTILE[:40], "workflow": HOSTILE})
    assert response.status_code in (200, 400)
    inspected(response)
    assert boss.get(f"{LIST}by-id/", {"id": HOSTILE}).headers["Location"] == page_of(run)
    inspected(boss.get(page_of(run), {"tab": "streams", "stream": HOSTILE}))


if django.VERSION >= (6, 1):  # which gives nonces to assets

    def test_our_assets_bear_the_nonce_of_the_projects_policy(boss: Client, settings: Any) -> None:
        """A0. For a policy that trusts nonces alone."""
        settings.SECURE_CSP = {"script-src": ["<CSP_NONCE_SENTINEL>"], "style-src": ["<CSP_NONCE_SENTINEL>"]}
        settings.MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware", *settings.MIDDLEWARE]
        run = made()
        for url in (page_of(run), verb_page(run, "fork"), f"{LIST}{run.pk}/history/"):
            response = boss.get(url)
            nonce = response.headers["Content-Security-Policy"].split("'nonce-")[1].split("'")[0]
            ours = [
                found.get("nonce")
                for _tag, found in inspected(response).elements
                if "durable_app/durable." in found.get("src", "") + found.get("href", "")
            ]
            assert ours == [nonce, nonce], url


def test_a_long_history_is_shown_by_pages_that_end_with_the_last_step(boss: Client) -> None:
    """A4. 100 steps a page, the last ones first; a page stays below 150 KiB."""
    run = with_steps(made(Status.ERROR), *(f"step-{number}" for number in range(450)), fails=True)
    response = boss.get(page_of(run))
    text = response.content.decode()
    assert 'id="step-450"' in text
    assert 'id="step-350"' not in text
    assert "351–450 of 450" in text
    assert len(response.content) < 150 * 1024
    earlier = boss.get(f"{page_of(run)}?from=51").content.decode()
    assert 'id="step-51"' in earlier
    assert 'id="step-151"' not in earlier
    assert "?from=151" in earlier


def test_the_timeline_is_drawn_in_a_form_that_no_language_changes(boss: Client, settings: Any) -> None:
    """A10. Places are texts: a decimal comma or a thousands separator would move everything."""
    settings.LANGUAGE_CODE, settings.USE_THOUSAND_SEPARATOR = "de", True
    run = with_steps(made(), *"abcdefghij" * 10)
    shapes = [found for tag, found in inspected(boss.get(page_of(run))).elements if tag in ("rect", "text")]
    assert len(shapes) > 100
    for shape in shapes:
        for name in ("x", "y", "width", "height"):
            assert "," not in shape.get(name, "")
            assert shape.get(name, "").count(".") <= 1


def test_the_failures_are_counted_by_steps_not_by_the_run(boss: Client) -> None:
    """A4. A failed run with one failed step has one failure."""
    run = with_steps(made(Status.ERROR), "a", "b", "c", fails=True)
    text = boss.get(page_of(run)).content.decode()
    assert "1 failed" in text
    assert "The last step that failed is 3, c." in text
    assert "shop.Declined" in text
    assert "no money" in text


def test_a_step_has_a_link_of_its_own(boss: Client) -> None:
    """A4. Long outputs and errors are shown by themselves; steps of branches, too."""
    run = with_steps(made(), "a")
    Step.objects.create(
        workflow_id=run.pk, position=2, branch="1.2", name="b", output=json.dumps("x" * 500),
        started_at=run.created_at, finished_at=run.created_at, attempt=1,
    )  # fmt: skip
    text = boss.get(page_of(run)).content.decode()
    assert "step=2.1.2" in text
    assert "x" * 500 not in text
    assert "x" * 500 in boss.get(f"{page_of(run)}?step=2.1.2").content.decode()
    for unknown in ("7", "x", "1.%00", "9" * 30, "1.1"):
        assert boss.get(f"{page_of(run)}?step={unknown}").status_code == 404


@pytest.mark.parametrize(
    "query",
    ["tab=x", "from=x", "from=-1", "tab=streams&offset=x", "tab=streams&stream=%00", "from=" + "9" * 30],
)
def test_a_wrong_link_is_400(boss: Client, query: str) -> None:
    """Whatever is wrong with it."""
    assert boss.get(f"{page_of(made())}?{query}").status_code == 400


@pytest.mark.parametrize("number", ["0", "9" * 30, "x", "-1", "1_2F3", "%00"])
def test_an_unknown_run_is_404(boss: Client, number: str) -> None:
    """Whatever is wrong with it."""
    assert boss.get(f"{LIST}{number}/change/").status_code == 404
    assert boss.get(f"{LIST}by-id/?id={number}").status_code == 404


def test_nothing_is_changed_on_the_page_itself(boss: Client) -> None:
    """A0. Runs are no forms."""
    run = made()
    assert boss.post(page_of(run), {"name": "x"}).status_code == 405
    assert boss.get(f"{LIST}add/").status_code == 403
    assert boss.get(f"{LIST}{run.pk}/delete/").headers["Location"].endswith("/verb/delete/")
    run.refresh_from_db()
    assert run.name == "shop.checkout"


def test_the_region_that_is_refreshed_comes_alone(boss: Client) -> None:
    """A3, live. For a run that goes on."""
    run = made(Status.PENDING)
    text = boss.get(page_of(run), headers={"X-Durable-Fragment": "run"}).content.decode()
    assert "<html" not in text
    assert "Why is it here?" in text
    assert 'data-durable-region="run"' in boss.get(page_of(run)).content.decode()
    assert "data-durable-region" not in boss.get(page_of(made())).content.decode()


def test_the_family_and_the_forks(boss: Client) -> None:
    """A4. Parent, children to the third generation, where it was forked from and into."""
    parent, origin = made(), made()
    run = made(parent_workflow_id=parent.workflow_id, forked_from=origin.workflow_id, was_forked_from=True)
    child = made(parent_workflow_id=run.workflow_id)
    grandchild = made(parent_workflow_id=child.workflow_id)
    great = made(parent_workflow_id=grandchild.workflow_id)
    beyond = made(parent_workflow_id=great.workflow_id)
    fork = made(forked_from=run.workflow_id)
    text = boss.get(f"{page_of(run)}?tab=family").content.decode()
    for one in (parent, origin, child, grandchild, great, fork):
        assert page_of(one) in text
    assert page_of(beyond) not in text


TRACE = """Traceback (most recent call last):
  File "/venv/lib/python3.13/site-packages/django/db/x.py", line 1, in of_a_library
    raise
  File "/srv/shop/payments.py", line 7, in of_the_project
    return pay()
           ^^^^^
shop.Declined: no money
"""


def test_a_traceback_shows_the_projects_frames_first(boss: Client) -> None:
    """A4. The whole of it is folded below."""
    error = json.dumps({"type": "shop.Declined", "message": "no", "traceback": TRACE})
    text = boss.get(page_of(made(Status.ERROR, error=error))).content.decode()
    above, _details, below = text.partition("Whole traceback")
    assert "of_the_project" in above
    assert "of_a_library" not in above
    assert "of_a_library" in below


def test_errors_are_texts_whatever_they_say(boss: Client) -> None:
    """A4. Stored by another version, portable, or broken."""
    for error in (ERROR, '{"name":"E","message":"portable"}', "no JSON", "[]", '{"type":1}'):
        assert boss.get(page_of(made(Status.ERROR, error=error))).status_code == 200
