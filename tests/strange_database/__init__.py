"""A database backend whose vendor the engine does not know; below it is SQLite."""
