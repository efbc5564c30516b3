"""Reading a folder: one run for the folder, one for each file, through a queue that limits their rate.

The limit stands for what an embedding service would allow. Every worker takes files from the queue; one
that dies leaves its files to the others, which go on after the last recorded step.
"""

from pathlib import Path

from django.db.models import F
from django.utils import timezone

from demo_project.ingestion import texts
from demo_project.ingestion.embedding import embed
from demo_project.ingestion.models import Document, Passage
from demo_project.ingestion.texts import UnreadableText
from durable_app import Queue, WorkflowHandle, progress, step, transaction, wait_first, workflow

files = Queue("ingestion", concurrency=3, limiter={"limit": 3, "period": 1})


@workflow
def ingest_folder(folder: str) -> dict[str, int]:
    """Read every text of a folder; return how many were read and how many could not be."""
    paths = list_texts(folder)
    forget_others(paths)
    progress(0, len(paths))
    reading = files.enqueue_many(ingest_file, [(folder, path) for path in paths])
    unreadable = 0
    while reading:
        ended = wait_first(reading)
        reading.remove(ended)
        unreadable += not was_read(ended)
        progress(len(paths) - len(reading), len(paths))
    return {"read": len(paths) - unreadable, "unreadable": unreadable}


@workflow
def ingest_file(folder: str, path: str) -> int:
    """Read one file, cut it, embed it and store it; return the number of its passages."""
    text = read(folder, path)
    passages = cut(text)
    vectors = embed_passages(passages)
    return store(path, texts.title_of(text), passages, vectors)


@step
def list_texts(folder: str) -> list[str]:
    """Look which files there are."""
    return texts.texts_in(Path(folder))


@step
def read(folder: str, path: str) -> str:
    """Read the file."""
    return texts.read_text(Path(folder), path)


@step
def cut(text: str) -> list[str]:
    """Cut the text into passages."""
    return texts.passages_of(text)


@step(retries_allowed=True, max_attempts=5)
def embed_passages(passages: list[str]) -> list[bytes]:
    """Return a vector for each passage."""
    return [embed(passage) for passage in passages]


@transaction
def store(path: str, title: str, passages: list[str], vectors: list[bytes]) -> int:
    """Replace what is stored of the file: rows and checkpoint commit together, and so once."""
    document, _ = Document.objects.get_or_create(path=path, defaults={"title": title})
    Document.objects.filter(pk=document.pk).update(
        title=title, readings=F("readings") + 1, read_at=timezone.now()
    )
    document.passages.all().delete()
    rows = zip(passages, vectors, strict=True)
    Passage.objects.bulk_create(
        Passage(document=document, number=number, text=text, vector=vector)
        for number, (text, vector) in enumerate(rows, 1)
    )
    return len(passages)


@transaction
def forget_others(paths: list[str]) -> None:
    """Drop what is stored of files that are gone."""
    Document.objects.exclude(path__in=paths).delete()


def was_read(ended: WorkflowHandle[int]) -> bool:
    """Whether a file's run has succeeded; one that cannot be read must not stop the others."""
    try:
        ended.get_result()
    except UnreadableText:
        return False
    return True
