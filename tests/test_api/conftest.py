"""Programs that use the API: nobody, one that may look, one that may do everything."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client

BASE = "/api/durable/v1"


class Api:
    """A client that speaks JSON; paths begin behind the API's own."""

    def __init__(self, user: User | None = None) -> None:
        self.user = user
        self.client = Client()
        if user is not None:
            self.client.force_login(user)

    def get(self, path: str, **parameters: Any) -> Any:
        return self.client.get(f"{BASE}{path}", parameters)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, {} if body is None else body, headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self._send("patch", path, body, headers)

    def delete(self, path: str, **parameters: Any) -> Any:
        return self.client.delete(f"{BASE}{path}", query_params=parameters)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(self.client, method)(f"{BASE}{path}", text, "application/json", headers=sent)


def problem(response: Any, status: int, code: str) -> Any:
    """Check that an answer is a problem of this kind; return its body."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["code"], body["status"]) == (code, status)
    assert body["type"].endswith(f":{code}")
    assert body["title"]
    assert body["detail"]
    return body


@pytest.fixture(autouse=True)
def fresh_counts() -> Iterator[None]:
    """Throttles count in the cache."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def holder(db: None) -> Callable[..., Api]:
    """Return what makes a program with these permissions."""

    def make(*codenames: str, name: str = "ann") -> Api:
        user = User.objects.create_user(name)
        found = Permission.objects.filter(codename__in=codenames, content_type__app_label="durable_app")
        assert {one.codename for one in found} == set(codenames)
        user.user_permissions.set(found)
        return Api(user)

    return make


@pytest.fixture
def anonymous(db: None) -> Api:
    """Return a program that nobody knows."""
    return Api()


@pytest.fixture
def viewer(holder: Any) -> Api:
    """Return a program that may look at everything, but not into payloads."""
    found: Api = holder(
        "view_workflow", "view_bulkoperation", "view_queue", "view_schedule", "view_worker", name="viewer"
    )
    return found


@pytest.fixture
def operator(db: None) -> Api:
    """Return a program that may do everything."""
    user = User.objects.create_user("operator")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="durable_app"))
    return Api(user)
