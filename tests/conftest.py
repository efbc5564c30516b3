"""Fixtures for every test."""

import os
import signal
from collections.abc import Iterator

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from durable_app.incarnation import forget_callers
from durable_app.registry import registry
from durable_app.worker.worker import Worker
from tests.databases import to_url
from tests.emptying import empty_quickly

# A shell's background job is started deaf to Ctrl-C, and so are its children: some of ours are sent one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``postgres`` where the tests run on SQLite."""
    if connections["default"].vendor == "postgresql":
        return
    left_out = [item for item in items if item.get_closest_marker("postgres")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let PostgreSQL drop the test databases even if a test left a thread connected to one."""
    empty_quickly()
    yield
    with django_db_blocker.unblock():
        for connection in connections.all():
            is_made = str(connection.settings_dict["NAME"]).startswith("test_")  # if a test asks for it
            if is_made and connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(END_OTHER_SESSIONS)


@pytest.fixture
def worker_env(transactional_db: None) -> dict[str, str]:
    """Return the environment in which a started process works on the test's own databases."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": to_url(connections["default"].settings_dict),
        "OTHER_DATABASE_URL": to_url(connections["other"].settings_dict),
    }


@pytest.fixture(autouse=True)
def callers_lease_ends_with_the_test(_django_db_marker: None) -> Iterator[None]:
    """End the lease of direct calls before the test's tables are emptied: its row goes with them."""
    yield
    forget_callers()


@pytest.fixture
def worker(transactional_db: None) -> Iterator[Worker]:
    """Run a worker in this process for the length of the test."""
    with Worker(threads=4) as running:
        yield running


@pytest.fixture
def shop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry hold the shop's workflows, and none that another test declares on purpose wrongly."""
    shop = {
        name: one for name, one in registry.workflows.items() if one.func.__module__.startswith("tests.shop")
    }
    monkeypatch.setattr(registry, "workflows", shop)
