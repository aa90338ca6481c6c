"""The addresses in words: the most frequent ones as numbers, sentence by sentence."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from outlast.tasks.prose import parts_by_number

FREQUENT = 2000
"""How many words of training have numbers of their own; all others share one."""
_LONGEST = 40


@dataclass(frozen=True)
class Sentences:
    """Words (N,) of sentences one after another, each with its full stop, and where each begins: (S + 1,) int64."""

    words: np.ndarray
    begin: np.ndarray


@functools.cache
def _split(part: str) -> tuple[tuple[str, ...], ...]:
    """Sentences of 3 to 40 words, in small letters."""
    found = []
    for each in parts_by_number()[part]:
        for sentence in re.split(r"[.!?;]\s", each.text.lower()):
            words = re.findall(r"[a-z]+", sentence)
            if 3 <= len(words) <= _LONGEST:
                found.append(tuple(words))
    return tuple(found)


@functools.cache
def frequent() -> tuple[str, ...]:
    """The most frequent words of training, by how often they occur."""
    counted = Counter(word for sentence in _split("train") for word in sentence)
    return tuple(word for word, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT])


def sentences_of(part: str, vocabulary: Sequence[str], unknown: int, stop: int) -> Sentences:
    """The sentences of one part in numbers.

    Args:
        part: of the addresses (`outlast.tasks.prose.parts_by_number`).
        vocabulary: words by number.
        unknown: the number of every other word.
        stop: the number of a full stop.
    """
    number = {word: k for k, word in enumerate(vocabulary)}
    flat, sizes = [], []
    for sentence in _split(part):
        flat.extend(number.get(word, unknown) for word in sentence)
        flat.append(stop)
        sizes.append(len(sentence) + 1)
    return Sentences(np.array(flat, np.int16), np.concatenate([[0], np.cumsum(sizes)]))
