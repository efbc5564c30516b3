"""``manage.py durable NOUN VERB``: a module a noun; each verb says what it takes, and does it."""
