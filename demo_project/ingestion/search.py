"""The search: the passages nearest to a question."""

import heapq
from dataclasses import dataclass

from demo_project.ingestion.embedding import embed, similarity
from demo_project.ingestion.models import Passage

FAINTEST = 0.08
"""Below this a passage has no more than a few letters in common with the question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A passage that was found, and how near it is: from 0 to 1."""

    title: str
    text: str
    score: float

    @property
    def percent(self) -> int:
        """Return the score as a whole number."""
        return round(100 * self.score)


def search(question: str, *, limit: int = 4) -> list[Hit]:
    """Return the nearest passages, the best first."""
    wanted = embed(question)
    hits = (
        Hit(title=passage.document.title, text=passage.text, score=similarity(wanted, bytes(passage.vector)))
        for passage in Passage.objects.select_related("document")
    )
    return heapq.nlargest(limit, (hit for hit in hits if hit.score >= FAINTEST), key=lambda hit: hit.score)
