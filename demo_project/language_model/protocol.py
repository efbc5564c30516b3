"""What the model says as the chat-completions protocol has it: a message, or the chunks of a stream."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from demo_project.language_model.brain import Said

MODEL = "stand-in-1"
DONE = b"data: [DONE]\n\n"


def conversation_key(messages: list[dict[str, Any]]) -> str:
    """Return what names a conversation: the same messages have the same key."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:16]


def completion(said: Said, key: str) -> dict[str, Any]:
    """Return the answer to a request without ``stream``."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.tool:
        message["tool_calls"] = [_call(said, key)]
    choice = {"index": 0, "message": message, "finish_reason": _reason(said)}
    return {"id": f"chatcmpl-{key}", "object": "chat.completion", "model": MODEL, "choices": [choice]}


def chunks(said: Said, key: str) -> Iterator[bytes]:
    """Yield the server-sent events of the answer: the words, then the call in two pieces, then the end."""
    yield _event(key, {"role": "assistant", "content": ""})
    for word in re.findall(r"\S+\s*", said.text):
        yield _event(key, {"content": word})
    if said.tool:
        call = _call(said, key)
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        call["function"]["arguments"] = arguments[:half]
        yield _event(key, {"tool_calls": [{"index": 0, **call}]})
        yield _event(key, {"tool_calls": [{"index": 0, "function": {"arguments": arguments[half:]}}]})
    yield _event(key, {}, _reason(said))
    yield DONE


def _call(said: Said, key: str) -> dict[str, Any]:
    function = {"name": said.tool, "arguments": json.dumps(said.arguments)}
    return {"id": f"call_{key}", "type": "function", "function": function}


def _reason(said: Said) -> str:
    return "tool_calls" if said.tool else "stop"


def _event(key: str, delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion.chunk",
        "model": MODEL,
        "choices": [choice],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()
