"""The pages with unfold around them: collected by ``test_unfold``, in a process with the settings for it."""

from datetime import timedelta
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.db.models.expressions import RawSQL
from django.test import Client
from django.urls import resolve

from durable_app import approval_form, clock
from durable_app.approvals import form_name
from durable_app.contrib import unfold
from durable_app.control.verbs import VERBS
from durable_app.models import Approval, AuditEvent, BulkOperation, Status, Workflow
from durable_app.registry import registry
from tests.test_admin.pages import ERROR, Inspector, made, page_of, queue, verb_page, with_steps, worker
from tests.test_admin.schedules import scheduled_row

pytestmark = pytest.mark.django_db

ADMIN = "/admin/durable_app/"

PAGES = """
overview/
overview/durations/
workflow/
workflow/views/
workflow/export/
workflow/bulk/{bulk_verb}/
workflow/{failed}/change/?tab={tab}
workflow/{failed}/verb/{verb}/
workflow/{failed}/history/
workflow/{failed}/export/
approval/
approval/{question}/change/
approval/{question}/history/
schedule/
schedule/add/
schedule/{schedule}/change/
schedule/{schedule}/edit/
schedule/{schedule}/backfill/
schedule/{schedule}/history/
schedule/{schedule}/verb/{schedule_verb}/
queue/
queue/quiet-lane/change/
queue/quiet-lane/history/
queue/quiet-lane/verb/{queue_verb}/
worker/
worker/versions/
worker/hand/change/
worker/hand/history/
worker/hand/verb/{worker_verb}/
bulkoperation/
bulkoperation/{operation}/change/
bulkoperation/{operation}/cancel/
bulkoperation/{operation}/history/
auditevent/
auditevent/export/
auditevent/{event}/change/
"""
"""All of them: {tab} and the verbs stand for each that there is."""

EACH = {
    "tab": ("steps", "values", "messages", "streams", "family", "history", "raw"),
    "verb": tuple(VERBS),
    "bulk_verb": tuple(name for name, verb in VERBS.items() if verb.is_bulk),
    "schedule_verb": ("pause", "resume", "trigger", "delete"),
    "queue_verb": ("pause", "resume", "configure", "reset"),
    "worker_verb": ("quiet", "stop", "recover"),
}

NO_PAGES = {
    "auditevent_history",
    "workflow_count", "workflow_by_id", "workflow_exported", "workflow_forget_view", "schedule_preview",
}  # fmt: skip
"""Django's own, data, parts of pages, files, and addresses that lead to another page."""

DOWNLOADS = {"workflow_export"}


class UnfoldForm(forms.Form):
    """Asks for something that can be wrong."""

    amount = forms.IntegerField(max_value=100)


@pytest.fixture(autouse=True)
def known_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "forms", dict(registry.forms))
    approval_form(UnfoldForm)


def asked(**fields: Any) -> Approval:
    run = made(Status.WAITING)
    return Approval.objects.create(
        workflow=run,
        position=3,
        title="Refund?",
        created_at=clock.now(),
        form=form_name(UnfoldForm),
        **fields,
    )


def addresses() -> list[str]:
    """Write one of each; return the address of every page."""
    run = with_steps(made(Status.ERROR), "reserve", "charge", fails=True)
    queue("quiet-lane", concurrency=3)
    worker("hand")
    begun = BulkOperation.objects.create(
        verb="cancel", workflow_id="an-operation", created_at=clock.now(), actor_kind="user"
    )
    event = AuditEvent.objects.create(
        at=clock.now(), verb="cancel", outcome="done", actor_kind="user", target_kind="workflow",
        target_id=run.workflow_id,
    )  # fmt: skip
    rows = {
        "failed": run.pk, "question": asked().pk, "schedule": scheduled_row("under-unfold").pk,
        "operation": begun.pk, "event": event.pk,
    }  # fmt: skip
    found = []
    for page in PAGES.split():
        [varies] = [name for name in EACH if f"{{{name}}}" in page] or [""]
        found += [f"{ADMIN}{page.format(**rows, **{varies: one})}" for one in EACH.get(varies, [""])]
    return found


def name_of(url: str) -> str:
    return str(resolve(url.partition("?")[0]).url_name).removeprefix("durable_app_")


def seen(response: Any) -> Inspector:
    """Return what a page is made of, once it is sure that it is ours and stands in unfold."""
    text, url = response.content.decode(), response.request["PATH_INFO"]
    assert 'id="header-inner"' in text, f"{url} is not unfold's"
    found = Inspector()
    found.feed(text)
    assert text.count('durable_app/durable.css"') == 1, f"{url} has not our styles, or has them twice"
    return found


def ours(found: Inspector, css_class: str, tag: str = "") -> list[dict[str, str]]:
    """Return the attributes of the elements of a class."""
    return [
        attrs
        for one, attrs in found.elements
        if tag in ("", one) and css_class in attrs.get("class", "").split()
    ]


def test_every_page_stands_in_unfold(boss: Client) -> None:
    """A10. The eight entries, the rows' pages, the confirmations, the forms: no address is left out."""
    visited = set()
    for url in addresses():
        response: Any = boss.get(url)
        assert response.status_code == 200, f"{url} answered {response.status_code}"
        visited.add(name_of(url))
        if name_of(url) not in DOWNLOADS:
            seen(response)
    all_of_ours = {
        str(pattern.name).removeprefix("durable_app_")
        for model, model_admin in admin.site._registry.items()
        if model._meta.app_label == "durable_app"
        for pattern in model_admin.get_urls()
        if pattern.name
    }
    missed = {name for name in all_of_ours - visited if not name.endswith(("_add", "_delete"))}
    assert missed == NO_PAGES


def test_every_verb_is_there_once(boss: Client) -> None:
    """A10. As a button of ours: no object-tool and no action of unfold's says it again."""
    run, row = made(Status.ERROR), scheduled_row("once")
    queue("once", concurrency=3)
    worker("once")
    places = {
        page_of(run): [verb_page(run, name) for name in VERBS],
        **{
            f"{ADMIN}{kind}/{pk}/change/": [
                f"{ADMIN}{kind}/{pk}/verb/{name}/" for name in EACH[f"{kind}_verb"]
            ]
            for kind, pk in (("schedule", row.pk), ("queue", "once"), ("worker", "once"))
        },
    }
    for place, verbs in places.items():
        found = seen(boss.get(place))
        links = [attrs.get("href", "").partition("?")[0] for tag, attrs in found.elements if tag == "a"]
        possible = [verb for verb in verbs if verb in links]
        impossible = [one for one in ours(found, "durable-button", "a") if "aria-disabled" in one]
        assert possible, place
        assert all(links.count(verb) == 1 for verb in possible), place
        assert all(one["title"] and "href" not in one for one in impossible), place
        assert not [name for name in links if "/verb/" in name and name not in verbs], place


def test_buttons_in_rows_are_there_once(boss: Client) -> None:
    """A0. One click pauses; unfold's menu of a row's actions would need two, and act on GET."""
    row = scheduled_row("in-a-row")
    queue("in-a-row")
    for place, verb in (
        ("schedule", f"{ADMIN}schedule/{row.pk}/verb/pause/"),
        ("queue", f"{ADMIN}queue/in-a-row/verb/pause/"),
    ):
        found = seen(boss.get(f"{ADMIN}{place}/"))
        addressed = [
            attrs for tag, attrs in found.elements if verb in (attrs.get("action"), attrs.get("formaction"))
        ]
        assert len(addressed) == 1, place
        assert verb not in [attrs.get("href") for tag, attrs in found.elements if tag == "a"]


def test_each_page_says_once_what_it_is(boss: Client) -> None:
    """A10. Unfold shows no title: ours is a heading; a row's own name is not in the breadcrumbs, too."""
    run = made(Status.ERROR, workflow_id="said-once")
    text = boss.get(verb_page(run, "retry")).content.decode()
    assert text.count("<h1>") == 1
    assert "said-once</h1>" in text
    page: Any = boss.get(page_of(run))
    assert page.content.decode().count("<h1>") == 1
    assert "object" not in page.context_data


def test_forms_say_what_is_wrong(boss: Client) -> None:
    """A10. At the field, in a page that is unfold's as before."""
    question, row = asked(), scheduled_row("wrong")
    queue("wrong", concurrency=3)
    for url, posted in (
        (verb_page(made(Status.PENDING), "send"), {"topic": "t", "message": "{"}),
        (f"{ADMIN}approval/{question.pk}/change/", {"durable-answer": "approve", "amount": "many"}),
        (f"{ADMIN}schedule/add/", {"save": "yes", "cron": "never"}),
        (f"{ADMIN}schedule/{row.pk}/edit/", {"save": "yes", "cron": "never"}),
        (f"{ADMIN}queue/wrong/verb/configure/", {"concurrency": "-1"}),
    ):
        response = boss.post(url, posted)
        assert response.status_code == 200, url
        assert ours(seen(response), "errorlist"), url


def test_chosen_runs_are_confirmed(boss: Client) -> None:
    """A3. The list's own actions, in unfold's bar for them."""
    runs = [made(Status.ENQUEUED) for _ in range(3)]
    posted = {"action": "cancel", "_selected_action": [run.pk for run in runs]}
    response = boss.post(f"{ADMIN}workflow/", posted)
    seen(response)
    assert "3 runs are meant" in response.content.decode()
    boss.post(f"{ADMIN}workflow/", {**posted, "confirmed": "yes"})
    assert set(Workflow.objects.values_list("status", flat=True)) == {Status.CANCELLED}


def test_lists_are_filtered_and_refreshed(boss: Client) -> None:
    """A3. Unfold's table, alone: what a refresh asks for."""
    run = made(Status.ERROR, error=ERROR)
    made(Status.SUCCESS)
    text = boss.get(f"{ADMIN}workflow/?status=ERROR", headers={"X-Durable-Fragment": "rows"}).content.decode()
    assert 'id="result_list"' in text
    assert text.count('class="durable-id"') == 1
    assert run.workflow_id in text
    assert "header-inner" not in text
    response = boss.get(f"{ADMIN}workflow/?nonsense=1")
    assert response.status_code == 400
    seen(response)


# the side bar


def sidebar(client: Client) -> dict[str, Any]:
    """Return the entries of the side bar, as unfold got them, by title."""
    response: Any = client.get("/admin/")
    groups = response.context_data["sidebar_navigation"]
    return {str(item["title"]).lower(): item for group in groups for item in group["items"]}


def test_the_side_bar_has_our_entries(boss: Client, staff: Any) -> None:
    """A10. In the order of the index, with icons, for those who may see them."""
    listed = admin.site.get_app_list(boss.get("/admin/").wsgi_request, "durable_app")
    found = sidebar(boss)
    assert [item["link"] for item in found.values()] == [one["admin_url"] for one in listed[0]["models"]]
    assert {item["icon"] for item in found.values()} == set(unfold.ICONS.values())
    assert not [item for item in found.values() if "badge" in item]
    assert list(sidebar(staff("view_queue"))) == ["queues"]
    assert sidebar(staff("cancel_workflow", name="eve")) == {}
    seen(boss.get(f"{ADMIN}queue/"))


def test_badges_count_what_waits_and_what_failed(boss: Client, staff: Any) -> None:
    """A10. What this user can answer; what failed within an hour."""
    now = clock.now()
    asked()
    asked(group="finance")
    asked(closed_at=now)
    made(Status.ERROR, finished_at=now)
    made(Status.ERROR, finished_at=now - timedelta(hours=2))
    made(Status.SUCCESS, finished_at=now)
    found = sidebar(boss)
    assert (found["approvals"]["badge"], found["workflow runs"]["badge"]) == ("2", "1")
    found = sidebar(staff("answer_approval"))
    assert found["approvals"]["badge"] == "1"


def test_badges_do_not_count_for_ever(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11. At most a hundred rows are counted."""
    monkeypatch.setattr(unfold, "MOST", 2)
    for _ in range(4):
        made(Status.ERROR, finished_at=clock.now())
    assert sidebar(boss)["workflow runs"]["badge"] == "2+"


def test_a_badge_that_cannot_be_counted_is_left_out(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11. The other pages of the admin do not suffer from it."""
    nowhere = Workflow.objects.filter(pk__in=RawSQL("SELECT id FROM nowhere", ()))
    monkeypatch.setattr(unfold, "BADGES", {"Workflow": (lambda actor: nowhere, "danger")})
    assert "badge" not in sidebar(boss)["workflow runs"]
