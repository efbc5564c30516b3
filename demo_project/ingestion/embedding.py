"""A small embedding without a model: words and their parts, hashed into a vector.

The hashing trick (Weinberger et al., "Feature hashing for large scale multitask learning", 2009) over words
and character trigrams. It knows no meanings, but "springs" is near "spring"; and it is the same everywhere.
"""

import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import blake2b

DIMENSIONS = 512
WORD_WEIGHT = 3.0
PART_WEIGHT = 1.0
WORD = re.compile(r"[^\W_]+")
EMPTY_WORDS = frozenset(
    WORD.findall(
        "a an and are as at be but by can do does for from has have how i if in is it its may my not of "
        "on or our out so than that the then they this to up us was we what when where which who will with "
        "you your"
    )
)


def embed(text: str) -> bytes:
    """Return a text's vector of length one (or zero, for a text without words), as packed floats."""
    vector = array("f", bytes(4 * DIMENSIONS))
    for feature, weight in _features(text).items():
        digest = blake2b(feature.encode(), digest_size=8).digest()
        sign = 1 if digest[0] & 1 else -1
        vector[int.from_bytes(digest[1:], "big") % DIMENSIONS] += sign * weight
    length = math.sqrt(sum(number * number for number in vector))
    return array("f", (number / length for number in vector)).tobytes() if length else vector.tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """Return the cosine of the angle between two vectors: 1 is the same direction."""
    return sum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))


def _features(text: str) -> dict[str, float]:
    words = Counter(word for word in WORD.findall(text.lower()) if word not in EMPTY_WORDS)
    features: dict[str, float] = defaultdict(float)
    for word, times in words.items():
        weight = 1 + math.log(times)
        features[word] += WORD_WEIGHT * weight
        for part in _parts(word):
            features[part] += PART_WEIGHT * weight
    return features


def _parts(word: str) -> Iterator[str]:
    framed = f"<{word}>"
    return (framed[start : start + 3] for start in range(len(framed) - 2))
