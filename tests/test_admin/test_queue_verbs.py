"""The verbs on a queue: who may, what is changed, which field an error stands at, and what is noted of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.timezone import localtime

from durable_app import clock
from durable_app.admin.queues.verbs import VERBS
from durable_app.control.actors import Actor, Policy
from durable_app.limits import Limits, RateLimit
from durable_app.models import AuditEvent, Queue, Status
from durable_app.store import queues
from tests.test_admin.pages import inspected, made
from tests.test_admin.test_queue_pages import LIST, MINUTE, declared, page_of, queue, row_of, verb_page

pytestmark = pytest.mark.django_db

POSTED: dict[str, dict[str, Any]] = {
    "pause": {"reason": "for a test"},
    "resume": {"reason": "for a test"},
    "configure": {"reason": "for a test", "concurrency": 7},
    "reset": {"reason": "for a test"},
    "create": {"reason": "for a test"},
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", ["viewer", "every other", "own"])
def test_each_role_may_do_its_verbs_and_no_others(staff: Any, verb: str, role: str) -> None:
    """403 and an audit row without the permission; with it, it is done and noted."""
    own = VERBS[verb].permission
    held = {"viewer": set(), "every other": {"pause_queue", "tune_queue"} - {own}, "own": {own}}[role]
    client = staff("view_queue", "view_auditevent", *held)
    if verb == "create":
        made(Status.ENQUEUED, queue_name="qp-verbs")
    else:
        declared("qp-verbs", concurrency=3)
        queues.change("qp-verbs", lambda before: Limits(concurrency=4))
        queues.pause("qp-verbs", None, "")
    before = list(Queue.objects.filter(pk="qp-verbs").values())

    shown = client.get(verb_page("qp-verbs", verb))
    posted = client.post(verb_page("qp-verbs", verb), POSTED[verb])
    events = AuditEvent.objects.filter(target_kind="queue", target_id="qp-verbs").order_by("pk")
    if role == "own":
        assert (shown.status_code, posted.status_code) == (200, 302)
        inspected(shown)
        event = events.get()
        assert (event.verb, event.outcome, event.reason) == (verb, "done", "for a test")
        assert "for a test" in LogEntry.objects.get().get_change_message()
        assert list(Queue.objects.filter(pk="qp-verbs").values()) != before
        assert client.get(f"{LIST}qp-verbs/history/").content.decode().count("for a test") == 2
    else:
        assert (shown.status_code, posted.status_code) == (403, 403)
        assert [(one.verb, one.outcome) for one in events] == [(verb, "denied")] * 2
        assert list(Queue.objects.filter(pk="qp-verbs").values()) == before
        assert not LogEntry.objects.exists()


def test_who_may_see_no_queues_learns_nothing(staff: Any) -> None:
    """A9. Neither list nor page nor verb."""
    queue("qp-secret")
    client = staff("view_workflow", "pause_queue")
    for url in (LIST, page_of("qp-secret"), verb_page("qp-secret", "pause")):
        assert client.get(url).status_code == 403
    assert client.post(verb_page("qp-secret", "pause")).status_code == 403


class Keeper(Policy):
    """Nobody stops this queue."""

    def may(self, actor: Actor, permission: str, target: Any = None) -> bool:
        is_kept = permission == "pause_queue" and getattr(target, "name", "") == "qp-kept"
        return not is_kept and super().may(actor, permission, target)


def test_a_policy_decides_queue_by_queue(boss: Client, settings: Any) -> None:
    """A9. The project's own word on one of them."""
    settings.DURABLE = {"POLICY": f"{__name__}.Keeper"}
    for name in ("qp-kept", "qp-other"):
        queue(name)
        boss.post(verb_page(name, "pause"))
    assert list(Queue.objects.filter(paused_at__isnull=False)) == [Queue.objects.get(pk="qp-other")]
    assert AuditEvent.objects.get(target_id="qp-kept").outcome == "denied"


def test_a_button_in_the_row_pauses_and_resumes_at_once(boss: Client) -> None:
    """A7. By POST, back to the list, which says who did it; a GET does nothing."""
    queue("qp-row")
    boss.get(verb_page("qp-row", "pause"), {"from": "list"})
    assert row_of(boss, "qp-row").pause is None
    posted = boss.post(verb_page("qp-row", "pause"), {"from": "list"})
    assert posted.headers["Location"] == LIST
    assert row_of(boss, "qp-row").pause.why == "by boss"
    boss.post(verb_page("qp-row", "resume"), {"from": "list"})
    assert row_of(boss, "qp-row").pause is None
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = boss.cookies
    assert strict.post(verb_page("qp-row", "pause"), {"from": "list"}).status_code == 403
    assert boss.post(LIST).status_code == 405


def test_a_reason_that_is_demanded_is_asked_for_on_a_page(boss: Client, settings: Any) -> None:
    """A3, A7. The button in the row leads there, and then back to the list."""
    settings.DURABLE = {"ADMIN": {"REASON_REQUIRED": True}}
    queue("qp-why")
    asked = boss.post(verb_page("qp-why", "pause"), {"from": "list"})
    assert asked.status_code == 200
    assert 'name="from" value="list"' in asked.content.decode()
    assert row_of(boss, "qp-why").pause is None
    done = boss.post(verb_page("qp-why", "pause"), {"from": "list", "reason": "because"})
    assert (done.status_code, done.headers["Location"]) == (302, LIST)
    assert row_of(boss, "qp-why").pause.why == "because (by boss)"


def test_a_pause_may_end_by_itself(boss: Client) -> None:
    """A7. A time of the project's zone; one that cannot be is an error at its field."""
    queue("qp-until")
    until = localtime(clock.now() + timedelta(hours=2)).replace(second=0, microsecond=0)
    posted = {"until": f"{until:%Y-%m-%dT%H:%M}", "reason": "a <b>move</b>"}
    for wrong in ("2020-01-01T00:00", "9999-12-31T23:59", "tomorrow"):
        refused: Any = boss.post(verb_page("qp-until", "pause"), {**posted, "until": wrong})
        assert "until" in refused.context_data["form"].errors, wrong
    boss.post(verb_page("qp-until", "pause"), posted)
    assert Queue.objects.get(pk="qp-until").paused_until == until
    text = boss.get(page_of("qp-until")).content.decode()
    assert "a &lt;b&gt;move&lt;/b&gt;" in text
    assert "It is paused until" in text


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no number": ({"concurrency": "many"}, "concurrency"),
    "zero": ({"concurrency": 0}, "concurrency"),
    "too large": ({"worker_concurrency": 2**40}, "worker_concurrency"),
    "a worker above all": ({"worker_concurrency": 9, "concurrency": 5}, "worker_concurrency"),
    "a key above all": ({"partition_concurrency": 9, "concurrency": 5}, "partition_concurrency"),
    "half a rate": ({"limiter_limit": 5}, "limiter_period"),
    "no starts": ({"limiter_limit": 0, "limiter_period": 1}, "limiter_limit"),
    "no time": ({"partition_limiter_limit": 1, "partition_limiter_period": 0}, "partition_limiter_period"),
    "for ever": ({"limiter_limit": 1, "limiter_period": "inf"}, "limiter_period"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_limits_that_cannot_be_are_errors_at_their_field(boss: Client, wrong: str) -> None:
    """A7. What ``limits`` says; nothing is changed."""
    queue("qp-wrong", concurrency=2)
    posted, field = WRONG[wrong]
    response: Any = boss.post(verb_page("qp-wrong", "configure"), {"concurrency": 2, **posted})
    assert response.status_code == 200
    assert list(response.context_data["form"].errors) == [field]
    assert Queue.objects.get(pk="qp-wrong").limits == Limits(concurrency=2)
    assert not AuditEvent.objects.exists()


def form_of(client: Client, name: str) -> dict[str, Any]:
    """Return what a browser would post if nobody changed the form of limits."""
    elements = inspected(client.get(verb_page(name, "configure"))).elements
    fields = [found for tag, found in elements if tag == "input" and found.get("type") != "checkbox"]
    values = {found["name"]: found.get("value", "") for found in fields if "name" in found}
    return {name: value for name, value in values.items() if "csrf" not in name}


def test_what_two_people_change_is_changed(boss: Client) -> None:
    """A7. Each takes over only what they touched; the audit has the old and the new ones."""
    queue("qp-two", concurrency=2, limiter=RateLimit(limit=5, period=MINUTE))
    mine, theirs = form_of(boss, "qp-two"), form_of(boss, "qp-two")
    boss.post(verb_page("qp-two", "configure"), {**theirs, "concurrency": "4"})
    boss.post(verb_page("qp-two", "configure"), {**mine, "limiter_period": "1.5", "reason": "load"})
    after = Limits(concurrency=4, limiter=RateLimit(limit=5, period=timedelta(seconds=1.5)))
    assert Queue.objects.get(pk="qp-two").limits == after
    event = AuditEvent.objects.latest("pk")
    assert event.details["before"]["limiter"] == {"limit": 5, "period": 60.0}
    assert event.details["after"] == {"concurrency": 4, "limiter": {"limit": 5, "period": 1.5}}
    told = LogEntry.objects.latest("pk").get_change_message()
    assert told == "Edit limits: limiter 5 in 60 s → 5 in 1.5 s: load"

    boss.post(verb_page("qp-two", "configure"), form_of(boss, "qp-two"))
    assert AuditEvent.objects.count() == 2
    form = {**form_of(boss, "qp-two"), "limiter_limit": "", "limiter_period": "", "partition_queue": "on"}
    boss.post(verb_page("qp-two", "configure"), form)
    assert Queue.objects.get(pk="qp-two").limits == Limits(concurrency=4, partition_queue=True)


def test_a_change_goes_back_to_what_code_declares(boss: Client) -> None:
    """A7. The list tells which limits are whose; a queue that no code declares has nothing to go back to."""
    limits = Limits(concurrency=3, limiter=RateLimit(limit=5, period=timedelta(seconds=0.5)))
    declared("qp-code", concurrency=3, limiter=limits.limiter)
    assert not row_of(boss, "qp-code").found.queue.is_overridden
    boss.post(verb_page("qp-code", "configure"), {**form_of(boss, "qp-code"), "concurrency": "9"})
    assert row_of(boss, "qp-code").found.queue.is_overridden
    page: Any = boss.get(page_of("qp-code"))
    [limit, _rate] = page.context_data["limits"]
    assert (limit.now, limit.declared, limit.is_other) == ("9", "3", True)
    Queue.objects.filter(pk="qp-code").update(polling_interval=MINUTE)
    boss.post(verb_page("qp-code", "reset"))
    reset = Queue.objects.get(pk="qp-code")
    assert (reset.limits, reset.polling_interval) == (limits, None)
    event = AuditEvent.objects.latest("pk")
    assert (event.details["before"]["concurrency"], event.details["after"]["concurrency"]) == (9, 3)
    queue("qp-free", concurrency=1)
    boss.post(verb_page("qp-free", "reset"))
    assert AuditEvent.objects.latest("pk").outcome == "refused"
    assert Queue.objects.get(pk="qp-free").limits == Limits(concurrency=1)


def test_all_that_are_enqueued_can_be_cancelled_by_those_who_may(staff: Any) -> None:
    """A7. A bulk operation on them, confirmed first."""
    queue("qp-drain")
    made(Status.ENQUEUED, queue_name="qp-drain")
    url = "/admin/durable_app/workflow/bulk/cancel/?queue=qp-drain&status=ENQUEUED"
    shown = url.replace("&", "&amp;")
    may = staff("view_queue", "view_workflow", "cancel_workflow", name="may")
    assert shown in may.get(page_of("qp-drain")).content.decode()
    assert "1 runs are meant" in may.get(url).content.decode()
    for permissions in (("view_queue", "view_workflow"), ("view_queue", "cancel_workflow")):
        client = staff(*permissions, name=permissions[1])
        assert shown not in client.get(page_of("qp-drain")).content.decode()
