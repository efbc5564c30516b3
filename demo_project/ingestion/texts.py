"""Texts on disk: which there are, what is in one, and how it is cut into passages."""

from pathlib import Path

KINDS = frozenset({".txt", ".md", ".rst"})
LONGEST_TEXT = 500_000
LONGEST_PASSAGE = 700


class UnreadableText(Exception):
    """A file is gone, is not text, or is too long to be a manual."""


def texts_in(folder: Path) -> list[str]:
    """Return the texts below a folder, as sorted paths relative to it."""
    found = (path for path in folder.rglob("*") if path.suffix in KINDS and path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def read_text(folder: Path, path: str) -> str:
    """Return what a file says; raises UnreadableText."""
    try:
        text = (folder / path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise UnreadableText(f"{path} cannot be read: {error}") from error
    if len(text) > LONGEST_TEXT or not text.strip():
        raise UnreadableText(f"{path} has {len(text)} characters: expected 1 to {LONGEST_TEXT}.")
    return text


def title_of(text: str) -> str:
    """Return a text's first line."""
    return text.strip().splitlines()[0].strip("#= ")[:120]


def passages_of(text: str) -> list[str]:
    """Return a text's paragraphs without its title, the long ones cut between words."""
    _, _, body = text.strip().partition("\n")
    paragraphs = (" ".join(one.split()) for one in (body or text).split("\n\n"))
    return [piece for paragraph in paragraphs if paragraph for piece in _pieces(paragraph)]


def _pieces(paragraph: str) -> list[str]:
    pieces, rest = [], paragraph
    while len(rest) > LONGEST_PASSAGE:
        cut = rest.rfind(" ", 1, LONGEST_PASSAGE)
        cut = cut if cut > 0 else LONGEST_PASSAGE
        pieces.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return [*pieces, rest] if rest else pieces
