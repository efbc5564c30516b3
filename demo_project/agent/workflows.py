"""The assistant: ask the model, use the tools it asks for, until it has said all it has to say.

Every message of the model and every tool's result is recorded. A worker that dies in the middle of a
sentence is replaced by another one, which asks the model for that sentence again and repeats nothing else.
"""

import json
from typing import Any

from demo_project.agent import approvals
from demo_project.agent.language import Message, ModelUnavailable, Reply, deltas
from demo_project.agent.models import Conversation
from demo_project.agent.tools import DANGEROUS, SPECIFICATIONS, TOOLS, arguments_of
from durable_app import (
    MaxStepRetriesExceeded,
    close_stream,
    step,
    transaction,
    workflow,
    write_stream,
)

MOST_TURNS = 8
TRANSCRIPT = "transcript"
PROMPT = "You answer customers of a shop for widgets. Use the tools; never guess."
SORRY = "I am sorry: I cannot answer at the moment. A colleague will."


@workflow
def assist(key: str, question: str) -> str:
    """Answer a question; return the answer."""
    messages: list[Message] = [{"role": "system", "content": PROMPT}, {"role": "user", "content": question}]
    answer = SORRY
    for _ in range(MOST_TURNS):
        try:
            said = think(messages)
        except MaxStepRetriesExceeded:
            break
        write_stream(TRANSCRIPT, {"kind": "said", "message": said})
        messages.append(said)
        if "tool_calls" not in said:
            answer = said["content"]
            break
        messages += [use(call) for call in said["tool_calls"]]
    keep_answer(key, answer)
    write_stream(TRANSCRIPT, {"kind": "answer", "text": answer})
    close_stream(TRANSCRIPT)
    return answer


@step(
    retries_allowed=True,
    max_attempts=6,
    interval_seconds=0.3,
    should_retry=lambda error: isinstance(error, ModelUnavailable),
)
def think(messages: list[Message]) -> Message:
    """Have the model say the next message, and pass each token on as it comes.

    What a step writes into a stream is there at once, and again if the step is tried again: "begin" tells
    readers to forget a sentence that was not finished.
    """
    write_stream(TRANSCRIPT, {"kind": "begin"})
    reply = Reply()
    for delta in deltas(messages, SPECIFICATIONS):
        if text := reply.add(delta):
            write_stream(TRANSCRIPT, {"kind": "token", "text": text})
    return reply.message()


def use(call: dict[str, Any]) -> Message:
    """Use a tool, if it may be used; return the message that tells the model what came of it."""
    try:
        result = result_of(call)
    except ValueError as mistake:  # the model's: it is told, and may do better
        result = {"error": str(mistake)}
    except MaxStepRetriesExceeded:
        result = {"error": "it does not work at the moment."}
    write_stream(TRANSCRIPT, {"kind": "used", "tool": call["function"]["name"], "result": result})
    return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}


def result_of(call: dict[str, Any]) -> dict[str, Any]:
    """Return what a tool answers, or why it was not asked."""
    name, arguments = call["function"]["name"], arguments_of(call)
    if name in DANGEROUS:
        answer = approvals.ask(f"{name} {arguments['number']}", arguments["reason"])
        write_stream(TRANSCRIPT, {"kind": "decided", "answer": answer})
        if answer != approvals.APPROVED:
            why = {approvals.DENIED: "our staff said no.", approvals.EXPIRED: "nobody has answered in time."}
            return {"error": why.get(answer, "the answer was not understood.")}
    return TOOLS[name](**arguments)


@transaction
def keep_answer(key: str, answer: str) -> None:
    """Store the answer."""
    Conversation.objects.filter(key=key).update(answer=answer)
