"""Compare durable_app with DBOS and with the physical floor, side by side in one run.

`python -m benchmarks` needs DATABASE_URL to name a PostgreSQL server where it may create databases.
"""
