"""Workers in the admin: who executes runs, how each is, and the verbs on them."""

import os
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from durable_app import clock
from durable_app.admin.workers.verbs import VERBS
from durable_app.control.actors import Actor, Policy
from durable_app.incarnation import pid_started, process_space, resident_bytes
from durable_app.insight.liveness import liveness, rollouts
from durable_app.models import AuditEvent, Status, Worker
from durable_app.store import versions, workers
from tests.test_admin.pages import inspected, made
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db

LIST = "/admin/durable_app/worker/"

LEASE = timedelta(seconds=30)

_numbers = count(1)


def present(name: str, **fields: Any) -> Worker:
    """Write a worker's row, with a heartbeat just now unless something else is said."""
    now = clock.now()
    values: dict[str, Any] = {
        "id": f"00000000-0000-4000-8000-{next(_numbers):012}",
        "hostname": "web-3",
        "process_space": "elsewhere",
        "pid": 812,
        "pid_started": "5",
        "app_version": "",
        "started_at": now - timedelta(hours=1),
        "heartbeat_at": now,
        "expires_at": now + LEASE,
        "slots": 8,
    }
    return Worker.objects.create(name=name, **{**values, **fields})


def silent(name: str, **fields: Any) -> Worker:
    """Write the row of a worker whose lease is over."""
    now = clock.now()
    return present(name, heartbeat_at=now - 2 * LEASE, expires_at=now - LEASE, **fields)


def page_of(worker: Worker) -> str:
    return reverse("admin:durable_app_worker_change", args=[worker.pk])


def verb_page(worker: Worker, verb: str) -> str:
    return reverse("admin:durable_app_worker_verb", args=[worker.pk, verb])


def names(response: Any) -> list[str]:
    assert response.status_code == 200
    return sorted(one.name for one in response.context_data["cl"].result_list)


# looking


def test_the_pages_cost_few_queries_however_many_workers_there_are(staff: Any) -> None:
    """A11.8. At most eight for the list and for the versions, at most fifteen for a page."""
    client = staff("view_worker", "view_workflow", "control_worker")
    for number in range(5):
        worker = present(f"busy-{number}", app_version="1")
        silent(f"gone-{number}")
        for _ in range(4):
            made(Status.PENDING, worker=worker, app_version="1")
    versions.register("1")
    for url, budget in ((LIST, 8), (f"{LIST}versions/", 8), (page_of(worker), 15)):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        assert len(reads(queries)) <= budget, "\n".join(reads(queries))


def test_a_worker_is_as_well_as_its_heartbeats(db: None) -> None:
    """A8. Green until two of six beats are missing, amber until the lease is over, then red."""
    now = clock.now()
    worker = Worker(heartbeat_at=now, expires_at=now + LEASE)
    found = [liveness(worker, now + timedelta(seconds=seconds)) for seconds in (0, 10, 11, 29, 30, 99)]
    assert found == ["live", "live", "late", "late", "silent", "silent"]
    worker.stopped_at = now
    assert liveness(worker, now) == "ended"


def test_the_list_shows_those_that_matter(boss: Client) -> None:
    """A8. Those that have not ended, the silent ones among them; the rest is a filter away."""
    live = present("live", queues=["mail", "reports", "default", "more"])
    holding = silent("holding")
    silent("dead")
    present("ended", stopped_at=clock.now())
    present("calling", kind="caller")
    for _ in range(5):
        made(Status.PENDING, worker=live)
    made(Status.PENDING, worker=holding)
    made(Status.SUCCESS, worker=live)
    response: Any = boss.get(LIST)
    assert names(response) == ["dead", "holding", "live"]
    inspected(response)
    text = response.content.decode()
    assert "5 / 8" in text
    assert "and 2 more" in text
    assert "mail, reports, default +1" in text
    assert names(boss.get(LIST, {"state": "silent"})) == ["dead", "holding"]
    assert names(boss.get(LIST, {"state": "ended"})) == ["ended"]
    assert names(boss.get(LIST, {"state": "callers"})) == ["calling"]
    assert len(names(boss.get(LIST, {"state": "all"}))) == 5
    assert names(boss.get(LIST, {"q": "hold"})) == ["holding"]
    for wrong in ({"state": "x"}, {"cursor": "x"}, {"name": "live"}):
        assert boss.get(LIST, wrong).status_code == 400


def test_pages_of_workers_follow_one_another(boss: Client, settings: Any) -> None:
    """A11. By key; each worker comes once, though all began at one moment."""
    settings.DURABLE = {"ADMIN": {"PAGE_SIZE": 2}}
    began = clock.now()
    for number in range(5):
        present(f"w{number}", started_at=began)
    url, seen = "", []
    for _ in range(3):
        response: Any = boss.get(LIST + url)
        seen += names(response)
        url = response.context_data["cl"].older_url
    assert (sorted(seen), url) == ([f"w{number}" for number in range(5)], "")


def test_versions_tell_which_can_go(boss: Client) -> None:
    """A8. A version with unfinished runs is needed, the latest one always; without workers it is stranded."""
    for version in ("1.2", "1.3", "1.4"):
        versions.register(version)
    for version in ("1.3", "1.4", "0.9"):
        present(f"on {version}", app_version=version)
    made(Status.WAITING, app_version="1.3", wake_at=clock.now())
    made(Status.SUCCESS, app_version="0.9")
    made(Status.DELAYED, app_version="1.1")
    made(Status.ENQUEUED)
    found = {one.version: one for one in rollouts(workers.not_ended(), clock.now())}
    assert list(found) == ["1.4", "0.9", "1.1", "1.3", ""]
    assert {name for name, one in found.items() if one.is_removable} == {"0.9"}
    assert {name for name, one in found.items() if one.is_stranded} == {"1.1"}
    assert (found["1.3"].unfinished, found["1.3"].workers, found[""].unfinished) == (1, 1, 1)
    response = boss.get(f"{LIST}versions/")
    inspected(response)
    text = response.content.decode()
    assert text.count("safe to remove") == 1
    assert "/admin/durable_app/workflow/?window=all&amp;version=1.3&amp;status=active" in text


def test_the_page_of_a_worker_shows_what_it_holds(boss: Client) -> None:
    """A8. Links to its runs, and what was done to it."""
    worker = present("<script>x</script>", asked_to="quiet", hostname="<b>host</b>")
    run = made(Status.PENDING, worker=worker, workflow_id="r<1>")
    response = boss.get(page_of(worker))
    inspected(response)
    text = response.content.decode()
    assert f'href="/admin/durable_app/workflow/{run.pk}/change/"' in text
    assert "takes nothing more" in text
    assert "<b>host" not in text
    inspected(boss.get(LIST))
    part = boss.get(page_of(worker), headers={"X-Durable-Fragment": "worker"}).content.decode()
    assert "<html" not in part
    for nobody in ("nobody", "_00", "_20", "x" * 300):
        assert boss.get(f"{LIST}{nobody}/change/").status_code == 404, nobody
    assert boss.get(LIST, {"q": "\0"}).status_code == 200
    assert boss.post(page_of(worker)).status_code == 405


class Tenant(Policy):
    """Everybody sees the runs that bear their name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def test_runs_of_others_are_counted_and_not_named(staff: Any, settings: Any) -> None:
    """A9. What a policy hides is hidden here, too."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenant"}
    worker = present("shared")
    made(Status.PENDING, worker=worker, workflow_id="mine-1", user="ann")
    made(Status.PENDING, worker=worker, workflow_id="theirs-1", user="ben")
    client = staff("view_worker", "view_workflow")
    for url in (LIST, page_of(worker)):
        text = client.get(url).content.decode()
        assert "mine-1" in text
        assert "theirs-1" not in text
        assert "2 / 8" in text


def test_the_memory_of_a_process_is_known_on_its_own_host() -> None:
    """A8. And of no other process that has its number."""
    started = pid_started(os.getpid()) or ""
    found = resident_bytes(process_space(), os.getpid(), started)
    assert found is None or found > 1_000_000
    assert (found is None) is (started == "")
    assert resident_bytes("elsewhere", os.getpid(), started) is None
    assert resident_bytes(process_space(), os.getpid(), "1") is None


# verbs


def one_for(verb: str, name: str = "w") -> Worker:
    """Return a worker that a verb is possible for, with a run."""
    worker = present(name) if VERBS[verb].for_the_living else silent(name)
    made(Status.PENDING, worker=worker)
    return worker


def became(worker: Worker) -> tuple[str, bool, list[str]]:
    worker.refresh_from_db()
    return worker.asked_to, worker.stopped_at is not None, [run.status for run in worker.runs.all()]


OUTCOMES = {
    "quiet": ("quiet", False, ["PENDING"]),
    "stop": ("stop", False, ["PENDING"]),
    "recover": ("", True, ["ENQUEUED"]),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", ["viewer", "own"])
def test_each_role_may_do_its_verbs_and_no_others(staff: Any, verb: str, role: str) -> None:
    """403 and an audit row without the permission; with it, it is done and noted."""
    other = "control_worker" if role == "own" else "pause_queue"
    client = staff("view_worker", "view_auditevent", other)
    worker = one_for(verb)
    untouched = became(worker)
    shown = client.get(verb_page(worker, verb))
    posted = client.post(verb_page(worker, verb), {"reason": "for a test"})
    events = AuditEvent.objects.filter(target_kind="worker", target_id=worker.pk).order_by("pk")
    if role == "own":
        assert (shown.status_code, posted.status_code) == (200, 302)
        inspected(shown)
        event = events.get()
        assert (event.verb, event.outcome, event.reason) == (verb, "done", "for a test")
        assert "for a test" in LogEntry.objects.get().get_change_message()
        assert client.get(f"{LIST}{worker.pk}/history/").content.decode().count("for a test") == 2
        assert became(worker) == OUTCOMES[verb]
    else:
        assert (shown.status_code, posted.status_code) == (403, 403)
        assert [(one.verb, one.outcome) for one in events] == [(verb, "denied")] * 2
        assert became(worker) == untouched
        assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_refused_where_it_makes_no_sense(boss: Client, verb: str) -> None:
    """A8. Nobody takes the runs of a live worker; a dead one hears nothing. A GET does nothing at all."""
    worker = silent("w") if VERBS[verb].for_the_living else present("w")
    made(Status.PENDING, worker=worker)
    untouched = became(worker)
    page = boss.get(verb_page(worker, verb)).content.decode()
    assert ("is not live" in page) is VERBS[verb].for_the_living
    assert not AuditEvent.objects.exists()
    boss.post(verb_page(worker, verb))
    assert AuditEvent.objects.get().outcome == "refused"
    assert became(worker) == untouched
    shown: Any = boss.get(page_of(worker))
    [button] = [one for one in shown.context_data["buttons"] if one.verb is VERBS[verb]]
    assert button.refusal
    assert boss.get(verb_page(worker, "dance")).status_code == 404
