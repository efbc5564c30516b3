"""Somebody else's server that wants to hear of the shop's events, and fails on purpose.

It needs nothing but the standard library: ``python -m demo_project.webhook_receiver --port 8002``.
"""
