"""Approvals in the admin: an inbox, and a page with a form for each question."""
