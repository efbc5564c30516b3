"""Rows as text: CSV, JSON, or a line of JSON each; in pieces, however many there are."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""

Row = dict[str, Any]
"""By the names of the columns; the values are plain JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """How rows become text: piece by piece, then what closes it."""

    content_type: str
    piece: Callable[[list[Row], Sequence[str]], str]
    """Takes rows; and, if they are the first, the columns that a table without any has, else nothing."""
    end: Callable[[bool], str]
    """Takes whether there were any rows."""

    def text(self, batches: Iterator[list[Row]], columns: Sequence[str]) -> Iterator[str]:
        """Yield the text of a whole table."""
        head, has_rows = columns, False
        for rows in batches:
            yield self.piece(rows, head)
            head, has_rows = (), has_rows or bool(rows)
        yield self.end(has_rows)


class _Line:
    """What ``csv.writer`` writes to: hands each line back."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: list[Row], head: Sequence[str]) -> str:
    writer = csv.writer(_Line())
    lines = [writer.writerow(list(rows[0]) if rows else list(head))] if head else []
    lines += [writer.writerow([cell(value) for value in row.values()]) for row in rows]
    return "".join(lines)


def cell(value: Any) -> Any:
    """Return a value for a spreadsheet, which must not take it for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULAS) else text


def _json(rows: list[Row], head: Sequence[str]) -> str:
    if not rows:
        return ""
    return ("[\n" if head else ",\n") + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def _ndjson(rows: list[Row], head: Sequence[str]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


FORMATS: Mapping[str, Format] = {
    "csv": Format(content_type="text/csv; charset=utf-8", piece=_csv, end=lambda has_rows: ""),
    "json": Format(
        content_type="application/json", piece=_json, end=lambda has_rows: "\n]\n" if has_rows else "[]\n"
    ),
    "ndjson": Format(content_type="application/x-ndjson", piece=_ndjson, end=lambda has_rows: ""),
}
