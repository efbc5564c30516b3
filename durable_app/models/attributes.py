"""The lookup ``attributes__has_pairs``: JSON objects that hold all these pairs, under any key.

Django's own key lookups take a numeric key for an index, cannot quote every key on SQLite, and have no
``contains`` there.
"""

import json
from typing import Any

from django.db.models import JSONField, Lookup

_PAIR = """EXISTS (
    SELECT 1 FROM json_each({column}) AS pair
    WHERE pair.key = %s AND pair.value IS json_extract(%s, '$')
      AND (pair.type = json_type(%s)
           OR (pair.type IN ('integer', 'real') AND json_type(%s) IN ('integer', 'real'))))"""


@JSONField.register_lookup
class HasPairs(Lookup):
    """PostgreSQL asks jsonb, which an index can serve; SQLite looks at each pair."""

    lookup_name = "has_pairs"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: Any) -> Any:
        """Return the pairs as they were given."""
        return "%s", [value]

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        """Return SQL that uses containment."""
        column, params = self.process_lhs(compiler, connection)
        return f"{column} @> %s::jsonb", [*params, json.dumps(self.rhs)]

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        """Return SQL that looks at each pair."""
        column, params = self.process_lhs(compiler, connection)
        parts, values = ["1 = 1"], []
        for key, value in self.rhs.items():
            text = json.dumps(value, separators=(",", ":"))  # escaped as Django, and ``launch``, store it
            parts.append(_PAIR.format(column=column))
            values += [*params, key, text, text, text]
        return f"({' AND '.join(parts)})", values
