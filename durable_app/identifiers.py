"""What any identifier is: ids, names, keys, topics."""

ID_LENGTH = 255
"""Characters of every identifier."""


def is_storable(text: str) -> bool:
    """Return whether both databases store a text: no NUL, no lone surrogates."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False
