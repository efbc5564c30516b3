"""Who sees payloads, whether the API is open, and how a worker was started."""

import sys
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.checks import Tags, run_checks
from django.urls import path

from durable_app.checks import surfaces
from tests.test_checks.asking import about_deployment, messages, said


def test_w013_a_worker_that_does_not_follow_the_code(settings: Any, monkeypatch: pytest.MonkeyPatch):
    """W013: only with DEBUG, and only where it was said."""
    settings.DEBUG = True
    for argv, expected in (
        (["manage.py", "durable_worker", "--no-reload"], ["durable.W013"]),
        (["manage.py", "durable_worker"], []),
        (["manage.py", "runserver", "--no-reload"], []),
    ):
        monkeypatch.setattr(sys, "argv", argv)
        assert said() == expected
    monkeypatch.setattr(sys, "argv", ["manage.py", "durable_worker", "--no-reload"])
    settings.DEBUG = False
    assert said() == []


def payloads(databases: list[str]) -> list[str | None]:
    found = run_checks(tags=[Tags.database], databases=databases)
    return [message.id for message in found if message.id == "durable.W016"]


def somebody(name: str, *codenames: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.mark.django_db(databases=["default", "other"])
def test_w016_payloads_for_everybody():
    """W016: a permission that everybody has protects nothing; one member of staff is nobody's colleague."""
    somebody("ann", "view_workflow", "view_payload")
    User.objects.create_superuser("boss")
    assert payloads(["default"]) == []
    ben = somebody("ben", "view_workflow", "view_payload")
    assert payloads(["default"]) == ["durable.W016"]
    assert payloads(["other"]) == []
    ben.user_permissions.set(Permission.objects.filter(codename="view_workflow"))
    assert payloads(["default"]) == []


class DurableView:
    """Stands for the API's view, whose module needs Django REST framework."""

    permission_classes: tuple[type, ...] = ()


class DurablePermission:
    """Stands for the API's permission."""


DurableView.__module__, DurableView.__qualname__ = surfaces.VIEW.rsplit(".", 1)
DurablePermission.__module__, DurablePermission.__qualname__ = surfaces.PERMISSION.rsplit(".", 1)


class Stricter(DurablePermission):
    """A project's own."""


class ClosedView(DurableView):
    permission_classes = (Stricter,)


class OpenView(DurableView):
    permission_classes = (object,)


def served(patch: pytest.MonkeyPatch, *views: type) -> str:
    """Return the name of a URLconf with some views of the API."""
    urls = ModuleType(f"project_{len(views)}.urls")
    urls.urlpatterns = [path(f"{view.__name__}/", answering(view)) for view in views]  # type: ignore[attr-defined]
    patch.setitem(sys.modules, urls.__name__, urls)
    return urls.__name__


def answering(view: type) -> Any:
    def answer(request: Any) -> None: ...

    answer.cls = view  # type: ignore[attr-defined]
    return answer


def test_w021_an_api_that_is_open(settings: Any, monkeypatch: pytest.MonkeyPatch):
    """W021: an endpoint that asks nobody, and a pattern that names everything. Only before a deployment."""
    settings.ROOT_URLCONF = served(monkeypatch, ClosedView)
    assert about_deployment() == []
    settings.DURABLE = {"API": {"STARTABLE": ["shop.*"]}}
    assert about_deployment() == []
    settings.DURABLE = {"API": {"STARTABLE": ["*"]}}
    assert about_deployment() == ["durable.W021"]
    assert said() == []
    settings.DURABLE = {}
    settings.ROOT_URLCONF = served(monkeypatch, ClosedView, OpenView)
    [message] = [one for one in messages(deploy=True) if one.id == "durable.W021"]
    assert "OpenView." in message.msg


def test_w015_streams_without_asgi(settings: Any, monkeypatch: pytest.MonkeyPatch):
    """W015: only where the API is served, and not with the hint's line."""
    settings.ROOT_URLCONF = served(monkeypatch)
    assert "durable.W015" not in said(deploy=True)
    settings.ROOT_URLCONF = served(monkeypatch, ClosedView)
    [message] = [one for one in messages(deploy=True) if one.id == "durable.W015"]
    assert message.hint == 'ASGI_APPLICATION = "project_1.asgi.application"'
    settings.ASGI_APPLICATION = "project_1.asgi.application"
    assert "durable.W015" not in said(deploy=True)
