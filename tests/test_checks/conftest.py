"""The checks look at all that is registered: here that is the shop's, and what a test declares."""

import pytest

from durable_app.registry import registry


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry hold no workflow of another test."""
    shop = {
        name: one for name, one in registry.workflows.items() if one.func.__module__.startswith("tests.shop")
    }
    monkeypatch.setattr(registry, "workflows", shop)
