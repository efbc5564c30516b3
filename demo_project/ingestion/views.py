"""The page of the manuals: it starts a reading, follows it, and searches what was read."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from demo_project.ingestion.models import Passage
from demo_project.ingestion.options import library_folder
from demo_project.ingestion.search import search
from demo_project.ingestion.shelf import last_reading
from demo_project.ingestion.workflows import files, ingest_folder
from durable_app import SetEnqueueOptions

LONGEST_QUESTION = 200
EXAMPLES = ("my spring squeaks", "how do I get my money back", "how often do I wind it", "parcel above 30 kg")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def library(request: HttpRequest) -> HttpResponse:
    """Show the folder and the search; on POST, read the folder."""
    if request.method == "POST":
        start_reading()
        return redirect("ingestion:library")
    question = request.GET.get("q", "").replace("\x00", "").strip()[:LONGEST_QUESTION]
    context = {
        "question": question,
        "hits": search(question) if question else [],
        "examples": EXAMPLES,
        "folder": library_folder(),
        **_reading(),
    }
    return render(request, "ingestion/library.html", context)


@require_safe
@never_cache
def library_progress(request: HttpRequest) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "ingestion/_progress.html", _reading())


def start_reading() -> None:
    """Start a run over the folder; while one is active, that one is meant."""
    with SetEnqueueOptions(deduplication_id="folder", duplication_policy="return-existing"):
        files.enqueue(ingest_folder, str(library_folder()))


def _reading() -> dict[str, Any]:
    return {"reading": last_reading(), "passages": Passage.objects.count()}
