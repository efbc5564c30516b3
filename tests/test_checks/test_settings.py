"""What is wrong with the settings is said by id, with a hint, before anything runs."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from durable_app.control.actors import Policy
from tests.test_checks.asking import messages, said

ALERTS = "DURABLE['ALERTS']"
EMAIL = "durable_app.alert_handlers.email"
WEBHOOK = "durable_app.alert_handlers.webhook"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"THREAD": 4}, "Unknown option DURABLE['THREAD']. Did you mean 'THREADS'?"),
        ({"LEASE": 30}, "DURABLE['LEASE'] must be a timedelta, not int."),
        ({"THREADS": 0}, "DURABLE['THREADS'] must be at least 1."),
    ],
)
@pytest.mark.django_db(databases=["default", "other"])
def test_e008_settings_that_cannot_be_read(given, sentence, settings):
    """E008: an unknown key, a wrong type, a value out of range; the nearest name where there is one."""
    settings.DURABLE = given
    (message,) = messages()
    assert (message.id, message.msg) == ("durable.E008", sentence)
    assert message.hint == "Correct DURABLE in the settings."
    with pytest.raises(SystemCheckError, match="durable.E008"):
        call_command("check")


DICTS = [
    ({"ADMIN": {"PAGE": 3}}, "DURABLE['ADMIN'] has no 'PAGE'; it has "),
    ({"ADMIN": {"PAGE_SIZE": 0}}, "DURABLE['ADMIN']['PAGE_SIZE'] cannot be 0."),
    ({"ALERTS": {"FAILURE": 3}}, f"{ALERTS} has no 'FAILURE'; it has FAILURES, "),
    ({"ALERTS": {"FAILURES": True}}, f"{ALERTS}['FAILURES'] must be a int, not True."),
    ({"ALERTS": {"FAILURES": -1}}, f"{ALERTS}['FAILURES'] must not be below 0, but is -1."),
    ({"ALERTS": {"REPEAT": timedelta(0)}}, f"{ALERTS}['REPEAT'] must not be below 0:00:01, but is 0:00:00."),
    ({"ALERTS": {"HANDLERS": "x.y"}}, f"{ALERTS}['HANDLERS'] must be a list of dotted paths."),
    (
        {"ALERTS": {"HANDLERS": ["no.such"]}},
        f"{ALERTS}['HANDLERS'] names 'no.such', which cannot be imported",
    ),
    ({"ALERTS": {"HANDLERS": ["os.sep"]}}, f"{ALERTS}['HANDLERS'] names 'os.sep', which cannot be called."),
    ({"POLICY": "no.such.Policy"}, "DURABLE['POLICY'] cannot be imported: "),
    ({"POLICY": "os.path.join"}, "DURABLE['POLICY'] is 'os.path.join', which is no Policy."),
]


@pytest.mark.parametrize(("given", "sentence"), DICTS, ids=[repr(given) for given, _ in DICTS])
def test_e008_what_a_surface_or_an_alert_could_not_use(given: Any, sentence: str, settings: Any):
    """E008, issue 4.6: before a worker or a page stumbles over it."""
    settings.DURABLE = given
    [message] = [one for one in messages() if one.id == "durable.E008"]
    assert message.msg.startswith(sentence)
    assert message.hint


class Own(Policy):
    """A policy as it should be."""


def test_e008_is_silent_on_settings_that_can_be_used(settings: Any):
    """E008: the same names, spelt right."""
    settings.ADMINS = [("Ann", "ann@example.com")]
    settings.DURABLE = {
        "ADMIN": {"PAGE_SIZE": 10},
        "ALERTS": {"HANDLERS": [EMAIL, WEBHOOK], "FAILURES": 1, "REPEAT": timedelta(minutes=1)},
        "ALERT_WEBHOOK": "https://chat.example.com/hook",
        "POLICY": f"{__name__}.Own",
    }
    assert said() == []


def test_e008_and_w018_alerts_that_reach_nobody(settings: Any):
    """W018: no administrators, or no rules; a webhook without an address is an error."""
    rules = {"FAILURES": 1}
    settings.DURABLE = {"ALERTS": {"HANDLERS": [EMAIL], **rules}}
    assert said() == ["durable.W018"]
    settings.ADMINS = [("Ann", "ann@example.com")]
    assert said() == []
    settings.DURABLE = {"ALERTS": {"HANDLERS": [EMAIL]}}
    assert said() == ["durable.W018"]
    settings.DURABLE = {"ALERTS": {"HANDLERS": [WEBHOOK], **rules}, "ALERT_WEBHOOK": "chat.example.com"}
    assert said() == ["durable.E008"]


def test_e009_an_alias_that_does_not_exist(settings):
    """E009: the hint lists the aliases there are."""
    settings.DURABLE = {"DATABASE": "defualt"}
    (message,) = messages()
    assert (message.id, message.hint) == ("durable.E009", "Known aliases: default, other.")
    assert "'defualt'" in message.msg


def test_e010_naive_times(settings):
    """E010: without USE_TZ the times of two hosts cannot be compared."""
    settings.USE_TZ = False
    assert said() == ["durable.E010"]


def test_w010_runs_that_nobody_ever_deletes(settings: Any):
    """W010: only before a deployment: a developer's database may grow."""
    assert said() == []
    assert "durable.W010" in said(deploy=True)
    settings.DURABLE = {"RETENTION": timedelta(days=90)}
    assert "durable.W010" not in said(deploy=True)


def test_w011_pickle(settings: Any):
    """W011: written or read."""
    for given in ({"SERIALIZER": "pickle"}, {"ALLOWED_SERIALIZERS": ["pickle"]}):
        settings.DURABLE = given
        assert said() == ["durable.W011"]
