"""Programs that prepare a machine: environments of Python packages, and a private PostgreSQL.

Nothing here needs more than Python itself, because nothing else is there yet when it runs.
"""
