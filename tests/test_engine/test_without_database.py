"""Tests that declared no database (Django's SimpleTestCase, pytest without the mark) must not reach one."""

from typing import NoReturn

import pytest

from durable_app import start_workflow
from durable_app.store import database
from tests.shop.workflows import add, sum_of_three


def test_what_needs_the_database_is_refused_where_tests_may_not_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """41. The engine's own connection is no way around the test runner's guard; plain steps work."""

    def reached() -> NoReturn:
        raise AssertionError("the engine was about to write on its own connection")

    monkeypatch.setattr(database, "committer", reached)  # so that a failing test leaves no row behind
    assert add(1, 2) == 3
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        start_workflow(sum_of_three, 1, 2, 3)
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        sum_of_three(1, 2, 3)
