"""Tables as people read them: a line a row, columns with two spaces or more between them."""

import re

Table = dict[str, dict[str, str]]


def table(text: str) -> Table:
    """Return a table by row and column; the first line names the rows, then the columns."""
    (_rows, *head), *lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]
    found = {name: dict(zip(head, cells, strict=True)) for name, *cells in lines}
    assert len(found) == len(lines), "a row stands twice"
    return found
