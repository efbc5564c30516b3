"""A launched ``DBOS`` for the tests of this folder; whatever they make of it, none is left behind."""

from collections.abc import Iterator

import pytest

from durable_app.dbos import DBOS


@pytest.fixture(autouse=True)
def destroyed(transactional_db: None) -> Iterator[None]:
    """Destroy what a test has launched, before its tables are emptied."""
    yield
    DBOS.destroy(destroy_registry=True)


@pytest.fixture
def dbos(destroyed: None) -> type[DBOS]:
    """Return ``DBOS``, launched."""
    DBOS(config={"name": "test-app"})
    DBOS.launch()
    return DBOS
