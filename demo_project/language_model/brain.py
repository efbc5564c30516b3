"""What the stand-in says: rules over the conversation, and nothing else. It keeps no state."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

NUMBER = re.compile(r"\b[2-9A-HJKMNP-Z]{10}\b")
REFUND = re.compile(r"\b(refund|money back|give back|return)", re.IGNORECASE)

Results = dict[str, Any]
"""The answers of the tools to the last question, by the tool's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One message of the model: a text, and perhaps a tool that it wants to be called."""

    text: str
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


def next_message(messages: list[dict[str, Any]]) -> Said:
    """Return what the model says next; raises KeyError, ValueError for what is no conversation."""
    question, results = _question_and_results(messages)
    number = NUMBER.search(question)
    if number:
        return _about_order(question, number[0], results)
    if REFUND.search(question):
        return Said(text="Which order is it about? Its number has ten letters and digits, as in K7PMX2WQ9D.")
    return _about_manuals(question, results)


def _about_order(question: str, number: str, results: Results) -> Said:
    if "find_order" not in results:
        return Said(text=f"Let me look at order {number}.", tool="find_order", arguments={"number": number})
    order = results["find_order"]
    if "error" in order:
        return Said(text=f"I have looked for {number}, but: {order['error']} Is the number right?")
    facts = f"{order['quantity']} × {order['product']} for {order['total']}"
    if not REFUND.search(question):
        return Said(text=f"Order {number} is {facts}. Its status is: {order['status']}.")
    if "refund_order" not in results:
        return Said(
            text=f"Order {number} is {facts}, {order['status']}. A refund is not mine to decide, so I am "
            "asking a member of our staff. One moment, please.",
            tool="refund_order",
            arguments={"number": number, "reason": _shortened(question)},
        )
    return Said(text=_after_refund(number, order, results["refund_order"]))


def _after_refund(number: str, order: dict[str, Any], result: dict[str, Any]) -> str:
    if "error" in result:
        return f"I am sorry, order {number} was not refunded: {result['error']}"
    return (
        f"Good news: {order['total']} for order {number} are on their way back to you. It takes about a day."
    )


def _about_manuals(question: str, results: Results) -> Said:
    if "search_manuals" not in results:
        return Said(
            text="Let me see what our manuals say.",
            tool="search_manuals",
            arguments={"question": _shortened(question)},
        )
    passages = results["search_manuals"].get("passages", [])
    if not passages:
        return Said(text="Our manuals say nothing about that. Perhaps they have not been read yet?")
    best = passages[0]
    return Said(text=f"“{best['title']}” says: {best['text']}")


def _question_and_results(messages: list[dict[str, Any]]) -> tuple[str, Results]:
    """Return the last question, and what the tools have answered since."""
    question = ""
    results: Results = {}
    names: dict[str, str] = {}
    for message in messages:
        if message["role"] == "user":
            question, results = str(message["content"]), {}
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        if message["role"] == "tool":
            results[names[message["tool_call_id"]]] = json.loads(message["content"])
    return question, results


def _shortened(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:119]}…"
