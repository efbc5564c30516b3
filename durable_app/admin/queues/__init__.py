"""The entry "queues": how full they are, the page of one, and the verbs on it."""
