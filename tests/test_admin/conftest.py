"""People who look at the admin, and the cache that would let one test see another's choices."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def boss(db: None) -> Client:
    """Return the browser of somebody who may do everything."""
    user = User.objects.create_superuser("boss")
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """Return what makes the browser of a member of staff with these permissions."""

    def make(*codenames: str, name: str = "ann") -> Client:
        user = User.objects.create_user(name, is_staff=True)
        found = Permission.objects.filter(codename__in=codenames, content_type__app_label="durable_app")
        assert {one.codename for one in found} == set(codenames)
        user.user_permissions.set(found)
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def viewer(staff: Any) -> Client:
    """Return the browser of somebody who may look at runs, and no more."""
    client: Client = staff("view_workflow")
    return client
