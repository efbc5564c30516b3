"""The audit in the admin: a list with filters, a page of each event, and the list as a file."""
