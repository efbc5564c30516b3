"""Rows as a file: streamed in batches, so that a long list costs no memory, and safe for a spreadsheet."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from durable_app import clock
from durable_app.insight.sheets import FORMATS, Row

__all__ = ["FORMATS", "Row", "sent", "streamed"]


def streamed(
    request: HttpRequest, stem: str, form: str, columns: Sequence[str], batches: Iterator[list[Row]]
) -> StreamingHttpResponse:
    """Return a file of rows, whose values are plain JSON; ``form`` is a name in ``FORMATS``.

    ``columns`` are the head of a file without rows.
    """
    found = FORMATS[form]
    stamp = f"{clock.now():%Y%m%d-%H%M%S}"
    return sent(request, found.text(batches, columns), found.content_type, f"{stem}-{stamp}.{form}")


def sent(
    request: HttpRequest, pieces: Iterator[str] | Iterator[bytes], content_type: str, name: str
) -> StreamingHttpResponse:
    """Return a file to be stored under a name."""
    return StreamingHttpResponse(
        _aiter(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _aiter(pieces: Iterator[Any]) -> AsyncIterator[Any]:
    """Yield from a thread: under ASGI Django would else read the whole stream before it sends any."""
    step = sync_to_async(lambda: next(pieces, None))
    while (piece := await step()) is not None:
        yield piece
