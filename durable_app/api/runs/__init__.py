"""Runs: listed, looked at, started, and the verbs on them."""
