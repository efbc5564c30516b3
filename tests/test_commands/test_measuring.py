"""`durable check`, `durable bench` and `workflow show --graph`."""

import logging
from datetime import timedelta
from typing import Any

import pytest

from durable_app.models import AuditEvent, Queue, Workflow
from tests.test_commands.keyboard import durable


@pytest.fixture
def logger_as_before() -> Any:
    """Give the app's logger its level back."""
    logger = logging.getLogger("durable_app")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.django_db
@pytest.mark.usefixtures("shop_alone")
def test_the_checks_are_told_with_their_hints_and_errors_are_exit_1(settings: Any) -> None:
    """Warnings alone are exit 0; `-o json` says whether a fault is serious."""
    settings.DURABLE = {"RETENTION": None}
    found = durable("check", "--deploy")
    assert found.code == 0
    assert any(line.startswith("durable.W010: ") for line in found.lines)
    assert '    DURABLE = {"RETENTION": timedelta(days=90)}' in found.lines
    settings.DURABLE = {"LEASE": timedelta(seconds=-1)}
    broken = durable("check", "-o", "json")
    assert broken.code == 1
    assert [one["is_serious"] for one in broken.json if one["id"] == "durable.E008"] == [True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("logger_as_before")
def test_a_measurement_leaves_nothing_but_its_audit() -> None:
    """Its queue and its runs are deleted, whatever they were."""
    found = durable("bench", "--runs", "20", "--threads", "2", "--reason", "new disk", "-o", "json")
    assert found.json["runs"] == 20
    assert found.json["executed_per_second"] > 0
    assert not Workflow.objects.exists()
    assert not Queue.objects.filter(name__startswith="bench-").exists()
    event = AuditEvent.objects.get()
    assert (event.verb, event.reason, event.details["runs"]) == ("bench", "new disk", 20)


@pytest.mark.django_db
def test_a_workflow_is_drawn_as_a_flowchart() -> None:
    """For Mermaid: a box each, in the order of the text; quotation marks in names break nothing."""
    lines = durable("workflow", "show", "durable.export", "--graph").lines
    assert lines[:2] == ["flowchart TD", '    s0["durable.export"]']
    assert lines[2].startswith('    s1["durable_app.compensate (line ')
    assert lines[-1].strip().startswith("s")
    boxes, arrows = [one for one in lines if "[" in one], [one for one in lines if "-->" in one]
    assert len(arrows) == len(boxes) - 1 > 1
