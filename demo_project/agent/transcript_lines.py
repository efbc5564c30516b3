"""What a conversation's stream amounts to: the finished sentences once, and perhaps one in the making."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

DECISIONS = {"approved": "Approved by a person", "denied": "Denied by a person", "expired": "Nobody answered"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing that was said or done; ``kind`` is said, draft, used or decided."""

    kind: str
    text: str
    note: str = ""


def lines_of(entries: Iterable[dict[str, Any]]) -> list[Line]:
    """Return the lines that a stream amounts to: finished sentences once, and perhaps one in the making."""
    lines: list[Line] = []
    draft = ""
    for entry in entries:
        match entry["kind"]:
            case "begin":
                draft = ""
            case "token":
                draft += entry["text"]
            case "said":
                draft = ""
                lines.append(Line(kind="said", text=entry["message"]["content"]))
            case "used":
                result = ", ".join(f"{name}: {_brief(value)}" for name, value in entry["result"].items())
                lines.append(Line(kind="used", text=entry["tool"], note=result))
            case "decided":
                lines.append(Line(kind="decided", text=DECISIONS.get(entry["answer"], entry["answer"])))
    return [*lines, Line(kind="draft", text=draft)] if draft else lines


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} found"
    return str(value)
