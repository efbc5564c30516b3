"""Bulk operations in the admin: a list, and a page each that tells how far it has come."""
