"""The language that a report is told in.

Every text stands in the code once, as a pair: English, and beside it the same in Japanese. What is laid out, and which
numbers are in it, is written once for both. Which of the two is meant is said around the whole page (`speaking`), as a
locale is, and not by every function that writes a word of it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, get_args

from outlast.errors import unknown_name

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_SPOKEN: ContextVar[Language] = ContextVar("language", default="en")
_AFTER_NUMBER = re.compile(r"(?<=[0-9⁰-⁹%])(?=[ぁ-んァ-ヶ一-龠])")
_AFTER_BRACKET = re.compile(r"(?<=）) (?=[ぁ-んァ-ヶ一-龠])")


@contextlib.contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Inside, texts are in this language.

    Raises:
        InputError: of a language that reports are not told in.
    """
    if language not in LANGUAGES:
        raise unknown_name("language", language, dict.fromkeys(LANGUAGES))
    token = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def spoken() -> Language:
    """The language that texts are in now."""
    return _SPOKEN.get()


def tell(en: str, ja: str) -> str:
    """A text in the language that is spoken."""
    return _spaced(ja) if _SPOKEN.get() == "ja" else en


def _spaced(japanese: str) -> str:
    """Numbers that were put in stand apart from the words after them, and brackets do not."""
    return _AFTER_BRACKET.sub("", _AFTER_NUMBER.sub(" ", japanese))


def sentences(*said: str) -> str:
    """Sentences one after another: English ones with a space between them."""
    return tell(" ", "").join(filter(None, said))


def listed(names: list[str]) -> str:
    """Names one after another: "a, b"."""
    return tell(", ", "、").join(names)


class Text:
    """A fixed word or sentence of a class of labels, read in the language that is spoken."""

    def __init__(self, en: str, ja: str) -> None:
        self.pairs = {en: ja}
        self._said = (en, ja)

    def __get__(self, owner: object, kind: type | None = None) -> str:
        return tell(*self._said)


class Texts:
    """Several of them that belong together, in their order."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.pairs = dict(pairs)
        self._said = pairs

    def __get__(self, owner: object, kind: type | None = None) -> tuple[str, ...]:
        return tuple(tell(*pair) for pair in self._said)


class Named:
    """Several of them by the name that results have for them."""

    def __init__(self, pairs: Mapping[Any, tuple[str, str]]) -> None:
        self.pairs = dict(pairs.values())
        self._said = pairs

    def __get__(self, owner: object, kind: type | None = None) -> dict[Any, str]:
        return {name: tell(*pair) for name, pair in self._said.items()}


class Entry(NamedTuple):
    """A term of the glossary and what it is, in both languages."""

    term: str
    meaning: str
    term_ja: str
    meaning_ja: str

    def told(self) -> tuple[str, str]:
        """Term and meaning in the language that is spoken."""
        return tell(self.term, self.term_ja), tell(self.meaning, self.meaning_ja)
