"""The settings: one dict, checked when it is first read."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from durable_app.conf import Options, options


def test_defaults_need_no_setting() -> None:
    with override_settings():
        assert options() == Options()
        assert options() is options()


def test_a_changed_setting_is_read_again() -> None:
    with override_settings(DURABLE={"THREADS": 3, "LEASE": timedelta(minutes=1)}):
        assert options() == Options(THREADS=3, LEASE=timedelta(minutes=1))
    assert options().THREADS == Options().THREADS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"LEASES": 1}, r"Unknown option DURABLE\['LEASES'\]\. Did you mean 'LEASE'\?"),
        ({"poll_interval": 1}, r"Did you mean 'POLL_INTERVAL'\?"),
        ({"TREADS": 1}, r"Did you mean 'THREADS'\?"),
        ({"XYZ": 1}, r"Known options: .*'?DATABASE.*THREADS"),
        ({5: 1}, r"Unknown option DURABLE\[5\]"),
        ({"LEASE": 30}, r"DURABLE\['LEASE'\] must be a timedelta, not int"),
        ({"THREADS": "8"}, r"DURABLE\['THREADS'\] must be a int, not str"),
        ({"THREADS": True}, r"DURABLE\['THREADS'\] must be a int, not bool"),
        ({"DEV_WORKER": 1}, r"DURABLE\['DEV_WORKER'\] must be a bool, not int"),
        ({"DATABASE": None}, r"DURABLE\['DATABASE'\] must be a str, not NoneType"),
        ({"LEASE": timedelta(0)}, r"DURABLE\['LEASE'\] must be longer than zero"),
        ({"POLL_INTERVAL": timedelta(-1)}, r"DURABLE\['POLL_INTERVAL'\] must be longer"),
        ({"CRON_BUDGET": timedelta(0)}, r"DURABLE\['CRON_BUDGET'\] must be longer"),
        ({"SCHEDULE_GRACE": timedelta(-1)}, r"DURABLE\['SCHEDULE_GRACE'\] must not be below zero"),
        ({"THREADS": 0}, r"DURABLE\['THREADS'\] must be at least 1"),
        ({"MAX_PAYLOAD": 0}, r"DURABLE\['MAX_PAYLOAD'\] must be at least 1"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_name(given: dict[Any, Any], message: str) -> None:
    """Habit 24: misconfiguration fails early, and names the nearest valid name."""
    with override_settings(DURABLE=given), pytest.raises(ImproperlyConfigured, match=message):
        options()
