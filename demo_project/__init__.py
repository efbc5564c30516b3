"""The demo: a small shop whose checkout survives crashes."""
