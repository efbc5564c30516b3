"""A launched ``DBOS`` for the tests of this folder; whatever they make of it, none is left behind."""

from collections.abc import Iterator
from typing import Any

import pytest

from durable_app.dbos import DBOS
from durable_app.registry import registry


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what other folders' tests have registered in this process: a program has its names for itself."""

    def is_ours(found: Any) -> bool:
        func = getattr(found, "func", found)
        module = getattr(func, "__module__", None) or type(func).__module__
        return str(module).startswith(("durable_app.", "tests.test_dbos"))

    for name in ("workflows", "steps", "instances"):
        found = getattr(registry, name)
        monkeypatch.setattr(registry, name, {key: one for key, one in found.items() if is_ours(one)})


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
