"""The receiver's HTTP interface.

POST /hooks    hear of an event {"id", "kind", "data"}; 401 unless ``X-Shop-Signature`` is genuine
POST /outage   answer 503 with ``Retry-After`` for {"seconds"}
GET  /inbox    what was heard, and how long an outage will go on
"""

import json
import math
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from demo_project.webhook_receiver.inbox import Answer, Inbox, is_genuine

LONGEST_BODY = 100_000
LONGEST_OUTAGE = 60


class WebhookReceiver(ThreadingHTTPServer):
    """The server with its inbox."""

    daemon_threads = True

    def __init__(self, port: int, secret: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.secret = secret
        self.inbox = Inbox()

    @property
    def url(self) -> str:
        """Return where the receiver is to be found."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: WebhookReceiver

    def do_GET(self) -> None:
        """Show the inbox."""
        inbox = self.server.inbox
        self._answer(
            HTTPStatus.OK,
            {"heard": [asdict(one) for one in inbox.heard()], "down_for": round(inbox.down_for(), 1)},
        )

    def do_POST(self) -> None:
        """Hear of an event, or begin an outage."""
        text = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), LONGEST_BODY))
        try:
            body = json.loads(text)
            if self.path == "/outage":
                self.server.inbox.take_down(min(float(body["seconds"]), LONGEST_OUTAGE))
                self._answer(HTTPStatus.OK, {})
            elif self.path == "/hooks":
                self._hear(text, body)
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "There is nothing here."})
        except (ValueError, TypeError, KeyError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": f"Not an event: {error!r}"})

    def _hear(self, text: bytes, event: dict[str, Any]) -> None:
        inbox = self.server.inbox
        if down_for := inbox.down_for():
            retry_after = {"Retry-After": str(math.ceil(down_for))}
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "Down, on purpose."}, retry_after)
            return
        if not is_genuine(self.server.secret, self.headers.get("X-Shop-Signature", ""), text):
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "The signature is wrong or too old."})
            return
        answer = inbox.hear(str(event["id"]), str(event["kind"]))
        if answer is Answer.ANSWER_LOST:
            self.close_connection = True
        elif answer is Answer.HICCUP:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "A hiccup, on purpose."})
        else:
            self._answer(HTTPStatus.OK, {})

    def _answer(
        self, status: HTTPStatus, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)
