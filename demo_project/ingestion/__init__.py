"""The manuals: a folder of texts, read file by file through a rate-limited queue, and searched."""
