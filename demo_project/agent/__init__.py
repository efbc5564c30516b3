"""The assistant: a language model that uses tools, and asks a person before it refunds anything."""
