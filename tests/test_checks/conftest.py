"""The checks look at all that is registered: here that is the shop's, and what a test declares."""

import pytest


@pytest.fixture(autouse=True)
def _alone(shop_alone: None) -> None:
    """Let the registry hold no workflow of another test."""
