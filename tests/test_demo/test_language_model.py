"""The language model's stand-in and its client, over real HTTP."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from demo_project.agent.language import ModelUnavailable, Reply, deltas
from demo_project.agent.transcript_lines import lines_of
from demo_project.language_model.protocol import conversation_key
from demo_project.language_model.server import Failure, LanguageModel, planned_for

ORDER = {"product": "Classic Widget", "quantity": 2, "total": "€130.00", "status": "dispatched"}


@pytest.fixture
def model(settings: Any) -> Iterator[LanguageModel]:
    """Run the stand-in in a thread, and let the client find it."""
    with LanguageModel(0, pace=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.LANGUAGE_MODEL_URL = server.url
        yield server
        server.shutdown()


def conversation(failure: Failure, text: str = "Where is my order K7PMX2WQ9D?") -> list[dict[str, Any]]:
    """Return a conversation whose first request fails like this."""
    for number in range(1000):
        messages = [{"role": "system", "content": str(number)}, {"role": "user", "content": text}]
        if planned_for(conversation_key(messages)) is failure:
            return messages
    raise AssertionError(failure)


def ask(messages: list[dict[str, Any]]) -> dict[str, Any]:
    reply = Reply()
    for delta in deltas(messages, []):
        reply.add(delta)
    return reply.message()


def with_result(messages: list[dict[str, Any]], result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the conversation with the model's next message and a tool's answer to it."""
    said = ask(messages)
    (call,) = said["tool_calls"]
    answer = {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}
    return [*messages, said, answer]


def persistent(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Ask as the step does: again if the model fails."""
    try:
        return ask(messages)
    except ModelUnavailable:
        return ask(messages)


def test_a_stream_is_put_together_to_the_same_message(model):
    """Words and the pieces of a call amount to what the model says without a stream."""
    messages = conversation(Failure.NONE)
    said = ask(messages)
    body = json.dumps({"messages": messages}).encode()
    with urllib.request.urlopen(f"{model.url}/v1/chat/completions", body) as response:
        whole = json.load(response)["choices"][0]
    assert whole["message"] == said
    assert whole["finish_reason"] == "tool_calls"
    (call,) = said["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"number": "K7PMX2WQ9D"}


@pytest.mark.parametrize("failure", [Failure.OVERLOADED, Failure.CUT_OFF])
def test_a_failing_model_is_noticed_and_answers_the_second_time(model, failure):
    """Neither a 503 nor half an answer is taken for an answer."""
    messages = conversation(failure)
    with pytest.raises(ModelUnavailable):
        ask(messages)
    assert ask(messages)["content"] == "Let me look at order K7PMX2WQ9D."
    assert model.requests() == {conversation_key(messages): 2}


def test_a_model_that_is_not_there_is_unavailable(settings):
    """A refused connection may be tried again."""
    settings.LANGUAGE_MODEL_URL = "http://127.0.0.1:9"
    with pytest.raises(ModelUnavailable):
        ask(conversation(Failure.NONE))


def test_a_refund_is_looked_up_asked_for_and_told(model):
    """The model's three messages about a refund."""
    messages = conversation(Failure.NONE, "I want a refund for K7PMX2WQ9D")
    messages = with_result(messages, ORDER)
    said = persistent(messages)
    (call,) = said["tool_calls"]
    assert call["function"]["name"] == "refund_order"
    answer = {"role": "tool", "tool_call_id": call["id"], "content": json.dumps({"error": "no."})}
    assert "was not refunded: no." in persistent([*messages, said, answer])["content"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": [{}]}'])
def test_what_is_no_conversation_is_refused(model, body):
    """400, and the server goes on."""
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(f"{model.url}/v1/chat/completions", body or b"x")


def test_readers_forget_a_sentence_that_was_begun_anew():
    """A stream has every try's tokens; a page shows the finished sentences once, and the last try's draft."""
    said = {"kind": "said", "message": {"content": "One two."}}
    begin, one, two = {"kind": "begin"}, {"kind": "token", "text": "One "}, {"kind": "token", "text": "two."}
    assert [(line.kind, line.text) for line in lines_of([begin, one, begin, one])] == [("draft", "One ")]
    lines = lines_of([begin, one, begin, one, two, said, begin])
    assert [(line.kind, line.text) for line in lines] == [("said", "One two.")]
