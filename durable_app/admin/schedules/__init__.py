"""Schedules in the admin: a list with history and next fires, a page and a form each, and backfills."""
