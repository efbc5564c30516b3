"""The assistant: an agent loop whose worker may die, and which asks a person before it refunds."""

import json
import urllib.request
from typing import Any

import pytest

from demo_project.tour.browser import Page
from tests.helpers import wait_until
from tests.test_demo.house import House

STREAM = """
    SELECT value FROM durable_app_streamentry WHERE value IS NOT NULL AND workflow_id =
    (SELECT id FROM durable_app_workflow WHERE workflow_id = %s) ORDER BY "offset"
"""
STEPS = """
    SELECT name FROM durable_app_step WHERE workflow_id =
    (SELECT id FROM durable_app_workflow WHERE workflow_id = %s) ORDER BY position
"""


class Talk:
    """A conversation, seen by the one who asked."""

    def __init__(self, house: House, question: str) -> None:
        self.house = house
        self.url = house.press("/assistant/", question=question).url
        self.run_id = f"assistant-{self.url.rstrip('/').rpartition('/')[2]}"

    def watch(self, text: str) -> Page:
        """Wait until the page says something."""
        return self.house.watch(f"{self.url}transcript/", lambda now: text in now.text)

    def end(self) -> str:
        """Wait for the end; return what the page says then."""
        return self.house.watch(f"{self.url}transcript/", lambda now: now.says.finished).text

    def answer(self, what: str) -> None:
        """Press a button of the open request."""
        self.house.browser.submit(self.house.browser.open(self.url), answer=what)

    def stream(self) -> list[dict[str, Any]]:
        return [json.loads(value) for (value,) in self.house.rows(STREAM, self.run_id)]

    def kinds(self) -> list[str]:
        """Return the kinds of what the stream has, tokens left out."""
        return [entry["kind"] for entry in self.stream() if entry["kind"] != "token"]

    def steps(self) -> list[str]:
        return [name for (name,) in self.house.rows(STEPS, self.run_id)]


@pytest.fixture(scope="module")
def sold(shared_house: House, django_db_blocker: Any) -> str:
    """Return the number of an order that was paid and dispatched."""
    with django_db_blocker.unblock():
        shared_house.staff()
        return shared_house.buy()


def refunds(house: House, number: str) -> list[str]:
    """Return what the payment provider has booked as given back."""
    url = f"{house.children.environment['PAYMENT_PROVIDER_URL']}/ledger?reference={number}"
    with urllib.request.urlopen(url) as response:
        return [one["status"] for one in json.load(response)["entries"] if one["status"] == "refunded"]


def test_it_looks_an_order_up(house, sold):
    """The tool is a step, the model's words are kept, the answer is stored."""
    house.staff()
    talk = Talk(house, f"Where is my order {sold}?")
    page = talk.end()
    assert f"Order {sold} is 1 × Classic Widget for €49.99. Its status is: dispatched." in page
    assert "find_order" in talk.steps()
    assert "draft" not in page
    assert house.rows("SELECT answer FROM agent_conversation WHERE key = %s", talk.run_id[10:]) == [
        (f"Order {sold} is 1 × Classic Widget for €49.99. Its status is: dispatched.",)
    ]


def test_an_unknown_order_is_no_disaster(house):
    """The tool's error is told to the model, which tells the customer."""
    house.staff()
    page = Talk(house, "Where is my order ZZZZZZZZZZ?").end()
    assert "There is no order ZZZZZZZZZZ." in page


def test_a_denied_refund_returns_nothing(house, sold):
    """The run waits as a row; after the no, the tool is not called."""
    before = refunds(house, sold)
    house.staff()
    talk = Talk(house, f"A refund for {sold}, please")
    asked = talk.watch("May the assistant do this?")
    assert f"refund_order {sold}" in asked.text
    status = "SELECT status FROM durable_app_workflow WHERE workflow_id = %s"
    wait_until(lambda: house.rows(status, talk.run_id) == [("WAITING",)])
    talk.answer("denied")
    page = talk.end()
    assert "our staff said no." in page
    assert refunds(house, sold) == before


def test_silence_is_a_no(house, sold):
    """The approval has a deadline; nobody presses a button."""
    before = refunds(house, sold)
    house.staff(APPROVAL_SECONDS="1")
    page = Talk(house, f"A refund for {sold}, please").end()
    assert "nobody has answered in time." in page
    assert refunds(house, sold) == before


def test_an_approved_refund_is_made_once_whoever_asks_again(house):
    """A person approves while no worker is there; a second conversation returns no more."""
    house.staff()
    number = house.buy()
    for _ in range(2):
        talk = Talk(house, f"I want my money back for {number}")
        talk.watch("May the assistant do this?")
        house.dismiss()
        talk.answer("approved")
        house.staff()
        assert "Approved by a person" in talk.end()
    assert refunds(house, number) == ["refunded"]
    paid = house.rows("SELECT status FROM orders_payment WHERE provider_id IS NOT NULL ORDER BY id DESC")
    assert paid[0] == ("refunded",)


def test_a_worker_killed_in_the_middle_of_a_sentence(house, sold):
    """Another one asks the model for that sentence again; nothing that was said before is said twice."""
    (victim,) = house.staff(1)
    talk = Talk(house, f"A refund for {sold}, please")
    wait_until(lambda: "used" in talk.kinds() and talk.stream()[-1]["kind"] == "token")
    house.kill(victim)
    before = talk.stream()
    assert '<p class="bubble draft">' in house.browser.open(f"{talk.url}transcript/").text
    house.hire()
    talk.watch("May the assistant do this?")
    talk.answer("denied")
    page = talk.end()
    assert "draft" not in page
    assert page.count(f"Let me look at order {sold}.") == 1
    assert page.count(f"Order {sold} is 1 × Classic Widget") == 1
    after = talk.stream()
    assert after[: len(before)] == before
    assert after[len(before)]["kind"] == "begin"
    kinds = [kind for kind in talk.kinds() if kind != "begin"]
    assert kinds == ["said", "used", "said", "decided", "used", "said", "answer"]
    assert (talk.steps().count("think"), talk.steps().count("find_order")) == (3, 1)


def test_a_form_sent_twice_asks_once(house):
    """The key is in the form: the second conversation is the first."""
    form = house.browser.open("/assistant/")
    first = house.browser.submit(form, question="My spring squeaks").url
    assert house.browser.submit(form, question="My spring squeaks").url == first
    runs = house.rows("SELECT COUNT(*) FROM agent_conversation WHERE key = %s", first.rstrip("/")[-16:])
    assert runs == [(1,)]
    house.staff()
    house.watch(f"{first}transcript/", lambda now: now.says.finished)
