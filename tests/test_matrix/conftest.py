"""The people of the matrix, and the project they work for."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.cache import cache
from django.core.management import call_command

from durable_app.models import AuditEvent
from tests.test_matrix.people import People, Tenants, browser

GROUPS = {
    "nobody": [], "viewer": ["viewers"], "operator": ["operators"], "admin": ["admins"], "tenant": ["admins"],
    "member": ["operators"], "holder": ["viewers"], "forker": ["viewers"], "canceller": ["viewers"],
    "watcher": [], "keeper": [],
}  # fmt: skip


@pytest.fixture
def people(db: None, settings: Any) -> Iterator[People]:
    """Return a user for each role.

    The tenant has a policy. A member belongs to the group "finance", too; a holder may add groups, a forker
    fork, a canceller cancel, besides looking. A watcher may look at everything but the audit, a keeper at
    everything but runs.
    """
    settings.DURABLE = {
        "POLICY": f"{Tenants.__module__}.Tenants",
        "ADMIN": {"EXPORT_LIMIT": 1},
        "API": {"STARTABLE": ["*"], "IMPORT": True},
    }
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "durable": memory}
    cache.clear()
    call_command("durable", "roles", stdout=io.StringIO(), stderr=io.StringIO())
    found: People = {"anonymous": AnonymousUser()}
    for name, groups in GROUPS.items():
        user = User.objects.create_user(name, is_staff=True)
        user.groups.set(Group.objects.get(name=f"Durable {group}") for group in groups)
        found[name] = user
    found["own"] = found["foreign"] = found["tenant"]
    found["member"].groups.add(Group.objects.create(name="finance"))
    for name, codename in {
        "holder": "add_group",
        "forker": "fork_workflow",
        "canceller": "cancel_workflow",
    }.items():
        found[name].user_permissions.add(Permission.objects.get(codename=codename))
    viewers = Group.objects.get(name="Durable viewers").permissions
    found["watcher"].user_permissions.set(viewers.exclude(codename="view_auditevent"))
    found["keeper"].user_permissions.set(viewers.exclude(codename="view_workflow"))
    AuditEvent.objects.all().delete()
    yield found
    browser.cache_clear()
    cache.clear()
