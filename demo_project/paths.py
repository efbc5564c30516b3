"""Where the demo keeps its files."""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
"""The SQLite database, the provider's ledger, the logs: everything that may be thrown away."""
