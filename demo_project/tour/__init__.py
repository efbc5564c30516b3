"""The tour behind ``manage.py demo``: an order, a crash, and the proof that nothing ran twice."""
