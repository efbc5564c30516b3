"""Talking to the language model: the chat-completions protocol, as a stream of server-sent events.

Any server that speaks it will do; the demo's own is ``demo_project.language_model``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from demo_project.agent.options import language_model_url

MODEL = "stand-in-1"
PATIENCE_SECONDS = 20

Message = dict[str, Any]
"""A message of a conversation, as the protocol has it."""


class ModelUnavailable(Exception):
    """The model did not answer, or not to the end: the same conversation may be sent again."""


@dataclass(kw_only=True, slots=True)
class Reply:
    """A message of the model that is put together from its pieces."""

    content: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)

    def add(self, delta: dict[str, Any]) -> str:
        """Add a piece; return the text in it."""
        text = str(delta.get("content") or "")
        self.content += text
        for piece in delta.get("tool_calls") or ():
            self._add_call(piece)
        return text

    def _add_call(self, piece: dict[str, Any]) -> None:
        while len(self.tool_calls) <= piece["index"]:
            self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call = self.tool_calls[piece["index"]]
        call["id"] = piece.get("id") or call["id"]
        for name, text in piece.get("function", {}).items():
            call["function"][name] += text

    def message(self) -> Message:
        """Return it as the conversation keeps it."""
        calls = {"tool_calls": self.tool_calls} if self.tool_calls else {}
        return {"role": "assistant", "content": self.content, **calls}


def deltas(messages: list[Message], tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the pieces of the model's next message as they come; raises ModelUnavailable."""
    body = {"model": MODEL, "messages": messages, "tools": tools, "stream": True}
    connection = HTTPConnection(urlsplit(language_model_url()).netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
        )
        yield from _events(connection.getresponse())
    except (OSError, HTTPException, ValueError) as error:
        raise ModelUnavailable(f"The model did not answer: {error!r}") from error
    finally:
        connection.close()


def _events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    if response.status >= 500 or response.status == 429:
        raise ModelUnavailable(f"The model answered {response.status}.")
    if response.status >= 400:
        raise RuntimeError(f"The model refuses our request: {response.status} {response.read()[:200]!r}")
    for line in response:
        name, _, data = line.decode().strip().partition(": ")
        if data == "[DONE]":
            return
        if name == "data":
            yield from (choice["delta"] for choice in json.loads(data)["choices"])
    raise ModelUnavailable("The model's answer broke off.")
