"""The language that a report is told in.

Every text stands once, as a pair: English, and beside it the same in Japanese; fixed words in catalogues (`Words`),
sentences in the code that composes them (`tell`). What is laid out, and which numbers are in it, is written once for
both. Which of the two is meant is said around the whole page (`speaking`), as a locale is, and not by every function
that writes a word of it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import tomllib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
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


class Words:
    """Fixed words of a catalogue, read as attributes in the language that is spoken; with values in them by `told`.

    A catalogue is a TOML file. A word or a sentence in it is [English, Japanese]; several that belong together are a
    list of such pairs, or a table of them by the name that results have for each.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @functools.cached_property
    def catalogue(self) -> dict[str, Any]:
        """What the file holds, in both languages."""
        return tomllib.loads(self._path.read_text(encoding="utf-8"))

    def __getattr__(self, name: str) -> Any:
        found = None if name.startswith("_") else self.catalogue.get(name)
        if found is None:
            raise AttributeError(f"{self._path.name} has no {name}")
        if isinstance(found, dict):
            return {key: tell(*pair) for key, pair in found.items()}
        return tell(*found) if isinstance(found[0], str) else tuple(tell(*pair) for pair in found)

    def told(self, name: str, /, **values: Any) -> str:
        """A sentence, in which values stand for the names in braces."""
        return tell(*(text.format(**values) for text in self.catalogue[name]))


class Entry(NamedTuple):
    """A term of the glossary and what it is, in both languages."""

    term: str
    meaning: str
    term_ja: str
    meaning_ja: str

    def told(self) -> tuple[str, str]:
        """Term and meaning in the language that is spoken."""
        return tell(self.term, self.term_ja), tell(self.meaning, self.meaning_ja)
