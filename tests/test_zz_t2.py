import pytest
from durable_app import *
from durable_app import workflow, step, start_workflow, sleep
@step
def one(x: int) -> int:
    return x + 1
@workflow
def wf(x: int) -> int:
    return one(one(x))
@pytest.mark.django_db(transaction=True)
def test_a(worker):
    assert start_workflow(wf, 1).get_result() == 3
@pytest.mark.django_db(transaction=True)
def test_b():
    assert wf(1) == 3
@pytest.mark.django_db
def test_c():
    assert wf(1) == 3
