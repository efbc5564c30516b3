"""Views of the list of runs that a user has saved: their own, and nobody else's."""

from typing import Any

import pytest
from django.test import Client

from durable_app.models import SavedView, Status
from durable_app.store import views
from tests.test_admin.pages import LIST, inspected, made

pytestmark = pytest.mark.django_db

SAVE = f"{LIST}views/"


def saved(client: Client, name: str, query: str) -> Any:
    return client.post(SAVE, {"name": name, "query": query}, follow=True)


def links(client: Client, query: str = "") -> dict[str, str]:
    """Return where the views lead, by their names: as the list asks for them, and on a page of their own."""
    responses: list[Any] = [
        client.get(f"{SAVE}?{query}", headers=headers) for headers in ({"X-Durable-Fragment": "views"}, {})
    ]
    found = [{one.name: f"{LIST}?{one.query}" for one in it.context_data["views"]} for it in responses]
    hrefs = [{tag[1].get("href") for tag in inspected(it).elements} for it in responses]
    assert found[0] == found[1]
    assert all(set(urls.values()) <= href for urls, href in zip(found, hrefs, strict=True))
    return found[0]


def delete(client: Client, view: SavedView) -> Any:
    return client.post(f"{SAVE}{view.pk}/delete/")


def test_a_view_leads_to_the_same_runs(boss: Client) -> None:
    """A3. With its window, its order and its columns; not with its page or a stranger's parameters."""
    failed = made(Status.ERROR, name="shop.pay")
    made(Status.SUCCESS, name="shop.pay")
    query = "status=failed&workflow=shop.pay&window=7d&cols=user&cursor=x&foo=1&keep=1"
    response = saved(boss, "Failed payments", query)
    assert "“Failed payments” is saved" in response.content.decode()
    url = links(boss)["Failed payments"]
    assert sorted(url.partition("?")[2].split("&")) == [
        "cols=user", "status=failed", "window=7d", "workflow=shop.pay",
    ]  # fmt: skip
    page: Any = boss.get(url)
    assert [run.pk for run in page.context_data["cl"].result_list] == [failed.pk]
    shown = boss.get(f"{SAVE}?{url.partition('?')[2]}").content.decode()
    assert 'aria-current="true">Failed payments</a>' in shown
    late = [
        found["data-durable-late"] for _tag, found in inspected(page).elements if "data-durable-late" in found
    ]
    assert late == [f"{SAVE}?{url.partition('?')[2]}"]


def test_a_name_is_a_views_only_once(boss: Client) -> None:
    """The later one holds."""
    saved(boss, "mine", "status=failed")
    saved(boss, "mine", "status=active")
    assert links(boss) == {"mine": f"{LIST}?status=active"}


def test_everybody_has_their_own(staff: Any) -> None:
    """Nobody sees, replaces or deletes those of others."""
    ann, ben = staff("view_workflow"), staff("view_workflow", name="ben")
    saved(ann, "mine", "status=failed")
    saved(ben, "mine", "status=active")
    assert links(ann) == {"mine": f"{LIST}?status=failed"}
    [of_ann] = SavedView.objects.filter(query="status=failed")
    assert delete(ben, of_ann).status_code == 404
    assert ben.get(f"{SAVE}{of_ann.pk}/delete/").status_code == 302  # a link does nothing
    assert links(ann)
    assert delete(ann, of_ann).status_code == 302
    assert links(ann) == {}
    assert links(ben)


@pytest.mark.parametrize(
    "name,query", [("", "status=failed"), ("x" * 61, ""), ("x", "status=nope"), ("x", "q=%22")]
)
def test_what_makes_no_view_is_refused(boss: Client, name: str, query: str) -> None:
    """A name is needed, and conditions that a list understands."""
    response = saved(boss, name, query)
    assert b"messagelist" in response.content
    assert SavedView.objects.count() == 0


def test_there_is_an_end_to_them(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there can still be changed."""
    monkeypatch.setattr(views, "MOST", 2)
    for name in ("a", "b", "c"):
        saved(boss, name, "status=failed")
    saved(boss, "a", "status=active")
    assert links(boss) == {"a": f"{LIST}?status=active", "b": f"{LIST}?status=failed"}


def test_it_takes_the_permission_to_see_runs_and_a_token(staff: Any) -> None:
    """A stranger's page cannot save one."""
    nobody = staff(name="nobody")
    assert nobody.post(SAVE, {"name": "x", "query": ""}).status_code == 403
    checked = Client(enforce_csrf_checks=True)
    checked.cookies = staff("view_workflow").cookies
    assert checked.post(SAVE, {"name": "x", "query": ""}).status_code == 403
    assert SavedView.objects.count() == 0


def test_hostile_names_are_text(boss: Client) -> None:
    """In the list and in the message."""
    for name in ('"><script>alert(1)</script>', "\u202egnp"):
        response = saved(boss, name, "status=failed")
        inspected(response)
        inspected(boss.get(SAVE))
        assert "<script>alert" not in response.content.decode()
    assert r"\u202egnp" in boss.get(SAVE).content.decode()
