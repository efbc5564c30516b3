"""The demo's processes, on a database of their own: started once, shared by the tests of this folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from demo_project.ingestion import options
from demo_project.tour.children import Children
from tests.databases import sqlite_url, to_url
from tests.test_demo.house import House

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def demo_database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Return the URL of an empty database beside that of the tests."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        yield sqlite_url("demo")
        return
    settings = connection.settings_dict
    name = f"{settings['NAME']}_demo"
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}"')
    yield to_url({**settings, "NAME": name})
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def shared_house(demo_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return the demo with its servers running and no worker."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(options.SHIPPED, folder / "library")
    (folder / "library" / "broken.txt").write_bytes(b"\xff\xfe\xfa not a text")
    environment = {"LIBRARY_FOLDER": str(folder / "library")}
    with Children(folder=ROOT, logs=folder / "log", environment=environment) as children:
        house = House(children, demo_database)
        house.open()
        yield house


@pytest.fixture
def house(shared_house: House, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    """Return the demo; each test says how many workers it wants."""
    with django_db_blocker.unblock():
        yield shared_house
        shared_house.books.close()
    for log in sorted(shared_house.children.logs.glob("*.log")):  # shown if the test failed
        print(f"--- {log.name}\n{log.read_text()[-3000:]}")  # noqa: T201
