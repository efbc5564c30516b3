"""Which entries stand on which site, in which order, and what a project may choose."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from durable_app.admin import register, sites
from durable_app.admin.options import AdminOptions, options, read
from durable_app.errors import InvalidOptionError
from durable_app.models import Workflow

pytestmark = pytest.mark.django_db


def entries() -> list[str]:
    """Return the entries that exist, in the order of the index."""
    return [name for name in sites.ORDER if name in sites._entries]


def test_everything_is_registered_by_itself() -> None:
    """A0. Zero configuration."""
    assert "runs" in entries()
    for model, admin_class in sites._entries.values():
        assert type(admin.site.get_model_admin(model)) is admin_class


def test_the_index_names_the_entries_in_our_order(boss: Client) -> None:
    """A1. On the index, in the side bar and on the app's own page."""
    expected = [sites._entries[name][0] for name in entries()]
    for url in ("/admin/", "/admin/durable_app/"):
        response: Any = boss.get(url)
        [app] = [one for one in response.context_data["app_list"] if one["app_label"] == "durable_app"]
        assert [entry["model"] for entry in app["models"]] == expected
        assert app["name"] == "Durable workflows"


def test_who_may_see_nothing_has_no_entry(staff: Any) -> None:
    """A9. Though they may use a verb."""
    found = staff("cancel_workflow").get("/admin/").context_data["app_list"]
    assert "durable_app" not in {app["app_label"] for app in found}


def test_another_site_gets_what_it_names() -> None:
    """A0. What a project registered itself is left alone."""
    site = AdminSite(name="another")
    register(site, only=["runs"])
    assert [model for model in site._registry if model._meta.app_label == "durable_app"] == [Workflow]

    class Own(admin.ModelAdmin):  # type: ignore[type-arg]
        pass

    own = AdminSite(name="own")
    own.register(Workflow, Own)
    register(own)
    register(own)
    assert type(own.get_model_admin(Workflow)) is Own


def test_an_unknown_entry_is_an_error() -> None:
    """A0. With the ones there are."""
    with pytest.raises(InvalidOptionError, match="'steps'"):
        register(AdminSite(), only=["steps"])


def test_it_can_be_switched_off(settings: Any) -> None:
    """A0. ENABLED."""
    settings.DURABLE = {"ADMIN": {"ENABLED": False}}
    site = AdminSite(name="empty")
    register(site)
    assert not site._registry


@pytest.mark.parametrize(
    "wrong", [{"PAGESIZE": 1}, {"PAGE_SIZE": 0}, {"PAGE_SIZE": "50"}, {"REASON_REQUIRED": 1}]
)
def test_a_wrong_choice_is_an_error(settings: Any, wrong: dict[str, Any]) -> None:
    """A0. An unknown name, or a senseless value; pages go on with the defaults."""
    settings.DURABLE = {"ADMIN": wrong}
    with pytest.raises(ImproperlyConfigured, match="ADMIN"):
        read()
    assert options() == AdminOptions()
