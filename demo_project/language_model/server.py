"""The model's HTTP interface: ``POST /v1/chat/completions``, and ``GET /requests`` for those who check.

How it fails depends on the conversation alone: the first request of one conversation in three is answered
503, that of another third is cut off in the middle of its stream; whoever asks again gets the answer.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from enum import Enum, auto
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from demo_project.language_model.brain import Said, next_message
from demo_project.language_model.protocol import chunks, completion, conversation_key

LONGEST_BODY = 1_000_000


class Failure(Enum):
    """What goes wrong with one request."""

    NONE = auto()
    OVERLOADED = auto()
    CUT_OFF = auto()


PLAN = (Failure.NONE, Failure.OVERLOADED, Failure.CUT_OFF)


class LanguageModel(ThreadingHTTPServer):
    """The server; ``pace`` is how many seconds it takes for a token."""

    daemon_threads = True

    def __init__(self, port: int, pace: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.pace = pace
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Return where the model is to be found."""
        return f"http://127.0.0.1:{self.server_port}"

    def failure_of(self, key: str) -> Failure:
        """Count a request of a conversation; return how it fails."""
        with self._lock:
            self._requests[key] += 1
            return planned_for(key) if self._requests[key] == 1 else Failure.NONE

    def requests(self) -> dict[str, int]:
        """Return how often each conversation was sent."""
        with self._lock:
            return dict(self._requests)


def planned_for(key: str) -> Failure:
    """Return how a conversation's first request fails."""
    return PLAN[int(key, 16) % len(PLAN)]


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: LanguageModel

    def do_GET(self) -> None:
        """Show what was asked."""
        self._answer(HTTPStatus.OK, {"requests": self.server.requests()})

    def do_POST(self) -> None:
        """Answer a conversation, or fail as planned."""
        text = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), LONGEST_BODY))
        if self.path != "/v1/chat/completions":
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")
            return
        try:
            request = json.loads(text)
            said = next_message(request["messages"])
        except (ValueError, TypeError, KeyError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"Not a conversation: {error!r}")
            return
        key = conversation_key(request["messages"])
        failure = self.server.failure_of(key)
        if failure is Failure.OVERLOADED:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded, on purpose.")
        elif request.get("stream"):
            self._stream(said, key, is_cut_off=failure is Failure.CUT_OFF)
        else:
            self._answer(HTTPStatus.OK, completion(said, key))

    def _stream(self, said: Said, key: str, *, is_cut_off: bool) -> None:
        """Send the tokens one by one, or only the first half of them."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        events = list(chunks(said, key))
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            for event in events[: len(events) // 2] if is_cut_off else events:
                self.wfile.write(event)
                self.wfile.flush()
                time.sleep(self.server.pace)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._answer(status, {"error": {"message": sentence}})

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
