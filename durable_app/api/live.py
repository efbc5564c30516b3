"""Endpoints that wait: coroutines, so that under ASGI a client who waits costs no thread.

Who may ask is decided as elsewhere, by the same classes and on a thread, before anything waits.
"""

from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from durable_app.api.base import RunView
from durable_app.api.problems import Problem
from durable_app.store import database

LOOK = 2.0
"""Seconds, at most, between two looks for what no wake-up announced."""


class LiveView(RunView):
    """An endpoint below one run, whose ``get`` is a coroutine."""

    view_is_async = True
    http_method_names = ["get"]

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Answer as REST framework's own ``dispatch`` does, awaiting what may wait."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await sync_to_async(self.initial)(self.request, *args, **kwargs)
            if request.method != "GET":
                self.http_method_not_allowed(self.request)
            response = await self.get(self.request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  (raised again unless it is the client's)
            response = await sync_to_async(self.handle_exception)(error)
        self.response = self.finalize_response(self.request, response, *args, **kwargs)
        return self.response

    async def get(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer; to be written by each endpoint."""
        raise NotImplementedError

    async def seen(self) -> Any:
        """Return the run that the URL names, or raise Problem where the actor may not look at it."""
        return await sync_to_async(self._seen)()

    def _seen(self) -> Any:
        run = self.run()
        if not self.actor.may(self.needs["GET"].permission, run):
            raise Problem("permission-denied")
        return run


async def let_go() -> None:
    """Give back the thread that Django keeps for a request, and its connection, before a long wait.

    Whatever needs a thread later gets another one. Under WSGI there is nothing to give back.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None or getattr(context, "_executor", None) is not None:  # that one is its server's
        return
    await sync_to_async(database.close_thread_connections)()
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        executor.shutdown(wait=False)
