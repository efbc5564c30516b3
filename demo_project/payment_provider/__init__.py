"""A payment provider as a real HTTP server of its own, which fails on purpose.

It needs nothing but the standard library: ``python -m demo_project.payment_provider --port 8001``.
"""
