"""On whose behalf runs act: blocks, Django's users and their groups, requests."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from durable_app import (
    InvalidOptionError,
    NotAuthorizedError,
    SetIdentity,
    aenqueue_many,
    assumed_role,
    astart_workflow,
    authenticated_roles,
    authenticated_user,
    get_workflow_status,
    required_roles,
    start_workflow,
    workflow,
)
from durable_app.middleware import IdentityMiddleware
from durable_app.worker.worker import Worker
from tests.shop import asked


@workflow(name="identity.who")
def who() -> list[Any]:
    return [authenticated_user(), authenticated_roles()]


@workflow(name="identity.family")
def family() -> list[Any]:
    with SetIdentity("deputy", ["d"]):
        as_deputy = [who(), start_workflow(who).get_result()]
    return [who(), *as_deputy, authenticated_user()]


@required_roles(["clerk", "admin"])
@workflow(name="identity.guarded")
def guarded() -> str | None:
    return assumed_role()


@pytest.fixture
def ann(db: None) -> User:
    user = User.objects.create_user("ann")
    user.groups.add(Group.objects.create(name="clerk"), Group.objects.create(name="auditor"))
    return user


# Blocks


@pytest.mark.django_db
def test_blocks_nest_and_restore() -> None:
    """246. The innermost one counts; what it hid is back after it, after an error too."""
    with SetIdentity("ann", ["a"]):
        with SetIdentity("bob", ["b"]):
            assert who() == ["bob", ["b"]]
        assert who() == ["ann", ["a"]]
        with pytest.raises(ZeroDivisionError), SetIdentity("eve"):
            assert who() == ["eve", None]
            raise ZeroDivisionError
        with SetIdentity(None):
            assert who() == [None, None]
        assert who() == ["ann", ["a"]]
    assert who() == [None, None]


def test_a_block_is_its_tasks_own() -> None:
    """246, 288. A sibling task does not see it; one that is started inside does."""

    async def inside(entered: asyncio.Event, seen: asyncio.Event) -> str | None:
        with SetIdentity("ann"):
            entered.set()
            child = asyncio.create_task(reader())
            await seen.wait()
            return await child

    async def reader() -> str | None:
        return authenticated_user()

    async def main() -> tuple[str | None, str | None]:
        entered, seen = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(inside(entered, seen))
        await entered.wait()
        beside = authenticated_user()
        seen.set()
        return beside, await task

    assert asyncio.run(main()) == (None, "ann")


@pytest.mark.django_db(transaction=True)
def test_a_deputys_children(worker: Worker) -> None:
    """246. Children called and started in a block inside the workflow are the deputy's, others the user's."""
    with SetIdentity("ann", ["a"]):
        handle = start_workflow(family)
    expected = [["ann", ["a"]], ["deputy", ["d"]], ["deputy", ["d"]], "ann"]
    assert handle.get_result(timeout=60) == expected


@pytest.mark.django_db
def test_the_workflow_does_not_see_its_callers_block() -> None:
    """288. What it reads is in its row: a block that is closed meanwhile changes nothing."""

    @workflow(name="identity.changes")
    def changes() -> list[Any]:
        return [who(), authenticated_user()]

    with SetIdentity("ann", []):
        assert changes() == [["ann", []], "ann"]


@pytest.mark.parametrize("user", [3, object(), b"ann", "", "x" * 256, "a\x00b"])
def test_what_is_no_user_is_refused(user: Any) -> None:
    """246. At once, for what is no user of Django's and no storable text."""
    with pytest.raises(InvalidOptionError, match="user"):
        SetIdentity(user)


# Django's users


@pytest.mark.django_db
def test_a_users_groups_are_its_roles(ann: User) -> None:
    """243. Roles are the groups' names, in their order; roles that are given are taken instead."""
    with SetIdentity(ann):
        assert (authenticated_user(), authenticated_roles()) == ("ann", ["auditor", "clerk"])
        assert who() == ["ann", ["auditor", "clerk"]]
        assert guarded() == "clerk"
    with SetIdentity(ann, ["guest"]):
        assert who() == ["ann", ["guest"]]
        with pytest.raises(NotAuthorizedError):
            guarded()


@pytest.mark.django_db
def test_a_superuser_has_every_role() -> None:
    """243. The first required one is assumed; its children may do everything as well."""
    with SetIdentity(User.objects.create_superuser("root")):
        assert who() == ["root", ["*"]]
        assert guarded() == "clerk"


@pytest.mark.django_db
def test_a_group_of_that_name_is_no_master_key() -> None:
    """243. Who may make groups is not thereby a superuser."""
    user = User.objects.create_user("eve")
    user.groups.add(Group.objects.create(name="*"))
    with SetIdentity(user):
        assert who() == ["eve", []]
        with pytest.raises(NotAuthorizedError):
            guarded()


@pytest.mark.django_db
def test_an_inactive_user_has_no_role(ann: User) -> None:
    """243. As Django's permissions see it, superusers included."""
    for changes in ({"is_active": False}, {"is_active": False, "is_superuser": True}):
        for name, value in changes.items():
            setattr(ann, name, value)
        with SetIdentity(ann), pytest.raises(NotAuthorizedError):
            guarded()


@pytest.mark.django_db
def test_an_anonymous_user_is_nobody() -> None:
    """243. Not a user whose name is empty."""
    with SetIdentity(AnonymousUser()):
        assert who() == [None, None]


@pytest.mark.django_db
def test_groups_are_read_once_and_only_if_something_is_started(ann: User) -> None:
    """246. A request that starts nothing costs nothing; a lazy user stays unread."""
    looks: list[int] = []

    def look() -> User:
        looks.append(1)
        return ann

    with CaptureQueriesContext(connection) as captured, SetIdentity(SimpleLazyObject(look)):
        pass
    assert (looks, len(captured)) == ([], 0)
    with CaptureQueriesContext(connection) as captured, SetIdentity(look):
        handles = [start_workflow(who) for _ in range(3)]
    assert sum("auth_group" in query["sql"] for query in captured.captured_queries) == 1
    assert len(looks) == 1
    assert {handle.get_status().user for handle in handles} == {"ann"}


@pytest.mark.django_db
def test_a_users_groups_are_read_for_coroutines(ann: User) -> None:
    """65, 246. Nothing blocks the event loop, whatever verb is the first to need them."""

    async def start() -> list[str]:
        with SetIdentity(ann):
            first = await astart_workflow(who)
        with SetIdentity(ann):
            many = await aenqueue_many("default", who, [(), ()])
        with SetIdentity(ann):
            assert await guarded.acall() == "clerk"
        return [first.workflow_id, *(handle.workflow_id for handle in many)]

    for workflow_id in async_to_sync(start)():
        found = get_workflow_status(workflow_id)
        assert found is not None
        assert (found.user, found.roles) == ("ann", ["auditor", "clerk"])


# Requests


@pytest.fixture
def requests_have_users(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "durable_app.middleware.IdentityMiddleware"]
    settings.ROOT_URLCONF = asked.__name__


@pytest.mark.django_db
@pytest.mark.usefixtures("requests_have_users")
@pytest.mark.parametrize("path", ["/start/", "/astart/"])
def test_what_a_request_starts_acts_for_its_user(ann: User, path: str) -> None:
    """246. In sync and async views, served synchronously."""
    client = Client()
    client.force_login(ann)
    found = get_workflow_status(client.get(path).content.decode())
    assert found is not None
    assert (found.user, found.roles) == ("ann", ["auditor", "clerk"])
    nobodys = get_workflow_status(Client().get(path).content.decode())
    assert nobodys is not None
    assert (nobodys.user, nobodys.roles) == (None, None)


@pytest.mark.django_db
@pytest.mark.usefixtures("requests_have_users")
@pytest.mark.parametrize("path", ["/start/", "/astart/"])
def test_what_an_asgi_request_starts_acts_for_its_user(ann: User, path: str) -> None:
    """246. And served asynchronously."""

    async def ask() -> str:
        client = AsyncClient()
        await client.aforce_login(ann)
        return (await client.get(path)).content.decode()

    found = get_workflow_status(async_to_sync(ask)())
    assert found is not None
    assert (found.user, found.roles) == ("ann", ["auditor", "clerk"])


@pytest.mark.django_db
@pytest.mark.usefixtures("requests_have_users")
def test_a_request_that_starts_nothing_does_not_look_at_its_user(ann: User) -> None:
    """246. The session stays untouched, so the response may be cached for everybody."""
    client = Client()
    client.force_login(ann)
    response = client.get("/nothing/")
    assert "Vary" not in response.headers


@pytest.mark.django_db
@pytest.mark.usefixtures("requests_have_users")
def test_a_user_who_is_authenticated_by_the_view_counts(ann: User) -> None:
    """246. As the REST framework does it, long after the middleware."""
    found = get_workflow_status(Client().get("/token/").content.decode())
    assert found is not None
    assert found.user == "ann"


def test_requests_without_users_are_a_mistake_of_the_settings() -> None:
    """246. The error says where the middleware belongs."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(ImproperlyConfigured, match="AuthenticationMiddleware"):
        IdentityMiddleware(view)(RequestFactory().get("/"))
