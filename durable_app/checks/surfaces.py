"""Checks of what people and programs reach: the admin, the API, and how a worker was started."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import DatabaseError, transaction
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from durable_app.checks.settings import readable

READERS: Mapping[str, tuple[str, str]] = {
    "ADMIN": ("django.contrib.admin", "durable_app.admin.options.read"),
    "API": ("durable_app", "durable_app.api.options.options"),
    "OPS": ("durable_app", "durable_app.ops.options.options"),
}
"""The dicts of surfaces within ``DURABLE``: the app without which nobody reads them, and what reads them."""

VIEW = "durable_app.api.base.DurableView"
PERMISSION = "durable_app.api.permissions.DurablePermission"

MOST_NAMES = 3


@register("durable_app")
def check_options(**kwargs: Any) -> list[CheckMessage]:
    """E008: the choices of each surface are read as the surface would read them."""
    options = readable()
    if options is None:
        return []
    found: list[CheckMessage] = []
    for name, (app, reader) in READERS.items():
        if not getattr(options, name, None) or not apps.is_installed(app):
            continue
        try:
            import_string(reader)()
        except ImproperlyConfigured as error:
            hint = f'Correct DURABLE["{name}"] in the settings.'
            found.append(Error(str(error), hint=hint, id="durable.E008"))
    return found


@register("durable_app")
def check_worker(**kwargs: Any) -> list[CheckMessage]:
    """W013: a worker that goes on with the code it has, while somebody changes it."""
    if not settings.DEBUG or "durable_worker" not in sys.argv or "--no-reload" not in sys.argv:
        return []
    return [
        Warning(
            "DEBUG is True and the worker was started with --no-reload: changed code is not taken up, and "
            "Django keeps the last 9,000 queries of every connection.",
            hint="DEBUG = False  # or start it without --no-reload",
            id="durable.W013",
        )
    ]


# Who sees payloads


@register(Tags.database)
def check_payloads(databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W016: payloads have a permission of their own; given to everybody, it protects nothing."""
    try:
        users: Any = get_user_model()._default_manager
    except ImproperlyConfigured:  # the project does without django.contrib.auth
        return []
    if users.db not in (databases or ()) or not hasattr(users, "with_perm"):
        return []
    try:
        with transaction.atomic(using=users.db):
            seeing = _staff(users, "view_workflow")
            few = _staff(users, "view_payload")
    except (DatabaseError, FieldError, ValueError):  # no tables yet; a user model or backends of its own
        return []
    if len(seeing) < 2 or seeing - few:
        return []
    return [
        Warning(
            f"All {len(seeing)} members of staff who may see runs may also see what runs were given and "
            f"returned.",
            hint='group.permissions.remove(Permission.objects.get(codename="view_payload"))  # for those who '
            "need no payloads",
            id="durable.W016",
        )
    ]


def _staff(users: Any, codename: str) -> set[Any]:
    """Return the keys of the staff that has a permission, without those who have every one."""
    found = users.with_perm(f"durable_app.{codename}", include_superusers=False)
    return set(found.filter(is_staff=True).values_list("pk", flat=True))


# The API


@register("durable_app", deploy=True)
def check_asgi(**kwargs: Any) -> list[CheckMessage]:
    """W015: under WSGI every reader of a stream holds a thread of the server."""
    if getattr(settings, "ASGI_APPLICATION", None) or not any(_api_views()):
        return []
    return [
        Warning(
            "The API is served and ASGI_APPLICATION is not set: under WSGI each reader of a stream or of "
            "progress holds a thread, so its connection is ended early.",
            hint=f'ASGI_APPLICATION = "{settings.ROOT_URLCONF.partition(".")[0]}.asgi.application"',
            id="durable.W015",
        )
    ]


@register("durable_app", deploy=True)
def check_api(**kwargs: Any) -> list[CheckMessage]:
    """W021: endpoints that let everybody in, and workflows that were not chosen one by one."""
    options, views = readable(), dict.fromkeys(_api_views())
    if options is None or not views:
        return []
    found: list[CheckMessage] = []
    names = [
        view.__name__ for view in views if not any(_is(one, PERMISSION) for one in view.permission_classes)
    ]
    if names:
        found.append(
            Warning(
                f"Endpoints of the API do not ask who may use them: {', '.join(names[:MOST_NAMES])}.",
                hint="permission_classes = (DurablePermission,)  # or a subclass of it",
                id="durable.W021",
            )
        )
    if "*" in getattr(options, "API", {}).get("STARTABLE", ()):
        found.append(
            Warning(
                "Every workflow can be started over the API, also those that only code is meant to start.",
                hint='DURABLE = {"API": {"STARTABLE": ["shop.workflows.checkout"]}}',
                id="durable.W021",
            )
        )
    return found


def _api_views() -> Iterator[Any]:
    """Yield the views of our API that the project's URLs have; nothing is imported for a project without."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _views(get_resolver())


def _views(resolver: URLResolver) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
            if view is not None and _is(view, VIEW):
                yield view


def _is(cls: Any, name: str) -> bool:
    """Return whether a class is one that is named, or a subclass: asked without importing it."""
    return any(f"{one.__module__}.{one.__qualname__}" == name for one in getattr(cls, "__mro__", ()))
